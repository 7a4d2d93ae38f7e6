"""What can be done with alarms."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from fluxhybrid.alarms.ports import AlarmBook

__all__ = ["Alarms"]


class Alarms:
    """Alarms of a tenant.

    Args:
        book: where they are.
    """

    def __init__(self, book: AlarmBook) -> None:
        self._book = book

    async def list(
        self, tenant_id: int, state: str | None, device_id: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Alarms, newest first."""
        return await asyncio.to_thread(self._book.alarms, tenant_id, state, device_id, None, limit)

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
