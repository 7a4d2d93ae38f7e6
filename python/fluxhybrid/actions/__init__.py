"""Actions: what a rule may have done.

Owns the list of them: one module each, with settings, examples and, for those Python runs, the
running. Instant ones (command, publish, alarms) are carried out by the engine; their modules here
hold the settings only. To add an action: write its module, add its line below.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field

from fluxhybrid.actions.clear_alarm import ClearAlarmSettings
from fluxhybrid.actions.command import CommandSettings
from fluxhybrid.actions.publish import PublishSettings
from fluxhybrid.actions.raise_alarm import RaiseAlarmSettings
from fluxhybrid.actions.webhook import WebhookSettings

__all__ = ["ACTIONS_MAX", "ACTION_TYPES", "ActionSettings", "AnyAction"]

ACTIONS_MAX: Final = 16
"""Actions of one rule."""

AnyAction = (
    CommandSettings | PublishSettings | RaiseAlarmSettings | ClearAlarmSettings | WebhookSettings
)

ACTION_TYPES: Final = ("command", "publish", "raise_alarm", "clear_alarm", "webhook")

_SPELLINGS: Final = {name.replace("_", ""): name for name in ACTION_TYPES}


def _canonical_type(value: Any) -> Any:
    # "Webhook", "webhook", "RaiseAlarm" and "raise_alarm" are all in use.
    if isinstance(value, dict) and isinstance(value.get("type"), str):
        spelling = value["type"].lower().replace("_", "").replace("-", "")
        return {**value, "type": _SPELLINGS.get(spelling, value["type"])}
    return value


ActionSettings = Annotated[AnyAction, Field(discriminator="type"), BeforeValidator(_canonical_type)]
"""Settings of any action, told apart by ``type``, whose letters' case does not matter."""
