"""The servers under load: each in its own directory, on its own loopback port, ended by its pid.

Owns the processes. Must never touch a server that it did not start.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Final

from benches.peers.plant import write_plant
from benches.peers.tools import Tools, need, python

__all__ = [
    "Server",
    "await_port",
    "end_process",
    "engine",
    "fluxhybrid_environment",
    "free_port",
    "headless",
    "mosquitto",
    "serving",
]

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 20.0

# Room for every message that 1 000 connections may have in flight at once: the same for both, so
# that neither drops for a limit the other does not have.
QUEUE_MESSAGES: Final = 1_100_000
MQTT_SETTINGS: Final[dict[str, int]] = {
    "session_queue_len_max": 1_000_000,
    "session_queue_bytes_max": 1 << 30,
    "queue_bytes_total_max": 2 << 30,
    "session_inflight_max": 1_000,
    "session_receive_max": 1_024,
}

SLOW_DISK_US: Final = 20_000
SLOW_DISK_SOURCE: Final = Path(__file__).with_name("slow_disk.c")


@dataclass(frozen=True)
class Server:
    """A server that listens."""

    name: str
    port: int
    pid: int
    seconds_to_listen: float
    credentials: Path | None
    stdin: IO[bytes] | None = None


def free_port() -> int:
    """A port on loopback that nobody has now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def await_port(port: int, process: subprocess.Popen[Any], log: Path) -> float:
    """Seconds until the process listens; an error with the end of its log if it does not."""
    begun = time.perf_counter()
    while time.perf_counter() - begun < START_SECONDS:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return time.perf_counter() - begun
        time.sleep(0.002)
    tail = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
    raise RuntimeError(f"{process.args!r} does not listen on {port}:\n{tail}")


def end_process(process: subprocess.Popen[Any]) -> None:
    """End a process; one that takes too long is killed."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(STOP_SECONDS)


@contextlib.contextmanager
def _directory() -> Iterator[Path]:
    # FLUX_BENCH_DIR names a place on the disk that is to be measured; a tmpfs would flatter us.
    parent = os.environ.get("FLUX_BENCH_DIR")
    with tempfile.TemporaryDirectory(prefix="flux-bench-", dir=parent) as name:
        yield Path(name)


@contextlib.contextmanager
def mosquitto() -> Iterator[Server]:
    """Mosquitto as people compare with it: nothing on disk, no limits in its way."""
    program = need("mosquitto", "mosquitto")
    with _directory() as directory:
        port = free_port()
        config = directory / "mosquitto.conf"
        config.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
            f"max_queued_messages {QUEUE_MESSAGES}\nmax_inflight_messages 1000\n"
            "set_tcp_nodelay true\nlog_dest none\n"
        )
        log = directory / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen([program, "-c", str(config)], stdout=output, stderr=output)
            try:
                seconds = await_port(port, process, log)
                yield Server("mosquitto", port, process.pid, seconds, None)
            finally:
                end_process(process)


def _slow_disk(directory: Path) -> dict[str, str]:
    """What has to be in the environment of a process for its disk to be slow."""
    library = directory / "slow_disk.so"
    command = [
        need("cc", "gcc"),
        "-O2",
        "-shared",
        "-fPIC",
        "-o",
        library,
        SLOW_DISK_SOURCE,
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return {"LD_PRELOAD": str(library), "FLUX_SYNC_DELAY_US": str(SLOW_DISK_US)}


@contextlib.contextmanager
def engine(
    tools: Tools, devices: int, *, rule_qos: int | None, slow_disk: bool = False
) -> Iterator[Server]:
    """The data plane alone, without Python."""
    with _directory() as directory:
        configuration, credentials = write_plant(directory, devices, rule_qos=rule_qos)
        port = free_port()
        command = [
            str(tools.flux_engine_bench), "--data-dir", str(directory / "data"),
            "--configuration", str(configuration), "--port", str(port),
            "--settings", json.dumps({"mqtt": MQTT_SETTINGS}),
        ]  # fmt: skip
        log = directory / "log.txt"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=os.environ | (_slow_disk(directory) if slow_disk else {}),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
            )
            try:
                seconds = await_port(port, process, log)
                name = "fluxhybrid, slow disk" if slow_disk else "fluxhybrid"
                yield Server(name, port, process.pid, seconds, credentials)
            finally:
                _close_input(process)


def _close_input(process: subprocess.Popen[Any]) -> None:
    stdin: IO[Any] | None = process.stdin
    if stdin is not None:
        stdin.close()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        end_process(process)


def fluxhybrid_environment(directory: Path, port: int) -> dict[str, str]:
    """The process's environment with our settings in it: every port private."""
    values: dict[str, object] = {
        "DATA_DIR": directory / "data",
        "MQTT__PORT": port,
        "METRICS__PORT": 0,
        "DEVICES__PORT": 0,
        "SERVER__PORT": 0,
        "LOGGING__LEVEL": "warn",
        **{f"MQTT__{name.upper()}": value for name, value in MQTT_SETTINGS.items()},
    }
    return os.environ | {f"FLUXHYBRID_{name}": str(value) for name, value in values.items()}


def _put_configuration(tools: Tools, configuration: Path, data: Path) -> None:
    """Let the engine write its configuration file: `serve --headless` reads it from there."""
    command = [str(tools.flux_engine_bench), "--data-dir", str(data), "--configuration",
               str(configuration)]  # fmt: skip
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


@contextlib.contextmanager
def headless(
    tools: Tools,
    devices: int,
    *,
    rule_qos: int | None,
    slow_disk: bool = False,
    program: str | None = None,
) -> Iterator[Server]:
    """`fluxhybrid serve --headless`, as a program of one's own that ends in it where given."""
    with _directory() as directory:
        configuration, credentials = write_plant(directory, devices, rule_qos=rule_qos)
        _put_configuration(tools, configuration, directory / "data")
        port = free_port()
        start = ["-m", "fluxhybrid"] if program is None else ["-c", program]
        command = [python(), *start, "serve", "--headless"]
        environment = fluxhybrid_environment(directory, port)
        if slow_disk:
            environment |= _slow_disk(directory)
        with serving(command, environment, directory, port) as server:
            yield replace(server, credentials=credentials)


@contextlib.contextmanager
def serving(
    command: list[str], environment: dict[str, str], directory: Path, port: int
) -> Iterator[Server]:
    """Run a command until the block ends; it has to listen on the port."""
    log = directory / "log.txt"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=directory,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
        )
        try:
            seconds = await_port(port, process, log)
            yield Server("fluxhybrid", port, process.pid, seconds, None, process.stdin)
        finally:
            end_process(process)
