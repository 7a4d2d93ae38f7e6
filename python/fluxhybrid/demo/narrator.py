"""Tells what happens: from the platform's live events, and from nothing else.

Owns which event becomes which line. Must never ask the plant's processes: what is shown here went
through the platform.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from fluxhybrid.demo.output import plain
from fluxhybrid.demo.terminal import BLOCK_LEN_MAX, Terminal
from fluxhybrid.demo.wording import actions_text, short_id, values_text

__all__ = ["Narrator"]

DEVICES_SHOWN_MAX: Final = BLOCK_LEN_MAX - 1
LINES_PER_S_MAX: Final = 20
"""Lines about happenings; more are counted."""
VALUES_PERIOD_S: Final = 2.0
"""Time between lines with values, where none can be written over."""
_KIND_LEN: Final = 9


class Narrator:
    """Tells of events.

    Args:
        terminal: where to.
        title: what stands above the values that are written over.
        clock: seconds that only grow.
    """

    def __init__(
        self, terminal: Terminal, title: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._terminal = terminal
        self._title = title
        self._clock = clock
        self._latest: dict[str, str] = {}
        self._changed = False
        self._values_at = float("-inf")
        self._second = 0
        self._told = 0
        self._untold = 0
        self._tellers: Final[Mapping[str, Callable[[dict[str, Any]], None]]] = {
            "telemetry": self._telemetry,
            "device_status": self._presence,
            "firing": self._firing,
            "command": self._command,
            "alarm": self._alarm,
            "refused": self._refused,
        }

    def hear(self, event: dict[str, Any]) -> None:
        """Tell of an event, if there is something to tell: what rules log is in the log."""
        teller = self._tellers.get(str(event.get("kind")))
        if teller is not None:
            teller(event)

    def missed(self, count: int) -> None:
        """Tell that events were lost, because they came too fast."""
        if count:
            self.tell("stream", f"{count} events were not seen", "yellow")

    def refresh(self) -> None:
        """Show the last values, as far as they changed: to be called a few times a second."""
        self._look_at_clock()
        rows = [(f"── {self._title} ──", "dim")]
        rows += [(f" {key:<12} {text}", "bold") for key, text in sorted(self._latest.items())]
        self._terminal.block(rows)
        now = self._clock()
        if self._terminal.has_block or not self._changed:
            return
        if now - self._values_at >= VALUES_PERIOD_S:
            self._values_at = now
            self._changed = False
            shown = "; ".join(f"{key} {text}" for key, text in sorted(self._latest.items()))
            self._line("value", shown, "dim")

    def tell(self, kind: str, text: str, colour: str) -> None:
        """Tell a happening, unless there are too many."""
        self._look_at_clock()
        if self._told >= LINES_PER_S_MAX:
            self._untold += 1
            return
        self._told += 1
        self._line(kind, text, colour)

    def _look_at_clock(self) -> None:
        """In a new second there is room again."""
        second = int(self._clock())
        if second == self._second:
            return
        self._second, self._told = second, 0
        untold, self._untold = self._untold, 0
        if untold:
            self._line("more", f"{untold} happenings too many to tell", "dim")

    def _line(self, kind: str, text: str, colour: str) -> None:
        at = self._terminal.paint(time.strftime("%H:%M:%S"), "dim")
        self._terminal.line(f"{at}  {self._terminal.paint(f'{kind:<{_KIND_LEN}}', colour)} {text}")

    def _telemetry(self, event: dict[str, Any]) -> None:
        key = plain(event.get("device_id"), 40)
        if key not in self._latest and len(self._latest) >= DEVICES_SHOWN_MAX:
            return
        self._latest[key] = values_text(event.get("values"))
        self._changed = True

    def _presence(self, event: dict[str, Any]) -> None:
        self.tell("device", f"{_device(event)} is {plain(event.get('status'))}", "blue")

    def _firing(self, event: dict[str, Any]) -> None:
        text = (
            f'"{plain(event.get("rule_name"))}" fired by {_device(event)} '
            f"at {values_text(event.get('values'))}: {actions_text(event.get('actions'))} "
            f"(firing {short_id(event.get('id'))})"
        )
        self.tell("rule", text, "magenta")

    def _command(self, event: dict[str, Any]) -> None:
        status = event.get("status")
        # "sent" follows at once where the device is there, and says more.
        if status == "pending":
            return
        text = f"{plain(event.get('command'))} {_device(event)}: {plain(status)}"
        if event.get("result") is not None:
            text += f", reply {plain(_json(event['result']))}"
        colours = {"sent": "yellow", "succeeded": "green"}
        self.tell("command", text, colours.get(str(status), "red"))

    def _alarm(self, event: dict[str, Any]) -> None:
        state = event.get("state")
        word = "raised" if state == "active" else plain(state)
        text = f"{plain(event.get('alarm'))} of {_device(event)} {word}"
        if state == "active":
            text += f" ({plain(event.get('severity'))}): {plain(event.get('text'))}"
        self.tell("alarm", text, "green" if state == "cleared" else "red")

    def _refused(self, event: dict[str, Any]) -> None:
        topic = f" on {plain(event['topic'])}" if event.get("topic") else ""
        # Who has not signed in has no source yet.
        who = next(
            filter(None, map(event.get, ("username", "source", "client_id", "address"))), "?"
        )
        text = f"{plain(who)}{topic}: {plain(event.get('reason'))}"
        self.tell("refused", text, "yellow")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _device(event: Mapping[str, Any]) -> str:
    key = event.get("device_id")
    return "nobody" if key is None else plain(key, 40)
