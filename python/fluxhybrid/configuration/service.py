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
        self._renamed: dict[str, Mapping[str, str]] = {}

    def upsert(
        self, kind: Kind, entry: Mapping[str, Any], renamed: Mapping[str, str] | None = None
    ) -> None:
        """Tell the engine of a thing that is new or changed.

        Args:
            kind: what it is.
            entry: as the engine reads it.
            renamed: where the caller's own document has a member another name, from the
                engine's pointer to the caller's: ``{"/product": "/product_id"}``.
        """
        self._upsert.setdefault(kind, []).append(entry)
        self._renamed[entry["id"]] = renamed or {}

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

    def callers_problem(self, problem: Problem, document: Mapping[str, Any]) -> Problem:
        """The engine's problem, with a pointer into what the caller sent.

        What is wrong elsewhere in the configuration is named, as the caller cannot point at it.
        """
        parts = (problem.pointer or "").split("/")[1:]
        sections = document
        if parts[:1] == ["upsert"]:
            parts, sections = parts[1:], document["upsert"]
        if len(parts) < 2 or parts[0] not in sections or not parts[1].isdigit():
            return problem
        kind, place = parts[0], int(parts[1])
        entry = sections[kind][place]
        pointer = "".join(f"/{part}" for part in parts[2:])
        renamed = self._renamed.get(str(entry["id"]))
        if renamed is None:
            name = entry.get("key") or entry.get("username") or entry.get("name") or entry["id"]
            message = f"{kind[:-1]} {name!r}, {pointer or 'as a whole'}: {problem.message}"
            return replace(problem, message=message, pointer=None)
        for engines, callers in renamed.items():
            if pointer == engines or pointer.startswith(engines + "/"):
                pointer = callers + pointer[len(engines) :]
        return replace(problem, pointer=pointer or None)


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
                base, in_force = await transaction.generations.current(), self._engine.generation()
                generation = max(base, in_force) + 1
                if base == in_force:
                    document = change.delta(base, generation)
                else:
                    # The engine is not where the database is: a change of what it has would be a
                    # change of something else.
                    document = await full_document(transaction, generation, self._env)
                await self._check(change, document)
                await transaction.generations.advance(base, generation)
            # From here on the change is stored: whoever asked for it may hang up, but the engine
            # has to hear of it.
            self._stored = generation
            await asyncio.shield(asyncio.ensure_future(self._put_in_force(document)))

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

    async def _check(self, change: Change, document: Mapping[str, Any]) -> None:
        problems = await asyncio.to_thread(self._engine.check_configuration, document)
        if problems:
            found = [change.callers_problem(problem, document) for problem in problems]
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

    async def _put_in_force(self, document: Mapping[str, Any]) -> None:
        try:
            await asyncio.to_thread(self._engine.apply, document)
        except FluxError as error:
            _log.warning(
                "the engine refused generation %s (%s): giving it the whole configuration",
                document["generation"],
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
