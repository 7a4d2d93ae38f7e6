//! What a rule costs a message: one, and one among thousands that look elsewhere.

mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::Criterion;
use fixture::{Outcome, PAYLOAD, TOPIC};
use flux_rules::{
    BreakerLimits, Environment, Input, Limits, Origin, RuleDefinition, RuleSet, ScriptEngine,
    Sources,
};
use flux_types::{DeviceId, ProductId, RuleId, TenantId, Topic, TopicFilter, Value};

const THRESHOLD: &str = "msg.values.temperature > 30";
const BARE: &str = "temperature > 30";
const PUBLISHING: &str =
    r#"if msg.values.temperature > 30 { publish("hot/" + msg.device_id, msg.payload); }"#;

fn rule(script: &str, sources: Sources) -> RuleDefinition {
    RuleDefinition {
        id: RuleId::random(),
        tenant: TenantId::DEFAULT,
        version: 1,
        name: String::new(),
        script: script.to_owned(),
        sources,
        enabled: true,
    }
}

fn values() -> Vec<(Arc<str>, Value)> {
    vec![
        ("n".into(), Value::I64(42)),
        ("seq".into(), Value::I64(1_234_567)),
        ("temperature".into(), Value::F64(41.37)),
        ("ok".into(), Value::I64(1)),
    ]
}

fn sets(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("rules");
    let (topic, values) = (Topic::new(TOPIC)?, values());
    let input = Input {
        device_id: Some("thermo-0042"),
        product: Some("thermometer"),
        topic: TOPIC,
        ts_ns: 1_700_000_000_000_000_000,
        values: &values,
        payload: Some(PAYLOAD),
    };
    let origin = Origin {
        tenant: TenantId::DEFAULT,
        topic: &topic,
        product: Some(ProductId::random()),
        device: Some(DeviceId::random()),
    };
    let everything = Sources::default;
    let cases = [
        ("one threshold", vec![rule(THRESHOLD, everything())]),
        ("one threshold, bare name", vec![rule(BARE, everything())]),
        ("one that publishes", vec![rule(PUBLISHING, everything())]),
        ("100 thresholds, all look", (0..100).map(|_| rule(THRESHOLD, everything())).collect()),
        ("10 of 10 000 look", ten_of(10_000)?),
    ];
    for (name, rules) in cases {
        let (limits, breakers) = (Limits::default(), BreakerLimits::default());
        let (mut set, errors) = RuleSet::of(&rules, &limits, breakers, &Environment::default());
        if let Some(error) = errors.into_iter().next() {
            return Err(error.into());
        }
        let mut now_ns = 0;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                // A millisecond a message: at the pace measured here a rule would fill all of the
                // breaker's time, and be tripped for it.
                now_ns += 1_000_000;
                let summary = set.evaluate(&origin, black_box(&input), now_ns, |decision| {
                    black_box(&decision.evaluation.effects);
                    decision.evaluation.effects.clear();
                });
                assert!(summary.evaluated > 0 && summary.failed == 0);
            });
        });
    }
    group.finish();
    library(criterion, &input)
}

/// Rules that listen elsewhere, and ten that listen here.
fn ten_of(all: usize) -> Result<Vec<RuleDefinition>, Box<dyn std::error::Error>> {
    let mut rules = Vec::with_capacity(all);
    for number in 0..all {
        let filter = if number < 10 {
            TOPIC.to_owned()
        } else {
            format!("v1/devices/other-{number}/telemetry")
        };
        let topics = vec![TopicFilter::new(&filter)?];
        rules.push(rule(THRESHOLD, Sources { topics, ..Sources::default() }));
    }
    Ok(rules)
}

/// As a library user calls it.
fn library(criterion: &mut Criterion, input: &Input<'_>) -> Outcome {
    let engine = ScriptEngine::default();
    engine.compile("threshold", THRESHOLD)?;
    criterion.bench_function("rules/ScriptEngine::eval, one threshold", |bencher| {
        bencher.iter(|| engine.eval("threshold", black_box(input)).map(|found| found.triggered));
    });
    criterion.bench_function("rules/ScriptEngine::compile, one threshold", |bencher| {
        bencher.iter(|| engine.compile("again", black_box(THRESHOLD)).is_ok());
    });
    Ok(())
}

fn main() {
    fixture::run(&[sets]);
}
