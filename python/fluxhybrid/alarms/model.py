"""Shapes of alarms, out."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import Field

from fluxhybrid.engine.notation import Output, Told

__all__ = ["Alarm", "AlarmList", "AlarmState"]

AlarmState = Literal["active", "acknowledged", "cleared"]


class Alarm(Told):
    """One alarm, from raised to cleared. Times are milliseconds since 1970."""

    id: UUID
    alarm: str = Field(description="Its name.")
    device_id: str | None = Field(description="Key of the device it is about.")
    severity: str = Field(description="The worst it was raised with.")
    text: str
    state: AlarmState
    raised: int = Field(description="When first raised.")
    last_raised: int
    count: int = Field(description="How often raised while active.")
    acknowledged_by: str | None = None
    acknowledged: int | None = None
    cleared_by: str | None = Field(None, description="Who cleared it, when a person did.")
    cleared: int | None = None
    firing_id: str | None = Field(None, description="The firing that raised it first.")


class AlarmList(Output):
    """A page of alarms, newest first."""

    items: list[Alarm]
    next_cursor: str | None
