//! Every limit stops what it is there for, quickly, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use flux_rules::{Environment, Evaluation, Input, LimitKind, Limits, RuleError, ScriptEngine};
use flux_types::Coded;

/// A deadline no test reaches by accident on a busy machine.
fn patient() -> Limits {
    Limits { deadline: Duration::from_secs(20), ..Limits::default() }
}

fn eval_within(source: &str, limits: &Limits) -> Evaluation {
    let engine = ScriptEngine::new(limits, Environment::default());
    engine.compile("r", source).unwrap_or_else(|error| panic!("{source}: {error}"));
    engine.eval("r", &Input { topic: "t", ..Input::default() }).unwrap()
}

#[track_caller]
fn stopped_by(source: &str, limit: LimitKind) {
    let evaluation = eval_within(source, &patient());
    let error = evaluation.error.unwrap_or_else(|| panic!("{source}: ran to its end"));
    assert_eq!(error.limit(), Some(limit), "{source}: {error}");
    assert_eq!(error.code(), "rule.limit");
    assert!(!evaluation.triggered && evaluation.effects.is_empty());
}

#[test]
fn endless_loops_stop_at_their_operations() {
    for source in [
        "loop {}",
        "while true {}",
        "do { } while true",
        "let n = 0; loop { n += 1; }",
        "let r = 0..9223372036854775807; for i in r {}",
        "for i in range(0, 9223372036854775807) { let x = i; }",
        "fn f() { loop {} } f()",
        "let list = []; list.pad(9000, 0); loop { list.filter(|x| x > 0); }",
        "try { loop {} } catch { } loop {}",
    ] {
        stopped_by(source, LimitKind::Operations);
    }
    let error = eval_within("\n  loop { }", &patient()).error.unwrap();
    assert_eq!(error.place().line, Some(2));
}

#[test]
fn operations_inside_callbacks_count() {
    let source = "let list = []; list.pad(5000, 1);
                  list.map(|x| { let n = 0; while n < 100 { n += 1; } n }).len() == 5000";
    stopped_by(source, LimitKind::Operations);
}

#[test]
fn a_stop_cannot_be_swallowed() {
    for source in [
        "let list = [3, 2, 1]; list.sort(|a, b| { loop {} }); true",
        "try { [1].map(|x| { loop {} }); } catch { } true",
        "fn f() { loop {} } try { f(); } catch { } true",
    ] {
        stopped_by(source, LimitKind::Operations);
    }
}

#[test]
fn operations_end_exactly_at_their_limit() {
    let limits = |operations_max| Limits { operations_max, ..patient() };
    let needed = eval_within("let n = 0; while n < 10 { n += 1; } true", &patient()).operations;
    assert!(eval_within("let n = 0; while n < 10 { n += 1; } true", &limits(needed)).triggered);
    let short = eval_within("let n = 0; while n < 10 { n += 1; } true", &limits(needed - 1));
    assert_eq!(short.error.unwrap().limit(), Some(LimitKind::Operations));
}

#[test]
fn the_deadline_stops_what_is_slow() {
    let limits = Limits {
        operations_max: u64::MAX,
        deadline: Duration::from_millis(20),
        ..Limits::default()
    };
    for source in [
        "loop {}",
        "let s = \"\"; s.pad(60000, \"x\"); loop { s.to_upper(); }",
        "let list = []; list.pad(9000, 0);
         list.map(|x| { let s = \"\"; s.pad(60000, \"x\"); s }).len()",
        "let list = []; list.pad(9000, 0);
         list.map(|x| { let inner = []; inner.pad(9000, 1); inner }).len()",
    ] {
        let begun = Instant::now();
        let error = eval_within(source, &limits).error.unwrap();
        assert_eq!(error.limit(), Some(LimitKind::Deadline), "{source}: {error}");
        // not a measure of speed: without the deadline these take seconds or for ever
        assert!(begun.elapsed() < Duration::from_secs(5), "{source}");
    }
}

#[test]
fn deep_recursion_stops_at_its_depth() {
    stopped_by("fn f(n) { f(n + 1) } f(0)", LimitKind::CallDepth);
    stopped_by("fn a(n) { b(n) } fn b(n) { a(n) } a(0)", LimitKind::CallDepth);
    let source = "fn f(n) { if n == 0 { 0 } else { f(n - 1) } } f(20) == 0";
    assert!(eval_within(source, &patient()).triggered);
}

#[test]
fn string_bombs_stop_at_their_size() {
    for source in [
        "let s = \"x\"; loop { s += s; }",
        "let s = \"x\"; loop { s = s + s; }",
        "let s = \"x\"; loop { s = `${s}${s}`; }",
        "let s = \"\"; s.pad(1000000000, \"x\");",
        "let s = \"\"; s.pad(60000, \"a\"); s.replace(\"a\", s);",
        "let s = \"\"; s.pad(60000, \"a\"); s.replace('a', s);",
        "let s = \"\"; s.pad(60000, \"a\"); s.replace(\"\", \"bb\");",
        "let s = \"\"; s.pad(60000, \"a\"); s.replace(\"a\", 'ä');",
        "let s = \"x\"; let list = []; loop { s = \"\" + s; s.pad(9000, \"x\"); list.push(s); }",
    ] {
        stopped_by(source, LimitKind::StringBytes);
    }
}

#[test]
fn replacing_within_the_limit_works_as_ever() {
    for (source, result) in [
        ("let s = \"abc\"; s.replace(\"b\", \"--\"); s", "a--c"),
        ("let s = \"abca\"; s.replace('a', \"xy\"); s", "xybcxy"),
        ("let s = \"abc\"; s.replace(\"bc\", 'z'); s", "az"),
        ("let s = \"abc\"; s.replace('c', 'd'); s", "abd"),
        ("let s = \"abc\"; s.replace(\"q\", \"r\"); s", "abc"),
    ] {
        let source = format!("let r = {{ {source} }}; r == \"{result}\"");
        assert!(eval_within(&source, &patient()).triggered, "{source}");
    }
}

#[test]
fn array_and_blob_bombs_stop_at_their_size() {
    for source in [
        "let list = [1]; loop { list += list; }",
        "let list = []; list.pad(1000000000, 0);",
        "let b = blob(1000000000);",
        "let b = blob(1); loop { b += b; }",
        "let list = [1]; loop { list = [list, list]; }",
        "let list = []; list.pad(9000, 0); let two = [list, list];",
    ] {
        stopped_by(source, LimitKind::ArrayLen);
    }
}

#[test]
fn map_bombs_stop_at_their_size() {
    let grows = "let m = #{}; for n in 0..2000 { m[`k${n}`] = n; }";
    for used in ["publish(\"a\", m);", "webhook(\"http://a\", m);", "m += #{ x: 1 };"] {
        stopped_by(&format!("{grows} {used}"), LimitKind::MapLen);
    }
    stopped_by("let m = #{}; let n = 0; loop { m[`k${n}`] = n; n += 1; }", LimitKind::Operations);
    stopped_by("let m = #{ a: 1 }; loop { m = #{ l: m, r: m }; }", LimitKind::MapLen);
}

#[test]
fn too_many_variables_are_refused() {
    let source = (0..300).map(|n| format!("let v{n} = {n};")).collect::<String>();
    stopped_by(&source, LimitKind::Variables);
}

#[test]
fn effects_are_bounded() {
    stopped_by("loop { raise_alarm(\"a\"); }", LimitKind::Effects);
    stopped_by("for i in 0..65 { publish(\"a\", i); }", LimitKind::Effects);
    stopped_by("try { for i in 0..65 { publish(\"a\", i); } } catch { } true", LimitKind::Effects);
    let evaluation = eval_within("for i in 0..64 { publish(\"a\", i); }", &patient());
    assert_eq!((evaluation.error, evaluation.effects.len()), (None, 64));
}

#[test]
fn the_log_is_bounded_in_lines_and_bytes() {
    let evaluation = eval_within("for i in 0..100 { print(i); } true", &patient());
    assert_eq!((evaluation.logs.len(), evaluation.logs_dropped), (64, 36));
    assert!(evaluation.triggered, "a long log is no failure");
    let evaluation = eval_within("let s = \"\"; s.pad(5000, \"ä\"); print(s);", &patient());
    let line = &evaluation.logs.first().unwrap().text;
    assert!(line.len() <= 4096 && line.ends_with('…'), "{}", line.len());
}

#[test]
fn nested_values_do_not_exhaust_the_stack() {
    let limits = Limits { array_len_max: 10_000, ..Limits::default() };
    for source in [
        "let a = []; loop { a = [a]; }",
        "let m = #{}; loop { m = #{ m: m }; }",
        "let f = || 0; loop { let g = f; let h = || g; f = h; }",
        "let f = || 0; loop { let g = f; f = || g.call(); }",
        "let f = || 0; f = loop { let g = f; break || g; }; true",
        "let s = \"\"; s.pad(60000, \"[\"); parse_json(s)",
    ] {
        let engine = ScriptEngine::new(&limits, Environment::default());
        // what a closure may hold is also refused when compiling
        if engine.compile("r", source).is_err() {
            continue;
        }
        std::thread::Builder::new()
            .stack_size(Limits::STACK_BYTES_MIN)
            .spawn(move || engine.eval("r", &Input { topic: "t", ..Input::default() }).unwrap())
            .unwrap()
            .join()
            .unwrap();
    }
}

#[test]
fn kept_closures_have_fewer_operations() {
    let source = "let limit = 3; let above = |x| x > limit; let n = 0;
                  loop { if above.call(n) { n += 1; } }";
    stopped_by(source, LimitKind::KeptClosureOperations);
    let used_at_once = "let limit = 3; loop { [1, 5].filter(|x| x > limit); }";
    stopped_by(used_at_once, LimitKind::Operations);
}

#[test]
fn closures_that_could_hold_themselves_are_refused() {
    let engine = ScriptEngine::new(&patient(), Environment::default());
    for source in [
        "let a = 0; let f = || a; a = f;",
        "let a = []; let f = || a; a.push(f);",
        "let m = #{}; m.f = || m;",
        "let a = []; let f = || a; push(a, f);",
    ] {
        let error = engine.compile("r", source).unwrap_err();
        assert!(error.to_string().contains("hold each other for ever"), "{source}: {error}");
    }
    for source in [
        "let limit = 3; let above = |x| x > limit; above.call(4)",
        "let n = 0; [1, 2].for_each(|| n += 1); n == 2",
        "let n = 0; n = 5; let f = || n; f.call() == 5",
    ] {
        engine.compile("r", source).unwrap();
        let evaluation = engine.eval("r", &Input { topic: "t", ..Input::default() }).unwrap();
        assert!(evaluation.triggered, "{source}: {:?}", evaluation.error);
    }
}

#[test]
fn sources_are_bounded() {
    let engine = ScriptEngine::default();
    let long = format!("//{}", "x".repeat(Limits::default().script_bytes_max));
    assert!(matches!(engine.compile("r", &long), Err(RuleError::TooLong { .. })));
    let deep = format!("{}1{}", "(".repeat(200), ")".repeat(200));
    assert_eq!(engine.compile("r", &deep).unwrap_err().code(), "rule.compile");
    let many = (0..100).map(|n| format!("fn f{n}() {{}} ")).collect::<String>();
    assert_eq!(engine.compile("r", &many).unwrap_err().code(), "rule.compile");
}

#[test]
fn the_outside_world_is_out_of_reach() {
    let engine = ScriptEngine::default();
    for (source, message) in [
        ("import \"a\" as a;", "`import` and `export` are not available"),
        ("export let x = 1;", "`import` and `export` are not available"),
        ("eval(\"1\")", "`eval` is not available"),
        ("sleep(1)", "`sleep` is not available"),
        ("let f = |x| x; f.curry(1)", "`curry` is not available"),
        ("curry(f, 1)", "`curry` is not available"),
        ("timestamp()", "no function is called `timestamp`"),
        ("open_file(\"a\")", "no function is called `open_file`"),
    ] {
        let error = engine.compile("r", source).unwrap_err();
        assert_eq!(error.code(), "rule.compile");
        assert!(error.to_string().contains(message), "{source}: {error}");
    }
    let evaluation = eval_within("let f = Fn(\"sleep\"); f.call(1000); true", &patient());
    assert!(evaluation.error.unwrap().to_string().contains("cannot sleep"));
    let evaluation =
        eval_within("let f = Fn(\"eval\"); f.call(\"raise_alarm(`a`)\"); true", &patient());
    assert!(evaluation.error.is_some() && evaluation.effects.is_empty(), "eval by name");
}

#[test]
fn clashes_over_a_captured_variable_stop_at_the_deadline() {
    // Each clash makes the language wait; without a look at the clock there would be hundreds.
    let source = "let list = [1]; let f = |x| list.len();
                  for i in 0..400 { try { list.map(f); } catch { } }";
    let limits = Limits { deadline: Duration::from_millis(20), ..Limits::default() };
    let begun = Instant::now();
    let evaluation = eval_within(source, &limits);
    assert_eq!(evaluation.error.unwrap().limit(), Some(LimitKind::Deadline));
    assert!(begun.elapsed() < Duration::from_secs(2), "one clash is 50 ms");
}
