"""What devices report without a time of their own is kept whole, however fast it comes."""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.system.server_process import ServerProcess

pytestmark = pytest.mark.system

MESSAGES = 100
WAIT_S = 20.0


def connect(key: str, secret: str) -> bytes:
    """An MQTT 3.1.1 CONNECT (3.1) with a clean session."""
    words = [b"", key.encode(), secret.encode()]
    fields = b"".join(len(word).to_bytes(2, "big") + word for word in words)
    return packet(0x10, b"\x00\x04MQTT\x04\xc2\x00\x3c" + fields)


def packet(kind: int, body: bytes) -> bytes:
    assert len(body) < 128
    return bytes([kind, len(body)]) + body


def publish(key: str, number: int) -> bytes:
    topic = f"v1/devices/{key}/telemetry".encode()
    payload = b'{"n": %d}' % number
    head = len(topic).to_bytes(2, "big") + topic + (number + 1).to_bytes(2, "big")
    return packet(0x32, head + payload)


def kept(api: httpx.Client, device: str, name: str, wanted: int) -> list[float]:
    deadline = time.monotonic() + WAIT_S
    while True:
        history = api.get(f"/devices/{device}/telemetry", params={"name": name}).json()
        points = [value for one in history["series"] for _, value in one["points"]]
        if len(points) >= wanted or time.monotonic() > deadline:
            return points
        time.sleep(0.05)


def test_everything_acknowledged_is_in_the_history(tmp_path: Path, project_root: Path) -> None:
    with ServerProcess(tmp_path, project_root) as server, server.api() as api:
        product = api.post("/products", json={"key": "sensor"}).json()
        wanted = {"key": "sensor-1", "product_id": product["id"]}
        secret = api.post("/devices", json=wanted).json()["secret"]

        # All of it in one write: the server looks at the clock once.
        with socket.create_connection(server.mqtt_address, WAIT_S) as stream:
            stream.sendall(connect("sensor-1", secret))
            assert stream.recv(4) == b"\x20\x02\x00\x00"
            stream.sendall(b"".join(publish("sensor-1", number) for number in range(MESSAGES)))
            answered = b""
            while len(answered) < 4 * MESSAGES:
                answered += stream.recv(65_536)
        assert kept(api, "sensor-1", "n", MESSAGES) == list(range(MESSAGES))

        found = re.search(r"Devices +(http://\S+)", server.banner)
        assert found is not None
        answer = httpx.post(
            found[1],
            json=[{"h": number} for number in range(MESSAGES)],
            headers={"Authorization": f"Bearer {secret}"},
            trust_env=False,
        )
        assert answer.status_code == 204, answer.text
        assert kept(api, "sensor-1", "h", MESSAGES) == list(range(MESSAGES))
