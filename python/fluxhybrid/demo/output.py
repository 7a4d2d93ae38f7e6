"""Lines to standard output, from whoever has something to tell.

Owns the writing, in a thread of its own. Must never wait for the reader: a terminal that was
stopped, or a pipe nobody reads, costs lines, which are counted, and holds up nothing.
"""

from __future__ import annotations

import os
import queue
import threading
from typing import Final

__all__ = ["Output", "coloured", "colours_wanted", "plain"]

QUEUE_LEN_MAX: Final = 1_000
"""Pieces of text waiting for the reader; more are dropped."""
CLOSE_TIMEOUT_S: Final = 0.5

_COLOURS: Final = {
    "dim": "2", "bold": "1", "red": "31", "green": "32", "yellow": "33", "blue": "34",
    "magenta": "35", "cyan": "36",
}  # fmt: skip


class Output:
    """Writes text to a file descriptor, each piece at once: those of several processes do not mix.

    Args:
        descriptor: where to.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._queue: queue.Queue[bytes | None] = queue.Queue(QUEUE_LEN_MAX)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)
        self._thread.start()

    def line(self, text: str) -> None:
        """Write a line."""
        self.raw(text + "\n")

    def raw(self, text: str) -> None:
        """Write text as it is."""
        if self._dropped:
            text = f"({self._dropped} lines were not shown)\n{text}"
        try:
            self._queue.put_nowait(text.encode("utf-8", "replace"))
            self._dropped = 0
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, as far as the reader takes it in time."""
        try:
            self._queue.put(None, timeout=CLOSE_TIMEOUT_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while (text := self._queue.get()) is not None:
            try:
                while text:
                    text = text[os.write(self._descriptor, text) :]
            except OSError:
                # Nobody reads any more; that is no reason to stop.
                continue


def colours_wanted(descriptor: int) -> bool:
    """Whether to colour what is written there; see https://no-color.org."""
    return (
        os.isatty(descriptor)
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def coloured(text: str, colour: str, wanted: bool) -> str:
    """The text in a colour, if one is wanted."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if wanted else text


def plain(text: object, length_max: int = 120) -> str:
    """Somebody else's text for a terminal: on one line, not too long, and it steers nothing."""
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(text))
    return shown if len(shown) <= length_max else shown[: length_max - 1] + "…"
