"""HTTP: products and devices."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request

from fluxhybrid.accounts.routes import SignedIn
from fluxhybrid.configuration.paging import LIMIT_DEFAULT, Cursor, Limit
from fluxhybrid.configuration.parameters import PREFIX, Reference
from fluxhybrid.devices.model import (
    DeviceIn,
    DeviceList,
    DeviceOut,
    DevicePatch,
    DeviceWithSecret,
    ProductIn,
    ProductList,
    ProductOut,
    ProductPatch,
)
from fluxhybrid.devices.service import Devices, Products
from fluxhybrid.storage.records import Product

__all__ = ["devices_router", "products_router"]

products_router = APIRouter(prefix=f"{PREFIX}/products", tags=["products"])
devices_router = APIRouter(prefix=f"{PREFIX}/devices", tags=["devices"])


def _products(request: Request) -> Products:
    products: Products = request.app.state.products
    return products


def _devices(request: Request) -> Devices:
    devices: Devices = request.app.state.devices
    return devices


_Products = Annotated[Products, Depends(_products)]
_Devices = Annotated[Devices, Depends(_devices)]
_Cursor = Annotated[Cursor | None, Query()]


def _shown(product: Product) -> ProductOut:
    return ProductOut(
        id=product.id,
        key=product.key,
        name=product.name,
        topic_template=product.topic_template,
        command_topic_template=product.command_topic_template,
        reply_topic_template=product.reply_topic_template,
        protocol_plugin_id=product.protocol_plugin_id,
        decode=product.decode,
        plugin_chain=product.plugin_chain or [],
        transform=product.transform,
        link=product.link,
        metadata=product.metadata,
        created_at_ms=product.created_at_ms,
        updated_at_ms=product.updated_at_ms,
    )


@products_router.get("")
async def list_products(
    products: _Products, session: SignedIn, limit: Limit = LIMIT_DEFAULT, cursor: _Cursor = None
) -> ProductList:
    """List products."""
    page = await products.page(session.tenant_id, limit, cursor)
    return ProductList(items=[_shown(p) for p in page.items], next_cursor=page.next_cursor)


@products_router.post("", status_code=201)
async def add_product(products: _Products, session: SignedIn, wanted: ProductIn) -> ProductOut:
    """Add a product."""
    return _shown(await products.add(session.tenant_id, wanted))


@products_router.get("/{product}")
async def get_product(products: _Products, session: SignedIn, product: Reference) -> ProductOut:
    """Show a product."""
    return _shown(await products.get(session.tenant_id, product))


@products_router.patch("/{product}")
async def change_product(
    products: _Products, session: SignedIn, product: Reference, patch: ProductPatch
) -> ProductOut:
    """Change what the body names; the rest stays."""
    return _shown(await products.change(session.tenant_id, product, patch))


@products_router.delete("/{product}", status_code=204)
async def remove_product(products: _Products, session: SignedIn, product: Reference) -> None:
    """Remove a product that has no devices."""
    await products.remove(session.tenant_id, product)


@devices_router.get("")
async def list_devices(
    devices: _Devices,
    session: SignedIn,
    limit: Limit = LIMIT_DEFAULT,
    cursor: _Cursor = None,
    product_id: Annotated[UUID | None, Query(description="Of this product only.")] = None,
) -> DeviceList:
    """List devices."""
    page = await devices.page(session.tenant_id, limit, cursor, product_id)
    shown = devices.seen(session.tenant_id, page.items)
    return DeviceList(items=shown, next_cursor=page.next_cursor)


@devices_router.post("", status_code=201)
async def add_device(devices: _Devices, session: SignedIn, wanted: DeviceIn) -> DeviceWithSecret:
    """Add a device; its secret is shown this once."""
    return await devices.add(session.tenant_id, wanted)


@devices_router.get("/{device}")
async def get_device(devices: _Devices, session: SignedIn, device: Reference) -> DeviceOut:
    """Show a device."""
    found = await devices.get(session.tenant_id, device)
    return devices.seen(session.tenant_id, [found])[0]


@devices_router.patch("/{device}")
async def change_device(
    devices: _Devices, session: SignedIn, device: Reference, patch: DevicePatch
) -> DeviceOut:
    """Change what the body names; the rest stays."""
    changed = await devices.change(session.tenant_id, device, patch)
    return devices.seen(session.tenant_id, [changed])[0]


@devices_router.delete("/{device}", status_code=204)
async def remove_device(devices: _Devices, session: SignedIn, device: Reference) -> None:
    """Remove a device."""
    await devices.remove(session.tenant_id, device)


@devices_router.post("/{device}/secret", status_code=201)
async def issue_device_secret(
    devices: _Devices, session: SignedIn, device: Reference
) -> DeviceWithSecret:
    """Give a device a new secret, shown this once; the old one is refused from now on."""
    return await devices.issue_secret(session.tenant_id, device)
