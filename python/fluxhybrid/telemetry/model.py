"""Shapes of telemetry, out."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args
from uuid import UUID

from pydantic import ConfigDict, Field

from fluxhybrid.engine.notation import Output

__all__ = ["EVENT_KINDS", "EventKind", "FiringList", "Latest"]

EventKind = Literal[
    "telemetry", "firing", "alarm", "command", "device_status", "rule_log", "refused"
]
EVENT_KINDS: Final[tuple[str, ...]] = get_args(EventKind)


class Latest(Output):
    """A device's last values; ``ts`` is ``None`` when it never reported any."""

    model_config = ConfigDict(extra="allow", frozen=True, ser_json_inf_nan="null")

    device_id: str = Field(description="Key of the device.")
    id: UUID = Field(description="Id of the device.")
    ts: int | None = Field(description="Milliseconds since 1970.")
    values: dict[str, Any] = Field(
        description='By name: `{"value": ..., "ts": ...}`, the last of each.'
    )


class FiringList(Output):
    """A page of firings, newest first."""

    items: list[dict[str, Any]]
    next_cursor: str | None
