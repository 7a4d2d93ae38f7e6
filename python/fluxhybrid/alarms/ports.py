"""What alarms need from the engine."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["AlarmBook"]


class AlarmBook(Protocol):
    """All alarms that are active, and the last that ended."""

    def alarms(
        self,
        tenant: int,
        state: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Alarms, newest first."""
        ...

    def acknowledge_alarm(self, tenant: int, alarm_id: str, who: str) -> dict[str, Any]:
        """Somebody has seen it."""
        ...

    def clear_alarm(self, tenant: int, alarm_id: str, who: str) -> dict[str, Any]:
        """It is over."""
        ...
