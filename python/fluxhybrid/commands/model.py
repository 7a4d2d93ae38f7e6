"""Shapes of commands, in and out."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import Input, JsonObject, Key, MaxAgeMs, Output, Told

__all__ = ["Command", "CommandAccepted", "CommandIn", "CommandList", "CommandStatus"]

CommandStatus = Literal["pending", "sent", "succeeded", "failed", "expired", "unanswered"]


class CommandIn(Input):
    """A command to send."""

    command: Key = Field(description="What the device is told to do.")
    params: JsonObject = Field(default_factory=dict, description="With what.")
    max_age_ms: MaxAgeMs = Field(
        30_000, description="Milliseconds after which it is recorded as expired, never sent."
    )


class CommandAccepted(Output):
    """A command that was queued; ask for it by its id."""

    id: UUID


class Command(Told):
    """One command to one device. Times are milliseconds since 1970."""

    id: UUID
    device_id: str = Field(description="Key of the device.")
    command: str
    params: Any
    status: CommandStatus
    requested: int
    max_age_ms: int
    sent: int | None = Field(None, description="When the device's connection had it.")
    finished: int | None = None
    result: Any = Field(None, description="What the device said, or why not.")
    firing_id: str | None = Field(None, description="The firing that asked for it.")


class CommandList(Output):
    """A page of commands, newest first."""

    items: list[Command]
    next_cursor: str | None
