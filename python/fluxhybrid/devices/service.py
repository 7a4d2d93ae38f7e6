"""What can be done with products and devices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from fluxhybrid.accounts.secrets import new_secret, sha256_hex
from fluxhybrid.configuration.document import device_entry, product_entry
from fluxhybrid.configuration.ids import new_id, now_ms
from fluxhybrid.configuration.paging import Page, read_page
from fluxhybrid.configuration.plugins import Plugins, plugins_are_there
from fluxhybrid.configuration.references import find, sign_in_name_is_free
from fluxhybrid.configuration.service import Change, Configuration
from fluxhybrid.devices.model import (
    AnyDecode,
    Decode,
    DeviceIn,
    DeviceOut,
    DevicePatch,
    DeviceWithSecret,
    PluginDecode,
    ProductIn,
    ProductPatch,
)
from fluxhybrid.devices.ports import Presence
from fluxhybrid.errors import Conflict, Invalid
from fluxhybrid.storage.records import Device, Product

__all__ = ["Devices", "Products"]

SECRET_PREFIX: Final = "fluxdev"  # noqa: S105
_DEVICE_POINTERS: Final = {"/product": "/product_id"}


class Products:
    """Products of a tenant.

    Args:
        configuration: the way a change is made.
        plugins: which plugins there are.
    """

    def __init__(self, configuration: Configuration, plugins: Plugins) -> None:
        self._configuration = configuration
        self._plugins = plugins

    async def add(self, tenant_id: int, wanted: ProductIn) -> Product:
        """Add a product.

        Raises:
            Invalid: its script does not compile, or the like.
            Conflict: its key is taken.
        """
        product_id, now = new_id(), now_ms()
        key = wanted.key or str(product_id)
        product = Product(
            id=product_id,
            tenant_id=tenant_id,
            key=key,
            name=wanted.name or key,
            topic_template=wanted.topic_template,
            command_topic_template=wanted.command_topic_template,
            reply_topic_template=wanted.reply_topic_template,
            decode=_decode(wanted.protocol_plugin_id, wanted.decode),
            transform=wanted.transform,
            protocol_plugin_id=wanted.protocol_plugin_id,
            link=wanted.link,
            metadata=wanted.metadata,
            created_at_ms=now,
            updated_at_ms=now,
            plugin_chain=[use.model_dump() for use in wanted.plugin_chain],
        )
        self._plugins_are_there(product)
        async with self._configuration.change() as change:
            await _key_is_free(change, product)
            await change.store.products.insert(product)
            change.upsert("products", product_entry(product))
        return product

    async def page(self, tenant_id: int, limit: int, cursor: str | None) -> Page[Product]:
        """A page of the tenant's products."""
        async with self._configuration.read() as transaction:
            return await read_page(transaction.products, tenant_id, limit=limit, cursor=cursor)

    async def get(self, tenant_id: int, reference: str) -> Product:
        """The product with this id or key.

        Raises:
            NotFound: there is none.
        """
        async with self._configuration.read() as transaction:
            return await find(transaction.products, "product", tenant_id, reference)

    async def change(self, tenant_id: int, reference: str, patch: ProductPatch) -> Product:
        """Change what the patch names.

        Raises:
            NotFound: there is no such product.
            Invalid: what comes of it does not compile, or the like.
            Conflict: the new key is taken.
        """
        async with self._configuration.change() as change:
            before = await find(change.store.products, "product", tenant_id, reference)
            changed = {name: getattr(patch, name) for name in patch.model_fields_set}
            if "plugin_chain" in changed:
                changed["plugin_chain"] = [use.model_dump() for use in patch.plugin_chain]
            plugin_id = changed.get("protocol_plugin_id", before.protocol_plugin_id)
            if "decode" in changed:
                changed["decode"] = _decode(plugin_id, patch.decode)
            elif (plugin_id is None) != (before.protocol_plugin_id is None):
                changed["decode"] = _decode(plugin_id, None)
            product = replace(before, **changed, updated_at_ms=now_ms())
            self._plugins_are_there(product)
            if product.key != before.key:
                await _key_is_free(change, product)
            await change.store.products.update(product)
            change.upsert("products", product_entry(product))
        return product

    def _plugins_are_there(self, product: Product) -> None:
        named = {"/protocol_plugin_id": product.protocol_plugin_id}
        for index, use in enumerate(product.plugin_chain or []):
            named[f"/plugin_chain/{index}/plugin"] = use["plugin"]
        plugins_are_there(self._plugins, named)

    async def remove(self, tenant_id: int, reference: str) -> None:
        """Remove a product.

        Raises:
            NotFound: there is no such product.
            Conflict: it still has devices.
        """
        async with self._configuration.change() as change:
            product = await find(change.store.products, "product", tenant_id, reference)
            used = await change.store.devices.page(
                tenant_id, after=None, limit=1, where={"product_id": product.id}
            )
            if used:
                raise Conflict(
                    "product.in_use",
                    f"the product still has devices, such as {used[0].key!r}",
                    hint="remove its devices first",
                )
            await change.store.products.delete(tenant_id, product.id)
            change.delete("products", product.id)


def _decode(plugin_id: str | None, wanted: AnyDecode | None) -> dict[str, Any]:
    """How payloads are decoded, where that goes with there being a plugin or not."""
    if wanted is None:
        wanted = Decode() if plugin_id is None else PluginDecode(type="plugin")
    if plugin_id is None and isinstance(wanted, PluginDecode):
        raise Invalid(
            "product.decode",
            "payloads are to be decoded by a plugin, and none is named",
            hint="give a protocol_plugin_id",
            pointer="/protocol_plugin_id",
        )
    if plugin_id is not None and isinstance(wanted, Decode):
        raise Invalid(
            "product.decode",
            f"payloads are to be decoded as JSON and by the plugin {plugin_id}",
            hint='leave decode out, or give it the type "plugin" and the plugin\'s settings',
            pointer="/decode",
        )
    return wanted.model_dump()


class Devices:
    """Devices of a tenant.

    Args:
        configuration: the way a change is made.
        presence: who is there.
    """

    def __init__(self, configuration: Configuration, presence: Presence) -> None:
        self._configuration = configuration
        self._presence = presence

    async def add(self, tenant_id: int, wanted: DeviceIn) -> DeviceWithSecret:
        """Add a device, with a secret that is shown this once.

        Raises:
            Invalid: there is no such product.
            Conflict: its key is taken, by a device or by an account.
        """
        device_id, now = new_id(), now_ms()
        secret = new_secret(SECRET_PREFIX)
        key = wanted.key or str(device_id)
        device = Device(
            id=device_id,
            tenant_id=tenant_id,
            product_id=wanted.product_id,
            key=key,
            name=wanted.name or key,
            secret_sha256=sha256_hex(secret),
            enabled=wanted.enabled,
            tags=dict(wanted.tags),
            created_at_ms=now,
            updated_at_ms=now,
        )
        async with self._configuration.change() as change:
            await _product_is_there(change, tenant_id, device.product_id)
            await sign_in_name_is_free(change.store, tenant_id, key, "/key")
            await change.store.devices.insert(device)
            change.upsert("devices", device_entry(device), _DEVICE_POINTERS)
        return DeviceWithSecret(**self.seen(tenant_id, [device])[0].model_dump(), secret=secret)

    async def page(
        self, tenant_id: int, limit: int, cursor: str | None, product_id: UUID | None
    ) -> Page[Device]:
        """A page of the tenant's devices, or of those of one product."""
        where = {} if product_id is None else {"product_id": product_id}
        async with self._configuration.read() as transaction:
            return await read_page(
                transaction.devices, tenant_id, limit=limit, cursor=cursor, where=where
            )

    async def get(self, tenant_id: int, reference: str) -> Device:
        """The device with this id or key.

        Raises:
            NotFound: there is none.
        """
        async with self._configuration.read() as transaction:
            return await find(transaction.devices, "device", tenant_id, reference)

    async def change(self, tenant_id: int, reference: str, patch: DevicePatch) -> Device:
        """Change what the patch names.

        Raises:
            NotFound: there is no such device.
            Invalid: there is no such product.
            Conflict: the new key is taken.
        """
        async with self._configuration.change() as change:
            before = await find(change.store.devices, "device", tenant_id, reference)
            changed = {name: getattr(patch, name) for name in patch.model_fields_set}
            device = replace(before, **changed, updated_at_ms=now_ms())
            if device.product_id != before.product_id:
                await _product_is_there(change, tenant_id, device.product_id)
            if device.key != before.key:
                await sign_in_name_is_free(change.store, tenant_id, device.key, "/key")
            await change.store.devices.update(device)
            change.upsert("devices", device_entry(device), _DEVICE_POINTERS)
        return device

    async def remove(self, tenant_id: int, reference: str) -> None:
        """Remove a device.

        Raises:
            NotFound: there is no such device.
        """
        async with self._configuration.change() as change:
            device = await find(change.store.devices, "device", tenant_id, reference)
            await change.store.devices.delete(tenant_id, device.id)
            change.delete("devices", device.id)

    async def issue_secret(self, tenant_id: int, reference: str) -> DeviceWithSecret:
        """Give the device a new secret, shown this once; the old one is refused from now on.

        Raises:
            NotFound: there is no such device.
        """
        secret = new_secret(SECRET_PREFIX)
        async with self._configuration.change() as change:
            before = await find(change.store.devices, "device", tenant_id, reference)
            device = replace(before, secret_sha256=sha256_hex(secret), updated_at_ms=now_ms())
            await change.store.devices.update(device)
            change.upsert("devices", device_entry(device), _DEVICE_POINTERS)
        return DeviceWithSecret(**self.seen(tenant_id, [device])[0].model_dump(), secret=secret)

    def seen(self, tenant_id: int, devices: Sequence[Device]) -> list[DeviceOut]:
        """The devices with their state."""
        states = self._presence.status(tenant_id, [device.key for device in devices])
        return [_with_state(device, states.get(device.key, {})) for device in devices]


def _with_state(device: Device, state: dict[str, object]) -> DeviceOut:
    last_online = state.get("last_online")
    return DeviceOut(
        id=device.id,
        product_id=device.product_id,
        key=device.key,
        name=device.name,
        enabled=device.enabled,
        has_secret=device.secret_sha256 is not None,
        tags=device.tags,
        status="online" if state.get("status") == "online" else "offline",
        last_online=last_online if isinstance(last_online, int) else None,
        created_at_ms=device.created_at_ms,
        updated_at_ms=device.updated_at_ms,
    )


async def _key_is_free(change: Change, product: Product) -> None:
    taken = await change.store.products.by_key(product.tenant_id, product.key)
    if taken is not None and taken.id != product.id:
        raise Conflict(
            "product.key_taken", f"there is a product {product.key!r} already", pointer="/key"
        )


async def _product_is_there(change: Change, tenant_id: int, product_id: UUID) -> None:
    if await change.store.products.get(tenant_id, product_id) is None:
        raise Invalid(
            "device.product_unknown",
            f"there is no product {str(product_id)!r}",
            hint="add the product first",
            pointer="/product_id",
        )
