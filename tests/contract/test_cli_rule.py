"""``fluxhybrid rule``: mistakes in rules are told with their place; outcomes are printed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fluxhybrid.errors import EXIT_CODES, ErrorKind
from tests.conftest import RunCli

HOT = '{"device_id": "d1", "topic": "t", "ts": 0, "values": {"temperature": 31.5}}'
COLD = '{"device_id": "d1", "topic": "t", "ts": 0, "values": {"temperature": 12.0}}'


@pytest.fixture
def rule(tmp_path: Path) -> Path:
    file = tmp_path / "hot.rhai"
    file.write_text(
        'print("looked"); if temperature > 30 { send_command("fan", "start", #{ speed: 2 }); }\n'
        "temperature > 30\n",
        encoding="utf-8",
    )
    return file


def test_rule_that_compiles_is_ok(run_cli: RunCli, rule: Path) -> None:
    outcome = run_cli("rule", "check", "hot.rhai")
    assert (outcome.returncode, outcome.stdout) == (0, "ok: hot.rhai\n")


def test_rule_that_does_not_compile_is_told_with_its_place(
    run_cli: RunCli, rule: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.rhai").write_text("let x = 1;\nlet y = = 2;\n", encoding="utf-8")
    outcome = run_cli("rule", "check", "bad.rhai", "hot.rhai")
    assert outcome.returncode == EXIT_CODES[ErrorKind.INVALID]
    assert outcome.stdout == "ok: hot.rhai\n"
    assert outcome.stderr.startswith("error[rule.")
    assert "  --> bad.rhai:2:9\n  2 | let y = = 2;\n" in outcome.stderr


def test_missing_rule_is_not_found(run_cli: RunCli) -> None:
    outcome = run_cli("rule", "check", "absent.rhai")
    assert outcome.returncode == EXIT_CODES[ErrorKind.NOT_FOUND]
    assert "--> absent.rhai" in outcome.stderr


def test_outcome_of_a_rule_is_printed(run_cli: RunCli, rule: Path) -> None:
    outcome = run_cli("rule", "test", "hot.rhai", "--message", "-", stdin=HOT)
    assert outcome.returncode == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert "triggered" in lines
    assert [line for line in lines if line.startswith("effect: ") and '"fan"' in line]
    assert [line for line in lines if line.startswith("log: ") and "looked" in line]


def test_rule_that_says_false_is_not_triggered(run_cli: RunCli, rule: Path, tmp_path: Path) -> None:
    (tmp_path / "cold.json").write_text(COLD, encoding="utf-8")
    outcome = run_cli("rule", "test", "hot.rhai", "--message", "cold.json", "--json")
    report = json.loads(outcome.stdout)
    assert (report["triggered"], report["effects"]) == (False, [])


@pytest.mark.parametrize(
    ("message", "says"),
    [("{", "is not JSON"), ("[]", "no JSON object"), ("[" * 100_000, "nested too deeply")],
)
def test_message_that_cannot_be_read_is_told(
    run_cli: RunCli, rule: Path, message: str, says: str
) -> None:
    outcome = run_cli("rule", "test", "hot.rhai", "--message", "-", stdin=message)
    assert outcome.returncode == EXIT_CODES[ErrorKind.INVALID]
    assert says in outcome.stderr
