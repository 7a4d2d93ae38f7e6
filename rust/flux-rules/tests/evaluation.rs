//! What a script sees, what it may ask for, and that nothing leaks.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use bytes::Bytes;
use flux_rules::{Effect, Environment, Evaluation, Input, Limits, LogLevel, ScriptEngine};
use flux_types::{Coded, Qos, Severity, Value};
use serde_json::json;

type Values = Vec<(Arc<str>, Value)>;

fn values(list: &[(&str, Value)]) -> Values {
    list.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}

fn env() -> Environment {
    serde_json::from_value(json!({
        "site": "plant-7", "tenant": "acme", "timezone": "Europe/Berlin",
        "user": {"limit": 30, "shift": {"begin": 6}},
    }))
    .unwrap()
}

/// An engine whose deadline no test reaches by accident on a busy machine.
fn engine() -> ScriptEngine {
    let deadline = std::time::Duration::from_secs(20);
    ScriptEngine::new(&Limits { deadline, ..Limits::default() }, env())
}

fn eval_over(source: &str, values: &Values) -> Evaluation {
    let engine = engine();
    engine.compile("r", source).unwrap_or_else(|error| panic!("{source}: {error}"));
    let input = Input {
        device_id: Some("thermo-1"),
        product: Some("thermometer"),
        topic: "plant/3/thermo-1/telemetry",
        ts_ns: 1_700_000_000_123_456_789,
        values,
        payload: Some(br#"{"t":35.5}"#),
    };
    engine.eval("r", &input).unwrap()
}

fn eval(source: &str) -> Evaluation {
    eval_over(
        source,
        &values(&[
            ("temperature", Value::F64(35.5)),
            ("count", Value::I64(7)),
            ("on", Value::Bool(true)),
            ("state", Value::from("running")),
            ("raw", Value::Bytes(Bytes::from_static(&[1, 2, 255]))),
            ("seen", Value::Time(1_700_000_000_123_999_999)),
            ("phases", Value::Json(Arc::new(json!([{"u": 230.5}, {"u": 229, "ok": null}])))),
        ]),
    )
}

#[track_caller]
fn is_true(source: &str) {
    let evaluation = eval(source);
    assert_eq!(evaluation.error, None, "{source}");
    assert!(evaluation.triggered, "{source}");
}

#[track_caller]
fn is_quiet(source: &str) {
    let evaluation = eval(source);
    assert_eq!(evaluation.error, None, "{source}");
    assert!(!evaluation.acts(), "{source}");
}

#[test]
fn values_keep_their_kinds() {
    is_true("msg.values.temperature > 30 && type_of(msg.values.temperature) == \"f64\"");
    is_true("count == 7 && type_of(count) == \"i64\" && count > 6.5");
    is_true("on && type_of(on) == \"bool\"");
    is_true("state == \"running\" && type_of(state) == \"string\"");
    is_true("raw[2] == 255 && type_of(raw) == \"blob\"");
    is_true("seen == 1700000000123");
    is_true("phases[0].u > 230 && phases[1].u == 229 && phases[1].ok == ()");
}

#[test]
fn the_message_and_the_site_are_in_scope() {
    is_true("msg.device_id == \"thermo-1\" && msg.product == \"thermometer\"");
    is_true("msg.topic == \"plant/3/thermo-1/telemetry\"");
    is_true("msg.ts == 1700000000123 && type_of(msg.ts) == \"i64\"");
    is_true("parse_json(msg.payload).t == 35.5");
    is_true("env.name == \"plant-7\" && env.site == env.name && env.tenant == \"acme\"");
    is_true("env.timezone == \"Europe/Berlin\" && env.user.shift.begin == 6");
    is_true("temperature > env.user.limit");
}

#[test]
fn the_values_are_an_ordinary_map() {
    is_true("msg.values.contains(\"count\") && !msg.values.contains(\"nothing\")");
    is_true("\"count\" in msg.values && !(\"nothing\" in msg.values)");
    is_true("msg.values.len() == 7 && msg.values.keys().len() == 7");
    is_true("let n = 0; for v in msg.values.values() { n += 1; } n == 7");
    is_true("let n = 0; for k in msg.values.keys() { if msg.values[k] == 7 { n += 1; } } n == 1");
    is_true("msg[\"values\"][\"count\"] == 7");
    is_true("let m = msg; m.values.count += 1; m.values.count == 8 && msg.values.count == 7");
}

#[test]
fn a_message_without_device_has_units_and_its_payload() {
    let engine = engine();
    let source = "msg.device_id == () && msg.product == () && msg.values.len() == 0
                  && msg.payload == \"open\"";
    engine.compile("r", source).unwrap();
    let input = Input { topic: "a", payload: Some(b"open"), ..Input::default() };
    assert!(engine.eval("r", &input).unwrap().triggered);
    engine.compile("r", "type_of(msg.payload) == \"blob\" && msg.payload[0] == 255").unwrap();
    let input = Input { topic: "a", payload: Some(&[255, 0]), ..Input::default() };
    assert!(engine.eval("r", &input).unwrap().triggered);
}

#[test]
fn only_true_triggers() {
    for quiet in ["false", "()", "1", "\"true\"", "", "let x = true;", "[true]", "0.0", "|| true"] {
        is_quiet(quiet);
    }
    is_true("true");
    is_true("return true; false");
    is_true("if temperature > 30 { exit(true) } false");
}

#[test]
fn a_missing_value_is_no_error() {
    for quiet in [
        "pressure > 3",
        "msg.values.pressure > 3",
        "3 < pressure",
        "pressure * 2 > 3",
        "msg.values.pressure - 1 > 3",
        "if pressure { true }",
        "pressure.max > 3",
        "pressure.round() > 3",
        "fn hot() { pressure * 2 > 3 } hot()",
        "[1, 2].filter(|x| x > pressure + 1).len() > 0",
        "for x in pressure { log_info(x); }",
    ] {
        is_quiet(quiet);
    }
    let evaluation = eval("raise_alarm(\"a\"); pressure * 2 > 3");
    assert!(evaluation.missing_value && evaluation.effects.is_empty());
    is_true("pressure == ()");
    is_true("(pressure ?? 9) > 3");
}

#[test]
fn an_operation_on_unit_without_a_missing_value_is_an_error() {
    let evaluation = eval("let x = (); temperature > 3 && x + 1 > 2");
    assert_eq!(evaluation.error.unwrap().code(), "rule.type");
    assert!(!evaluation.missing_value);
}

#[test]
fn bare_names_give_way_to_the_scripts_own() {
    is_true("let temperature = 1; temperature == 1 && msg.values.temperature == 35.5");
    is_true("temperature > 30 && { let temperature = 2; temperature == 2 } && temperature > 30");
    is_true("const count = 1; count == 1");
    is_true("fn temperature_of(count) { count } temperature_of(3) == 3");
    is_true("let n = 0; for count in 0..3 { n += count; } n == 3 && count == 7");
    is_true("let f = |count| count + 1; f.call(1) == 2 && count == 7");
    is_true("let on = 5; let f = || on + 1; f.call() == 6");
    is_true("let r = 0; try { throw 4 } catch (count) { r = count; } r == 4 && count == 7");
    is_true("switch state { \"running\" => temperature > 30, _ => false }");
}

#[test]
fn functions_and_closures_see_the_message() {
    is_true("fn hot() { temperature > 30 } hot()");
    is_true("fn hot() { msg.values.temperature > env.user.limit } hot()");
    is_true("[1, 40].filter(|x| x > temperature) == [40]");
    is_true("[1, 40].filter(|x| x > msg.values.temperature) == [40]");
    is_true("fn above(x) { x > env.user.limit } [1, 40].filter(|x| above(x)).len() == 1");
    is_true("fn count_up() { 8 } let f = count_up; f.call() == 8");
}

#[test]
fn closures_over_the_message_work_on_the_message() {
    is_true("msg.values.keys().filter(|k| msg.values[k] == 7) == [\"count\"]");
    is_true("msg.values.values().filter(|v| v == msg.values.count).len() == 1");
    is_true("phases.filter(|phase| phase.u > msg.values.temperature).len() == 2");
    is_true("let hot = || msg.values.temperature > env.user.limit; hot.call()");
    is_true("let msg = #{ a: 3 }; [1, 5].filter(|x| x > msg.a) == [5]");
}

#[test]
fn values_edited_by_a_script_are_seen_under_their_bare_names() {
    is_true("msg.values.temperature = 3; temperature == 3");
    is_true("msg.values.extra = 3; extra == 3");
    is_true("msg.values.remove(\"count\"); count == ()");
}

#[test]
fn a_bare_name_cannot_be_assigned_to() {
    let error = eval("temperature = 3").error.unwrap();
    assert_eq!(error.code(), "rule.type");
    assert!(error.hint().unwrap().contains("msg.values.temperature"), "{error:?}");
}

#[test]
fn commands_are_collected_and_checked() {
    let evaluation = eval("send_command(\"valve-1\", \"close\", #{ percent: 100, fast: true })");
    assert_eq!(
        evaluation.effects,
        [Effect::Command {
            device: "valve-1".parse().unwrap(),
            command: "close".into(),
            params: json!({"percent": 100, "fast": true}),
        }]
    );
    assert!(!evaluation.triggered && evaluation.acts());
    let evaluation = eval("send_command(msg.device_id, \"reboot\")");
    assert!(matches!(&evaluation.effects[..], [Effect::Command { device, params, .. }]
        if device.as_str() == "thermo-1" && *params == json!({})));
    refused("send_command(\"a/b\", \"close\")", "send_command: \"a/b\" is no device");
    refused("send_command(\"a\", \"\")", "a command's name cannot be empty");
    refused("send_command(\"a\", \"x\", #{ f: |x| x })", "cannot leave the script");
}

#[track_caller]
fn refused(source: &str, message: &str) {
    let evaluation = eval(source);
    let error = evaluation.error.unwrap_or_else(|| panic!("{source} was not refused"));
    assert_eq!(error.code(), "rule.throw", "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert_eq!(error.place().line, Some(1), "{error}");
    assert!(evaluation.effects.is_empty());
}

fn published(source: &str) -> (String, Bytes, Qos, bool) {
    match eval(source).effects.pop() {
        Some(Effect::Publish { topic, payload, qos, retain }) => {
            (topic.to_string(), payload, qos, retain)
        }
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn payloads_are_text_bytes_or_json() {
    let payload = |source: &str| published(source).1;
    assert_eq!(payload("publish(\"a/b\", \"text\")"), "text");
    assert_eq!(payload("publish(\"a/b\", raw)"), Bytes::from_static(&[1, 2, 255]));
    assert_eq!(
        payload("publish(\"a/b\", #{ t: temperature, s: [1, ()] })"),
        r#"{"s":[1,null],"t":35.5}"#
    );
    assert_eq!(payload("publish(\"a/b\", [1, 'x'])"), r#"[1,"x"]"#);
    assert_eq!(payload("publish(\"a/b\", 7)"), "7");
    assert_eq!(payload("publish(\"a/b\", on)"), "true");
    assert_eq!(payload("publish(\"a/b\", ())"), "");
    assert_eq!(payload("publish(\"a/b\", msg.values)").first(), Some(&b'{'));
}

#[test]
fn publishing_takes_options_and_checks_them() {
    assert_eq!(
        published("publish(\"a/b\", \"\")"),
        ("a/b".into(), Bytes::new(), Qos::AtMostOnce, false)
    );
    let (_, _, qos, retain) = published("publish(\"a\", 1, #{ qos: 2, retain: true })");
    assert_eq!((qos, retain), (Qos::ExactlyOnce, true));
    refused("publish(\"a/+\", 1)", "`+` is a wildcard");
    refused("publish(\"\", 1)", "a topic cannot be empty");
    refused("publish(\"$SYS/x\", 1)", "belong to the server");
    refused("publish(\"a\", 1, #{ qos: 3 })", "qos is 0, 1 or 2, not 3");
    refused("publish(\"a\", 1, #{ qos: \"1\" })", "qos is 0, 1 or 2");
    refused("publish(\"a\", 1, #{ retain: 1 })", "retain is true or false");
    refused("publish(\"a\", 1, #{ retian: true })", "no option is called `retian`");
    refused("publish(\"a\", 0.0 / 0.0)", "the number is not finite");
}

#[test]
fn alarms_are_raised_and_cleared() {
    let evaluation = eval(
        "raise_alarm(\"a\"); raise_alarm(\"b\", \"minor\"); \
                           raise_alarm(\"c\", \"critical\", `${temperature} °C`); clear_alarm(\"d\")",
    );
    let raised = |alarm: &str, severity, text: &str| Effect::RaiseAlarm {
        alarm: alarm.into(),
        severity,
        text: text.into(),
    };
    assert_eq!(
        evaluation.effects,
        [
            raised("a", Severity::Warning, ""),
            raised("b", Severity::Minor, ""),
            raised("c", Severity::Critical, "35.5 °C"),
            Effect::ClearAlarm { alarm: "d".into() },
        ]
    );
    refused("raise_alarm(\"a\", \"fatal\")", "no severity is called \"fatal\"");
    refused("raise_alarm(\"\")", "cannot be empty");
    refused("clear_alarm(\"a\\nb\")", "control characters");
}

#[test]
fn webhooks_need_an_absolute_url() {
    let evaluation = eval("webhook(\"https://example.com/hook?a=1\", #{ t: temperature })");
    assert_eq!(
        evaluation.effects,
        [Effect::Webhook {
            url: "https://example.com/hook?a=1".into(),
            payload: json!({"t": 35.5}),
        }]
    );
    refused("webhook(\"ftp://example.com\", 1)", "http:// or https://");
    refused("webhook(\"/hook\", 1)", "http:// or https://");
    refused("webhook(\"http://\", 1)", "no URL");
    refused("webhook(\"no url\", 1)", "no URL");
}

#[test]
fn functions_answer_nothing() {
    is_true("let a = raise_alarm(\"x\"); a == ()");
}

#[test]
fn what_a_script_says_goes_to_its_log() {
    let evaluation = eval(
        "log_trace(\"t\"); log_debug(\"d\"); log_info(\"i\"); log_warn(\"w\"); log_error(\"e\"); \
         print(1 + 1); debug(\"x\"); log_info(count); log_info(#{ a: 1 })",
    );
    let lines: Vec<(LogLevel, &str)> =
        evaluation.logs.iter().map(|line| (line.level, line.text.as_str())).collect();
    assert_eq!(
        lines,
        [
            (LogLevel::Trace, "t"),
            (LogLevel::Debug, "d"),
            (LogLevel::Info, "i"),
            (LogLevel::Warn, "w"),
            (LogLevel::Error, "e"),
            (LogLevel::Info, "2"),
            (LogLevel::Debug, "\"x\""),
            (LogLevel::Info, "7"),
            (LogLevel::Info, "#{\"a\": 1}"),
        ]
    );
    assert!(!evaluation.acts());
}

#[test]
fn a_failure_discards_effects_and_keeps_the_log() {
    let evaluation = eval("raise_alarm(\"a\"); log_info(\"here\"); throw \"stop\"; true");
    assert!(!evaluation.triggered && evaluation.effects.is_empty());
    assert_eq!(evaluation.logs.len(), 1);
    let error = evaluation.error.unwrap();
    assert_eq!(
        (error.code(), error.to_string().as_str()),
        ("rule.throw", "stop (line 1, column 37)")
    );
}

#[test]
fn errors_name_their_place_and_cause() {
    let error = eval("let a = 1;\nlet b = \"x\" - a;").error.unwrap();
    assert_eq!(error.code(), "rule.type");
    assert_eq!((error.place().line, error.place().column), (Some(2), Some(13)));
    assert!(error.to_string().starts_with("no function fits `- ("), "{error}");
    let error = eval("fn f() {\n throw #{ code: 7 }\n}\nf()").error.unwrap();
    assert_eq!(error.to_string(), "{\"code\":7} (line 2, column 2)");
    let error = eval("1 / 0 == 1").error.unwrap();
    assert_eq!(error.code(), "rule.throw");
    let error = eval("[1][5]").error.unwrap();
    assert_eq!((error.code(), error.place().column), ("rule.type", Some(5)));
}

#[test]
fn a_caught_refusal_lets_the_script_go_on() {
    let evaluation = eval("try { publish(\"#\", 1) } catch { raise_alarm(\"bad\") } true");
    assert!(evaluation.triggered);
    assert_eq!(evaluation.effects.len(), 1);
}

#[test]
fn values_too_large_for_a_script_are_not_shown() {
    let large = "x".repeat(Limits::default().string_bytes_max + 1);
    let nested = json!(vec![0; Limits::default().array_len_max + 1]);
    let evaluation = eval_over(
        "text == () && bytes == () && list == () && small == 1",
        &values(&[
            ("text", Value::from(large.as_str())),
            ("bytes", Value::Bytes(vec![0; Limits::default().array_len_max + 1].into())),
            ("list", Value::Json(Arc::new(nested))),
            ("small", Value::I64(1)),
        ]),
    );
    assert_eq!(evaluation.error, None);
    assert!(evaluation.triggered);
}

#[test]
fn messages_of_other_shapes_follow_one_another_cleanly() {
    let engine = engine();
    engine.compile("r", "a == 1 && b == ()").unwrap();
    let one = values(&[("a", Value::I64(1))]);
    let two = values(&[("a", Value::I64(1)), ("b", Value::I64(2))]);
    let eval = |values: &Values| {
        engine.eval("r", &Input { topic: "t", values, ..Input::default() }).unwrap().triggered
    };
    assert!(eval(&one) && !eval(&two) && eval(&one));
}

#[test]
fn an_unknown_rule_is_not_found() {
    let engine = engine();
    let error = engine.eval("r", &Input::default()).unwrap_err();
    assert_eq!((error.code(), error.kind()), ("rule.unknown", flux_types::ErrorKind::NotFound));
    engine.compile("r", "true").unwrap();
    assert!(engine.remove("r") && !engine.remove("r") && !engine.contains("r"));
}

#[test]
fn a_script_that_does_not_compile_leaves_the_one_before() {
    let engine = engine();
    engine.compile("r", "true").unwrap();
    engine.compile("r", "tru e").unwrap_err();
    assert!(engine.eval("r", &Input { topic: "t", ..Input::default() }).unwrap().triggered);
}

#[test]
fn one_engine_serves_many_threads() {
    let engine = engine();
    engine.compile("up", "raise_alarm(`a${n}`); n >= 0").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_i64 {
            let engine = &engine;
            scope.spawn(move || {
                for step in 0..50 {
                    let n = thread * 1_000 + step;
                    let values = values(&[("n", Value::I64(n))]);
                    let input = Input { topic: "t", values: &values, ..Input::default() };
                    let evaluation = engine.eval("up", &input).unwrap();
                    assert!(evaluation.triggered);
                    assert!(matches!(&evaluation.effects[..], [Effect::RaiseAlarm { alarm, .. }]
                        if *alarm == format!("a{n}")));
                }
            });
        }
    });
}
