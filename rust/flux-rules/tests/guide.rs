//! The rule guide is true: every example in it compiles and does what the page says.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use flux_rules::{
    Environment, Evaluation, Input, Limits, ScriptEngine, Transform, TransformOutcome,
};
use flux_types::{Coded, Value};

const GUIDE: &str = include_str!("../../../docs/rules.md");

/// Fenced blocks: the line of the fence, what stands behind the fence, the text.
fn blocks() -> Vec<(usize, &'static str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, &'static str, String)> = None;
    for (number, line) in GUIDE.lines().enumerate() {
        match (line.strip_prefix("```"), open.as_mut()) {
            (Some(info), None) => open = Some((number + 1, info, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is left open");
    blocks
}

fn values_of(json: &serde_json::Value) -> Vec<(Arc<str>, Value)> {
    let object = json.as_object().unwrap();
    let value = |json: &serde_json::Value| Value::from_json(json.clone()).unwrap();
    object.iter().map(|(name, json)| (name.as_str().into(), value(json))).collect()
}

struct Sample {
    message: serde_json::Value,
    values: Vec<(Arc<str>, Value)>,
    env: Environment,
    limits: Limits,
}

impl Sample {
    fn input(&self) -> Input<'_> {
        Input {
            device_id: self.message["device_id"].as_str(),
            product: self.message["product"].as_str(),
            topic: self.message["topic"].as_str().unwrap(),
            ts_ns: self.message["ts"].as_i64().unwrap() * 1_000_000,
            values: &self.values,
            payload: None,
        }
    }

    fn eval(&self, source: &str) -> Evaluation {
        let engine = ScriptEngine::new(&self.limits, self.env.clone());
        engine.compile("r", source).unwrap_or_else(|error| panic!("{source}: {error}"));
        engine.eval("r", &self.input()).unwrap()
    }

    fn transform(&self, source: &str) -> TransformOutcome {
        let mut transform = Transform::compile(source, &self.limits, &self.env).unwrap();
        transform.apply(&self.input())
    }
}

fn sample(blocks: &[(usize, &str, String)]) -> Sample {
    let (_, _, text) = blocks.iter().find(|(_, info, _)| *info == "json message").unwrap();
    let message: serde_json::Value = serde_json::from_str(text).unwrap();
    Sample {
        values: values_of(&message["values"]),
        env: serde_json::from_value(message["env"].clone()).unwrap(),
        limits: Limits { deadline: std::time::Duration::from_secs(20), ..Limits::default() },
        message,
    }
}

#[test]
fn every_example_of_the_guide_does_what_it_says() {
    let blocks = blocks();
    let sample = sample(&blocks);
    let mut examples = 0;
    for (at, (line, info, source)) in blocks.iter().enumerate() {
        let Some(promise) = info.strip_prefix("rhai ") else {
            assert!(info.starts_with("json "), "line {line}: a block that promises nothing");
            continue;
        };
        examples += 1;
        let (word, rest) = promise.split_once(' ').unwrap_or((promise, ""));
        match word {
            "true" | "quiet" | "acts" => {
                let evaluation = sample.eval(source);
                assert_eq!(evaluation.error, None, "line {line}");
                assert_eq!(evaluation.triggered, word == "true", "line {line}");
                assert_eq!(evaluation.acts(), word != "quiet", "line {line}");
            }
            "error" => {
                let evaluation = sample.eval(source);
                assert!(!evaluation.acts(), "line {line}");
                assert_eq!(evaluation.error.unwrap().code(), rest, "line {line}");
            }
            "refused" => {
                let engine = ScriptEngine::new(&sample.limits, sample.env.clone());
                let error = engine.compile("r", source).unwrap_err();
                let hint = error.hint().unwrap_or_default();
                assert!(hint.contains(rest), "line {line}: {hint}");
            }
            "dropped" => {
                assert_eq!(sample.transform(source), TransformOutcome::Dropped, "line {line}");
            }
            "transform" => {
                let (_, info, expected) = &blocks[at + 1];
                assert_eq!(*info, "json values", "line {line}");
                let TransformOutcome::Values(values) = sample.transform(source) else {
                    panic!("line {line}: it failed");
                };
                let shown: serde_json::Map<_, _> = values
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_json()))
                    .collect();
                let expected: serde_json::Value = serde_json::from_str(expected).unwrap();
                assert_eq!(serde_json::Value::Object(shown), expected, "line {line}");
            }
            other => panic!("line {line}: unknown promise {other:?}"),
        }
    }
    assert!(examples >= 20, "only {examples} examples were found");
}

#[test]
fn the_guide_names_the_default_limits() {
    let limits = Limits::default();
    for (name, value) in [
        ("operations of one evaluation, callbacks included", "100 000"),
        ("time of one evaluation", "5 ms"),
        ("nesting of function calls", "32"),
        ("variables alive at once", "256"),
        ("elements of an array, bytes of a blob", "10 000"),
        ("entries of a map", "1 000"),
    ] {
        assert!(GUIDE.contains(&format!("| {name} | {value} |")), "{name}");
    }
    assert_eq!(
        (limits.operations_max, limits.deadline.as_millis(), limits.call_depth_max),
        (100_000, 5, 32)
    );
    assert_eq!(
        (limits.variables_max, limits.array_len_max, limits.map_len_max),
        (256, 10_000, 1_000)
    );
    assert_eq!((limits.string_bytes_max, limits.script_bytes_max), (64 * 1024, 64 * 1024));
    assert_eq!((limits.effects_per_evaluation_max, limits.log_lines_max), (64, 64));
}
