"""Shapes of commands, in and out."""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import Input, JsonObject, Key, MaxAgeMs, Output

__all__ = ["CommandAccepted", "CommandIn", "CommandList", "CommandStatus"]

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


class CommandList(Output):
    """Commands, newest first."""

    items: list[dict[str, Any]]
    next_cursor: str | None
