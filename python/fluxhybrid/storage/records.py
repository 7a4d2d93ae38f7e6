"""Records: what the database keeps, one frozen class for each table.

Owns the shapes that leave the storage room. Must never hold behaviour or know a connection.
Times are milliseconds since the Unix epoch, UTC; secrets appear as SHA-256 in hex only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

__all__ = [
    "ApiToken",
    "Device",
    "Principal",
    "Product",
    "Rule",
    "RuleVersion",
    "Tenant",
]


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whom a record belongs to. Tenant 1 is there from the first start."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Product:
    """What devices of one make have in common: topics, decoding, thing model."""

    id: UUID
    tenant_id: int
    key: str
    name: str
    topic_template: str
    command_topic_template: str
    reply_topic_template: str
    decode: dict[str, Any]
    transform: str | None
    protocol_plugin_id: str | None
    link: dict[str, Any] | None
    metadata: dict[str, Any]
    created_at_ms: int
    updated_at_ms: int
    plugin_chain: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its product, its credential, its tags."""

    id: UUID
    tenant_id: int
    product_id: UUID
    key: str
    name: str
    secret_sha256: str | None
    enabled: bool
    tags: dict[str, str]
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class Principal:
    """An MQTT account that is not a device: a dashboard, another system."""

    id: UUID
    tenant_id: int
    username: str
    secret_sha256: str | None
    enabled: bool
    publish: list[str]
    subscribe: list[str]
    created_at_ms: int
    updated_at_ms: int


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its script, where it looks, what it does."""

    id: UUID
    tenant_id: int
    version: int
    name: str
    enabled: bool
    trigger_script: str
    action_type: str | None
    sources: dict[str, list[str]]
    actions: list[dict[str, Any]]
    created_at_ms: int
    updated_at_ms: int
    plugin_chain: list[dict[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class RuleVersion:
    """A rule as it was: kept with each change, the oldest dropped first."""

    tenant_id: int
    rule_id: UUID
    version: int
    document: dict[str, Any]
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A bearer token of the HTTP API."""

    id: UUID
    tenant_id: int
    name: str
    token_sha256: str
    expires_at_ms: int | None
    created_at_ms: int
