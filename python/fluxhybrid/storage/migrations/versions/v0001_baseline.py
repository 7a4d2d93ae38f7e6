"""The first tables.

Revision 0001, after nothing. A migration is history: it spells its tables out, and stays as it is
when ``storage.tables`` moves on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _key() -> sa.types.TypeEngine[str]:
    return sa.String(128).with_variant(VARCHAR(128, collation="utf8mb4_bin"), "mysql")


def _script() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(LONGTEXT(), "mysql")


def _times() -> tuple[sa.Column[int], sa.Column[int]]:
    return (
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
    )


def _tenant(table: str) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("tenant_id", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=f"fk_{table}_tenant_id"),
    )


def upgrade() -> None:
    """Create every table of the first version."""
    op.create_table(
        "tenants",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", _key(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.create_table(
        "configuration",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_configuration"),
    )
    _create_products_and_devices()
    _create_accounts()
    _create_rules()


def _create_products_and_devices() -> None:
    op.create_table(
        "products",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_tenant("products"),
        sa.Column("key", _key(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("topic_template", sa.String(1024), nullable=False),
        sa.Column("command_topic_template", sa.String(1024), nullable=False),
        sa.Column("reply_topic_template", sa.String(1024), nullable=False),
        sa.Column("decode", sa.JSON(), nullable=False),
        sa.Column("transform", _script(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_products"),
        sa.UniqueConstraint("tenant_id", "key", name="uq_products_tenant_id_key"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_products_tenant_id_id"),
    )
    op.create_table(
        "devices",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_tenant("devices"),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("key", _key(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("tags", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_devices"),
        sa.UniqueConstraint("tenant_id", "key", name="uq_devices_tenant_id_key"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "product_id"],
            ["products.tenant_id", "products.id"],
            name="fk_devices_tenant_id_product_id",
        ),
    )
    op.create_index(
        "ix_devices_tenant_id_product_id_id", "devices", ["tenant_id", "product_id", "id"]
    )


def _create_accounts() -> None:
    op.create_table(
        "principals",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_tenant("principals"),
        sa.Column("username", _key(), nullable=False),
        sa.Column("secret_sha256", sa.String(64), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("publish", sa.JSON(), nullable=False),
        sa.Column("subscribe", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_principals"),
        sa.UniqueConstraint("tenant_id", "username", name="uq_principals_tenant_id_username"),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_tenant("api_tokens"),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("token_sha256", sa.String(64), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_tokens"),
        sa.UniqueConstraint("token_sha256", name="uq_api_tokens_token_sha256"),
    )


def _create_rules() -> None:
    op.create_table(
        "rules",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_tenant("rules"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("trigger_script", _script(), nullable=False),
        sa.Column("action_type", sa.String(32), nullable=True),
        sa.Column("sources", sa.JSON(), nullable=False),
        sa.Column("actions", sa.JSON(), nullable=False),
        *_times(),
        sa.PrimaryKeyConstraint("id", name="pk_rules"),
        sa.UniqueConstraint("tenant_id", "id", name="uq_rules_tenant_id_id"),
    )
    op.create_table(
        "rule_versions",
        sa.Column("rule_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        *_tenant("rule_versions"),
        sa.Column("document", sa.JSON(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("rule_id", "version", name="pk_rule_versions"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_id"],
            ["rules.tenant_id", "rules.id"],
            name="fk_rule_versions_tenant_id_rule_id",
            ondelete="CASCADE",
        ),
    )
