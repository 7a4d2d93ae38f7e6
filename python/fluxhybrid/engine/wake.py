"""Waiting in an event loop for what threads of the engine have to offer.

Owns the descriptor's place in the loop. Must never take anything itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

__all__ = ["Wake"]


class Wake:
    """Wakes tasks of one event loop whenever a descriptor becomes readable.

    The descriptor stays with the loop between waits that follow one another: entering and leaving
    it each time would cost more than the wake.

    Args:
        fileno: gives the descriptor, which stays open as long as this function is referred to.
        clear: makes it unreadable again.
    """

    def __init__(self, fileno: Callable[[], int], clear: Callable[[], None]) -> None:
        self._fileno = fileno
        self._clear = clear
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event = asyncio.Event()
        self._waiting = 0

    async def wait(self) -> None:
        """Wait until it is readable, or was since the last wait; then it is not any more."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            # One loop after another, as in tests: the one before may be closed by now.
            self.leave()
            self._event = asyncio.Event()
            loop.add_reader(self._fileno(), self._readable)
            self._loop = loop
        self._waiting += 1
        try:
            await self._event.wait()
            self._event.clear()
        except asyncio.CancelledError:
            if self._waiting == 1:
                # Whoever is cancelled may never come back.
                self.leave()
            raise
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        """Take the descriptor out of the loop and wake whoever waits. Harmless when repeated."""
        loop, self._loop = self._loop, None
        if loop is None or loop.is_closed():
            return
        if not loop.is_running() or loop is _running_loop():
            _remove(loop, self._fileno, self._event)
        else:
            # Loops are only touched from their own thread.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(_remove, loop, self._fileno, self._event)

    def _readable(self) -> None:
        self._clear()
        self._event.set()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _remove(
    loop: asyncio.AbstractEventLoop, fileno: Callable[[], int], event: asyncio.Event
) -> None:
    event.set()
    # A loop being torn down may have let go of it; a process that forked has none.
    with suppress(ValueError, OSError, RuntimeError):
        loop.remove_reader(fileno())
