"""What can be done with alarms."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fluxhybrid.alarms.ports import AlarmBook
from fluxhybrid.configuration.paging import cut

__all__ = ["Alarms"]


class Alarms:
    """Alarms of a tenant.

    Args:
        book: where they are.
    """

    def __init__(self, book: AlarmBook) -> None:
        self._book = book

    async def page(
        self,
        tenant_id: int,
        state: str | None,
        device_id: str | None,
        cursor: str | None,
        limit: int,
    ) -> tuple[list[dict[str, Any]], str | None]:
        """A page of alarms, newest first, and where to go on."""
        found = await asyncio.to_thread(
            self._book.alarms, tenant_id, state, device_id, cursor, limit + 1
        )
        return cut(found, limit)

    async def acknowledge(self, tenant_id: int, alarm_id: UUID, who: str) -> dict[str, Any]:
        """Somebody has seen it.

        Raises:
            NotFound: there is no such alarm.
            Conflict: it is over.
        """
        return await asyncio.to_thread(self._book.acknowledge_alarm, tenant_id, str(alarm_id), who)

    async def clear(self, tenant_id: int, alarm_id: UUID, who: str) -> dict[str, Any]:
        """It is over.

        Raises:
            NotFound: there is no such alarm.
            Conflict: it was over already.
        """
        return await asyncio.to_thread(self._book.clear_alarm, tenant_id, str(alarm_id), who)
