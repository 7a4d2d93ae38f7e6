"""The document the engine compiles.

Owns its shape: how each record is written in it. Must never leave anything out that the engine
decides by.
"""

from __future__ import annotations

from typing import Any

from fluxhybrid.configuration.ports import Transaction
from fluxhybrid.storage.records import Device, Principal, Product, Rule, Tenant

__all__ = [
    "device_entry",
    "full_document",
    "principal_entry",
    "product_entry",
    "rule_entry",
]


def product_entry(product: Product) -> dict[str, Any]:
    """A product as the engine reads it."""
    return {
        "id": str(product.id),
        "tenant": product.tenant_id,
        "key": product.key,
        "topic_template": product.topic_template,
        "command_topic_template": product.command_topic_template,
        "reply_topic_template": product.reply_topic_template,
        "decode": _decode(product),
        "plugin_chain": product.plugin_chain or [],
        "transform": product.transform,
        "link": product.link,
        "metadata": product.metadata,
    }


def _decode(product: Product) -> dict[str, Any]:
    if product.protocol_plugin_id is None:
        return product.decode
    return {**product.decode, "plugin": product.protocol_plugin_id}


def device_entry(device: Device) -> dict[str, Any]:
    """A device as the engine reads it."""
    return {
        "id": str(device.id),
        "tenant": device.tenant_id,
        "product": str(device.product_id),
        "key": device.key,
        "secret_sha256": device.secret_sha256,
        "enabled": device.enabled,
        "tags": device.tags,
    }


def principal_entry(principal: Principal) -> dict[str, Any]:
    """An MQTT account as the engine reads it."""
    return {
        "id": str(principal.id),
        "tenant": principal.tenant_id,
        "username": principal.username,
        "secret_sha256": principal.secret_sha256,
        "enabled": principal.enabled,
        "publish": principal.publish,
        "subscribe": principal.subscribe,
    }


def rule_entry(rule: Rule) -> dict[str, Any]:
    """A rule as the engine reads it."""
    return {
        "id": str(rule.id),
        "tenant": rule.tenant_id,
        "version": rule.version,
        "name": rule.name,
        "enabled": rule.enabled,
        "trigger_script": rule.trigger_script,
        "plugin_chain": rule.plugin_chain or [],
        "sources": rule.sources,
        "actions": rule.actions,
    }


async def full_document(
    transaction: Transaction, generation: int, env: dict[str, Any]
) -> dict[str, Any]:
    """Everything that is stored, as one document of this generation."""
    return {
        "generation": generation,
        "tenants": [_tenant_entry(tenant) for tenant in await transaction.tenants.all()],
        "principals": [principal_entry(p) async for p in transaction.principals.every()],
        "products": [product_entry(p) async for p in transaction.products.every()],
        "devices": [device_entry(d) async for d in transaction.devices.every()],
        "rules": [rule_entry(r) async for r in transaction.rules.every()],
        "env": env,
    }


def _tenant_entry(tenant: Tenant) -> dict[str, Any]:
    return {"id": tenant.id, "name": tenant.name}
