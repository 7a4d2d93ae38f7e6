"""Durations and byte sizes as people write them: ``30s``, ``5ms``, ``64MiB``.

Owns the two notations, both ways, and their pydantic types. Must never know a setting's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError

__all__ = [
    "ByteSize",
    "Duration",
    "format_bytes",
    "format_duration",
    "parse_bytes",
    "parse_duration",
]

_MICROSECONDS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60 * 1_000_000,
    "h": 3_600 * 1_000_000,
    "d": 86_400 * 1_000_000,
}

_BYTES: Final = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}

# Digits are bounded so that no input can make the arithmetic below expensive or overflow.
_DURATION_PART: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,6}))?(us|ms|s|m|h|d)")
_SIZE: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,3}))? ?([KMGT]iB|[kKMGT]?B)")
_TEXT_LEN_MAX: Final = 64


def parse_duration(text: str) -> timedelta:
    """A duration such as ``"30s"``, ``"1.5h"`` or ``"1h30m"``, exact to the microsecond.

    Units are us, ms, s, m, h and d.

    Raises:
        ValueError: the text is no duration, or is finer than a microsecond.
    """
    if not text or len(text) > _TEXT_LEN_MAX:
        raise ValueError("is not a duration")
    microseconds = 0
    end = 0
    units: list[int] = []
    while end < len(text):
        part = _DURATION_PART.match(text, end)
        if part is None:
            raise ValueError("is not a duration")
        whole, fraction, unit = part.groups()
        scale = _MICROSECONDS[unit]
        if units and scale >= units[-1]:
            raise ValueError("names its units out of order")
        units.append(scale)
        microseconds += int(whole) * scale
        if fraction:
            amount, rest = divmod(int(fraction) * scale, 10 ** len(fraction))
            if rest:
                raise ValueError("is finer than a microsecond")
            microseconds += amount
        end = part.end()
    try:
        return timedelta(microseconds=microseconds)
    except OverflowError:
        raise ValueError("is too long") from None


def format_duration(value: timedelta) -> str:
    """The shortest text that ``parse_duration`` reads back as ``value`` (not negative)."""
    rest = value // timedelta(microseconds=1)
    if rest == 0:
        return "0s"
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        amount, rest = divmod(rest, _MICROSECONDS[unit])
        if amount:
            parts.append(f"{amount}{unit}")
    return "".join(parts)


def parse_bytes(text: str) -> int:
    """A size such as ``"64MiB"``, ``"1.5GB"`` or ``"512B"`` in bytes.

    Raises:
        ValueError: the text is no size, or not a whole number of bytes.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError("is not a size in bytes")
    whole, fraction, unit = match.groups()
    scale = _BYTES[unit]
    size = int(whole) * scale
    if fraction:
        amount, rest = divmod(int(fraction) * scale, 10 ** len(fraction))
        if rest:
            raise ValueError("is not a whole number of bytes")
        size += amount
    return size


def format_bytes(value: int) -> str:
    """The size in the largest binary unit that leaves a whole number: ``"64MiB"``, ``"1000B"``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"


def _reader(
    parse: Callable[[str], Any], accepts: tuple[type, ...], hint: str
) -> Callable[[Any], Any]:
    def read(value: Any) -> Any:
        if isinstance(value, accepts) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            try:
                return parse(value)
            except ValueError as error:
                reason = str(error)
        else:
            reason = "needs a unit" if isinstance(value, int | float) else "must be text"
        raise PydanticCustomError("quantity", "{reason}", {"reason": reason, "hint": hint})

    return read


Duration = Annotated[
    timedelta,
    BeforeValidator(
        _reader(
            parse_duration,
            (timedelta,),
            'write a number and a unit (us, ms, s, m, h, d), such as "30s" or "1h30m"',
        )
    ),
    PlainSerializer(format_duration, return_type=str),
]
"""A length of time. In TOML a text with a unit; in Python a ``timedelta``."""

ByteSize = Annotated[
    int,
    BeforeValidator(
        _reader(
            parse_bytes,
            (int,),
            'write a number of bytes, or a number and a unit (KiB, MiB, GiB), such as "64MiB"',
        )
    ),
    PlainSerializer(format_bytes, return_type=str),
]
"""A number of bytes. In TOML a number, or a text with a unit; in Python an ``int``."""
