"""Bringing the tables up to date.

Owns the version check at start, new tables, and the call into Alembic. Must never load Alembic
when there is nothing to migrate: it costs a gateway 5 MB for as long as the process lives.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from fluxhybrid.errors import Conflict
from fluxhybrid.storage.tables import METADATA, TABLES_VERSION

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["bring_up_to_date", "migrations", "version_of"]

_MIGRATIONS_DIR: Final = Path(__file__).parent / "migrations"
# Any number will do, as long as nobody else takes it: the bytes of "flux".
_ADVISORY_LOCK: Final = 0x666C7578

# As Alembic makes it, in a registry of its own: it is no table of ours.
_VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)


async def bring_up_to_date(connection: AsyncConnection) -> None:
    """Make or migrate the tables to this version; nothing to do when they are current.

    Raises:
        Conflict: ``storage.schema_newer``: the tables are of a later version.
    """
    if await connection.run_sync(version_of) == TABLES_VERSION:
        return
    if connection.dialect.name == "postgresql":
        # Two servers starting together on one database migrate one after the other.
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    await connection.run_sync(_bring_up_to_date)


def version_of(connection: Connection) -> str | None:
    """The revision the database's tables are of; ``None`` for an empty database."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found = connection.execute(select(_VERSION.c.version_num)).scalar()
    return None if found is None else str(found)


def _bring_up_to_date(connection: Connection) -> None:
    # Asked again: another server may have done it while we waited for the lock.
    present = version_of(connection)
    if present is None:
        _create(connection)
    elif present != TABLES_VERSION:
        _upgrade(connection, present)


def _create(connection: Connection) -> None:
    """Make new tables.

    What an interrupted attempt left behind, where tables are made outside of transactions (MySQL),
    is kept and completed.
    """
    METADATA.create_all(connection)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(insert(_VERSION).values(version_num=TABLES_VERSION))


def _upgrade(connection: Connection, present: str) -> None:
    from alembic import command
    from alembic.script import ScriptDirectory

    config = migrations(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present not in known:
        raise Conflict(
            "storage.schema_newer",
            f"the database's tables are of version {present}, which this program does not know",
            hint="start the newer program that made them, or restore a backup from before it",
        )
    command.upgrade(config, "head")


def migrations(connection: Connection) -> Config:
    """Alembic's configuration: our migrations, on this connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS_DIR).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
