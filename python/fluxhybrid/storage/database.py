"""Connections to the metadata database.

Owns the pool, the pragmas and the one-writer rule. Must never let an exception of the database
library out: see ``faults``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from sqlalchemy import Connection, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from fluxhybrid.errors import Invalid, Unavailable
from fluxhybrid.storage.faults import fault_of
from fluxhybrid.storage.schema import bring_up_to_date
from fluxhybrid.storage.transaction import Transaction

__all__ = ["BUSY_TIMEOUT_MS", "Database"]

BUSY_TIMEOUT_MS: Final = 2_000
"""How long a writer waits for another process's lock on an SQLite file."""
WRITERS_WAITING_MAX: Final = 256
"""Writers that may wait for their turn in this process; one more is told to come back."""
_RECYCLE_S: Final = 1_800

_WRITES: Final = "flux_writes"


class Database:
    """The metadata database behind one URL of SQLAlchemy's asyncio kind.

    Args:
        url: such as ``sqlite+aiosqlite:////var/lib/fluxhybrid/flux.db``.
        min_connections: kept open while idle.
        max_connections: open at the same time.
        acquire_timeout_s: longest wait for a free connection.
        busy_timeout_ms: longest wait for another process's lock (SQLite); left out,
            ``BUSY_TIMEOUT_MS``.
    """

    def __init__(
        self,
        url: str,
        *,
        min_connections: int = 0,
        max_connections: int = 10,
        acquire_timeout_s: float = 30.0,
        busy_timeout_ms: int | None = None,
    ) -> None:
        parsed = make_url(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        in_memory = self._sqlite and parsed.database in (None, "", ":memory:")
        self._acquire_timeout_s = acquire_timeout_s
        # A memory database is its one connection.
        kept = 1 if in_memory else max(1, min_connections)
        most = 1 if in_memory else max(kept, max_connections)
        self.max_connections: Final = most
        options: dict[str, Any] = {
            "pool_size": kept,
            "max_overflow": most - kept,
            "pool_timeout": acquire_timeout_s,
            "hide_parameters": True,
        }
        if in_memory:
            from sqlalchemy.pool import AsyncAdaptedQueuePool

            options["poolclass"] = AsyncAdaptedQueuePool
        elif not self._sqlite:
            options |= {"pool_pre_ping": True, "pool_recycle": _RECYCLE_S}
        try:
            self._engine: AsyncEngine = create_async_engine(parsed, **options)
        except ModuleNotFoundError as error:
            raise _driver_missing(parsed.get_backend_name(), error.name or "") from error
        if self._sqlite:
            _set_up_sqlite(
                self._engine, BUSY_TIMEOUT_MS if busy_timeout_ms is None else busy_timeout_ms
            )
        self._turn = asyncio.Lock()
        self._waiting = 0

    @property
    def dialect(self) -> str:
        """``sqlite``, ``postgresql`` or ``mysql``."""
        return self._engine.dialect.name

    def connections_in_use(self) -> int:
        """Connections handed out at this moment."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def prepare(self) -> None:
        """Bring the tables up to date.

        Raises:
            Unavailable: the database is locked, full or out of reach.
            Conflict: ``storage.schema_newer``: a newer version of the project made it.
        """
        async with self._connection(writes=True) as connection:
            await bring_up_to_date(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads; it waits for no writer."""
        async with self._connection(writes=False) as connection:
            yield Transaction(connection)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that writes: committed at the end, rolled back when an error leaves it.

        One at a time in this process, in order of arrival.
        """
        if self._waiting >= WRITERS_WAITING_MAX:
            raise Unavailable(
                "storage.busy", "too many changes wait for their turn", hint="try again in a moment"
            )
        self._waiting += 1
        try:
            await self._take_turn()
            try:
                async with self._connection(writes=True) as connection:
                    yield Transaction(connection)
            finally:
                self._turn.release()
        finally:
            self._waiting -= 1

    async def close(self) -> None:
        """Close every connection. Harmless when repeated."""
        await self._engine.dispose()

    async def _take_turn(self) -> None:
        try:
            async with asyncio.timeout(self._acquire_timeout_s):
                await self._turn.acquire()
        except TimeoutError:
            raise Unavailable(
                "storage.busy",
                "earlier changes took too long to let this one have its turn",
                hint="try again in a moment",
            ) from None

    @asynccontextmanager
    async def _connection(self, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                await connection.execution_options(**{_WRITES: writes})
                async with connection.begin():
                    yield connection
        except (SQLAlchemyError, OSError) as error:
            raise fault_of(error) from error


def _driver_missing(backend: str, module: str) -> Invalid:
    extra = "postgres" if backend == "postgresql" else "mysql"
    return Invalid(
        "storage.driver_missing",
        f"the driver for {backend}, {module}, is not installed",
        hint=f"pip install 'fluxhybrid[{extra}]'",
    )


def _set_up_sqlite(engine: AsyncEngine, busy_timeout_ms: int) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        # The driver's own notion of transactions would begin them too late: we say BEGIN.
        connection.isolation_level = None
        cursor = connection.cursor()
        try:
            # First: turning a new file to WAL needs its lock, which another process may hold.
            cursor.execute(f"PRAGMA busy_timeout = {int(busy_timeout_ms)}")
            cursor.execute("PRAGMA journal_mode = WAL")
            # A commit that was answered survives a power cut.
            cursor.execute("PRAGMA synchronous = FULL")
            cursor.execute("PRAGMA foreign_keys = ON")
        finally:
            cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        # A reader that became a writer later could be refused at once (SQLITE_BUSY_SNAPSHOT);
        # who will write says so first, and waits its turn.
        writes = connection.get_execution_options().get(_WRITES, True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
