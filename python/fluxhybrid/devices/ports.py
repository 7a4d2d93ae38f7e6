"""What devices need from the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

__all__ = ["Presence"]


class Presence(Protocol):
    """Who is there."""

    def status(self, tenant: int, device_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """By device key: ``{"status": "online" | "offline", "last_online": ms | None}``."""
        ...
