"""What every test may ask for: a clean environment, the command line, free ports, programs.

Owns nothing a single room needs: such fixtures stand beside that room's tests.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import pytest

ROOT = Path(__file__).resolve().parent.parent
_SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may have settings of their own."""
    for name in list(os.environ):
        if name.startswith("FLUXHYBRID_") or name == "RUST_LOG":
            monkeypatch.delenv(name)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a loopback port that was free a moment ago; prefer port 0 where it can be had."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find


@pytest.fixture(scope="session")
def required_program() -> Callable[[str], str]:
    """Gives the path of a program; the test fails, and says how to mend it, without it."""

    def find(name: str) -> str:
        path = shutil.which(name, path=_SYSTEM_PATH)
        if path is None:
            pytest.fail(f"{name} is not installed: run scripts/install-test-packages.sh")
        return path

    return find


class RunCli(Protocol):
    """Run ``fluxhybrid`` with arguments as a process of its own."""

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] = ...,
        stdin: str = ...,
        timeout_s: float = ...,
    ) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def run_cli(tmp_path: Path) -> RunCli:
    """Runs ``python -m fluxhybrid`` in an empty directory and gives code, output and errors."""

    def run(
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        timeout_s: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fluxhybrid", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT / "python"), **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=timeout_s,
        )

    return run
