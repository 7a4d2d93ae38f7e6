"""What refusals need from the engine."""

from __future__ import annotations

from typing import Any, Protocol

__all__ = ["RefusalBoard"]


class RefusalBoard(Protocol):
    """What was refused lately."""

    def refusals(self, tenant: int, limit: int = 100) -> dict[str, Any]:
        """``{"items": [...], "unlisted": int}``, the last one first."""
        ...
