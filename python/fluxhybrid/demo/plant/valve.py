"""The valve's process: a real MQTT client that takes commands, moves, replies and reports.

Owns the valve's position. Must never reply before it has moved: a reply says what is true.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import threading
from typing import Any, Final

from paho.mqtt.enums import MQTTProtocolVersion

from fluxhybrid.demo.plant.child import Say, run
from fluxhybrid.demo.plant.mqtt_client import DeviceConnection
from fluxhybrid.demo.plant.thermometers import FLOW

__all__ = ["Valve", "main"]

REPORT_PERIOD_S: Final = 2.0
STEP: Final = 0.2
"""Of its whole way."""
STEP_S: Final = 0.06
COMMANDS_MAX: Final = 16
"""Commands waiting for their turn; one more is dropped, and the platform hears no reply."""
_WANTED: Final = {"close": 0.0, "open": 1.0}


class Valve:
    """The valve: open at first.

    Args:
        settings: ``key``, ``secret`` and the topics ``telemetry``, ``commands`` and ``replies``;
            ``flow_descriptor``, the pipe that is told how much flows.
        say: what it speaks with.
        stop: tells it to stop.
    """

    def __init__(self, settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
        self._settings = settings
        self._say = say
        self._stop = stop
        self._position = 1.0
        self._commands: queue.Queue[bytes] = queue.Queue(COMMANDS_MAX)
        os.set_blocking(settings["flow_descriptor"], False)
        self._connection = DeviceConnection(
            settings["key"],
            settings["secret"],
            say,
            protocol=MQTTProtocolVersion.MQTTv5,
            commands=(settings["commands"], self._take),
            greeting=f"connected by MQTT 5.0; takes commands from {settings['commands']}",
        )

    def run(self, host: str, port: int) -> None:
        """Work until told to stop."""
        self._connection.start(host, port)
        self._let_flow()
        report_in_s = 0.0
        while not self._stop.is_set():
            if report_in_s <= 0.0:
                self._report()
                report_in_s = REPORT_PERIOD_S
            try:
                payload = self._commands.get(timeout=0.1)
            except queue.Empty:
                report_in_s -= 0.1
                continue
            self._obey(payload)
            report_in_s = 0.0
        self._connection.stop()

    def _take(self, payload: bytes) -> None:
        # paho's thread: it must go on reading.
        try:
            self._commands.put_nowait(payload)
        except queue.Full:
            self._say(self._settings["key"], "is told too much at once: drops a command")

    def _obey(self, payload: bytes) -> None:
        key = self._settings["key"]
        try:
            wanted = json.loads(payload)
            command_id, command = wanted["id"], wanted["command"]
        except (ValueError, TypeError, KeyError):
            self._say(key, "is told something it does not understand")
            return
        position = _WANTED.get(command) if isinstance(command, str) else None
        reply: dict[str, Any]
        if position is None:
            known = " and ".join(sorted(_WANTED))
            reply = {"id": command_id, "ok": False, "error": f"knows {known} only"}
        else:
            was_there = position == self._position
            self._move(position)
            result = {"position": _percent(self._position), "moved": not was_there}
            reply = {"id": command_id, "ok": True, "result": result}
        self._connection.publish(self._settings["replies"], reply)
        outcome = reply.get("result", reply.get("error"))
        self._say(key, f"is told to {command}; replies {json.dumps(outcome)}")

    def _move(self, wanted: float) -> None:
        while self._position != wanted and not self._stop.is_set():
            way = max(-STEP, min(STEP, wanted - self._position))
            self._position = round(self._position + way, 6)
            self._let_flow()
            self._stop.wait(STEP_S)

    def _let_flow(self) -> None:
        # A full pipe means that nobody measures; one that is closed, that nobody will.
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._settings["flow_descriptor"], FLOW.pack(self._position))

    def _report(self) -> None:
        self._connection.publish(
            self._settings["telemetry"], {"position": _percent(self._position)}
        )


def _percent(position: float) -> float:
    return round(position * 100.0, 1)


def main(settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
    """Run the valve; see `Valve` for its settings, beside which are ``host`` and ``port``."""
    Valve(settings, say, stop).run(settings["host"], settings["port"])


if __name__ == "__main__":
    run(main)
