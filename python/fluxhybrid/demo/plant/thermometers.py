"""The thermometers' process: each a real MQTT client that publishes JSON with QoS 1.

Owns the boiler they measure. Learns how much steam flows as a thermometer in a pipe would: from the
physical world, here a pipe from the valve's process.
"""

from __future__ import annotations

import os
import struct
import threading
import time
from typing import Any, Final

from paho.mqtt.enums import MQTTProtocolVersion

from fluxhybrid.demo.plant.boiler import Boiler, fahrenheit
from fluxhybrid.demo.plant.child import Say, run
from fluxhybrid.demo.plant.mqtt_client import DeviceConnection

__all__ = ["FLOW", "main"]

PERIOD_S: Final = 0.5
FLOW: Final = struct.Struct("<d")
"""How the flow is written to the pipe: from 0 to 1. Shorter than a pipe splits."""


class _Steam:
    """How much steam flows: what the pipe said last, and full flow before it said anything."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._flow = 1.0
        os.set_blocking(descriptor, False)

    def flow(self) -> float:
        try:
            while told := os.read(self._descriptor, 64 * FLOW.size):
                (self._flow,) = FLOW.unpack(told[-FLOW.size :])
        except BlockingIOError:
            # Nothing new.
            pass
        return self._flow


def main(settings: dict[str, Any], say: Say, stop: threading.Event) -> None:
    """Publish until told to stop.

    Args:
        settings: ``host``, ``port``, ``flow_descriptor`` and ``thermometers``, each with ``key``,
            ``secret``, ``topic`` and ``nearness`` to the boiler.
        say: what they speak with.
        stop: tells them to stop.
    """
    steam = _Steam(settings["flow_descriptor"])
    boiler = Boiler()
    thermometers = settings["thermometers"]
    connections = [
        DeviceConnection(
            wanted["key"],
            wanted["secret"],
            say,
            protocol=MQTTProtocolVersion.MQTTv311,
            greeting=f"connected by MQTT 3.1.1; publishes to {wanted['topic']} with QoS 1",
        )
        for wanted in thermometers
    ]
    for connection in connections:
        connection.start(settings["host"], settings["port"])
    before = time.monotonic()
    while not stop.wait(PERIOD_S):
        now = time.monotonic()
        flow = steam.flow()
        boiler.step(now - before, flow)
        before = now
        for wanted, connection in zip(thermometers, connections, strict=True):
            temperature_c = boiler.temperature_c(wanted["nearness"])
            body = {"temperature_f": fahrenheit(temperature_c), "flow": round(flow, 2)}
            connection.publish(wanted["topic"], body)
    for connection in connections:
        connection.stop()


if __name__ == "__main__":
    run(main)
