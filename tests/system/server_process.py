"""``fluxhybrid serve`` as a process of its own, and devices that are real MQTT clients."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion

START_S = 30.0
STOP_S = 15.0
CONNECT_S = 10.0


class ServerProcess:
    """A server on ports of its own.

    Args:
        directory: where it keeps everything.
        root: the checkout.
        settings: environment variables without their prefix, such as ``SITE__NAME``.
    """

    def __init__(self, directory: Path, root: Path, **settings: str) -> None:
        ports = {f"{name}__PORT": "0" for name in ("MQTT", "SERVER", "METRICS", "DEVICES")}
        given = {f"FLUXHYBRID_{name}": value for name, value in {**ports, **settings}.items()}
        self._errors = (directory / "stderr.txt").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fluxhybrid", "serve"],
            cwd=directory,
            env={**os.environ, "PYTHONPATH": str(root / "python"), **given},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self.banner = self._read_banner()
        found = dict(re.findall(r"^  (\w+) +(\S+)$", self.banner, re.MULTILINE))
        self.page_url = found["Page"]
        self.url = found["Page"].partition("#")[0].rstrip("/")
        self.token = found.get("Token", "")
        host, _, port = found["MQTT"].rpartition(":")
        self.mqtt_address = (host, int(port))

    def _read_banner(self) -> str:
        assert self.process.stdout is not None
        # A server that hangs before it has said anything must not hang the tests.
        timer = threading.Timer(START_S, self.process.kill)
        timer.start()
        said = b""
        try:
            # It is written as one piece, shorter than a pipe splits.
            while b"  Data" not in said:
                piece = os.read(self.process.stdout.fileno(), 65_536)
                said += piece
                if not piece:
                    self._errors.seek(0)
                    raise AssertionError(f"the server did not start:\n{self._errors.read()}")
        finally:
            timer.cancel()
        return said.decode()

    def api(self, token: str | None = None) -> httpx.Client:
        """A client of its HTTP API."""
        return httpx.Client(
            base_url=f"{self.url}/api/v1",
            headers={"Authorization": f"Bearer {token or self.token}"},
            trust_env=False,
            timeout=20,
        )

    def stop(self) -> None:
        """End it in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class Device:
    """One MQTT client.

    Args:
        server: where it connects.
        username: its key, or ``None``.
        password: its secret.
        client_id: its client identifier.
    """

    def __init__(
        self, server: ServerProcess, username: str | None, password: str, client_id: str = ""
    ) -> None:
        self.key = username or ""
        self._answered = threading.Event()
        self.refused: str | None = None
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id or f"client-of-{username}",
            protocol=MQTTProtocolVersion.MQTTv5,
            reconnect_on_failure=False,
        )
        if username is not None:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.connect(*server.mqtt_address)
        self._client.loop_start()
        assert self._answered.wait(CONNECT_S), "no answer to CONNECT"

    def _on_connect(
        self, client: mqtt.Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self.refused = str(reason) if reason.is_failure else None
        self._answered.set()

    def report(self, **values: Any) -> None:
        """Publish values as telemetry, on disk when this returns."""
        self.publish(f"v1/devices/{self.key}/telemetry", json.dumps(values))

    def publish(self, topic: str, payload: str) -> None:
        """Publish with QoS 1 and wait for the answer, whatever it is."""
        told = self._client.publish(topic, payload, qos=1)
        assert told.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        told.wait_for_publish(CONNECT_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()
