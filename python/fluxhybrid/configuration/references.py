"""Names and what they stand for.

Owns the finding of a record by what people write in a URL, its id or its key, and the one space of
names MQTT clients sign in with.
"""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from fluxhybrid.configuration.ports import Collection, Transaction
from fluxhybrid.errors import Conflict, NotFound
from fluxhybrid.storage.records import Device, Principal, Product, Rule

__all__ = ["find", "sign_in_name_is_free"]

R = TypeVar("R", Product, Device, Principal, Rule)


async def find(collection: Collection[R], what: str, tenant_id: int, reference: str) -> R:
    """The record with this id or, where its kind has them, this key.

    Args:
        collection: where to look.
        what: what its kind is called, for the error: ``device``.
        tenant_id: whose it has to be.
        reference: a UUID or a key.

    Raises:
        NotFound: ``<what>.not_found``.
    """
    record: R | None = None
    try:
        record_id = UUID(reference)
    except ValueError:
        pass
    else:
        record = await collection.get(tenant_id, record_id)
    if record is None:
        record = await collection.by_key(tenant_id, reference)
    if record is None:
        raise NotFound(f"{what}.not_found", f"there is no {what} {reference!r}")
    return record


async def sign_in_name_is_free(
    transaction: Transaction, tenant_id: int, name: str, pointer: str
) -> None:
    """Devices and accounts sign in to MQTT by name: no two may have the same.

    Raises:
        Conflict: it is taken.
    """
    if await transaction.devices.by_key(tenant_id, name) is not None:
        raise Conflict("device.key_taken", f"there is a device {name!r} already", pointer=pointer)
    if await transaction.principals.by_key(tenant_id, name) is not None:
        raise Conflict(
            "principal.username_taken", f"there is an account {name!r} already", pointer=pointer
        )
