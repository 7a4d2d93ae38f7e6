"""The demo as a newcomer meets it: one command, the whole way of a value, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import RunCli

pytestmark = [pytest.mark.system, pytest.mark.slow]

WAIT_S = 60.0
STOP_S = 10.0
PLANT = {"pump", "thermometers", "valve", "webhook_receiver"}


class DemoProcess:
    """``fluxhybrid serve --demo`` on private ports, and what it wrote."""

    def __init__(self, directory: Path, project_root: Path) -> None:
        self._errors = (directory / "stderr.txt").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fluxhybrid", "serve", "--demo"],
            cwd=directory,
            env={
                **os.environ,
                "PYTHONPATH": str(project_root / "python"),
                **{
                    f"FLUXHYBRID_{name}__PORT": "0"
                    for name in ("MQTT", "SERVER", "METRICS", "DEVICES")
                },
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            encoding="utf-8",
        )
        self.lines: list[str] = []
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self.lines.append("")
            self._changed.notify_all()

    def find(self, pattern: str) -> re.Match[str]:
        """The first line that matches, which comes within a bounded time."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + WAIT_S
        seen = 0
        with self._changed:
            while True:
                for line in self.lines[seen:]:
                    if found := wanted.search(line):
                        return found
                    seen += 1
                left = deadline - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1] == ""):
                    pytest.fail(f"no line matches {pattern!r}\n{self.output()}")
                self._changed.wait(left)

    def output(self) -> str:
        self._errors.seek(0)
        return "".join(self.lines) + self._errors.read()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=STOP_S)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join(timeout=STOP_S)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._errors.close()


@pytest.fixture
def demo(tmp_path: Path, project_root: Path) -> Iterator[Callable[[], DemoProcess]]:
    made: list[DemoProcess] = []

    def start() -> DemoProcess:
        made.append(DemoProcess(tmp_path, project_root))
        return made[-1]

    yield start
    for process in made:
        process.end()


def plant_of(parent: int) -> dict[int, str]:
    """The processes of the plant, by pid: those whose parent it is."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue
        of_plant = re.search(r"fluxhybrid\.demo\.plant\.(\w+)", command)
        if of_plant and int(stat.rpartition(")")[2].split()[1]) == parent:
            found[int(entry.name)] = of_plant[1]
    return found


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def all_end(pids: Iterator[int] | list[int]) -> bool:
    deadline = time.monotonic() + STOP_S
    waiting = list(pids)
    while waiting and time.monotonic() < deadline:
        waiting = [pid for pid in waiting if is_running(pid)]
        time.sleep(0.02)
    return not waiting


def see_the_whole_way(running: DemoProcess) -> None:
    """From a value to a rule, a command, its reply, a webhook, an alarm, and back."""
    running.find(r"^valve-1 +\| connected by MQTT 5\.0")
    running.find(r"^thermo-1 +\| connected by MQTT 3\.1\.1; publishes .* with QoS 1")
    # Fahrenheit on the wire, degrees Celsius behind the transform.
    running.find(
        r"value .*thermo-1 .*temperature \d\d\.\d °C.*thermo-3 .*valve-1 position 100\.0 %"
    )
    fired = running.find(
        r'rule +"demo: too hot" fired by thermo-1 at .*temperature 3\d\.\d °C.*: '
        r"close valve-1, webhook, raise alarm overheat \(firing (\S+)\)"
    )
    running.find(r"^valve-1 +\| is told to close; replies")
    running.find(r'command +close valve-1: succeeded, reply \{.*"position": 0\.0')
    # Both ends speak of the same firing.
    running.find(r"^webhook +\| is told of firing " + re.escape(fired[1]) + r": .*answers 204")
    running.find(r"alarm +overheat of thermo-1 raised \(critical\)")
    running.find(
        r'rule +"demo: cool again" fired by thermo-1 .*: open valve-1, clear alarm overheat'
    )
    running.find(r"alarm +overheat of thermo-1 cleared")
    running.find(r"command +open valve-1: succeeded")


def test_demo_shows_the_whole_way_and_again_on_the_same_data(
    demo: Callable[[], DemoProcess], tmp_path: Path
) -> None:
    first = demo()
    token = first.find(r"Token +(\S+)")[1]
    api = first.find(r"API +(http://\S+)")[1]
    first.find(r"Docs +http://127\.0\.0\.1:\d+/docs")
    see_the_whole_way(first)
    children = plant_of(first.process.pid)
    assert set(children.values()) == PLANT
    for pid in children:
        for shown in ("cmdline", "environ"):
            assert b"fluxdev_" not in Path(f"/proc/{pid}/{shown}").read_bytes()
    assert first.interrupt() == 0, first.output()
    assert all_end(list(children))
    assert "\x1b" not in first.output(), "a pipe is no terminal"

    second = demo()
    api = second.find(r"API +(http://\S+)")[1]
    see_the_whole_way(second)
    # The valve answers people as it answers rules, and says what it cannot do.
    with httpx.Client(
        base_url=api, headers={"Authorization": f"Bearer {token}"}, trust_env=False
    ) as http:
        assert len(http.get("/rules").json()["items"]) == 2
        assert len(http.get("/devices").json()["items"]) == 5
        # The pump is polled where it waits this time, and written to.
        second.find(r"value .*pump-1 .*speed \d+ rpm")
        faster = {"name": "setpoint", "value": 2_000}
        sent = http.post("/devices/pump-1/commands", json={"command": "write", "params": faster})
        assert sent.status_code == 202, sent.text
        sent = http.post("/devices/valve-1/commands", json={"command": "dance"})
        assert sent.status_code == 202
    second.find(r"command +write pump-1: succeeded")
    second.find(r"^pump-1 +\| is told to run at 2000 rpm")
    second.find(r'command +dance valve-1: failed, reply "knows close and open only"')
    children = plant_of(second.process.pid)
    assert set(children.values()) == PLANT
    assert second.interrupt() == 0, second.output()
    assert all_end(list(children))
    # Secrets are in memory only.
    kept = [path for path in (tmp_path / "fluxhybrid-data").rglob("*") if path.is_file()]
    assert kept
    assert not [path for path in kept if b"fluxdev_" in path.read_bytes()]


def test_plant_ends_when_the_server_is_killed(demo: Callable[[], DemoProcess]) -> None:
    running = demo()
    running.find(r"^valve-1 +\| connected")
    running.find(r"^thermo-1 +\| connected")
    children = plant_of(running.process.pid)
    assert set(children.values()) == PLANT
    running.process.kill()
    running.process.wait()
    assert all_end(list(children))


def test_dead_device_is_told_and_stops_nothing(demo: Callable[[], DemoProcess]) -> None:
    running = demo()
    running.find(r"^valve-1 +\| connected")
    children = plant_of(running.process.pid)
    os.kill(next(pid for pid, name in children.items() if name == "valve"), signal.SIGKILL)
    running.find(r"demo +the process valve ended by itself, with exit code -9")
    running.find(r"device +valve-1 is offline")
    assert running.interrupt() == 0
    assert all_end(list(children))


def test_port_in_use_is_told_before_the_demo_starts(run_cli: RunCli, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        outcome = run_cli(
            "serve",
            "--demo",
            env={
                "FLUXHYBRID_MQTT__PORT": port,
                "FLUXHYBRID_SERVER__PORT": "0",
                "FLUXHYBRID_METRICS__PORT": "0",
                "FLUXHYBRID_DEVICES__PORT": "0",
            },
        )
    assert outcome.returncode == 4, outcome.stderr
    assert port in outcome.stderr
    assert "thermo-1" not in outcome.stdout
