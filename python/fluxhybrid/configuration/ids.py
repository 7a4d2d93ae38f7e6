"""New ids.

Owns the choice of UUID version 7 (RFC 9562, section 5.7): ordered by time of creation, so that
pages of a list go on where they ended, and indexes grow at their end.
"""

from __future__ import annotations

import secrets
import time
from uuid import UUID

__all__ = ["new_id", "now_ms"]


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def new_id() -> UUID:
    """A new UUID, later than those of earlier milliseconds."""
    value = (now_ms() & (2**48 - 1)) << 80
    value |= secrets.randbits(80)
    value = (value & ~(0xF << 76)) | (7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return UUID(int=value)
