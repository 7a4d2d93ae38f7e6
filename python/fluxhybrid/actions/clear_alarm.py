"""Clear an alarm of the device whose message fired the rule. Carried out by the engine."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from fluxhybrid.engine.notation import Input, Key

__all__ = ["EXAMPLES", "ClearAlarmSettings"]

EXAMPLES: Final = ({"type": "clear_alarm", "alarm": "overheat"},)


class ClearAlarmSettings(Input):
    """Clear an alarm, if it is raised."""

    type: Literal["clear_alarm"] = Field(description="The letters' case does not matter.")
    alarm: Key = Field(description="Name of the alarm.")
