"""Products and rules name plugins, and products how their devices are spoken with.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import VARCHAR

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is there names no plugin and has no link."""
    plugin_id = sa.String(64).with_variant(VARCHAR(64, collation="utf8mb4_bin"), "mysql")
    with op.batch_alter_table("products") as products:
        products.add_column(sa.Column("protocol_plugin_id", plugin_id, nullable=True))
        products.add_column(sa.Column("plugin_chain", sa.JSON(), nullable=True))
        products.add_column(sa.Column("link", sa.JSON(), nullable=True))
    with op.batch_alter_table("rules") as rules:
        rules.add_column(sa.Column("plugin_chain", sa.JSON(), nullable=True))
