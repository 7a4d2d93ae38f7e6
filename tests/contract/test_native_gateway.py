"""Devices that do not speak MQTT, through the whole of the extension module."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from fluxhybrid import Engine
from fluxhybrid.accounts.secrets import sha256_hex
from fluxhybrid.config import Config
from fluxhybrid.engine.settings import engine_settings
from fluxhybrid.errors import Invalid

PRODUCT = UUID(int=1)
LISTENER = {
    "name": "lines",
    "protocol": "tcp",
    "port": 0,
    "product": "sensor",
    "identify": {"by": "registration", "separator": ",", "answer": "welcome\n"},
}
LINK = {"framing": {"type": "delimiter", "delimiter": "\n"}, "timeout_ms": 2000}


def document(link: dict[str, Any] | None = LINK) -> dict[str, Any]:
    devices = [
        {"id": str(UUID(int=10 + n)), "key": f"s-{n}", "product": str(PRODUCT),
         "secret_sha256": sha256_hex(f"secret-{n}")}
        for n in range(2)
    ]  # fmt: skip
    return {
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "products": [{"id": str(PRODUCT), "key": "sensor", "link": link}],
        "devices": devices,
    }


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    sections: dict[str, Any] = {
        "data_dir": tmp_path,
        "mqtt": {"port": 0},
        "devices": {"port": 0},
        "gateway": {"listeners": [LISTENER]},
    }
    with Engine(engine_settings(Config.model_validate(sections))) as made:
        made.apply(document())
        yield made


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def eventually(look: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not look():
        assert time.monotonic() < until
        time.sleep(0.01)


def value(engine: Engine, device: str, name: str) -> Any:
    latest = engine.latest(1, device) or {"values": {}}
    return latest["values"].get(name, {}).get("value")


def test_listeners_tell_where_they_listen(engine: Engine) -> None:
    assert engine.addresses.keys() == {"mqtt", "devices", "gateway.lines"}


def test_a_posted_value_is_the_device_s_last(engine: Engine) -> None:
    url = f"http://{engine.addresses['devices']}/device/v1/telemetry"
    with httpx.Client(trust_env=False, headers={"Authorization": "Bearer secret-0"}) as http:
        assert http.post(url, json=[{"t": 21.5}, {"u": 1}]).status_code == 204
        # httpx sends a generator in chunks
        head = {"Content-Type": "application/json"}
        chunked = http.post(url, content=iter([b'{"c":', b" 3}"]), headers=head)
        assert chunked.status_code == 204
        refused = http.post(url, json={}, headers={"Authorization": "Bearer other"})
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["code"] == "http.unauthorized"
        assert http.get(url).status_code == 405
    eventually(lambda: value(engine, "s-0", "c") == 3)
    assert value(engine, "s-0", "t") == 21.5


def test_a_raw_device_registers_and_answers_a_command(engine: Engine) -> None:
    with closing(connected(engine.addresses["gateway.lines"])) as device:
        device.sendall(b's-1,secret-1\n{"t": 5}\n')
        lines = device.makefile("rb")
        assert lines.readline() == b"welcome\n"
        eventually(lambda: value(engine, "s-1", "t") == 5)
        command = engine.send_command(1, "s-1", "open", {"by": 3})
        asked = lines.readline()
        assert command.encode() in asked
        device.sendall(b'{"id": "%s", "result": [1, 2]}\n' % command.encode())

        def succeeded() -> bool:
            found = engine.command(1, command)
            return found is not None and found["status"] == "succeeded"

        eventually(succeeded)
        assert engine.status(1, ["s-1"])["s-1"]["status"] == "online"
    assert "flux_gateway_requests_answered_total 1" in engine.metrics_text()


def test_a_link_that_does_not_hold_is_refused_with_its_place(engine: Engine) -> None:
    wrong = document({"framing": {"type": "fixed"}, "poll": [{"name": ""}]}) | {"generation": 2}
    with pytest.raises(Invalid) as caught:
        engine.apply(wrong)
    pointers = {problem.pointer for problem in caught.value.problems} | {caught.value.pointer}
    assert any(pointer and pointer.startswith("/products/0/link/") for pointer in pointers)
    assert engine.generation() == 1


def test_a_listener_that_believes_anybody_does_not_start(tmp_path: Path) -> None:
    listener = LISTENER | {"identify": {"by": "registration"}}
    sections: dict[str, Any] = {
        "data_dir": tmp_path, "mqtt": {"port": 0}, "devices": {"port": 0},
        "gateway": {"listeners": [listener]},
    }  # fmt: skip
    engine = Engine(engine_settings(Config.model_validate(sections)))
    with pytest.raises(Invalid, match="anybody could say to be anybody"):
        engine.start()
