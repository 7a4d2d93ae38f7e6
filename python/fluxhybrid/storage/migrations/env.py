"""Alembic's entry: runs the migrations on the connection it is handed.

Owns nothing. Must never open a connection of its own: the caller holds the lock.
"""

from alembic import context

from fluxhybrid.storage.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    # SQLite can alter hardly anything in place.
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
