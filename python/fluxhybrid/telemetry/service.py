"""What can be read of telemetry."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

from fluxhybrid.configuration.paging import cut, read_page
from fluxhybrid.configuration.references import find
from fluxhybrid.configuration.service import Configuration
from fluxhybrid.errors import NotFound
from fluxhybrid.storage.records import Device
from fluxhybrid.telemetry.history import Question, answer, as_csv
from fluxhybrid.telemetry.ports import History

__all__ = ["Telemetry"]


class Telemetry:
    """Last values and firings of a tenant.

    Args:
        configuration: where devices are looked up.
        history: where values are.
    """

    def __init__(self, configuration: Configuration, history: History) -> None:
        self._configuration = configuration
        self._history = history

    async def latest(self, tenant_id: int, reference: str) -> dict[str, Any]:
        """A device's last values.

        Raises:
            NotFound: there is no such device.
        """
        async with self._configuration.read() as transaction:
            device = await find(transaction.devices, "device", tenant_id, reference)
        return self._latest(tenant_id, device)

    async def latest_page(
        self, tenant_id: int, limit: int, cursor: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """The last values of a page of devices, and where to go on."""
        async with self._configuration.read() as transaction:
            page = await read_page(transaction.devices, tenant_id, limit=limit, cursor=cursor)
        # Many small questions: together they would hold up the loop.
        return await asyncio.to_thread(self._latest_of, tenant_id, page.items), page.next_cursor

    def _latest_of(self, tenant_id: int, devices: Sequence[Device]) -> list[dict[str, Any]]:
        return [self._latest(tenant_id, device) for device in devices]

    def _latest(self, tenant_id: int, device: Device) -> dict[str, Any]:
        try:
            found = self._history.latest(tenant_id, device.key)
        except NotFound:
            # Removed a moment ago.
            found = None
        return {**(found or {"ts": None, "values": {}}), "device_id": device.key, "id": device.id}

    async def device(self, tenant_id: int, reference: str) -> Device:
        """The device with this id or key.

        Raises:
            NotFound: there is none.
        """
        async with self._configuration.read() as transaction:
            return await find(transaction.devices, "device", tenant_id, reference)

    async def history(self, device: Device, question: Question) -> dict[str, Any]:
        """A page of what a device's values were.

        Raises:
            Invalid: the question is none.
        """
        return await asyncio.to_thread(answer, self._history, device, question)

    def export(self, device: Device, question: Question) -> AsyncIterator[str]:
        """All of it, as CSV."""
        return as_csv(self._history, device, question)

    async def firings(
        self,
        tenant_id: int,
        *,
        rule_id: UUID | None,
        device_id: str | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of firings, newest first, and where to go on."""
        found = await asyncio.to_thread(
            self._history.firings,
            tenant_id,
            None if rule_id is None else str(rule_id),
            device_id,
            cursor,
            limit + 1,
        )
        return cut(found, limit)
