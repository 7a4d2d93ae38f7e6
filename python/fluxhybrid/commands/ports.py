"""What commands need from the engine."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["CommandBook"]


class CommandBook(Protocol):
    """All commands that are open, and the last that ended."""

    def commands(
        self,
        tenant: int,
        device_id: str | None = None,
        status: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Commands, newest first."""
        ...

    def command(self, tenant: int, command_id: str) -> dict[str, Any] | None:
        """One command."""
        ...

    def send_command(
        self, tenant: int, device_id: str, command: str, params: Any, max_age_ms: int
    ) -> str:
        """Queue a command; gives its id."""
        ...
