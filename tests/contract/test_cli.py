"""The command line: what it loads, what it prints, with which code it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fluxhybrid.errors import EXIT_CODES, ErrorKind
from tests.conftest import RunCli

COMMANDS = ["serve", "config", "rule", "doctor", "version"]
HEAVY = [
    "asyncio", "pydantic", "fastapi", "starlette", "sqlalchemy", "alembic", "uvicorn", "uvloop",
    "httpx", "orjson", "prometheus_client", "fluxhybrid._native", "fluxhybrid.config",
    "fluxhybrid.app", "fluxhybrid.api", "fluxhybrid.storage",
]  # fmt: skip


def loaded_by(code: str, root: Path) -> list[str]:
    """The heavy modules that a piece of code leaves loaded."""
    program = (
        f"import sys\n{code}\n"
        f"print('heavy:', *[name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(root / "python"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stderr.rpartition("heavy:")[2].split()


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(arguments: list[str], project_root: Path) -> None:
    code = (
        "from fluxhybrid.cli import main\n"
        f"try: main({arguments!r})\nexcept SystemExit as stop: assert stop.code == 0"
    )
    assert loaded_by(code, project_root) == []


def test_importing_the_library_loads_nothing_heavy(project_root: Path) -> None:
    assert loaded_by("import fluxhybrid; fluxhybrid.FluxError", project_root) == []


def test_reading_the_configuration_needs_neither_web_nor_database(project_root: Path) -> None:
    code = "from fluxhybrid.config import load; load(environ={})"
    assert set(loaded_by(code, project_root)) == {"pydantic", "fluxhybrid.config"}


def test_help_names_every_command(run_cli: RunCli) -> None:
    outcome = run_cli("--help")
    assert outcome.returncode == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.stdout


@pytest.mark.parametrize(
    "arguments", [["serv"], ["--nope"], ["serve", "--port", "x"], ["serve", "--headless", "--demo"]]
)
def test_wrong_usage_leaves_with_two(run_cli: RunCli, arguments: list[str]) -> None:
    outcome = run_cli(*arguments)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("Usage: fluxhybrid")
    assert outcome.stdout == ""


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    assert set(EXIT_CODES) == set(ErrorKind)
    assert len(set(EXIT_CODES.values())) == len(ErrorKind)
    assert 0 not in EXIT_CODES.values()


def test_mistake_in_the_file_is_printed_with_place_excerpt_and_help(
    run_cli: RunCli, tmp_path: Path
) -> None:
    (tmp_path / "fluxhybrid.toml").write_text("[mqtt]\nworker = 2\n", encoding="utf-8")
    for arguments in (["config", "check"], ["config", "show"], ["serve"]):
        outcome = run_cli(*arguments)
        assert outcome.returncode == EXIT_CODES[ErrorKind.INVALID]
        assert outcome.stdout == ""
        assert outcome.stderr == (
            'error[config.unknown_key]: "mqtt.worker" is not a setting\n'
            "  --> fluxhybrid.toml:2:1\n"
            "  2 | worker = 2\n"
            "    | ^\n"
            '  help: did you mean "mqtt.workers"?\n'
        )


def test_number_of_mistakes_is_printed_when_there_are_several(
    run_cli: RunCli, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("a = 1\nb = 2\n", encoding="utf-8")
    outcome = run_cli("config", "check", "bad.toml")
    assert outcome.stderr.count("error[config.unknown_key]") == 2
    assert outcome.stderr.endswith("2 problems\n")


def test_missing_file_leaves_with_the_code_of_not_found(run_cli: RunCli) -> None:
    outcome = run_cli("config", "check", "absent.toml")
    assert outcome.returncode == EXIT_CODES[ErrorKind.NOT_FOUND]
    assert "error[config.not_found]" in outcome.stderr
    assert "--> absent.toml" in outcome.stderr


def test_warning_stops_nothing(run_cli: RunCli) -> None:
    outcome = run_cli("config", "check", env={"FLUXHYBRID_MQTT_PORT": "1"})
    assert outcome.returncode == 0
    assert outcome.stdout.startswith("ok: ")
    assert "warning[config.variable_ignored]" in outcome.stderr


def test_shown_configuration_tells_where_each_value_comes_from(
    run_cli: RunCli, tmp_path: Path
) -> None:
    (tmp_path / "fluxhybrid.toml").write_text("[mqtt]\nworkers = 3\n", encoding="utf-8")
    outcome = run_cli(
        "config", "show", "--origin", "--mqtt-port", "1885", "--host", "::1",
        env={"FLUXHYBRID_DATABASE__URL": "postgres://flux:hush@h/db"},
    )  # fmt: skip
    lines = outcome.stdout.splitlines()
    assert "workers = 3  # fluxhybrid.toml:2" in lines
    assert "port = 1885  # flag --mqtt-port" in lines
    assert lines.count('host = "::1"  # flag --host') == 3
    assert 'url = "postgres://flux:***@h/db"  # env FLUXHYBRID_DATABASE__URL' in lines
    assert 'level = "info"  # default' in lines
    assert "hush" not in outcome.stdout + outcome.stderr


def test_shown_configuration_can_be_json(run_cli: RunCli) -> None:
    plain = json.loads(run_cli("config", "show", "--format", "json").stdout)
    assert plain["mqtt"]["port"] == 1883
    assert plain["rules"]["call_deadline"] == "5ms"
    told = json.loads(run_cli("config", "show", "--format", "json", "--origin").stdout)
    assert told["mqtt"]["port"] == {"value": 1883, "origin": "default"}


def test_reader_that_leaves_early_is_no_error(project_root: Path, tmp_path: Path) -> None:
    outcome = subprocess.run(
        [
            "bash",
            "-c",
            'set -o pipefail; "$0" -m fluxhybrid config reference | head -c 1',
            sys.executable,
        ],
        cwd=tmp_path,
        env={"PYTHONPATH": str(project_root / "python"), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert outcome.stderr == ""
    assert outcome.stdout == "<"
