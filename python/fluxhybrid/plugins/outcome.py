"""What came of a call, and whether it is what a vector expects.

Owns the comparison. Must never call a plugin. The rules are those of ``flux_plugin_sdk::testing``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fluxhybrid.plugins.vectors import Expected

__all__ = ["Outcome", "differences"]

_TOLERANCE: Final = 1e-6
"""How far a number with a fraction may be off, of its size: what single precision has."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a call."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    frames: list[bytes] = field(default_factory=list)
    effects: list[dict[str, Any]] = field(default_factory=list)
    state: bytes | None = None
    """The source's new state; ``None``: as it was."""
    error: str | None = None
    """The error's code."""
    reason: str = ""
    """The error's text."""
    items: list[Outcome] = field(default_factory=list)
    """Of ``decode_batch``: one for each input."""


def differences(expected: Expected, outcome: Outcome) -> list[str]:
    """Every difference, as a sentence; none where all is as expected."""
    found: list[str] = []
    _compare("messages", expected.messages, outcome.messages, _is_message, found)
    _compare("frames", expected.frames, outcome.frames, lambda a, b: a == b, found)
    _compare("effects", expected.effects, outcome.effects, _same, found)
    if expected.error != outcome.error:
        got = f"{outcome.error} {outcome.reason}".rstrip()
        found.append(f"error: expected {expected.error}, got {got}")
    if not _is_state(expected.state, outcome.state):
        found.append(f"state: expected {expected.state!r}, got {outcome.state!r}")
    if expected.items is not None:
        if len(expected.items) != len(outcome.items):
            found.append(f"items: expected {len(expected.items)}, got {len(outcome.items)}")
        for index, pair in enumerate(zip(expected.items, outcome.items, strict=False)):
            found += [f"items/{index}: {text}" for text in differences(*pair)]
    return found


def _compare(
    what: str, expected: Sequence[Any], got: Sequence[Any], same: Any, found: list[str]
) -> None:
    if len(expected) != len(got):
        found.append(f"{what}: expected {len(expected)}, got {len(got)}: {got!r}")
        return
    found += [
        f"{what}/{index}: expected {a!r}, got {b!r}"
        for index, (a, b) in enumerate(zip(expected, got, strict=True))
        if not same(a, b)
    ]


def _is_message(expected: Mapping[str, Any], got: Mapping[str, Any]) -> bool:
    return (
        expected.get("device", "") == (got.get("device") or "")
        and expected.get("ts") == got.get("ts")
        and expected.get("tags", {}) == (got.get("tags") or {})
        and _same(expected.get("values", {}), got.get("values") or {})
    )


def _same(expected: Any, got: Any) -> bool:
    """The same value. A number may be a little off, unless both are whole."""
    if isinstance(got, bytes):
        return isinstance(expected, Mapping) and _hex(expected.get("$bytes")) == got
    if isinstance(expected, Mapping) and "$time" in expected:
        expected = expected["$time"]
    if isinstance(expected, bool) or isinstance(got, bool):
        return expected is got
    if isinstance(expected, int | float) and isinstance(got, int | float):
        if isinstance(expected, int) and isinstance(got, int):
            return expected == got
        return math.isclose(expected, got, rel_tol=_TOLERANCE)
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        return expected.keys() == got.keys() and all(_same(expected[k], got[k]) for k in got)
    if isinstance(expected, list) and isinstance(got, list):
        return len(expected) == len(got) and all(map(_same, expected, got))
    return bool(expected == got)


def _hex(text: Any) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except (TypeError, ValueError):
        return None


def _is_state(expected: bytes | str | None, got: bytes | None) -> bool:
    return got is not None if expected == "*" else expected == got
