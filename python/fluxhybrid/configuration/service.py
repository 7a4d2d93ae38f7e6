"""The one way a change is made.

Owns the order of its steps: within one transaction the database is changed and the engine checks
the candidate; the commit carries the new generation; then the engine puts it in force. Must never
leave the engine on another configuration than the stored one without saying so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal
from uuid import UUID

from fluxhybrid.configuration.document import full_document
from fluxhybrid.configuration.ports import Store, Transaction
from fluxhybrid.engine.ports import EnginePort
from fluxhybrid.errors import FluxError, Internal, Invalid, Problem
from fluxhybrid.storage.records import Tenant

__all__ = ["DEFAULT_TENANT", "Change", "Configuration", "Generations", "Kind"]

_log = logging.getLogger(__name__)

DEFAULT_TENANT: Final = 1

Kind = Literal["products", "devices", "principals", "rules"]


@dataclass(frozen=True, slots=True)
class Generations:
    """Both truths of the configuration: equal, unless something is wrong."""

    stored: int
    """What the database holds."""
    in_force: int
    """What the engine works by."""


class Change:
    """One change in the making: what is done to the database, and what the engine is told of it."""

    def __init__(self, transaction: Transaction) -> None:
        self.store: Final = transaction
        self._upsert: dict[str, list[Mapping[str, Any]]] = {}
        self._delete: dict[str, list[str]] = {}
        self._pointers: dict[str, str] = {}

    def upsert(
        self, kind: Kind, entry: Mapping[str, Any], pointers: Mapping[str, str] | None = None
    ) -> None:
        """Tell the engine of a thing that is new or changed.

        Args:
            kind: what it is.
            entry: as the engine reads it.
            pointers: where the caller's own document has a member another name, from the
                engine's to the caller's: ``{"/product": "/product_id"}``.
        """
        entries = self._upsert.setdefault(kind, [])
        prefix = f"/upsert/{kind}/{len(entries)}"
        entries.append(entry)
        self._pointers[prefix] = ""
        for engines, callers in (pointers or {}).items():
            self._pointers[prefix + engines] = callers

    def delete(self, kind: Kind, record_id: UUID) -> None:
        """Tell the engine of a thing that is gone."""
        self._delete.setdefault(kind, []).append(str(record_id))

    def delta(self, base: int, generation: int) -> dict[str, Any]:
        """The change as the engine reads it."""
        return {
            "base_generation": base,
            "generation": generation,
            "upsert": self._upsert,
            "delete": self._delete,
        }

    def callers_problems(self, problems: list[Problem]) -> list[Problem]:
        """The engine's problems with pointers into what the caller sent."""
        return [replace(problem, pointer=self._callers(problem.pointer)) for problem in problems]

    def _callers(self, pointer: str | None) -> str | None:
        for prefix in sorted(self._pointers, key=len, reverse=True):
            if pointer is not None and (pointer == prefix or pointer.startswith(prefix + "/")):
                return self._pointers[prefix] + pointer[len(prefix) :] or None
        return pointer


class Configuration:
    """What is stored and what is in force.

    Args:
        store: where it is kept.
        engine: what works by it.
        env: the constants of the site, as the document carries them.
        tenant_name: name of the default tenant.
    """

    def __init__(
        self, store: Store, engine: EnginePort, *, env: Mapping[str, Any], tenant_name: str
    ) -> None:
        self._store = store
        self._engine = engine
        self._env = dict(env)
        self._tenant_name = tenant_name
        self._stored = 0
        # Deltas reach the engine in the order of their generations.
        self._order = asyncio.Lock()

    @property
    def env(self) -> dict[str, Any]:
        """The constants of the site."""
        return dict(self._env)

    def generations(self) -> Generations:
        """The number of what is stored and of what is in force."""
        return Generations(stored=self._stored, in_force=self._engine.generation())

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._store.read() as transaction:
            yield transaction

    @asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """Make a change: nothing happens when an error leaves the block, everything otherwise.

        Raises:
            Invalid: the engine found problems; nothing was changed.
            Unavailable: the database is locked or out of reach; nothing was changed.
            Internal: ``configuration.not_in_force``: stored, but the engine would not have it.
        """
        async with self._order:
            async with self._store.write() as transaction:
                change = Change(transaction)
                yield change
                base = await transaction.generations.current()
                generation = max(base, self._engine.generation()) + 1
                delta = change.delta(base, generation)
                await self._check(change, delta)
                await transaction.generations.advance(base, generation)
            # From here on the change is stored: whoever asked for it may hang up, but the engine
            # has to hear of it.
            self._stored = generation
            await asyncio.shield(asyncio.ensure_future(self._put_in_force(delta)))

    async def load(self) -> Generations:
        """Give the engine everything that is stored: at start, and on demand.

        Raises:
            Invalid: what is stored does not compile; the engine keeps what it had.
        """
        async with self._order:
            return await self._load()

    async def _load(self) -> Generations:
        async with self._store.write() as transaction:
            await transaction.tenants.put(Tenant(DEFAULT_TENANT, self._tenant_name))
            stored = await transaction.generations.current()
            in_force = self._engine.generation()
            generation = max(stored, in_force) + 1
            await transaction.generations.advance(stored, generation)
            document = await full_document(transaction, generation, self._env)
        self._stored = generation
        await asyncio.to_thread(self._engine.apply, document)
        return self.generations()

    async def _check(self, change: Change, delta: Mapping[str, Any]) -> None:
        problems = await asyncio.to_thread(self._engine.check_configuration, delta)
        if problems:
            found = change.callers_problems(problems)
            first = found[0]
            raise Invalid(
                first.code,
                first.message,
                hint=first.hint,
                pointer=first.pointer,
                line=first.line,
                column=first.column,
                problems=found,
            )

    async def _put_in_force(self, delta: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(self._engine.apply, delta)
        except FluxError as error:
            _log.warning(
                "the engine refused generation %s (%s): giving it the whole configuration",
                delta["generation"],
                error,
            )
            try:
                await self._load()
            except FluxError as second:
                raise Internal(
                    "configuration.not_in_force",
                    f"the change is stored, but not in force: {second}",
                    hint="POST /api/v1/rules:reload once the cause is mended",
                ) from second
