"""The terminal: lines that scroll, and below them a few that stay and are written over.

Owns what is special about a terminal. Where standard output is none, there are only lines. What
stays is kept out of the way of everybody's lines (the log's, other processes') by the terminal
itself, through its scrolling region, at the bottom: lines that leave a region at the top would be
lost to scrolling back, the banner among them. DECSTBM, DECSC and DECRC: ECMA-48 and VT510.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from fluxhybrid.demo.output import Output, coloured, colours_wanted

__all__ = ["Terminal"]

ROWS_MIN: Final = 16
COLUMNS_MIN: Final = 40
BLOCK_LEN_MAX: Final = 8
"""Lines that stay."""

_SAVE: Final = "\x1b7"
_RESTORE: Final = "\x1b8"
_WHOLE_SCREEN: Final = "\x1b[r"
_CLEAR_LINE: Final = "\x1b[K"
_CLEAR_BELOW: Final = "\x1b[J"


class Terminal:
    """Standard output.

    Args:
        descriptor: where to write.
        block_len: how many lines stay, if it is a terminal with room for them.
    """

    def __init__(self, descriptor: int, block_len: int) -> None:
        self._descriptor = descriptor
        self._block_len = min(block_len, BLOCK_LEN_MAX)
        self._output = Output(descriptor)
        self._colours = colours_wanted(descriptor)
        self._steers = os.isatty(descriptor) and os.environ.get("TERM", "dumb") != "dumb"
        self._size: tuple[int, int] | None = None

    @property
    def has_block(self) -> bool:
        """Whether there is room for lines that stay."""
        return self._size is not None

    def paint(self, text: str, colour: str) -> str:
        """The text in a colour, where colours are wanted."""
        return coloured(text, colour, self._colours)

    def line(self, text: str) -> None:
        """Write a line that scrolls."""
        self._output.line(text)

    def block(self, lines: Sequence[tuple[str, str]]) -> None:
        """Write the lines that stay over those before.

        Args:
            lines: each with its colour.
        """
        self._fit()
        if self._size is None:
            return
        rows, columns = self._size
        top = rows - self._block_len + 1
        text = [_SAVE]
        for place in range(self._block_len):
            line, colour = lines[place] if place < len(lines) else ("", "dim")
            shown = self.paint(line[: columns - 1], colour)
            text.append(f"\x1b[{top + place};1H{shown}{_CLEAR_LINE}")
        text.append(_RESTORE)
        self._output.raw("".join(text))

    def give_back(self) -> None:
        """Give the whole screen back to whoever writes next. Harmless when repeated."""
        if self._size is not None:
            self._output.raw(f"{_SAVE}{_WHOLE_SCREEN}{_RESTORE}{_CLEAR_BELOW}")
            self._size = None
        self._steers = False

    def close(self) -> None:
        """Write what waits."""
        self.give_back()
        self._output.close()

    def _fit(self) -> None:
        """Fit the region to the terminal's size, which may have changed."""
        if not self._steers:
            return
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            columns, rows = 0, 0
        if (rows, columns) == self._size:
            return
        enough = rows >= ROWS_MIN and columns >= COLUMNS_MIN
        before, self._size = self._size, (rows, columns) if enough else None
        text = f"{_SAVE}{_WHOLE_SCREEN}{_RESTORE}" if before is not None else ""
        if enough:
            # Below the last line there have to be as many as will stay.
            room = "\n" * self._block_len
            region = f"\x1b[1;{rows - self._block_len}r"
            text += f"{room}\x1b[{self._block_len}A{_SAVE}{region}{_RESTORE}{_CLEAR_BELOW}"
        self._output.raw(text)
