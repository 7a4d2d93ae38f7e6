"""What configuration needs from storage.

Owns the protocols every feature's service works with. Must never name a table or a driver.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar
from uuid import UUID

from fluxhybrid.storage.records import Device, Principal, Product, Rule, RuleVersion, Tenant

__all__ = [
    "Collection",
    "Generations",
    "RuleVersions",
    "Store",
    "Tenants",
    "Transaction",
]

R = TypeVar("R", Product, Device, Principal, Rule)


class Collection(Protocol[R]):
    """The records of one kind, of one tenant at a time."""

    async def get(self, tenant_id: int, record_id: UUID) -> R | None:
        """The record with this id."""
        ...

    async def by_key(self, tenant_id: int, key: str) -> R | None:
        """The record people call by this name."""
        ...

    async def page(
        self,
        tenant_id: int,
        *,
        after: UUID | None,
        limit: int,
        where: Mapping[str, object] | None = None,
    ) -> list[R]:
        """At most ``limit`` records in order of their ids."""
        ...

    def every(self) -> AsyncIterator[R]:
        """Every record of every tenant."""
        ...

    async def count(self, tenant_id: int) -> int:
        """How many records the tenant has."""
        ...

    async def insert(self, record: R) -> None:
        """Add a record."""
        ...

    async def update(self, record: R) -> None:
        """Replace the record of the same id."""
        ...

    async def delete(self, tenant_id: int, record_id: UUID) -> bool:
        """Remove a record; says whether it was there."""
        ...


class RuleVersions(Protocol):
    """Rules as they were."""

    async def insert(self, version: RuleVersion, *, keep: int) -> None:
        """Add a version, and drop those older than the newest ``keep``."""
        ...

    async def of(
        self, tenant_id: int, rule_id: UUID, *, before: int | None, limit: int
    ) -> list[RuleVersion]:
        """A rule's versions, newest first."""
        ...


class Tenants(Protocol):
    """Who there is."""

    async def all(self) -> list[Tenant]:
        """Every tenant."""
        ...

    async def put(self, tenant: Tenant) -> None:
        """Add or rename a tenant."""
        ...


class Generations(Protocol):
    """The number of the configuration."""

    async def current(self) -> int:
        """The generation that is stored."""
        ...

    async def advance(self, base: int, to: int) -> None:
        """Go from ``base`` to ``to``."""
        ...


class Transaction(Protocol):
    """What can be read and changed together."""

    @property
    def tenants(self) -> Tenants:
        """Who there is."""
        ...

    @property
    def generations(self) -> Generations:
        """The number of the configuration."""
        ...

    @property
    def products(self) -> Collection[Product]:
        """Products."""
        ...

    @property
    def devices(self) -> Collection[Device]:
        """Devices."""
        ...

    @property
    def principals(self) -> Collection[Principal]:
        """MQTT accounts that are not devices."""
        ...

    @property
    def rules(self) -> Collection[Rule]:
        """Rules."""
        ...

    @property
    def rule_versions(self) -> RuleVersions:
        """Rules as they were."""
        ...


class Store(Protocol):
    """Where configuration is kept."""

    def read(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads."""
        ...

    def write(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that writes."""
        ...
