"""Raise an alarm of the device whose message fired the rule. Carried out by the engine."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field

from fluxhybrid.engine.notation import Input, Key, Text

__all__ = ["EXAMPLES", "RaiseAlarmSettings", "Severity"]

EXAMPLES: Final = (
    {"type": "raise_alarm", "alarm": "overheat", "severity": "critical", "text": "too hot"},
)

Severity = Literal["info", "warning", "minor", "major", "critical"]


class RaiseAlarmSettings(Input):
    """Raise an alarm; raised already, it is raised again."""

    type: Literal["raise_alarm"] = Field(description="The letters' case does not matter.")
    alarm: Key = Field(description="Name of the alarm.")
    severity: Severity = Field("major", description="How bad it is.")
    text: Text = Field("", description="What to tell people.")
