"""What the sides of the series comparison share: the plant's lines, questions, times.

Owns reading the lines second by second, and how long a question took.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

__all__ = [
    "BEGIN_NS",
    "DEVICES",
    "SECOND_NS",
    "VALUES",
    "Picker",
    "rows",
    "seconds_of",
    "size_of",
    "timed",
]

SECOND_NS: Final = 1_000_000_000
BEGIN_NS: Final = 1_760_000_000 * SECOND_NS
DEVICES: Final = 1_000
VALUES: Final = 10


def seconds_of(lines: Path) -> Iterator[bytes]:
    """The lines of each second: one a device."""
    with lines.open("rb") as file:
        while second := b"".join(line for line, _ in zip(file, range(DEVICES), strict=False)):
            yield second


def rows(second: bytes) -> list[tuple[int, int, float]]:
    """The same as (series, time, value)."""
    found = []
    for line in second.decode().splitlines():
        tags, fields, ts = line.split(" ")
        device = int(tags.rpartition("=d")[2])
        for index, field in enumerate(fields.split(",")):
            found.append((device * VALUES + index, int(ts), float(field.partition("=")[2])))
    return found


class Picker:
    """Which device and value is asked about: the same for each side."""

    def __init__(self) -> None:
        self._random = random.Random(77)

    def one(self) -> tuple[int, int]:
        """A device and one of its values."""
        return self._random.randrange(DEVICES), self._random.randrange(VALUES)

    def ten(self) -> tuple[list[int], int]:
        """Ten devices and a value that all have."""
        return self._random.sample(range(DEVICES), 10), self._random.randrange(VALUES)


def timed(times: int, question: Callable[[], int]) -> dict[str, Any]:
    """Ask again and again: milliseconds, and how much one answer held."""
    took, answered = [], 0
    for _ in range(times):
        begun = time.perf_counter()
        answered = question()
        took.append((time.perf_counter() - begun) * 1e3)
    took.sort()
    return {
        "p50_ms": took[len(took) // 2],
        "p99_ms": took[int((len(took) - 1) * 0.99)],
        "rows": answered,
    }


def size_of(directory: Path) -> int:
    """Bytes of all files below a directory."""
    return sum(file.stat().st_size for file in directory.rglob("*") if file.is_file())
