"""What can be done with MQTT accounts, and publishing."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import orjson

from fluxhybrid.accounts.secrets import new_secret, sha256_hex
from fluxhybrid.configuration.document import principal_entry
from fluxhybrid.configuration.ids import new_id, now_ms
from fluxhybrid.configuration.paging import Page, read_page
from fluxhybrid.configuration.references import find, sign_in_name_is_free
from fluxhybrid.configuration.service import Configuration
from fluxhybrid.mqtt.model import MessageIn, PrincipalIn, PrincipalPatch
from fluxhybrid.mqtt.ports import Publisher
from fluxhybrid.storage.records import Principal

__all__ = ["Messages", "Principals"]

SECRET_PREFIX: Final = "fluxmq"  # noqa: S105


class Principals:
    """MQTT accounts of a tenant that are not devices.

    Args:
        configuration: the way a change is made.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    async def add(self, tenant_id: int, wanted: PrincipalIn) -> tuple[Principal, str]:
        """Add an account; gives its secret too, this once.

        Raises:
            Conflict: its name is taken, by an account or by a device.
        """
        now = now_ms()
        secret = new_secret(SECRET_PREFIX)
        principal = Principal(
            id=new_id(),
            tenant_id=tenant_id,
            username=wanted.username,
            secret_sha256=sha256_hex(secret),
            enabled=wanted.enabled,
            publish=list(wanted.publish),
            subscribe=list(wanted.subscribe),
            created_at_ms=now,
            updated_at_ms=now,
        )
        async with self._configuration.change() as change:
            await sign_in_name_is_free(change.store, tenant_id, wanted.username, "/username")
            await change.store.principals.insert(principal)
            change.upsert("principals", principal_entry(principal))
        return principal, secret

    async def page(self, tenant_id: int, limit: int, cursor: str | None) -> Page[Principal]:
        """A page of the tenant's accounts."""
        async with self._configuration.read() as transaction:
            return await read_page(transaction.principals, tenant_id, limit=limit, cursor=cursor)

    async def get(self, tenant_id: int, reference: str) -> Principal:
        """The account with this id or user name.

        Raises:
            NotFound: there is none.
        """
        async with self._configuration.read() as transaction:
            return await find(transaction.principals, "principal", tenant_id, reference)

    async def change(self, tenant_id: int, reference: str, patch: PrincipalPatch) -> Principal:
        """Change what the patch names.

        Raises:
            NotFound: there is no such account.
            Conflict: the new name is taken.
        """
        async with self._configuration.change() as change:
            before = await find(change.store.principals, "principal", tenant_id, reference)
            changed = {name: getattr(patch, name) for name in patch.model_fields_set}
            principal = replace(before, **changed, updated_at_ms=now_ms())
            if principal.username != before.username:
                await sign_in_name_is_free(change.store, tenant_id, principal.username, "/username")
            await change.store.principals.update(principal)
            change.upsert("principals", principal_entry(principal))
        return principal

    async def remove(self, tenant_id: int, reference: str) -> None:
        """Remove an account.

        Raises:
            NotFound: there is no such account.
        """
        async with self._configuration.change() as change:
            principal = await find(change.store.principals, "principal", tenant_id, reference)
            await change.store.principals.delete(tenant_id, principal.id)
            change.delete("principals", principal.id)

    async def issue_secret(self, tenant_id: int, reference: str) -> tuple[Principal, str]:
        """Give the account a new secret, shown this once; the old one is refused from now on.

        Raises:
            NotFound: there is no such account.
        """
        secret = new_secret(SECRET_PREFIX)
        async with self._configuration.change() as change:
            before = await find(change.store.principals, "principal", tenant_id, reference)
            principal = replace(before, secret_sha256=sha256_hex(secret), updated_at_ms=now_ms())
            await change.store.principals.update(principal)
            change.upsert("principals", principal_entry(principal))
        return principal, secret


class Messages:
    """Publishing for those who do not speak MQTT.

    Args:
        publisher: who does.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, tenant_id: int, message: MessageIn) -> None:
        """Publish a message; one with QoS 1 is on disk when this returns.

        Raises:
            Unavailable: the engine is overloaded or stopped.
        """
        payload = message.payload
        data = payload.encode() if isinstance(payload, str) else orjson.dumps(payload)
        await asyncio.to_thread(
            self._publisher.publish, tenant_id, message.topic, data, message.qos
        )
