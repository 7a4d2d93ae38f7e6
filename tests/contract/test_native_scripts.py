"""Rules from Python: what goes in, what comes out, what is told about mistakes."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from fluxhybrid import Invalid, NotFound, ScriptEngine
from fluxhybrid.config import RulesConfig
from fluxhybrid.engine.facade import RuleTester


def evaluate(source: str, message: dict[str, Any] | None = None, **env: Any) -> Any:
    engine = ScriptEngine(env)
    engine.compile_script("r", source)
    return engine.eval_message("r", message or {})


def test_rule_sees_the_message() -> None:
    message = {
        "device_id": "thermo-1",
        "product": "thermometer",
        "topic": "plant/7",
        "ts": 1_700_000_000_123,
        "values": {"temperature": 31.5},
        "payload": "raw",
    }
    source = """
        msg.device_id == "thermo-1" && msg.product == "thermometer" && msg.topic == "plant/7"
            && msg.ts == 1700000000123 && msg.payload == "raw"
            && msg.values.temperature == 31.5 && temperature > 30
    """
    evaluation = evaluate(source, message)
    assert (evaluation.triggered, evaluation.error) == (True, None)


@pytest.mark.parametrize(
    ("value", "is_so"),
    [
        (3, 'v == 3 && type_of(v) == "i64"'),
        (3.0, 'v == 3.0 && type_of(v) == "f64"'),
        (True, "v == true"),
        ("on", 'v == "on"'),
        (b"\x00\x07", "v.len == 2 && v[1] == 7"),
        ([1, [2.5, "x"]], 'v[1][1] == "x"'),
        ((1, 2), "v[1] == 2"),
        ({"a": {"b": None}}, "v.a.b == ()"),
        (-(2**63), "v < 0"),
    ],
)
def test_values_keep_their_kind(value: Any, is_so: str) -> None:
    evaluation = evaluate(f"let v = msg.values.v; {is_so}", {"values": {"v": value}})
    assert (evaluation.triggered, evaluation.error) == (True, None)


def test_effects_come_out_as_data() -> None:
    source = """
        send_command("valve-1", "close", #{ speed: 2, why: "heat" });
        publish("plant/hot", "hot");
        publish("plant/raw", blob(2, 0xff));
        raise_alarm("overheat", "critical", "too hot");
        clear_alarm("cold");
        webhook("http://127.0.0.1:9/hook", #{ a: [1, 2.5, ()] });
        print("said");
        log_warn("careful");
    """
    evaluation = evaluate(source)
    assert evaluation.effects == [
        {
            "type": "command",
            "device": "valve-1",
            "command": "close",
            "params": {"speed": 2, "why": "heat"},
        },
        {"type": "publish", "topic": "plant/hot", "payload": "hot", "qos": 0, "retain": False},
        {
            "type": "publish",
            "topic": "plant/raw",
            "payload": b"\xff\xff",
            "qos": 0,
            "retain": False,
        },
        {"type": "raise_alarm", "alarm": "overheat", "severity": "critical", "text": "too hot"},
        {"type": "clear_alarm", "alarm": "cold"},
        {"type": "webhook", "url": "http://127.0.0.1:9/hook", "payload": {"a": [1, 2.5, None]}},
    ]
    assert evaluation.logs == [
        {"level": "info", "text": "said"},
        {"level": "warn", "text": "careful"},
    ]
    assert not evaluation.triggered


def test_site_constants_are_in_env() -> None:
    source = 'env.site == "plant-7" && env.user.limit == 30 && env.timezone == "Europe/Berlin"'
    env = {"site": "plant-7", "timezone": "Europe/Berlin", "user": {"limit": 30}}
    assert evaluate(source, None, **env).triggered


def test_mistake_in_a_rule_is_told_with_its_place() -> None:
    engine = ScriptEngine()
    engine.compile_script("r", "true")
    with pytest.raises(Invalid) as caught:
        engine.compile_script("r", "let x = 1;\nlet y = = 2;\n")
    assert (caught.value.code, caught.value.line, caught.value.column) == ("rule.compile", 2, 9)
    assert caught.value.problems[0].line == 2
    assert engine.eval_message("r", {}).triggered, "the rule kept before stays"


def test_failing_rule_tells_why_and_does_nothing() -> None:
    evaluation = evaluate('send_command("a", "b", #{}); throw "stop here"')
    assert (evaluation.triggered, evaluation.effects) == (False, [])
    assert evaluation.error["code"] == "rule.throw"
    assert "stop here" in evaluation.error["message"]


def test_missing_value_is_no_error() -> None:
    evaluation = evaluate("temperature * 2 > 30", {"values": {"pressure": 1}})
    assert (evaluation.triggered, evaluation.error, evaluation.missing_value) == (
        False, None, True,
    )  # fmt: skip


def test_runaway_rule_is_stopped_at_the_limit_it_is_given() -> None:
    engine = ScriptEngine(limits={"operations_max": 1_000, "call_deadline_us": 10_000_000})
    engine.compile_script("r", "loop { }")
    error = engine.eval_message("r", {}).error
    assert error is not None
    assert error["code"] == "rule.limit"
    assert "operations_max" in error["message"]


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"temperature": 3}, "no member 'temperature'|no member \"temperature\""),
        ({"values": [1]}, "values is no dict"),
        ({"values": {"a": {"b": {1: 2}}}}, "/values/a/b: has a name that is no text"),
        ({"values": {"a": object()}}, "/values/a: a object has no place"),
        ({"values": {"a": 2**70}}, "/values/a: is a whole number of more than 64 bits"),
        ({"device_id": 7}, "device_id is not text"),
        ({"ts": "now"}, "ts is not a whole number"),
        ({"ts": 2**62}, "too far"),
    ],
)
def test_message_that_is_none_is_refused_with_the_place(message: Any, says: str) -> None:
    engine = ScriptEngine()
    engine.compile_script("r", "true")
    with pytest.raises(Invalid, match=says):
        engine.eval_message("r", message)


def test_message_nested_beyond_measure_is_refused() -> None:
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    engine = ScriptEngine()
    engine.compile_script("r", "true")
    with pytest.raises(Invalid, match="nested"):
        engine.eval_message("r", {"values": {"a": nested}})


def test_unknown_rule_is_not_found() -> None:
    engine = ScriptEngine()
    with pytest.raises(NotFound):
        engine.eval_message("absent", {})
    engine.compile_script("b", "true")
    engine.compile_script("a", "true")
    assert engine.rule_ids() == ["a", "b"]
    assert (engine.remove_script("a"), engine.remove_script("a")) == (True, False)


def test_unknown_limit_or_constant_is_refused() -> None:
    with pytest.raises(Invalid, match="operations"):
        ScriptEngine(limits={"operations": 3})
    with pytest.raises(Invalid, match="site"):
        ScriptEngine({"site": 7})


def test_threads_evaluate_side_by_side() -> None:
    engine = ScriptEngine()
    wrong: list[str] = []

    def work(name: str) -> None:
        engine.compile_script(name, f'v == {name} && msg.topic == "{name}"')
        for _ in range(200):
            evaluation = engine.eval_message(name, {"topic": name, "values": {"v": int(name)}})
            if not evaluation.triggered:
                wrong.append(repr(evaluation.error))

    threads = [threading.Thread(target=work, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_rule_tester_tries_a_rule_with_the_limits_configured() -> None:
    tester = RuleTester(RulesConfig(operations_max=1_000))
    message = {"device_id": "d", "topic": "t", "ts": 0, "values": {"t": 31}}
    outcome = tester.test('publish("raw", blob(1, 0xff)); t > 30', message, {"site": "s"})
    assert outcome["triggered"]
    assert outcome["effects"][0]["payload_base64"] == "/w=="
    assert outcome["error"] is None
    stopped = tester.test("let i = 0; while i < 100000 { i += 1; }", message, {})
    assert stopped["error"]["code"] == "rule.limit"
    with pytest.raises(Invalid) as caught:
        tester.test("(", message, {})
    assert caught.value.line == 1
