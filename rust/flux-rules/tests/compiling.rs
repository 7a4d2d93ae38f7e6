//! What is found wrong or doubtful before a script ever runs.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use flux_rules::{Environment, Limits, RuleError, ScriptEngine, Transform};
use flux_types::Coded;

fn error_of(source: &str) -> RuleError {
    ScriptEngine::default().compile("r", source).unwrap_err()
}

#[test]
fn syntax_errors_have_line_and_column() {
    let error = error_of("let a = 1;\nif a > { true }");
    assert_eq!(error.code(), "rule.compile");
    assert_eq!(error.place().line, Some(2));
    assert!(error.place().column.is_some());
    let problem = error.to_problem();
    assert_eq!((problem.code.as_str(), problem.line), ("rule.compile", Some(2)));
    assert!(!problem.message.contains("line 2"), "{}", problem.message);
}

#[test]
fn misspelt_functions_are_found_with_a_hint() {
    for (source, meant) in [
        ("sned_command(\"a\", \"b\")", "send_command"),
        ("if temperature > 30 { rais_alarm(\"a\") }", "raise_alarm"),
        ("log_warm(\"x\")", "log_warn"),
        ("fn overheated() { true } overheatd()", "overheated"),
        ("prnit(1)", "print"),
        ("let x = [1].map(|v| pubish(\"a\", v));", "publish"),
    ] {
        let error = error_of(source);
        assert_eq!(error.hint(), Some(format!("did you mean `{meant}`?").as_str()), "{source}");
    }
    assert_eq!(error_of("zzzzqqq(1)").hint(), None);
}

#[test]
fn wrong_numbers_of_arguments_are_found() {
    let error = error_of("publish(\"a\")");
    assert_eq!(error.to_string(), "`publish` does not take 1 arguments (line 1, column 1)");
    assert_eq!(error.hint(), Some("it takes 2 or 3"));
    assert!(error_of("fn f(a) { a } f()").to_string().contains("does not take 0"));
}

#[test]
fn whatever_may_be_called_is_accepted() {
    let engine = ScriptEngine::default();
    for source in [
        "abs(-1) == 1 && (-1).abs() == 1 && max(1, 2) == 2 && PI() > 3.0",
        "let m = #{ f: |x| x + 1 }; m.f(1) == 2",
        "fn f(a) { a } f.call(1)",
        "fn twice() { this * 2 } let x = 2; x.twice() == 4",
        "let s = \"abc\"; s.len == 3 && s.len() == 3 && s.to_upper() == \"ABC\"",
        "type_of(1) == \"i64\" && is_def_var(\"x\") == false && is_def_fn(\"f\", 1) == false",
        "[3, 1, 2].reduce(|a, b| (a ?? 0) + b) == 6",
        "let x = 1; let c = || x; is_shared(x)",
        "print(1); debug(2); exit()",
    ] {
        engine.compile("r", source).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
}

#[test]
fn unknown_methods_are_doubtful_not_wrong() {
    let engine = ScriptEngine::default();
    let problems = engine.check("state.to_uper() == \"ON\"", None);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].code, "rule.doubtful");
    assert_eq!(problems[0].message, "no function is called `to_uper`; did you mean `to_upper`?");
    assert_eq!((problems[0].line, problems[0].column), (Some(1), Some(7)));
    assert!(engine.check("state.to_upper() == \"ON\"", None).is_empty());
}

#[test]
fn names_outside_the_thing_model_are_doubtful() {
    let engine = ScriptEngine::default();
    let known: &[&str] = &["temperature", "humidity"];
    let problems = engine.check("temperture > 30\n|| msg.values.humidity > 1", Some(known));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!(problems[0].message, "no value of the product is called `temperture`");
    assert_eq!(problems[0].hint.as_deref(), Some("did you mean `temperature`?"));
    assert_eq!(problems[0].line, Some(1));
    assert!(engine.check("let x = 1; x > temperature", Some(known)).is_empty());
    assert_eq!(engine.check("let x = ;", Some(known))[0].code, "rule.compile");
}

#[test]
fn facts_tell_what_a_script_reads() {
    let engine = ScriptEngine::default();
    let reads = |source: &str| {
        let facts = engine.facts(source).unwrap();
        facts.reads.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(reads("temperature > 30 && msg.values.humidity < 5"), "humidity temperature");
    assert_eq!(reads("msg.values[\"line voltage\"] > 3"), "line voltage");
    assert_eq!(reads("let t = 1; for k in 0..3 { t += k; } t > 2"), "");
    assert_eq!(reads("fn f(a) { a > b } f(c)"), "b c");
    assert_eq!(reads("[1].filter(|x| x > limit)"), "limit");
    assert_eq!(reads("let limit = 1; [1].filter(|x| x > limit)"), "");
    assert_eq!(reads("`${temperature}` == \"a\" || #{ a: b } == [c]"), "b c temperature");
    assert_eq!(reads("msg.topic == \"a\" && env.site == \"b\""), "");
}

#[test]
fn facts_tell_whether_copies_and_payload_are_needed() {
    let engine = ScriptEngine::default();
    for (source, edits, payload) in [
        ("msg.values.t > 30", false, false),
        ("msg.values.contains(\"t\")", false, false),
        ("msg.values.t = 1", true, false),
        ("msg.values.remove(\"t\")", true, false),
        ("env.user.x = 1", true, false),
        ("msg.payload.len() > 3", false, true),
        ("publish(\"a\", msg)", false, true),
        ("msg[\"pay\" + \"load\"]", false, true),
        ("let f = || msg.values.t; f.call()", false, true),
    ] {
        let facts = engine.facts(source).unwrap();
        assert_eq!((facts.edits, facts.reads_payload), (edits, payload), "{source}");
    }
}

#[test]
fn a_transform_has_no_acting_functions() {
    for source in ["raise_alarm(\"a\")", "publish(\"a\", 1)", "send_command(\"a\", \"b\")"] {
        let error = Transform::compile(source, &Limits::default(), &Environment::default());
        let error = error.unwrap_err();
        assert!(error.to_string().contains("not available in a transform"), "{error}");
    }
}

#[test]
fn a_closure_at_odds_with_the_method_that_calls_it_is_refused() {
    for source in [
        "let a = [1, 2]; a.map(|x| a.len())",
        "let m = #{ x: 1 }; m.keys().filter(|k| m[k] == 1)",
        "msg.values.y = 1; msg.values.keys().filter(|k| msg.values[k] == 1)",
    ] {
        let error = error_of(source);
        assert!(error.to_string().contains("calls it"), "{source}: {error}");
    }
    ScriptEngine::default().compile("r", "let a = [1]; let b = a; b.map(|x| a.len())").unwrap();
}
