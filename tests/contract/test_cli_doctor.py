"""``fluxhybrid doctor``: each thing it looks at, found well and found ill."""

from __future__ import annotations

import fcntl
import os
import resource
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fluxhybrid.cli import checks
from tests.conftest import RunCli


def test_report_has_a_line_for_everything(
    run_cli: RunCli, free_port: Callable[[], int], tmp_path: Path
) -> None:
    env = {
        "FLUXHYBRID_METRICS__PORT": "0",
        "FLUXHYBRID_DEVICES__PORT": "0",
        "FLUXHYBRID_MQTT__CONNECTIONS_MAX": "10",
    }
    outcome = run_cli(
        "doctor", "--port", str(free_port()), "--mqtt-port", str(free_port()),
        "--data-dir", str(tmp_path / "data"), env=env,
    )  # fmt: skip
    assert outcome.returncode == 0, outcome.stdout
    subjects = [line[6:].partition(":")[0] for line in outcome.stdout.splitlines()]
    for subject in ("python", "event loop", "engine", "configuration", "data_dir", "disk",
                    "durable write", "file descriptors", "clock"):  # fmt: skip
        assert subject in subjects
    assert not (tmp_path / "data").exists()
    assert list(tmp_path.iterdir()) == []


def test_wrong_configuration_fails_with_its_place(run_cli: RunCli) -> None:
    outcome = run_cli("doctor", env={"FLUXHYBRID_MQTT__PORT": "x"})
    assert outcome.returncode == 6
    assert "fail  configuration: FLUXHYBRID_MQTT__PORT: mqtt.port must be" in outcome.stdout


def test_port_in_use_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        finding = checks.listener("mqtt", "127.0.0.1", taken.getsockname()[1])
    assert (finding.state, finding.text) == ("fail", "another process listens there")
    assert "mqtt.port" in (finding.mend or "")


def test_address_of_another_machine_fails() -> None:
    finding = checks.listener("server", "192.0.2.1", 0)  # RFC 5737: nobody's
    assert finding.state == "fail"
    assert "no such address" in finding.text


def test_loopback_is_explained() -> None:
    assert "--host 0.0.0.0" in checks.listener("mqtt", "127.0.0.1", 0).text
    assert "metrics.host" in checks.listener("metrics", "localhost", 0).text
    assert "open to the network" in checks.listener("server", "0.0.0.0", 0).text


def test_data_dir_that_is_a_file_fails(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    assert [f.state for f in checks.data_dir(file)] == ["fail"]


def test_disk_that_takes_no_writes_fails() -> None:
    finding = checks.fsync_latency(Path("/proc"))
    assert finding.state == "fail"


def test_probe_of_the_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    finding = checks.fsync_latency(tmp_path)
    assert "median" in finding.text
    assert list(tmp_path.iterdir()) == []


def test_holder_of_the_lock_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    lock = folder / "lock"
    program = (
        "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); "
        "print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert checks.lock_holder(tmp_path) == f"process {holder.pid}"
        first = next(iter(checks.data_dir(tmp_path)))
        holder.communicate()
    assert (first.state, str(holder.pid) in first.text) == ("warn", True)
    assert checks.lock_holder(tmp_path) is None


def test_pid_written_into_the_lock_goes_before_the_kernels(tmp_path: Path) -> None:
    # In another pid namespace the kernel's list knows a different number, or none.
    lock = tmp_path / "LOCK"
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write("4711\n")
        file.flush()
        assert checks.lock_holder(tmp_path) == "process 4711"


def test_too_few_file_descriptors_are_warned_about() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    finding = checks.file_descriptors(soft)
    assert finding.state == "warn"
    assert f"ulimit -n {soft + 256}" in (finding.mend or "")
    assert checks.file_descriptors(1).state == "ok"


def test_clock_before_the_release_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 0.0)
    assert checks.clock().state == "fail"


def test_disk_nearly_full_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = type(shutil.disk_usage(tmp_path))
    states = []
    for free in (2**20, 2**30, 2**40):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, f=free: usage(2**41, 0, f))
        states.append(checks.free_space(tmp_path).state)
    assert states == ["fail", "warn", "ok"]


@pytest.mark.parametrize("script", ["scripts", ".githooks", ".ci"])
def test_scripts_can_be_run(project_root: Path, script: str) -> None:
    for file in (project_root / script).iterdir():
        if file.is_file() and file.suffix in (".sh", ""):
            assert file.stat().st_mode & stat.S_IXUSR, file
            assert os.access(file, os.X_OK), file
