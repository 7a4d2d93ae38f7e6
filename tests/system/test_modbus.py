"""Modbus slaves, pymodbus's: decoded, written to and ruled by way of the bundled plugins."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymodbus.client import ModbusTcpClient
from pymodbus.datastore import ModbusDeviceContext, ModbusSequentialDataBlock, ModbusServerContext
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer

from tests.system.server_process import ServerProcess

pytestmark = pytest.mark.system

WAIT_S = 30.0
REGISTERS = [
    {"name": "power", "table": "holding", "address": 0, "type": "u32", "scale": 0.1},
    {"name": "temperature", "table": "holding", "address": 2, "type": "i16", "scale": 0.1},
    {"name": "setpoint", "table": "holding", "address": 3},
]
POWER, TEMPERATURE, SETPOINT = 123_456, 215, 7
LISTENER = """
[[gateway.listeners]]
name = "dtu"
protocol = "tcp"
host = "127.0.0.1"
port = {port}
product = "dtu"
[gateway.listeners.identify]
by = "registration"
prefix = "REG:"
separator = ","
answer = "OK\\r\\n"
framing = {{ type = "delimiter", delimiter = "\\r\\n" }}
"""


class Slaves:
    """Units 1 and 2 behind one TCP port, in Modbus TCP or, as serial device servers do, in RTU."""

    def __init__(self, framer: FramerType) -> None:
        values = [POWER >> 16, POWER & 0xFFFF, TEMPERATURE, SETPOINT]
        # The block counts from 1, as the data model does.
        block: Any = ModbusSequentialDataBlock
        self._units: dict[int, Any] = {
            unit: ModbusDeviceContext(hr=block(1, list(values))) for unit in (1, 2)
        }
        self.port = 0
        self._framer = framer
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Slaves:
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)

    def setpoint(self, unit: int) -> int:
        with ModbusTcpClient("127.0.0.1", port=self.port, framer=self._framer) as client:
            return int(client.read_holding_registers(3, count=1, device_id=unit).registers[0])

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(self._server.shutdown())
        self._loop.close()

    async def _listen(self) -> None:
        self._server: Any = ModbusTcpServer(
            ModbusServerContext(self._units, single=False),
            framer=self._framer,
            address=("127.0.0.1", 0),
            ignore_missing_devices=True,
        )
        await self._server.listen()
        self.port = self._server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]


class Dtu:
    """Opens a connection, says who it is, and passes bytes on, both ways."""

    def __init__(self, platform: int, line: int, key: str, secret: str) -> None:
        self._line = socket.create_connection(("127.0.0.1", line))
        self._up = socket.create_connection(("127.0.0.1", platform))
        self._up.sendall(f"REG:{key},{secret}\r\n".encode())
        self._up.settimeout(WAIT_S)
        assert self._up.recv(4) == b"OK\r\n"
        self._up.settimeout(None)
        for source, target in ((self._up, self._line), (self._line, self._up)):
            threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def __enter__(self) -> Dtu:
        return self

    def __exit__(self, *_: object) -> None:
        for one in (self._up, self._line):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while some := source.recv(512):
                target.sendall(some)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def dtu_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def platform(
    tmp_path_factory: pytest.TempPathFactory, project_root: Path, dtu_port: int
) -> Iterator[ServerProcess]:
    directory = tmp_path_factory.mktemp("modbus")
    (directory / "fluxhybrid.toml").write_text(LISTENER.format(port=dtu_port), "utf-8")
    with ServerProcess(directory, project_root) as running:
        yield running


def post(api: httpx.Client, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    response = api.post(path, json=body)
    assert response.is_success, response.text
    answer: dict[str, Any] = response.json()
    return answer


def eventually(found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while not (what := found()):
        assert time.monotonic() < deadline, "it did not come in time"
        time.sleep(0.05)
    return what


def values(api: httpx.Client, device: str) -> dict[str, Any]:
    latest = api.get(f"/devices/{device}/latest").json()
    return {name: one["value"] for name, one in latest.get("values", {}).items()}


def write_setpoint(api: httpx.Client, device: str, value: int) -> None:
    params = {"name": "setpoint", "value": value}
    command = post(api, f"/devices/{device}/commands", {"command": "write", "params": params})
    done = eventually(
        lambda: [
            found
            for found in [api.get(f"/commands/{command['id']}").json()]
            if found["status"] not in ("pending", "sent")
        ]
    )
    assert done[0]["status"] == "succeeded", done


def follow_the_setpoint(api: httpx.Client, device: str, command: dict[str, Any]) -> None:
    """A rule that answers a setpoint above 100 with a write of its own."""
    device_id = api.get(f"/devices/{device}").json()["id"]
    rule = {
        "name": f"not above 100: {device}",
        "trigger_script": "setpoint > 100",
        "sources": {"devices": [device_id]},
        "actions": [{"type": "command", "device": device, "max_age_ms": 30_000, **command}],
    }
    post(api, "/rules", rule)


def see_a_slave(api: httpx.Client, slaves: Slaves, unit: int, device: str) -> None:
    """Polled, written to by the API and by a rule; what was read is in the history."""
    eventually(lambda: "power" in values(api, device))
    seen = values(api, device)
    assert seen == {"power": 12345.6, "temperature": 21.5, "setpoint": SETPOINT}
    write_setpoint(api, device, 42)
    assert slaves.setpoint(unit) == 42
    eventually(lambda: values(api, device)["setpoint"] == 42)
    params = {"name": "setpoint", "value": 100}
    follow_the_setpoint(api, device, {"command": "write", "params": params})
    write_setpoint(api, device, 250)
    eventually(lambda: slaves.setpoint(unit) == 100)
    eventually(lambda: values(api, device)["setpoint"] == 100)
    history = api.get(f"/devices/{device}/telemetry", params={"name": "setpoint"}).json()
    kept = [point[1] for point in history["series"][0]["points"]]
    assert list(dict.fromkeys(kept)) == [SETPOINT, 42, 250, 100]


def test_a_modbus_tcp_controller_is_polled_written_to_and_ruled(platform: ServerProcess) -> None:
    with Slaves(FramerType.SOCKET) as slaves, platform.api() as api:
        product = {
            "key": "plc",
            "name": "Controller",
            "protocol_plugin_id": "modbus_tcp",
            "decode": {"type": "plugin", "settings": {"unit": 1, "registers": REGISTERS}},
            "link": {
                "connect": "tcp://{host}:{port}",
                "framing": {"type": "length", "offset": 4, "width": 2, "frame_bytes_max": 260},
                "poll": [{"name": "all", "command": "read", "every_ms": 200}],
            },
        }
        product_id = post(api, "/products", product)["id"]
        tags = {"host": "127.0.0.1", "port": str(slaves.port)}
        post(api, "/devices", {"key": "plc-1", "product_id": product_id, "tags": tags})
        see_a_slave(api, slaves, 1, "plc-1")


def test_rtu_meters_behind_a_dtu_are_polled_written_to_and_ruled(
    platform: ServerProcess, dtu_port: int
) -> None:
    framing = {"type": "idle", "gap_ms": 20, "frame_bytes_max": 256}
    meter = {
        "key": "meter",
        "name": "Meter",
        "protocol_plugin_id": "modbus_rtu",
        "decode": {"type": "plugin", "settings": {"unit": 2, "registers": REGISTERS}},
        "link": {
            "framing": framing,
            "poll": [{"name": "all", "command": "read", "every_ms": 200}],
        },
    }
    with Slaves(FramerType.RTU) as slaves, platform.api() as api:
        dtu = {"key": "dtu", "name": "DTU", "link": {"framing": framing}}
        product_id = post(api, "/products", dtu)["id"]
        secret = post(api, "/devices", {"key": "dtu-1", "product_id": product_id})["secret"]
        product_id = post(api, "/products", meter)["id"]
        tags = {"line": "dtu-1"}
        post(api, "/devices", {"key": "meter-2", "product_id": product_id, "tags": tags})
        with Dtu(dtu_port, slaves.port, "dtu-1", secret):
            see_a_slave(api, slaves, 2, "meter-2")
