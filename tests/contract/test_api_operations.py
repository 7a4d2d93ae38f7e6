"""What operators see: metrics, health, logs; starting and stopping."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fluxhybrid.app import Platform
from fluxhybrid.config import LoggingConfig
from fluxhybrid.errors import Conflict, Invalid
from fluxhybrid.operations import listener as listener_module
from fluxhybrid.operations.logs import set_up_logs
from fluxhybrid.operations.metrics import metrics_page
from fluxhybrid.operations.sockets import address_text, listen
from tests.contract.api_fixture import config_in, running
from tests.contract.engine_double import EngineDouble, TesterDouble


async def exchange(address: str, *parts: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def test_metrics_of_engine_and_api_stand_on_one_page(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        await site.http.get("/api/v1/products/nothing")
        answer = await site.http.get(f"http://{site.platform.addresses['metrics']}/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        page = answer.text
    from prometheus_client.parser import text_string_to_metric_families

    families = {family.name: family for family in text_string_to_metric_families(page)}
    assert {
        "flux_rules_active",
        "flux_http_requests",
        "flux_http_request_duration_seconds",
        "flux_database_connections",
        "flux_stream_clients",
    } <= families.keys()
    labels = [sample.labels for sample in families["flux_http_requests"].samples]
    # A route, not a path: what callers make up must not become a series each.
    assert {"method": "GET", "route": "/api/v1/products/{product}", "status": "404"} in labels


def test_page_goes_on_without_a_part_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> str:
        raise RuntimeError("on purpose")

    assert metrics_page([lambda: "a 1\n", broken, lambda: "b 2"]) == (
        "a 1\n# some metrics are missing: see the log\nb 2\n"
    )
    assert "on purpose" in caplog.text


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"HEAD /metrics HTTP/1.0\r\n\r\n", 200),
        (b"GET /healthz?x=1 HTTP/1.1\r\n\r\n", 200),
        (b"GET /secrets HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", 405),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
    ],
)
async def test_operators_listener_answers_and_closes(
    tmp_path: Path, request_bytes: bytes, status: int
) -> None:
    async with running(tmp_path) as site:
        answer = await exchange(site.platform.addresses["metrics"], request_bytes)
        if status == 431 and not answer:
            return  # cut off while it was still talking
        assert answer.startswith(f"HTTP/1.1 {status} ".encode())
        head, _, body = answer.partition(b"\r\n\r\n")
        if request_bytes.startswith(b"HEAD"):
            assert body == b""
        if status >= 400:
            assert b"application/problem+json" in head
            assert json.loads(body)["status"] == status


async def test_silent_and_surplus_connections_do_not_block_the_listener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "CONNECTIONS_MAX", 2)
    monkeypatch.setattr(listener_module, "HEAD_TIMEOUT_S", 0.2)
    async with running(tmp_path) as site:
        address = site.platform.addresses["metrics"]
        host, _, port = address.rpartition(":")
        silent = [await asyncio.open_connection(host, int(port)) for _ in range(5)]
        async with asyncio.timeout(20):
            while not (await exchange(address, b"GET /healthz HTTP/1.1\r\n\r\n")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        for _, writer in silent:
            writer.close()


async def test_health_tells_when_the_engine_does_not_work(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        site.engine.running = False
        metrics = f"http://{site.platform.addresses['metrics']}/healthz"
        for url in ("/healthz", metrics):
            answer = await site.http.get(url)
            assert (answer.status_code, answer.json()) == (503, {"status": "stopped"})


async def test_headless_serves_devices_and_metrics_only(tmp_path: Path) -> None:
    engine = EngineDouble()
    platform = Platform(config_in(tmp_path), engine, TesterDouble(), headless=True)
    await platform.start()
    try:
        assert engine.running
        assert platform.addresses.keys() == {"mqtt", "metrics"}
        answer = await exchange(platform.addresses["metrics"], b"GET /metrics HTTP/1.1\r\n\r\n")
        assert b"flux_rules_active 0" in answer
        assert not (tmp_path / "flux.db").exists()
    finally:
        await platform.stop()
    assert not engine.running


async def test_port_in_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        engine = EngineDouble()
        config = config_in(tmp_path, server={"port": port})
        with pytest.raises(Conflict) as caught:
            await Platform(config, engine, TesterDouble()).start()
    assert caught.value.code == "listen.in_use"
    assert str(port) in caught.value.message
    assert caught.value.pointer == "/server/port"
    assert not engine.running


async def test_failed_start_stops_what_was_started(tmp_path: Path) -> None:
    (tmp_path / "flux.db").write_bytes(b"this is no database" * 100)
    engine = EngineDouble()
    platform = Platform(config_in(tmp_path), engine, TesterDouble())
    with pytest.raises(Exception, match="damaged"):
        await platform.start()
    assert not engine.running
    # Its ports are free again.
    host, _, port = platform.addresses["api"].rpartition(":")
    listen("server", host, int(port)).close()


def test_addresses_are_written_as_they_are_typed() -> None:
    with listen("server", "127.0.0.1", 0) as listener:
        assert address_text(listener) == f"127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Invalid) as caught:
        listen("server", "256.0.0.1.invalid", 0)
    assert caught.value.pointer == "/server/host"


# ---- the process

SERVE = """
import sys
from pathlib import Path
import fluxhybrid.app as app
from fluxhybrid.config import Config
from tests.contract.engine_double import EngineDouble, TesterDouble

class Engine(EngineDouble):
    def stop(self, timeout_ms):
        if "slow" in sys.argv:
            import time
            sys.stderr.write("stopping slowly\\n")
            sys.stderr.flush()
            time.sleep(60)
        return super().stop(timeout_ms)

def platform(config, *, headless, demo):
    return app.Platform(config, Engine(), TesterDouble(), headless=headless, demo=demo)

app._new_platform = platform
config = Config.model_validate(
    {"data_dir": Path(sys.argv[1]), "server": {"port": 0}, "metrics": {"port": 0},
     "devices": {"port": 0}}
)
code = app.serve(config, headless="headless" in sys.argv)
loaded = sorted(name for name in ("sqlalchemy", "fastapi", "uvicorn", "alembic", "httpx",
                                  "prometheus_client") if name in sys.modules)
print("loaded:", *loaded)
sys.exit(code)
"""


class Serving:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def banner(self) -> str:
        assert self.process.stdout is not None
        while not any("Data " in line for line in self.lines):
            line = self.process.stdout.readline()
            assert line, "ended before it had started"
            self.lines.append(line)
        return "".join(self.lines)

    def end(self) -> tuple[int, str, str]:
        # Not communicate: it would miss what was read ahead.
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        out, err = self.process.stdout.read(), self.process.stderr.read()
        return self.process.wait(timeout=30), "".join(self.lines) + out, err


@pytest.fixture
def serving(tmp_path: Path, project_root: Path) -> Iterator[Any]:
    made: list[subprocess.Popen[str]] = []
    path = os.pathsep.join([str(project_root / "python"), str(project_root)])

    def serve(*arguments: str) -> Serving:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(tmp_path), *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return Serving(process)

    yield serve
    for process in made:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process_stops_in_order_at_a_signal(serving: Any, number: int) -> None:
    first = serving()
    banner = first.banner()
    assert "  MQTT     127.0.0.1:1" in banner
    assert "/docs" in banner
    first.process.send_signal(number)
    code, out, err = first.end()
    assert code == 0
    assert "Token    flux_" in out
    assert "Traceback" not in err
    # The token is shown once.
    second = serving()
    second.banner()
    second.process.send_signal(number)
    code, out, _ = second.end()
    assert (code, "Token" in out) == (0, False)


def test_second_signal_ends_the_process_at_once(serving: Any) -> None:
    process = serving("slow")
    process.banner()
    process.process.send_signal(signal.SIGTERM)
    for line in process.process.stderr:
        if "stopping slowly" in line:
            break
    began = time.monotonic()
    process.process.send_signal(signal.SIGINT)
    code, _, _ = process.end()
    assert code == 128 + signal.SIGINT
    # Without it, stopping would have taken a minute.
    assert time.monotonic() - began < 30


def test_headless_process_loads_nothing_heavy(serving: Any) -> None:
    process = serving("headless")
    process.banner()
    process.process.send_signal(signal.SIGTERM)
    code, out, _ = process.end()
    assert code == 0
    assert out.splitlines()[-1] == "loaded:"


# ---- logs


@pytest.fixture
def _logs_put_back() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.getLogger("flux_test").setLevel(logging.NOTSET)


@pytest.mark.usefixtures("_logs_put_back")
def test_json_log_is_an_object_a_line() -> None:
    stream = io.StringIO()
    set_up_logs(LoggingConfig(format="json"), stream)
    log = logging.getLogger("flux_test")
    log.info("two\nlines", extra={"generation": 7})
    try:
        int("on purpose")
    except ValueError:
        log.exception("failed")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["message"] == "two\nlines"
    assert (first["level"], first["target"], first["generation"]) == ("info", "flux_test", 7)
    assert "'on purpose'" in second["exception"]


@pytest.mark.usefixtures("_logs_put_back")
def test_text_log_cannot_be_forged_by_a_line_break() -> None:
    stream = io.StringIO()
    set_up_logs(LoggingConfig(), stream)
    logging.getLogger("flux_test").warning("user %s", "x\n2026-01-01T00:00:00.000Z ERROR forged")
    (line,) = stream.getvalue().splitlines()
    assert " WARN flux_test: user x\\n2026" in line


@pytest.mark.usefixtures("_logs_put_back")
def test_levels_are_set_by_target_and_rust_log_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    set_up_logs(LoggingConfig(level="warn,flux_test::inner=trace"), stream)
    logging.getLogger("flux_test").info("hidden")
    logging.getLogger("flux_test.inner").debug("shown")
    monkeypatch.setenv("RUST_LOG", "error")
    set_up_logs(LoggingConfig(level="debug"), stream)
    logging.getLogger("flux_test").warning("hidden too")
    assert [line.rsplit(" ", 1)[1] for line in stream.getvalue().splitlines()] == ["shown"]
