//! Cleaning telemetry: edit, add, remove, drop.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use flux_rules::{Environment, Input, Limits, RuleError, Transform, TransformOutcome};
use flux_types::{Coded, Value};
use serde_json::json;

type Values = Vec<(Arc<str>, Value)>;

/// A deadline no test reaches by accident on a busy machine.
fn patient() -> Limits {
    Limits { deadline: std::time::Duration::from_secs(20), ..Limits::default() }
}

fn values(list: &[(&str, Value)]) -> Values {
    list.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}

fn apply(source: &str, list: &[(&str, Value)]) -> TransformOutcome {
    let mut transform = Transform::compile(source, &patient(), &Environment::default()).unwrap();
    let values = values(list);
    let input = Input { device_id: Some("d"), topic: "t", values: &values, ..Input::default() };
    transform.apply(&input)
}

fn changed(source: &str, before: &[(&str, Value)], after: &[(&str, Value)]) {
    let expected = TransformOutcome::Values(values(after));
    assert_eq!(apply(source, before), expected, "{source}");
}

#[test]
fn values_are_changed_added_and_removed_in_place() {
    let before = [("raw", Value::I64(1)), ("c", Value::F64(100.0)), ("name", Value::from("x"))];
    changed(
        "msg.values.f = msg.values.c * 9 / 5 + 32; msg.values.remove(\"raw\"); msg.values.a = 1",
        &before,
        &[
            ("c", Value::F64(100.0)),
            ("name", Value::from("x")),
            ("a", Value::I64(1)),
            ("f", Value::F64(212.0)),
        ],
    );
    changed("msg.values.c = ()", &before, &[("raw", Value::I64(1)), ("name", Value::from("x"))]);
    changed("msg.values = #{ only: true }", &before, &[("only", Value::Bool(true))]);
    changed("", &before, &before);
    changed("let msg = 5; true", &before, &before);
    changed(
        "msg.values.c = round(c / 3)",
        &before,
        &[("raw", Value::I64(1)), ("c", Value::F64(33.0)), ("name", Value::from("x"))],
    );
}

#[test]
fn every_kind_survives_untouched() {
    let before = [
        ("bool", Value::Bool(true)),
        ("i64", Value::I64(i64::MIN)),
        ("f64", Value::F64(0.1)),
        ("text", Value::from("ä")),
        ("bytes", Value::Bytes(Bytes::from_static(&[0, 255]))),
        ("json", Value::Json(Arc::new(json!({"a": [1, null, {"b": 2.5}]})))),
        ("null", Value::Json(Arc::new(json!(null)))),
        ("time", Value::Time(1_700_000_000_123_456_789)),
        ("old", Value::Time(-1)),
        ("large", Value::from("x".repeat(70_000).as_str())),
    ];
    changed("msg.values.len()", &before, &before);
}

#[test]
fn a_time_that_is_changed_stays_a_time() {
    changed(
        "msg.values.at += 1000",
        &[("at", Value::Time(1_700_000_000_123_456_789))],
        &[("at", Value::Time(1_700_000_001_123_000_000))],
    );
}

#[test]
fn new_values_take_the_kind_the_script_gives() {
    changed(
        "msg.values.a = #{ x: [1] }; msg.values.b = 'c'; msg.values.d = blob(2, 7)",
        &[],
        &[
            ("a", Value::Json(Arc::new(json!({"x": [1]})))),
            ("b", Value::from("c")),
            ("d", Value::Bytes(Bytes::from_static(&[7, 7]))),
        ],
    );
}

#[test]
fn saying_false_drops_the_message() {
    let before = [("t", Value::F64(-999.0))];
    assert_eq!(apply("if t < -273.15 { return false; }", &before), TransformOutcome::Dropped);
    changed("if t > 0 { return false; }", &before, &before);
    changed("true", &before, &before);
    changed("0", &before, &before);
}

#[test]
fn a_failing_transform_leaves_the_values() {
    let failed = |source: &str| match apply(source, &[("t", Value::F64(1.0))]) {
        TransformOutcome::Unchanged(Some(error)) => error,
        other => panic!("{source}: {other:?}"),
    };
    assert_eq!(failed("msg.values.t = 2; throw \"no\"").code(), "rule.throw");
    assert_eq!(failed("loop {}").code(), "rule.limit");
    assert_eq!(failed("msg.values = 3").code(), "rule.type");
    assert_eq!(failed("msg = ()").code(), "rule.type");
    assert_eq!(failed("msg.values.f = |x| x").code(), "rule.type");
    let error = failed("msg.values.bad = 0.0 / 0.0");
    assert_eq!(error.to_string(), "value `bad`: the number is not finite");
    assert!(matches!(failed("msg.values[\"\"] = 1"), RuleError::Type { .. }));
    let error = failed("for n in 0..1001 { msg.values[`n${n}`] = n; }");
    assert_eq!(error.to_string(), "more than 1000 values are left");
}

#[test]
fn a_missing_value_leaves_the_values_without_an_error() {
    let outcome = apply("msg.values.f = celsius * 2", &[("t", Value::F64(1.0))]);
    assert_eq!(outcome, TransformOutcome::Unchanged(None));
}

#[test]
fn one_message_leaves_nothing_for_the_next() {
    let source = "if \"extra\" in msg.values { return false; } msg.values.extra = t; print(t)";
    let mut transform = Transform::compile(source, &patient(), &Environment::default()).unwrap();
    for t in 0..3 {
        let before = values(&[("t", Value::I64(t))]);
        let input = Input { topic: "t", values: &before, ..Input::default() };
        let expected = values(&[("t", Value::I64(t)), ("extra", Value::I64(t))]);
        assert_eq!(transform.apply(&input), TransformOutcome::Values(expected));
        assert_eq!(transform.logs()[0].text, t.to_string());
    }
}

#[test]
fn transforms_of_one_thread_share_an_engine() {
    let all = Transform::compile_all(
        ["msg.values.a = 1", "tru e", "false"],
        &patient(),
        &Environment::default(),
    );
    assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}
