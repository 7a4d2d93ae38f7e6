"""Shapes of telemetry, out."""

from __future__ import annotations

from typing import Any, Final, Literal, get_args
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import Output, Told

__all__ = [
    "EVENT_KINDS",
    "Aggregation",
    "EventKind",
    "Firing",
    "FiringList",
    "HistoryOut",
    "Latest",
    "LatestList",
    "Series",
]

Aggregation = Literal["min", "max", "avg", "sum", "count", "first", "last"]

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


class Series(Output):
    """What one value was."""

    name: str
    points: list[list[Any]] = Field(
        description="`[ms, value]` each, or `[ms, ...]` with the aggregations in the order asked."
    )


class HistoryOut(Output):
    """What a device's values were."""

    device_id: str = Field(description="Key of the device.")
    id: UUID = Field(description="Id of the device.")
    from_ms: int
    to_ms: int
    step_ms: int | None = Field(description="Length of a bucket; none: samples as they are.")
    agg: list[Aggregation]
    series: list[Series]
    next_cursor: str | None = Field(description="Where the answer goes on, if it does.")
    damaged_chunks: int = Field(
        description="Parts that could not be read: their samples are missing, none is wrong."
    )
