"""How values, firings and actions read: the same at both ends, so that one can compare.

Owns words. Must never trust what it is given: all of it came from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from fluxhybrid.demo.output import plain

__all__ = ["actions_text", "short_id", "value_text", "values_text"]

VALUES_SHOWN_MAX: Final = 6
_UNITS: Final = {"temperature": " °C", "position": " %", "speed": " rpm", "power": " W"}


def short_id(firing_id: object) -> str:
    """A firing's id without most of its rule's: ``9f1c2a7b.1.0-4711.0``."""
    rule, _, rest = str(firing_id).partition(".")
    return plain(f"{rule[:8]}.{rest}" if rest else rule, 60)


def value_text(name: str, value: object) -> str:
    """A value with its unit, if it has one."""
    shown = f"{value:.1f}" if isinstance(value, float) else plain(value, 40)
    return f"{plain(name, 30)} {shown}{_UNITS.get(name, '')}"


def values_text(values: object) -> str:
    """Values in a row."""
    if not isinstance(values, Mapping):
        return ""
    shown = [value_text(str(name), value) for name, value in values.items()]
    more = len(shown) - VALUES_SHOWN_MAX
    return ", ".join(shown[:VALUES_SHOWN_MAX]) + (f", {more} more" if more > 0 else "")


def actions_text(actions: object) -> str:
    """What a firing asks for."""
    if not isinstance(actions, Iterable):
        return "nothing"
    shown = [_action_text(action) for action in actions if isinstance(action, Mapping)]
    more = len(shown) - VALUES_SHOWN_MAX
    text = ", ".join(shown[:VALUES_SHOWN_MAX]) + (f", {more} more" if more > 0 else "")
    return text or "nothing"


def _action_text(action: Mapping[str, Any]) -> str:
    match action.get("type"):
        case "command":
            return f"{plain(action.get('command'), 40)} {plain(action.get('device'), 40)}"
        case "raise_alarm":
            return f"raise alarm {plain(action.get('alarm'), 40)}"
        case "clear_alarm":
            return f"clear alarm {plain(action.get('alarm'), 40)}"
        case other:
            return plain(other, 40)
