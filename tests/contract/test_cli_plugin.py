"""``fluxhybrid plugin``: from an empty directory to a module, with real compilers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from fluxhybrid.errors import EXIT_CODES, ErrorKind
from tests.conftest import ROOT, RunCli

LANGUAGES = ["rust", "c"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", LANGUAGES)
def test_new_project_is_built_outside_of_the_checkout(
    run_cli: RunCli, tmp_path: Path, language: str
) -> None:
    made = run_cli("plugin", "new", "room", "--lang", language)
    assert made.returncode == 0, made.stderr
    built = run_cli("plugin", "build", "room", timeout_s=580)
    assert built.returncode == 0, built.stderr
    dist = tmp_path / "room" / "dist"
    assert (dist / "room.wasm").read_bytes().startswith(b"\0asm\x01\0\0\0")
    assert len(json.loads((dist / "room.vectors.json").read_bytes())) == 5
    manifest = tomllib.loads((dist / "room.toml").read_text("utf-8"))
    assert (manifest["id"], manifest["title"], manifest["version"]) == ("room", "Room", "0.1.0")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rust_project_tests_its_decoder_without_a_sandbox(run_cli: RunCli, tmp_path: Path) -> None:
    assert run_cli("plugin", "new", "room").returncode == 0
    tested = subprocess.run(
        ["cargo", "test", "--offline", "--target-dir", str(tmp_path / "target"), "vectors_hold"],
        cwd=tmp_path / "room",
        capture_output=True,
        text=True,
    )
    assert tested.returncode == 0, tested.stderr
    assert "1 passed" in tested.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("language", "file", "old", "new"),
    [
        ("rust", "src/lib.rs", "f64::from(humidity)", "f64::form(humidity)"),
        ("c", "src/plugin.c", "frame.ptr[3] / 2.0", "frame.ptr[3] / 2.0 +"),
    ],
)
def test_source_that_does_not_compile_leaves_no_module(
    run_cli: RunCli, tmp_path: Path, language: str, file: str, old: str, new: str
) -> None:
    run_cli("plugin", "new", "room", "--lang", language)
    source = tmp_path / "room" / file
    source.write_text(source.read_text("utf-8").replace(old, new), "utf-8")
    built = run_cli("plugin", "build", "room", timeout_s=580)
    assert built.returncode == EXIT_CODES[ErrorKind.INVALID]
    assert "error[plugin.build]" in built.stderr
    assert Path(file).name in built.stderr
    assert not (tmp_path / "room" / "dist").exists()


def test_existing_directory_is_not_touched(run_cli: RunCli, tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    made = run_cli("plugin", "new", "room")
    assert made.returncode == EXIT_CODES[ErrorKind.CONFLICT]
    assert list((tmp_path / "room").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("My-Meter", '"my_meter"'),
        ("3phase", "a letter first"),
        ("loop", "no word"),
        ("../x", '"x"'),
    ],
)
def test_name_that_cannot_be_is_refused_with_a_better_one(
    run_cli: RunCli, tmp_path: Path, name: str, hint: str
) -> None:
    made = run_cli("plugin", "new", name)
    assert made.returncode == EXIT_CODES[ErrorKind.INVALID]
    assert hint in made.stderr
    assert list(tmp_path.iterdir()) == []


def test_directory_without_a_plugin_is_told(run_cli: RunCli) -> None:
    built = run_cli("plugin", "build")
    assert built.returncode == EXIT_CODES[ErrorKind.NOT_FOUND]
    assert "there is no plugin.toml" in built.stderr


def test_machine_without_compilers_is_told_what_to_install(
    run_cli: RunCli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cli("plugin", "new", "room", "--lang", "c")
    monkeypatch.setenv("PATH", str(tmp_path))
    built = run_cli("plugin", "build", "room")
    assert built.returncode == EXIT_CODES[ErrorKind.UNAVAILABLE]
    assert "apt-get install" in built.stderr


def test_server_that_is_not_there_is_told(run_cli: RunCli, free_port: object) -> None:
    assert callable(free_port)
    listed = run_cli("plugin", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert listed.returncode == EXIT_CODES[ErrorKind.UNAVAILABLE]
    assert "is it running?" in listed.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from fluxhybrid.cli.plugin import command; "
        "print([m for m in ('httpx', 'pydantic', 'fluxhybrid._native') if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    printed = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment)
    assert printed.strip() == "[]"
