"""The metadata database: tables, transactions, locks, and what its errors mean."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import RFC_4122, UUID

import pytest
import pytest_asyncio
from sqlalchemy import create_engine

from fluxhybrid.configuration.ids import new_id
from fluxhybrid.errors import Conflict, FluxError, Unavailable
from fluxhybrid.storage import (
    Database,
    Device,
    Principal,
    Product,
    Rule,
    RuleVersion,
    Tenant,
    schema,
)
from fluxhybrid.storage import database as database_module
from fluxhybrid.storage.schema import migrations, version_of
from fluxhybrid.storage.tables import METADATA, TABLES_VERSION


def product(tenant_id: int = 1, key: str = "thermometer") -> Product:
    return Product(
        id=new_id(),
        tenant_id=tenant_id,
        key=key,
        name=key,
        topic_template="v1/devices/{device}/telemetry",
        command_topic_template="v1/devices/{device}/commands",
        reply_topic_template="v1/devices/{device}/replies",
        decode={"type": "json"},
        transform=None,
        metadata={"ü": [1, 2.5, None, True]},
        created_at_ms=1,
        updated_at_ms=2**53,
    )


def device(of: Product, key: str, tenant_id: int | None = None) -> Device:
    return Device(
        id=new_id(),
        tenant_id=of.tenant_id if tenant_id is None else tenant_id,
        product_id=of.id,
        key=key,
        name=key,
        secret_sha256=None,
        enabled=True,
        tags={"line": "3"},
        created_at_ms=1,
        updated_at_ms=1,
    )


def rule(name: str = "hot") -> Rule:
    return Rule(
        id=new_id(),
        tenant_id=1,
        version=1,
        name=name,
        enabled=True,
        trigger_script="temperature > 30",
        action_type=None,
        sources={"topics": [], "products": [], "devices": []},
        actions=[],
        created_at_ms=1,
        updated_at_ms=1,
    )


def url_of(path: Path) -> str:
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "flux.db"


@pytest_asyncio.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = Database(url_of(path), busy_timeout_ms=50, acquire_timeout_s=5)
    await database.prepare()
    async with database.write() as transaction:
        await transaction.tenants.put(Tenant(1, "default"))
        await transaction.tenants.put(Tenant(2, "other"))
    yield database
    await database.close()


async def test_records_come_back_as_they_went_in(database: Database) -> None:
    made = product()
    principal = Principal(
        new_id(), 1, "dashboard", "ab" * 32, True, ["plant/#"], ["#"], created_at_ms=1,
        updated_at_ms=1,
    )  # fmt: skip
    async with database.write() as transaction:
        await transaction.products.insert(made)
        await transaction.devices.insert(device(made, "t1"))
        await transaction.principals.insert(principal)
        await transaction.rules.insert(rule())
    async with database.read() as transaction:
        assert await transaction.products.get(1, made.id) == made
        assert await transaction.products.by_key(1, made.key) == made
        assert await transaction.principals.by_key(1, "dashboard") == principal
        found = await transaction.devices.by_key(1, "t1")
        assert found is not None
        assert found.tags == {"line": "3"}
        assert await transaction.rules.count(1) == 1


async def test_failed_transaction_leaves_nothing_behind(database: Database) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):  # noqa: PT012
        async with database.write() as transaction:
            await transaction.products.insert(product())
            raise RuntimeError("on purpose")
    async with database.read() as transaction:
        assert await transaction.products.count(1) == 0


async def test_key_is_unique_in_its_tenant_only(database: Database) -> None:
    async with database.write() as transaction:
        await transaction.products.insert(product(1))
        await transaction.products.insert(product(2))
    with pytest.raises(Conflict) as caught:
        async with database.write() as transaction:
            await transaction.products.insert(product(1))
    assert caught.value.code == "storage.conflict"


async def test_keys_differ_by_case(database: Database) -> None:
    async with database.write() as transaction:
        await transaction.products.insert(product(1, "a"))
        await transaction.products.insert(product(1, "A"))
    async with database.read() as transaction:
        assert await transaction.products.count(1) == 2


async def test_tenant_cannot_see_change_or_delete_anothers_records(database: Database) -> None:
    theirs = product(2)
    async with database.write() as transaction:
        await transaction.products.insert(theirs)
        assert await transaction.products.get(1, theirs.id) is None
        assert await transaction.products.by_key(1, theirs.key) is None
        assert await transaction.products.page(1, after=None, limit=10) == []
        await transaction.products.update(replace(theirs, tenant_id=1, name="stolen"))
        assert not await transaction.products.delete(1, theirs.id)
        assert await transaction.products.get(2, theirs.id) == theirs


async def test_device_cannot_be_of_another_tenants_product(database: Database) -> None:
    theirs = product(2)
    async with database.write() as transaction:
        await transaction.products.insert(theirs)
    with pytest.raises(Conflict):
        async with database.write() as transaction:
            await transaction.devices.insert(device(theirs, "t1", tenant_id=1))


async def test_product_with_devices_cannot_be_deleted(database: Database) -> None:
    made = product()
    async with database.write() as transaction:
        await transaction.products.insert(made)
        await transaction.devices.insert(device(made, "t1"))
    with pytest.raises(Conflict):
        async with database.write() as transaction:
            await transaction.products.delete(1, made.id)


async def test_pages_go_through_every_record_once(database: Database) -> None:
    made = product()
    keys = {f"d{number}" for number in range(25)}
    async with database.write() as transaction:
        await transaction.products.insert(made)
        for key in keys:
            await transaction.devices.insert(device(made, key))
    seen: list[str] = []
    after: UUID | None = None
    async with database.read() as transaction:
        while page := await transaction.devices.page(1, after=after, limit=7):
            seen += [found.key for found in page]
            after = page[-1].id
        everything = [found.key async for found in transaction.devices.every()]
    assert sorted(seen) == sorted(keys)
    assert sorted(everything) == sorted(keys)


async def test_only_the_newest_versions_of_a_rule_are_kept(database: Database) -> None:
    made = rule()
    async with database.write() as transaction:
        await transaction.rules.insert(made)
        for version in range(1, 8):
            record = RuleVersion(1, made.id, version, {"version": version}, 1)
            await transaction.rule_versions.insert(record, keep=3)
    async with database.read() as transaction:
        kept = await transaction.rule_versions.of(1, made.id, before=None, limit=100)
        assert [version.version for version in kept] == [7, 6, 5]
        older = await transaction.rule_versions.of(1, made.id, before=6, limit=100)
        assert [version.version for version in older] == [5]
    async with database.write() as transaction:
        await transaction.rules.delete(1, made.id)
        assert await transaction.rule_versions.of(1, made.id, before=None, limit=100) == []


async def test_generation_advances_from_the_one_that_was_read(database: Database) -> None:
    async with database.write() as transaction:
        assert await transaction.generations.current() == 0
        await transaction.generations.advance(0, 1)
        await transaction.generations.advance(1, 5)
        assert await transaction.generations.current() == 5
    with pytest.raises(Conflict) as caught:
        async with database.write() as transaction:
            await transaction.generations.advance(1, 2)
    assert caught.value.code == "configuration.changed_elsewhere"


async def test_locked_database_is_told_as_such_and_can_still_be_read(
    database: Database, path: Path
) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            async with database.write() as transaction:
                await transaction.products.insert(product())
        assert caught.value.code == "storage.locked"
        async with database.read() as transaction:
            assert await transaction.products.count(1) == 0
        other.execute("ROLLBACK")
    finally:
        other.close()
    async with database.write() as transaction:
        await transaction.products.insert(product())


async def test_writer_waits_for_a_lock_that_is_let_go_in_time(path: Path) -> None:
    database = Database(url_of(path), busy_timeout_ms=30_000)
    await database.prepare()
    other = sqlite3.connect(path, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")

        async def write() -> None:
            async with database.write() as transaction:
                await transaction.tenants.put(Tenant(1, "default"))

        writing = asyncio.create_task(write())
        # It cannot be done as long as the lock is held, however often it gets its turn.
        await asyncio.wait((writing,), timeout=0.05)
        assert not writing.done()
        other.execute("COMMIT")
        await writing
    finally:
        other.close()
        await database.close()


async def test_connections_are_durable_strict_and_in_wal_mode(database: Database) -> None:
    async with database.read() as transaction:
        connection = transaction.products._connection
        for pragma, value in (
            ("journal_mode", "wal"),
            ("synchronous", 2),
            ("foreign_keys", 1),
            ("busy_timeout", 50),
        ):
            found = (await connection.exec_driver_sql(f"PRAGMA {pragma}")).scalar()
            assert (pragma, found) == (pragma, value)


async def test_writers_have_their_turn_one_after_the_other(database: Database) -> None:
    made = product()
    async with database.write() as transaction:
        await transaction.products.insert(made)

    async def add(number: int) -> None:
        async with database.write() as transaction:
            before = await transaction.devices.count(1)
            await transaction.devices.insert(device(made, f"d{number}"))
            await asyncio.sleep(0)
            assert await transaction.devices.count(1) == before + 1

    await asyncio.gather(*(add(number) for number in range(20)))


async def test_too_many_waiting_writers_are_told_to_come_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "WRITERS_WAITING_MAX", 1)
    async with database.write():
        with pytest.raises(Unavailable) as caught:
            async with database.write():
                pass
    assert caught.value.code == "storage.busy"


async def test_pool_that_stays_empty_is_told_as_such(path: Path) -> None:
    database = Database(url_of(path), max_connections=1, acquire_timeout_s=0.01)
    async with database.read():
        assert database.connections_in_use() == 1
        with pytest.raises(Unavailable) as caught:
            async with database.read():
                pass
    assert caught.value.code == "storage.pool_exhausted"
    assert database.connections_in_use() == 0
    await database.close()


async def test_memory_database_is_one_database_for_all(tmp_path: Path) -> None:
    database = Database("sqlite+aiosqlite:///:memory:")
    await database.prepare()
    async with database.write() as transaction:
        await transaction.tenants.put(Tenant(1, "default"))

    async def count() -> int:
        async with database.read() as transaction:
            return len(await transaction.tenants.all())

    assert await asyncio.gather(*(count() for _ in range(5))) == [1] * 5
    await database.close()


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"this is no database" * 100, "storage.damaged"), (None, "storage.unreachable")],
)
async def test_file_that_is_no_database_is_told_as_such(
    tmp_path: Path, content: bytes | None, code: str
) -> None:
    path = tmp_path / "flux.db" if content else tmp_path / "missing" / "flux.db"
    if content:
        path.write_bytes(content)
    database = Database(url_of(path))
    with pytest.raises(FluxError) as caught:
        await database.prepare()
    assert caught.value.code == code
    await database.close()


def test_ids_are_in_the_order_they_were_made_even_when_the_clock_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [new_id() for _ in range(5_000)]
    monkeypatch.setattr("fluxhybrid.configuration.ids.time.time_ns", lambda: 0)
    made += [new_id() for _ in range(5_000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)
    assert {found.version for found in made} == {7}
    assert {found.variant for found in made} == {RFC_4122}


# ---- migrations


PREPARE = """
import asyncio, sys
from fluxhybrid.storage import Database
async def main():
    database = Database(sys.argv[1])
    await database.prepare()
    await database.close()
asyncio.run(main())
assert "alembic" not in sys.modules, "loaded for nothing"
"""


def prepare_elsewhere(path: Path, project_root: Path) -> None:
    env = {**os.environ, "PYTHONPATH": str(project_root / "python")}
    subprocess.run([sys.executable, "-c", PREPARE, url_of(path)], check=True, env=env)


async def test_current_tables_are_left_alone_without_loading_the_migration_library(
    database: Database, path: Path, project_root: Path
) -> None:
    await database.close()
    prepare_elsewhere(path, project_root)
    with sqlite3.connect(path) as connection:
        names = connection.execute("SELECT name FROM tenants ORDER BY id").fetchall()
    assert names == [("default",), ("other",)]


def test_new_tables_are_made_without_loading_the_migration_library(
    path: Path, project_root: Path
) -> None:
    prepare_elsewhere(path, project_root)
    with sqlite3.connect(path) as connection:
        versions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        assert versions == [(TABLES_VERSION,)]
        assert connection.execute("SELECT count(*) FROM rules").fetchone() == (0,)


def test_migrations_make_the_same_tables_as_a_new_database_has(path: Path) -> None:
    from alembic import command
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = migrations(connection)
        assert ScriptDirectory.from_config(config).get_current_head() == TABLES_VERSION
        command.upgrade(config, "head")
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
        assert version_of(connection) == TABLES_VERSION
    engine.dispose()


async def test_tables_of_a_newer_program_are_refused(database: Database, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict) as caught:
        await database.prepare()
    assert caught.value.code == "storage.schema_newer"


async def test_interrupted_start_leaves_the_database_empty(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    database = Database(url_of(path))
    with monkeypatch.context() as patch:
        # The last thing of all: every table is there by then.
        patch.setattr(schema, "insert", fail)
        with pytest.raises(RuntimeError, match="on purpose"):
            await database.prepare()
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
    await database.prepare()
    await database.close()


@pytest.mark.parametrize("name", ["postgresql", "mysql"])
def test_tables_can_be_written_for_servers(name: str) -> None:
    from sqlalchemy.dialects import registry
    from sqlalchemy.schema import CreateTable

    dialect = registry.load(name)()
    statements = [
        str(CreateTable(table).compile(dialect=dialect)) for table in METADATA.sorted_tables
    ]
    assert len(statements) == 8
    if name == "mysql":
        assert "LONGTEXT" in "".join(statements)
        assert "utf8mb4_bin" in "".join(statements)
