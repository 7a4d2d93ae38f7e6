"""How often somebody may be wrong.

Owns the counting of wrong tokens by address. Must never lock out a right token, nor remember more
addresses than its limit.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

__all__ = ["WrongAttempts"]

WRONG_MAX: Final = 20
"""Wrong tokens from one address before the next ones are refused unread."""
WINDOW_S: Final = 60.0
"""Time in which they count."""
ADDRESSES_MAX: Final = 4_096
"""Addresses remembered; the longest unheard of goes first."""


class WrongAttempts:
    """Counts wrong tokens.

    Args:
        clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        # By address: when the window began, and how many were wrong in it.
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds this address has to wait; 0 when it may try."""
        began, wrong = self._windows.get(address, (0.0, 0))
        rest = began + WINDOW_S - self._clock()
        return rest if wrong >= WRONG_MAX and rest > 0 else 0.0

    def wrong(self, address: str) -> None:
        """Note a wrong token from this address."""
        now = self._clock()
        began, wrong = self._windows.pop(address, (now, 0))
        if now - began >= WINDOW_S:
            began, wrong = now, 0
        self._windows[address] = (began, wrong + 1)
        while len(self._windows) > ADDRESSES_MAX:
            self._windows.popitem(last=False)
