"""Shapes of alarms, out."""

from __future__ import annotations

from typing import Any, Literal

from fluxhybrid.engine.notation import Output

__all__ = ["AlarmList", "AlarmState"]

AlarmState = Literal["active", "acknowledged", "cleared"]


class AlarmList(Output):
    """Alarms, newest first."""

    items: list[dict[str, Any]]
    next_cursor: str | None
