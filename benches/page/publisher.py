"""Publishes telemetry at a steady rate, as a process of its own: the browser must not wait for it.

Run as ``python -m benches.page.publisher HOST PORT USER SECRET RATE SECONDS DEVICE...``.
"""

from __future__ import annotations

import json
import math
import sys
import time

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

TICK_S = 0.01


def main(host: str, port: int, user: str, secret: str, rate: int, seconds: float) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="page-bench")
    client.username_pw_set(user, secret)
    client.connect(host, port)
    client.loop_start()
    devices = sys.argv[7:]
    began = time.perf_counter()
    sent = 0
    while (passed := time.perf_counter() - began) < seconds:
        while sent < rate * passed:
            device = devices[sent % len(devices)]
            value = round(20 + 5 * math.sin(sent / 500), 2)
            body = json.dumps({"temperature": value, "pressure": sent % 7})
            client.publish(f"v1/devices/{device}/telemetry", body, qos=0)
            sent += 1
        time.sleep(TICK_S)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(
        arguments[0],
        int(arguments[1]),
        arguments[2],
        arguments[3],
        int(arguments[4]),
        float(arguments[5]),
    )
