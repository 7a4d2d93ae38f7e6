"""What every process of the plant does: hear its settings, speak, and end with its parent.

Owns the process's life. Standard input carries the settings as one line of JSON (so that secrets
are in nobody's list of processes) and then nothing: its end means that the parent wants the process
to stop or is gone, however that came about.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final, NoReturn

from fluxhybrid.demo.output import Output, coloured, colours_wanted, plain

__all__ = ["Say", "run"]

STOP_TIMEOUT_S: Final = 2.0
"""Time to stop in order; after it the process ends as it is."""
SETTINGS_BYTES_MAX: Final = 65_536
_STDIN: Final = 0
_STDOUT: Final = 1
_PREFIX_LEN: Final = 10
# Whoever was killed could not give the terminal its whole screen back.
_WHOLE_SCREEN: Final = b"\x1b7\x1b[r\x1b8"

Say = Callable[[str, str], None]
"""``say(who, text)`` prints a line, with who says it in front."""


def run(main: Callable[[dict[str, Any], Say, threading.Event], None]) -> NoReturn:
    """Run a process of the plant.

    Args:
        main: is given the settings, what it speaks with, and an event that tells it to stop.
    """
    settings = json.loads(_read_settings())
    output = Output(_STDOUT)
    wanted = colours_wanted(_STDOUT)

    def say(who: str, text: str) -> None:
        prefix = coloured(f"{plain(who):<{_PREFIX_LEN}}|", "cyan", wanted)
        output.line(f"{prefix} {plain(text, 200)}")

    stop = threading.Event()
    threading.Thread(target=_watch_parent, args=(stop,), name="parent", daemon=True).start()
    try:
        main(settings, say, stop)
    finally:
        output.close()
    sys.exit(0)


def _read_settings() -> bytes:
    # Not through sys.stdin, whose lock the watching thread would hold when the interpreter ends.
    line = b""
    while not line.endswith(b"\n"):
        some = os.read(_STDIN, 4_096)
        if not some or len(line) > SETTINGS_BYTES_MAX:
            sys.exit("the settings did not come")
        line += some
    return line


def _watch_parent(stop: threading.Event) -> None:
    try:
        while os.read(_STDIN, 4_096):
            pass
    except OSError:
        # As good as its end.
        pass
    if os.isatty(_STDOUT):
        os.write(_STDOUT, _WHOLE_SCREEN)
    stop.set()
    overdue = threading.Timer(STOP_TIMEOUT_S, os._exit, (1,))
    overdue.daemon = True
    overdue.start()
