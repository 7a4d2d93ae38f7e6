"""Send a command to a device. Carried out by the engine."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from fluxhybrid.engine.notation import Input, JsonObject, Key, MaxAgeMs

__all__ = ["EXAMPLES", "CommandSettings"]

EXAMPLES: Final = (
    {"type": "command", "device": "valve-1", "command": "close", "params": {"speed": 2}},
)


class CommandSettings(Input):
    """Send a command to a device."""

    type: Literal["command"] = Field(description="The letters' case does not matter.")
    device: Key = Field(description="Key of the device.")
    command: Key = Field(description="Name of the command.")
    params: JsonObject = Field(default_factory=dict, description="What it needs to know.")
    max_age_ms: MaxAgeMs = Field(
        30_000, description="Milliseconds after which it is recorded as expired, never sent."
    )
