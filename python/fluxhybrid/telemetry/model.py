"""Shapes of telemetry, out."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import Output, Told

__all__ = ["EVENT_KINDS", "EventKind", "Firing", "FiringList", "Latest", "LatestList"]

EventKind = Literal[
    "telemetry", "firing", "alarm", "command", "device_status", "rule_log", "refused"
]
EVENT_KINDS: Final[tuple[str, ...]] = get_args(EventKind)


class Latest(Told):
    """A device's last values; ``ts`` is ``None`` when it never reported any."""

    device_id: str = Field(description="Key of the device.")
    id: UUID = Field(description="Id of the device.")
    ts: int | None = Field(description="Milliseconds since 1970.")
    values: dict[str, Any] = Field(
        description='By name: `{"value": ..., "ts": ...}`, the last of each.'
    )


class LatestList(Output):
    """A page of last values, in the order of the devices."""

    items: list[Latest]
    next_cursor: str | None


class Firing(Told):
    """A rule that said true, or whose functions acted."""

    id: str = Field(description="`<rule>.<version>.<position>.<sample>`.")
    rule_id: UUID
    rule_version: int
    rule_name: str = Field(description="The rule's name then.")
    device_id: str | None = Field(description="Key of the device it was decided for.")
    topic: str
    ts: int = Field(description="The sample's time, milliseconds since 1970.")
    at: int = Field(description="When it was decided, milliseconds since 1970.")
    triggered: bool = Field(description="Whether the script said true.")
    values: dict[str, Any] = Field(description="What it was decided on.")
    actions: list[dict[str, Any]] = Field(description="What was to be done, in order.")


class FiringList(Output):
    """A page of firings, newest first."""

    items: list[Firing]
    next_cursor: str | None
