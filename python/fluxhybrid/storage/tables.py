"""Tables of the metadata database.

Owns names, types, keys and indexes. Must never hold a query. The tenant is in every table, first
in every unique key: what one tenant calls its things is no other tenant's concern.

``TABLES_VERSION`` is the Alembic revision these tables correspond to; a change here needs a
migration beside it, and a test holds the two together.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.mysql import LONGTEXT, VARCHAR
from sqlalchemy.types import TypeEngine

__all__ = [
    "KEY_LEN_MAX",
    "METADATA",
    "NAME_LEN_MAX",
    "TABLES_VERSION",
    "api_tokens",
    "configuration",
    "devices",
    "principals",
    "products",
    "rule_versions",
    "rules",
    "tenants",
]

TABLES_VERSION: Final = "0002"
KEY_LEN_MAX: Final = 128
NAME_LEN_MAX: Final = 200
TOPIC_LEN_MAX: Final = 1024

METADATA: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key(length: int = KEY_LEN_MAX) -> TypeEngine[str]:
    # MySQL compares without regard to case and accents unless told; keys are exact everywhere.
    return String(length).with_variant(VARCHAR(length, collation="utf8mb4_bin"), "mysql")


def _script() -> TypeEngine[str]:
    # MySQL's TEXT ends at 64 KiB of bytes.
    return Text().with_variant(LONGTEXT(), "mysql")


def _times() -> tuple[Column[int], Column[int]]:
    return (
        Column("created_at_ms", BigInteger, nullable=False),
        Column("updated_at_ms", BigInteger, nullable=False),
    )


tenants: Final = Table(
    "tenants",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", _key(), nullable=False, unique=True),
)

configuration: Final = Table(
    "configuration",
    METADATA,
    # One row. The generation counts changes of all tenants: the engine compiles them together.
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("generation", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

products: Final = Table(
    "products",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("key", _key(), nullable=False),
    Column("name", String(NAME_LEN_MAX), nullable=False),
    Column("topic_template", String(TOPIC_LEN_MAX), nullable=False),
    Column("command_topic_template", String(TOPIC_LEN_MAX), nullable=False),
    Column("reply_topic_template", String(TOPIC_LEN_MAX), nullable=False),
    Column("decode", JSON, nullable=False),
    Column("transform", _script(), nullable=True),
    Column("protocol_plugin_id", _key(64), nullable=True),
    Column("plugin_chain", JSON, nullable=True),
    # How its devices are spoken with over raw TCP and UDP. No link is NULL, not JSON's null.
    Column("link", JSON(none_as_null=True), nullable=True),
    Column("metadata", JSON, nullable=False),
    *_times(),
    UniqueConstraint("tenant_id", "key"),
    # What a foreign key with the tenant in it refers to.
    UniqueConstraint("tenant_id", "id"),
)

devices: Final = Table(
    "devices",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("product_id", Uuid, nullable=False),
    Column("key", _key(), nullable=False),
    Column("name", String(NAME_LEN_MAX), nullable=False),
    Column("secret_sha256", String(64), nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("tags", JSON, nullable=False),
    *_times(),
    UniqueConstraint("tenant_id", "key"),
    # A device cannot be of another tenant's product.
    ForeignKeyConstraint(["tenant_id", "product_id"], ["products.tenant_id", "products.id"]),
    Index(None, "tenant_id", "product_id", "id"),
)

principals: Final = Table(
    "principals",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("username", _key(), nullable=False),
    Column("secret_sha256", String(64), nullable=True),
    Column("enabled", Boolean, nullable=False),
    Column("publish", JSON, nullable=False),
    Column("subscribe", JSON, nullable=False),
    *_times(),
    UniqueConstraint("tenant_id", "username"),
)

rules: Final = Table(
    "rules",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("name", String(NAME_LEN_MAX), nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("trigger_script", _script(), nullable=False),
    # The type of the first action, for lists and filters; the actions themselves are below.
    Column("action_type", String(32), nullable=True),
    Column("sources", JSON, nullable=False),
    Column("actions", JSON, nullable=False),
    *_times(),
    Column("plugin_chain", JSON, nullable=True),
    UniqueConstraint("tenant_id", "id"),
)

rule_versions: Final = Table(
    "rule_versions",
    METADATA,
    Column("rule_id", Uuid, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("document", JSON, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "rule_id"], ["rules.tenant_id", "rules.id"], ondelete="CASCADE"
    ),
)

api_tokens: Final = Table(
    "api_tokens",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("tenant_id", Integer, ForeignKey("tenants.id"), nullable=False),
    Column("name", String(NAME_LEN_MAX), nullable=False),
    Column("token_sha256", String(64), nullable=False, unique=True),
    Column("expires_at_ms", BigInteger, nullable=True),
    Column("created_at_ms", BigInteger, nullable=False),
)
