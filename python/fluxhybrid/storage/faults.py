"""What the database's errors mean to a caller.

Owns the translation from the database library's exceptions to the project's. Must never pass a
statement or its parameters on: they hold hashes and scripts.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from fluxhybrid.errors import Conflict, FluxError, Internal, Invalid, Unavailable

__all__ = ["fault_of"]

# Primary result codes, https://www.sqlite.org/rescode.html; extended ones have them in the low
# byte. Python 3.11 and later hand them over.
_SQLITE_BUSY: Final = 5
_SQLITE_LOCKED: Final = 6
_SQLITE_READONLY: Final = 8
_SQLITE_IOERR: Final = 10
_SQLITE_CORRUPT: Final = 11
_SQLITE_FULL: Final = 13
_SQLITE_CANTOPEN: Final = 14
_SQLITE_NOTADB: Final = 26

# SQLSTATE, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_LATER: Final = ("40001", "40P01", "55P03", "57014")
_POSTGRES_AWAY: Final = ("08", "53", "57P")
# https://dev.mysql.com/doc/mysql-errors/8.0/en/server-error-reference.html
_MYSQL_LATER: Final = (1205, 1213)


def fault_of(error: Exception) -> FluxError:
    """The project's error for one that came out of the database library."""
    if isinstance(error, PoolTimeoutError):
        return Unavailable(
            "storage.pool_exhausted",
            "no connection to the database came free in time",
            hint="try again; if it stays, raise [database] max_connections",
        )
    if isinstance(error, IntegrityError):
        return Conflict(
            "storage.conflict",
            "the change contradicts what is stored: a name that is taken, or a thing that is used",
        )
    if isinstance(error, DBAPIError):
        return _of_driver(error)
    if isinstance(error, OSError):
        return _unreachable()
    if isinstance(error, SQLAlchemyError):
        return Internal("storage.failed", "the database refused a statement")
    return Internal("storage.failed", "the database failed")


def _of_driver(error: DBAPIError) -> FluxError:
    cause = _driver_cause(error)
    if isinstance(cause, sqlite3.Error):
        return _of_sqlite(cause)
    state = getattr(cause, "sqlstate", None)
    number = cause.args[0] if cause is not None and cause.args else None
    if state in _POSTGRES_LATER or number in _MYSQL_LATER:
        return _locked()
    if isinstance(error, DataError):
        return Invalid("storage.data", "a value does not fit the database")
    if (
        error.connection_invalidated
        or isinstance(error, InterfaceError | OperationalError)
        or (isinstance(state, str) and state.startswith(_POSTGRES_AWAY))
    ):
        return _unreachable()
    return Internal("storage.failed", "the database refused a statement")


def _driver_cause(error: DBAPIError) -> BaseException | None:
    # The asyncio adapters wrap the driver's exception once more; its cause is the real one.
    cause: BaseException | None = error.orig
    while cause is not None and cause.__cause__ is not None:
        cause = cause.__cause__
    return cause


def _of_sqlite(error: sqlite3.Error) -> FluxError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (_SQLITE_BUSY, _SQLITE_LOCKED):
        return _locked()
    if code == _SQLITE_FULL:
        return Unavailable(
            "storage.full", "the disk of the database is full", hint="free some disk space"
        )
    if code == _SQLITE_READONLY:
        return Unavailable(
            "storage.read_only",
            "the database can only be read",
            hint="check the permissions of the file and its directory",
        )
    if code == _SQLITE_CANTOPEN:
        return Unavailable(
            "storage.unreachable",
            "the database file cannot be opened",
            hint="check that its directory exists and may be written to",
        )
    if code in (_SQLITE_CORRUPT, _SQLITE_NOTADB):
        return Internal(
            "storage.damaged",
            "the database file is damaged, or is no SQLite database",
            hint="restore it from a backup",
        )
    if code == _SQLITE_IOERR:
        return Unavailable(
            "storage.io",
            "reading or writing the database file failed",
            hint="check the disk it is on",
        )
    return Internal("storage.failed", "the database refused a statement")


def _locked() -> Unavailable:
    return Unavailable(
        "storage.locked",
        "the database is locked by another writer",
        hint="try again in a moment; if it stays, look for another process that uses the database",
    )


def _unreachable() -> Unavailable:
    return Unavailable(
        "storage.unreachable",
        "the database cannot be reached",
        hint="check [database] url and that the server runs",
    )
