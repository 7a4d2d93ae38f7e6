"""What telemetry needs from the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fluxhybrid.engine.ports import EventStream

__all__ = ["Events", "History"]


class History(Protocol):
    """What was."""

    def latest(self, tenant: int, device_id: str) -> dict[str, Any] | None:
        """The last values of a device."""
        ...

    def telemetry(
        self,
        tenant: int,
        device_id: str,
        from_ms: int,
        to_ms: int,
        *,
        names: Sequence[str] = (),
        step_ms: int | None = None,
        aggregations: Sequence[str] = (),
        fill: bool = False,
        descending: bool = False,
        limit: int = 10_000,
        after: str | None = None,
    ) -> dict[str, Any]:
        """A device's samples, or buckets of them."""
        ...

    def firings(
        self,
        tenant: int,
        rule_id: str | None = None,
        device_id: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[dict[str, Any]]:
        """Firings, newest first."""
        ...


class Events(Protocol):
    """What is happening."""

    def events(self, tenant: int, kinds: Sequence[str] | None = None) -> EventStream:
        """A tenant's live events of these kinds, or of all."""
        ...
