"""New ids.

Owns the choice of UUID version 7 (RFC 9562, section 5.7): ordered by time of creation, so that
pages of a list go on where they ended, and indexes grow at their end.
"""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final
from uuid import UUID

__all__ = ["new_id", "now_ms"]


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


_turn: Final = threading.Lock()
_last_tick = 0


def new_id() -> UUID:
    """A new UUID, later than every one made before in this process, also when the clock stands.

    After the milliseconds come 12 bits of their fraction (RFC 9562, section 6.2, method 3), which
    count on by themselves when two are made at the same time or the clock goes back.
    """
    global _last_tick  # noqa: PLW0603
    nanoseconds = time.time_ns()
    tick = (nanoseconds // 1_000_000 << 12) | (nanoseconds % 1_000_000 * 4_096 // 1_000_000)
    with _turn:
        tick = _last_tick = max(tick, _last_tick + 1)
    milliseconds, fraction = (tick >> 12) & (2**48 - 1), tick & 0xFFF
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62))
