"""Products name their plugin, and how their devices are spoken with.

Revision 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the two columns; products there are have neither."""
    op.add_column("products", sa.Column("protocol_plugin_id", sa.Text(), nullable=True))
    op.add_column("products", sa.Column("link", sa.JSON(), nullable=True))
