"""Bringing the tables up to date.

Owns the version check at start and the call into Alembic. Must never be needed when the tables
are current: the migration library is loaded only for work to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

from fluxhybrid.errors import Conflict
from fluxhybrid.storage.tables import TABLES_VERSION

__all__ = ["MIGRATIONS_DIR", "bring_up_to_date", "version_of"]

MIGRATIONS_DIR: Final = Path(__file__).parent / "migrations"
# Any number will do, as long as nobody else takes it: the bytes of "flux".
_ADVISORY_LOCK: Final = 0x666C7578


async def bring_up_to_date(connection: AsyncConnection) -> None:
    """Migrate the tables to this version of the project; nothing to do when they are current.

    Raises:
        Conflict: ``storage.schema_newer``: the tables are of a later version.
    """
    if await connection.run_sync(version_of) == TABLES_VERSION:
        return
    if connection.dialect.name == "postgresql":
        # Two servers starting together on one database migrate one after the other.
        await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
    await connection.run_sync(_upgrade)


def version_of(connection: Connection) -> str | None:
    """The revision the database's tables are of; ``None`` for an empty database."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    present = version_of(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if present is not None and present not in known:
        raise Conflict(
            "storage.schema_newer",
            f"the database's tables are of version {present}, which this program does not know",
            hint="start the newer program that made them, or restore a backup from before it",
        )
    command.upgrade(config, "head")
