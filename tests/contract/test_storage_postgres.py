"""The metadata database on a PostgreSQL server of the test's own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxhybrid.config import Config
from fluxhybrid.errors import Conflict, Unavailable
from fluxhybrid.storage import Database, Tenant
from tests.contract.test_storage_database import device, product, rule


def _directory_of_programs() -> Path | None:
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    return next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


PROGRAMS = _directory_of_programs()

pytestmark = pytest.mark.skipif(PROGRAMS is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Gives the URL of an empty database, as people write it."""
    assert PROGRAMS is not None
    # The server refuses to run as root, and has to own its directory.
    user = "postgres" if os.getuid() == 0 else None
    directory = Path(tempfile.mkdtemp(prefix="flux-postgres-"))
    if user is not None:
        shutil.chown(directory, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = directory / "data"
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"

    def run(*command: object) -> None:
        subprocess.run(
            [str(part) for part in command],
            user=user,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=directory,
            timeout=60,
        )

    try:
        run(PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "flux", "--no-sync")
        run(PROGRAMS / "pg_ctl", "-D", data, "-l", directory / "log", "-w", "-o", options, "start")
        try:
            yield f"postgres://flux@127.0.0.1:{port}/postgres"
        finally:
            run(PROGRAMS / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def database_at(url: str) -> Database:
    config = Config.model_validate({"database": {"url": url}})
    return Database(config.sqlalchemy_url(), acquire_timeout_s=5)


async def test_everything_that_works_on_a_file_works_on_a_server(server: str) -> None:
    database = database_at(server)
    try:
        await database.prepare()
        await database.prepare()
        made = product()
        async with database.write() as transaction:
            await transaction.tenants.put(Tenant(1, "default"))
            await transaction.generations.advance(0, 1)
            await transaction.products.insert(made)
            for number in range(5):
                await transaction.devices.insert(device(made, f"d{number}"))
            await transaction.rules.insert(rule())
        async with database.read() as transaction:
            assert await transaction.products.get(1, made.id) == made
            page = await transaction.devices.page(1, after=None, limit=3)
            assert [found.key for found in page] == ["d0", "d1", "d2"]
            assert await transaction.generations.current() == 1
        with pytest.raises(Conflict):
            async with database.write() as transaction:
                await transaction.products.insert(product())
    finally:
        await database.close()


async def test_server_that_is_not_there_is_told_as_such(server: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    database = database_at(f"postgres://flux@127.0.0.1:{port}/postgres")
    with pytest.raises(Unavailable) as caught:
        await database.prepare()
    assert caught.value.code == "storage.unreachable"
    await database.close()
