"""The engine's life in a Python process: starts, stops, ends, forks, errors."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from fluxhybrid import (
    Conflict,
    Engine,
    EventBus,
    FluxError,
    Invalid,
    NotFound,
    Unavailable,
    _native,
)
from fluxhybrid.config import Config
from fluxhybrid.engine.settings import engine_settings
from tests.contract.native_fixture import PRODUCT, RULE, document, eventually, rule_entry

CYCLES = int(os.environ.get("FLUXHYBRID_TEST_CYCLES") or 25)


@pytest.fixture
def provoke_panic() -> Callable[[str], None]:
    provoke: Callable[[str], None] | None = getattr(_native, "_panic", None)
    if provoke is None:
        pytest.skip("only builds for tests can be made to panic")
    return provoke


def run_script(source: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-c", source, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": f"{root / 'python'}{os.pathsep}{root}"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def _live_once(directory: Path) -> None:
    engine = Engine(directory, mqtt_port=0)
    host, _, port = engine.start()["mqtt"].rpartition(":")
    assert engine.health()["status"] == "ok"
    socket.create_connection((host, int(port)), 10).close()
    assert engine.stop()
    assert engine.stop(), "stopping twice is harmless"


def test_engine_starts_and_stops_again_and_again(tmp_path: Path) -> None:
    threads_before = len(os.listdir("/proc/self/task"))
    descriptors_before = len(os.listdir("/proc/self/fd"))
    for cycle in range(CYCLES):
        _live_once(tmp_path / str(cycle % 5))
    eventually(
        "no thread is left behind",
        lambda: len(os.listdir("/proc/self/task")) <= threads_before or None,
    )
    assert len(os.listdir("/proc/self/fd")) <= descriptors_before


def test_engine_starts_again_after_it_was_stopped(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.apply(document(3))
    for _ in range(3):
        assert engine.start() == {}
        assert engine.start() == {}, "starting twice is harmless"
        assert engine.generation() == 3
        engine.stop()
    again = Engine(tmp_path)
    again.start()
    assert again.generation() == 3, "the configuration last in force is read"
    assert again.latest(1, "thermo-1") is None
    again.stop()


def test_two_engines_run_side_by_side(tmp_path: Path) -> None:
    with Engine(tmp_path / "a", mqtt_port=0) as a, Engine(tmp_path / "b", mqtt_port=0) as b:
        a.apply(document(1))
        b.apply(document(7))
        assert (a.generation(), b.generation()) == (1, 7)
        assert a.addresses["mqtt"] != b.addresses["mqtt"]


def test_stopped_engine_says_so(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    assert engine.health() == {"status": "stopped"}
    for ask in (engine.metrics_text, lambda: engine.firings(1), lambda: engine.take_outbox(1)):
        with pytest.raises(Unavailable, match="not running") as caught:
            ask()
        assert caught.value.code == "engine.stopped"


def test_port_in_use_is_told_with_a_hint_and_nothing_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        engine = Engine(tmp_path, mqtt_port=port)
        with pytest.raises(Conflict, match=rf"127\.0\.0\.1:{port} is already in use") as caught:
            engine.start()
    assert caught.value.hint
    assert engine.health() == {"status": "stopped"}
    assert engine.start()["mqtt"] == f"127.0.0.1:{port}", "free now"
    engine.stop()


def test_second_engine_on_a_directory_is_refused(tmp_path: Path) -> None:
    with Engine(tmp_path), pytest.raises(FluxError, match=r"log") as caught:
        Engine(tmp_path).start()
    assert "another" in f"{caught.value.message} {caught.value.hint}"


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="shardz") as caught:
        Engine({"data_dir": str(tmp_path), "engine": {"shardz": 1}})
    assert caught.value.code == "engine.settings"
    with pytest.raises(TypeError, match="data_dir"):
        Engine()
    with pytest.raises(Invalid, match="JSON"):
        Engine({"data_dir": tmp_path, "x": {1, 2}, "y": object()})


def test_platform_settings_are_those_the_engine_reads(tmp_path: Path) -> None:
    settings = engine_settings(Config.model_validate({"data_dir": tmp_path, "mqtt": {"port": 0}}))
    with Engine(settings) as engine:
        assert engine.health()["status"] == "ok"


def test_every_problem_of_a_document_is_told_with_its_pointer(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.apply(document(1))
    bad = document(2, trigger_script="let x = ;\nx", sources={"devices": [PRODUCT]})
    bad["devices"][1]["key"] = "thermo-1"
    with pytest.raises(Invalid) as caught:
        engine.apply(bad)
    found = {problem.pointer: problem for problem in caught.value.problems}
    script = found["/rules/0/trigger_script"]
    assert (script.code, script.line) == ("rule.compile", 1)
    assert [pointer for pointer in found if pointer and pointer.startswith("/devices/1")]
    assert [pointer for pointer in found if pointer and "/sources/devices/0" in pointer]
    assert engine.check_configuration(bad) == list(caught.value.problems)
    assert engine.generation() == 1, "nothing of it is in force"
    assert pickle.loads(pickle.dumps(caught.value)).problems == caught.value.problems


def test_shapes_are_checked_before_anything_else(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    bad = {"generation": 1, "devices": [{"id": "x"}], "rules": [{"surplus": 1}]}
    pointers = [problem.pointer for problem in engine.check_configuration(bad)]
    assert pointers == ["/devices/0/id", "/rules/0/surplus"]
    with pytest.raises(Invalid):
        engine.apply(bad)
    assert engine.check_configuration(document()) == []


def test_change_from_another_generation_is_a_conflict(tmp_path: Path) -> None:
    engine = Engine(tmp_path)
    engine.apply(document(1))
    change = {"base_generation": 1, "generation": 2, "upsert": {"rules": [rule_entry()]}}
    assert engine.check_configuration(change) == []
    assert engine.apply(change) == 2
    with pytest.raises(Conflict) as caught:
        engine.apply(change)
    assert caught.value.code == "config.conflict"
    with pytest.raises(Conflict):
        engine.check_configuration(change)


def test_what_is_named_wrongly_is_not_found(tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        for ask in (
            lambda: engine.latest(1, "absent"),
            lambda: engine.send_command(1, "absent", "open"),
            lambda: engine.acknowledge_alarm(1, RULE, "me"),
            lambda: engine.clear_alarm(1, "absent", "me"),
        ):
            with pytest.raises(NotFound, match=r"absent|id"):
                ask()
        assert engine.command(1, RULE) is None
        with pytest.raises(Invalid):
            engine.commands(1, status="lost")
        with pytest.raises(Invalid):
            engine.publish(1, "plant/#", b"")
        with pytest.raises(Invalid, match="quality"):
            engine.publish(1, "plant", b"", 7)
        with pytest.raises(Invalid, match="64 bits"):
            engine.send_command(1, "absent", "open", {"a": [2**80]})


def test_other_threads_run_while_the_engine_works(tmp_path: Path) -> None:
    ticks = 0
    done = threading.Event()

    def tick() -> None:
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    ticker = threading.Thread(target=tick)
    ticker.start()
    with Engine(tmp_path) as engine:
        bus = EventBus()
        subscription = bus.subscribe("#")
        before = ticks
        assert subscription.recv(timeout=0.2) is not None  # nothing comes: all of it is waited
        for _ in range(20):
            engine.publish(1, "plant/x", b"", 1)
        assert ticks > before + 10
    done.set()
    ticker.join()


def test_panic_becomes_a_runtime_error_and_the_engine_goes_on(
    tmp_path: Path, provoke_panic: Callable[[str], None]
) -> None:
    with Engine(tmp_path) as engine:
        with pytest.raises(RuntimeError, match="the engine panicked: on purpose"):
            provoke_panic("on purpose")
        assert engine.health()["status"] == "ok"


def test_process_ends_in_order_without_a_stop(tmp_path: Path) -> None:
    source = """
import sys
from fluxhybrid import Engine, EventBus
from tests.contract.native_fixture import document
engine = Engine(sys.argv[1], mqtt_port=0)
engine.start()
engine.apply(document(5))
engine.publish(1, "v1/devices/thermo-1/telemetry", '{"temperature": 1}', 1)
stream = engine.events()
subscription = EventBus().subscribe("#")
print("ended")
"""
    outcome = run_script(source, tmp_path)
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "ended\n", "")
    with Engine(tmp_path) as engine:
        assert engine.generation() == 5
        latest = engine.latest(1, "thermo-1")
        assert latest is not None
        assert latest["values"]["temperature"]["value"] == 1


def test_waiting_thread_does_not_hold_up_the_end(tmp_path: Path) -> None:
    source = """
import sys, threading
from fluxhybrid import Engine, EventBus
bus = EventBus()
subscription = bus.subscribe("#")
engine = Engine(sys.argv[1])
engine.start()
stream = engine.events()
for wait in (subscription.recv, stream.recv):
    threading.Thread(target=wait, daemon=True).start()
"""
    outcome = run_script(source, tmp_path)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_signal_interrupts_who_waits() -> None:
    source = """
import signal
from fluxhybrid import EventBus
signal.setitimer(signal.ITIMER_REAL, 0.05)
signal.signal(signal.SIGALRM, signal.default_int_handler)
try:
    EventBus().subscribe("#").recv()
except KeyboardInterrupt:
    print("interrupted")
"""
    # The bus is gone with the expression; the subscription has to end by the signal or by that.
    source = source.replace("    EventBus().subscribe", "    bus = EventBus(); bus.subscribe")
    assert run_script(source).stdout == "interrupted\n"


def test_objects_from_before_a_fork_are_refused_in_the_child(tmp_path: Path) -> None:
    source = """
import os, sys, warnings
warnings.simplefilter("ignore")
from fluxhybrid import Engine, EventBus, ScriptEngine
engine = Engine(sys.argv[1] + "/parent", mqtt_port=0)
engine.start()
bus, scripts, stream = EventBus(), ScriptEngine(), engine.events()
subscription = bus.subscribe("#")
child = os.fork()
if child == 0:
    calls = [engine.health, engine.stop, engine.start, stream.recv, stream.close,
             lambda: bus.publish("a", b""), bus.close, subscription.recv,
             lambda: scripts.compile_script("r", "true")]
    for call in calls:
        try:
            call()
        except RuntimeError as error:
            assert "fork" in str(error), error
        else:
            os._exit(7)
    # A new one works in the child, and what is left of the old ones does no harm.
    del bus, scripts, stream, subscription, engine
    with Engine(sys.argv[1] + "/child", mqtt_port=0) as own:
        assert own.health()["status"] == "ok"
    sys.exit(0)
_, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0, status
assert engine.health()["status"] == "ok"
assert bus.publish("a", b"x") == 1
print("both")
"""
    outcome = run_script(source, tmp_path)
    assert (outcome.stdout, outcome.stderr, outcome.returncode) == ("both\n", "", 0)


def _health_in_a_child(directory: str) -> str:
    with Engine(directory) as engine:
        return str(engine.health()["status"])


def test_engine_runs_in_a_spawned_process_beside_one_here(tmp_path: Path) -> None:
    with Engine(tmp_path / "here") as engine:
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            there = pool.apply_async(_health_in_a_child, (str(tmp_path / "there"),)).get(60)
        assert (engine.health()["status"], there) == ("ok", "ok")


@pytest.mark.usefixtures("provoke_panic")
def test_log_of_the_engine_is_written_as_configured(tmp_path: Path) -> None:
    source = """
import sys
from fluxhybrid import _native
from fluxhybrid import Engine
assert _native.init_logging("debug", sys.argv[2])
assert not _native.init_logging("info", "text"), "only the first call counts"
with Engine(sys.argv[1]) as engine:
    try:
        _native._panic("line one\\nline two")
    except RuntimeError:
        pass
"""
    lines = run_script(source, tmp_path, "json").stderr.splitlines()
    entries = [json.loads(line) for line in lines]
    panic = next(entry for entry in entries if "line one" in entry["message"])
    assert (panic["level"], panic["target"]) == ("error", "_native::logs")
    assert {"ts", "level", "target", "message"} <= panic.keys()
    text = run_script(source, tmp_path, "text").stderr.splitlines()
    assert [line for line in text if " ERROR _native::logs: " in line and "\\nline two" in line]


def test_wrong_log_settings_are_refused() -> None:
    with pytest.raises(Invalid, match="format"):
        _native.init_logging("info", "xml")
    with pytest.raises(Invalid, match="level"):
        _native.init_logging("a=b=c", "text")
