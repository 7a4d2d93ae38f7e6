"""Rules from Python: what one evaluation costs, message in and answer out."""

from __future__ import annotations

from typing import Any, Final

import pytest

from fluxhybrid import ScriptEngine

MESSAGE: Final[dict[str, Any]] = {
    "device_id": "thermo-0042",
    "topic": "v1/devices/thermo-0042/telemetry",
    "ts": 1_700_000_000_000,
    "values": {"n": 42, "seq": 1_234_567, "temperature": 41.37, "ok": 1},
}

RULES: Final = {
    "threshold": ("msg.values.temperature > 30", True),
    "bare_name": ("temperature > 30", True),
    "command": (
        'if temperature > 30 { send_command("valve-1", "close", #{ percent: 100 }) }',
        False,
    ),
}


@pytest.mark.parametrize("name", RULES)
def test_eval_message(benchmark: Any, name: str) -> None:
    script, triggered = RULES[name]
    engine = ScriptEngine()
    engine.compile_script(name, script)
    evaluation = benchmark(engine.eval_message, name, MESSAGE)
    assert evaluation.error is None
    assert evaluation.triggered is triggered
    assert len(evaluation.effects) == (name == "command")


def test_compile_script(benchmark: Any) -> None:
    engine = ScriptEngine()
    benchmark(engine.compile_script, "rule", RULES["threshold"][0])
