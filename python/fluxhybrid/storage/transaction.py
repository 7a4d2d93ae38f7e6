"""One transaction, and what can be done within it.

Owns every query. Must never commit by itself: ``Database`` begins and ends transactions.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final, Generic, TypeVar
from uuid import UUID

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from fluxhybrid.errors import Conflict
from fluxhybrid.storage.records import (
    ApiToken,
    Device,
    Principal,
    Product,
    Rule,
    RuleVersion,
    Tenant,
)
from fluxhybrid.storage.tables import (
    api_tokens,
    configuration,
    devices,
    principals,
    products,
    rule_versions,
    rules,
    tenants,
)

__all__ = ["Collection", "Generations", "RuleVersions", "Tenants", "Tokens", "Transaction"]

R = TypeVar("R", Product, Device, Principal, Rule)

_ALL_ROWS_BATCH: Final = 1_000


class Collection(Generic[R]):
    """The records of one table, of one tenant at a time.

    Args:
        connection: where to ask.
        table: the table; its columns are the fields of ``record``.
        record: the class of its records.
        key: the column that holds the name people give, unique in a tenant; ``None`` if none is.
    """

    def __init__(
        self, connection: AsyncConnection, table: Table, record: type[R], key: str | None
    ) -> None:
        self._connection = connection
        self._table = table
        self._record: type[R] = record
        self._key = key
        self._columns = [table.c[field.name] for field in fields(record)]

    async def get(self, tenant_id: int, record_id: UUID) -> R | None:
        """The record with this id."""
        return await self._one(tenant_id, "id", record_id)

    async def by_key(self, tenant_id: int, key: str) -> R | None:
        """The record people call by this name."""
        return None if self._key is None else await self._one(tenant_id, self._key, key)

    async def page(
        self,
        tenant_id: int,
        *,
        after: UUID | None,
        limit: int,
        where: Mapping[str, object] | None = None,
    ) -> list[R]:
        """At most ``limit`` records in order of their ids, from behind ``after`` on.

        Args:
            tenant_id: whose records.
            after: the last id of the page before.
            limit: length of the page.
            where: columns and the values they must have.
        """
        statement = select(*self._columns).where(self._table.c.tenant_id == tenant_id)
        for column, value in (where or {}).items():
            statement = statement.where(self._table.c[column] == value)
        if after is not None:
            statement = statement.where(self._table.c.id > after)
        statement = statement.order_by(self._table.c.id).limit(limit)
        rows = await self._connection.execute(statement)
        return [self._record(**row) for row in rows.mappings()]

    async def every(self) -> AsyncIterator[R]:
        """Every record of every tenant, read in bounded batches."""
        last: UUID | None = None
        while True:
            statement = select(*self._columns).order_by(self._table.c.id).limit(_ALL_ROWS_BATCH)
            if last is not None:
                statement = statement.where(self._table.c.id > last)
            rows = (await self._connection.execute(statement)).mappings().all()
            for row in rows:
                yield self._record(**row)
            if len(rows) < _ALL_ROWS_BATCH:
                return
            last = rows[-1]["id"]

    async def count(self, tenant_id: int) -> int:
        """How many records the tenant has."""
        statement = (
            select(func.count())
            .select_from(self._table)
            .where(self._table.c.tenant_id == tenant_id)
        )
        return int((await self._connection.execute(statement)).scalar_one())

    async def insert(self, record: R) -> None:
        """Add a record.

        Raises:
            Conflict: its id or key is taken, or what it refers to is not there.
        """
        await self._connection.execute(insert(self._table).values(_values(record)))

    async def update(self, record: R) -> None:
        """Replace the record of the same tenant and id; it has to be there."""
        await self._connection.execute(
            update(self._table)
            .where(self._table.c.tenant_id == record.tenant_id, self._table.c.id == record.id)
            .values(_values(record))
        )

    async def delete(self, tenant_id: int, record_id: UUID) -> bool:
        """Remove a record; says whether it was there.

        Raises:
            Conflict: something else refers to it.
        """
        result = await self._connection.execute(
            delete(self._table).where(
                self._table.c.tenant_id == tenant_id, self._table.c.id == record_id
            )
        )
        return result.rowcount > 0

    async def _one(self, tenant_id: int, column: str, value: object) -> R | None:
        statement = select(*self._columns).where(
            self._table.c.tenant_id == tenant_id, self._table.c[column] == value
        )
        row = (await self._connection.execute(statement)).mappings().first()
        return None if row is None else self._record(**row)


class RuleVersions:
    """Rules as they were."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def insert(self, version: RuleVersion, *, keep: int) -> None:
        """Add a version, and drop those older than the newest ``keep``."""
        table = rule_versions
        await self._connection.execute(insert(table).values(_values(version)))
        await self._connection.execute(
            delete(table).where(
                table.c.tenant_id == version.tenant_id,
                table.c.rule_id == version.rule_id,
                table.c.version <= version.version - keep,
            )
        )

    async def of(
        self, tenant_id: int, rule_id: UUID, *, before: int | None, limit: int
    ) -> list[RuleVersion]:
        """A rule's versions, newest first, from below ``before`` on."""
        table = rule_versions
        statement = select(table).where(table.c.tenant_id == tenant_id, table.c.rule_id == rule_id)
        if before is not None:
            statement = statement.where(table.c.version < before)
        statement = statement.order_by(table.c.version.desc()).limit(limit)
        rows = await self._connection.execute(statement)
        return [RuleVersion(**row) for row in rows.mappings()]


class Tenants:
    """Who there is."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def all(self) -> list[Tenant]:
        """Every tenant, in order of their numbers."""
        rows = await self._connection.execute(select(tenants).order_by(tenants.c.id))
        return [Tenant(**row) for row in rows.mappings()]

    async def put(self, tenant: Tenant) -> None:
        """Add the tenant, or give the one with its number this name."""
        changed = await self._connection.execute(
            update(tenants).where(tenants.c.id == tenant.id).values(name=tenant.name)
        )
        if changed.rowcount == 0:
            known = await self._connection.execute(
                select(tenants.c.id).where(tenants.c.id == tenant.id)
            )
            # MySQL counts rows that changed, not rows that matched.
            if known.first() is None:
                await self._connection.execute(
                    insert(tenants).values(id=tenant.id, name=tenant.name)
                )


class Generations:
    """The number of the configuration: grows by one with each change."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def current(self) -> int:
        """The generation that is stored; 0 before the first."""
        found = (await self._connection.execute(select(configuration.c.generation))).scalar()
        return int(found or 0)

    async def advance(self, base: int, to: int) -> None:
        """Go from ``base`` to ``to``.

        Raises:
            Conflict: another server on the same database went on first.
        """
        now = time.time_ns() // 1_000_000
        changed = await self._connection.execute(
            update(configuration)
            .where(configuration.c.id == 1, configuration.c.generation == base)
            .values(generation=to, updated_at_ms=now)
        )
        if changed.rowcount > 0:
            return
        if base == 0 and await self.current() == 0:
            await self._connection.execute(
                insert(configuration).values(id=1, generation=to, updated_at_ms=now)
            )
            return
        raise Conflict(
            "configuration.changed_elsewhere",
            "another server changed the configuration at the same time",
            hint="send the change again",
        )


class Tokens:
    """Bearer tokens of the HTTP API."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def insert(self, token: ApiToken) -> None:
        """Add a token."""
        await self._connection.execute(insert(api_tokens).values(_values(token)))

    async def by_sha256(self, token_sha256: str) -> ApiToken | None:
        """The token with this hash, of whatever tenant."""
        rows = await self._connection.execute(
            select(api_tokens).where(api_tokens.c.token_sha256 == token_sha256)
        )
        row = rows.mappings().first()
        return None if row is None else ApiToken(**row)

    async def of(self, tenant_id: int) -> list[ApiToken]:
        """A tenant's tokens, oldest first."""
        rows = await self._connection.execute(
            select(api_tokens).where(api_tokens.c.tenant_id == tenant_id).order_by(api_tokens.c.id)
        )
        return [ApiToken(**row) for row in rows.mappings()]

    async def count(self) -> int:
        """How many tokens there are, of all tenants."""
        statement = select(func.count()).select_from(api_tokens)
        return int((await self._connection.execute(statement)).scalar_one())

    async def delete(self, tenant_id: int, token_id: UUID) -> bool:
        """Remove a token; says whether it was there."""
        result = await self._connection.execute(
            delete(api_tokens).where(
                api_tokens.c.tenant_id == tenant_id, api_tokens.c.id == token_id
            )
        )
        return result.rowcount > 0


class Transaction:
    """What can be read and changed together, between a begin and a commit."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.tenants = Tenants(connection)
        self.generations = Generations(connection)
        self.tokens = Tokens(connection)
        self.products = Collection(connection, products, Product, "key")
        self.devices = Collection(connection, devices, Device, "key")
        self.principals = Collection(connection, principals, Principal, "username")
        self.rules = Collection(connection, rules, Rule, None)
        self.rule_versions = RuleVersions(connection)


def _values(record: object) -> dict[str, Any]:
    # dataclasses.asdict would copy the JSON inside, deeply and for nothing.
    names: Sequence[str] = [field.name for field in fields(record)]  # type: ignore[arg-type]
    return {name: getattr(record, name) for name in names}
