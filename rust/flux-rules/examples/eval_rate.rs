//! What one evaluation of a rule costs, with the message's share of the setup.
//!
//! `cargo run --release -p flux-rules --example eval_rate`

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flux_rules::{
    BreakerLimits, Environment, Input, Limits, Origin, RuleDefinition, RuleSet, Sources, Transform,
};
use flux_types::{DeviceId, RuleId, TenantId, Topic, Value};

/// Many short rounds, so that some of them are left alone by whatever else the machine does.
const ROUNDS: usize = 500;
const EVALUATIONS_PER_ROUND: usize = 2_000;

fn definition(script: &str, sources: &Sources) -> RuleDefinition {
    RuleDefinition {
        id: RuleId::random(),
        tenant: TenantId::DEFAULT,
        version: 1,
        name: String::new(),
        script: script.to_owned(),
        sources: sources.clone(),
        enabled: true,
    }
}

fn message(celsius: f64) -> Vec<(Arc<str>, Value)> {
    let names = ["temperature", "humidity", "pressure", "battery", "rssi"];
    names
        .iter()
        .zip(0_i32..)
        .map(|(name, n)| ((*name).into(), Value::F64(celsius + f64::from(n))))
        .collect()
}

/// Best of several rounds, in nanoseconds for each call of `run`.
fn best_ns(calls: usize, mut run: impl FnMut(usize)) -> f64 {
    let round = |run: &mut dyn FnMut(usize)| {
        let begun = Instant::now();
        (0..calls).for_each(&mut *run);
        begun.elapsed().as_secs_f64() * 1e9 / calls as f64
    };
    (0..ROUNDS).map(|_| round(&mut run)).fold(f64::INFINITY, f64::min)
}

fn measure(script: &str, rules: usize, others: usize) -> Result<(), Box<dyn Error>> {
    let topic = Topic::new("v1/devices/thermo-1/telemetry")?;
    let device = DeviceId::random();
    let mine = Sources { devices: vec![device], ..Sources::default() };
    let definitions: Vec<RuleDefinition> = (0..rules)
        .map(|_| definition(script, &mine))
        .chain((0..others).map(|_| {
            definition(script, &Sources { devices: vec![DeviceId::random()], ..Sources::default() })
        }))
        .collect();
    let breaker = BreakerLimits { busy_share_max: 1e9, ..BreakerLimits::default() };
    let (mut set, errors) =
        RuleSet::of(&definitions, &Limits::default(), breaker, &Environment::default());
    assert!(errors.is_empty(), "{errors:?}");
    let origin =
        Origin { tenant: TenantId::DEFAULT, topic: &topic, product: None, device: Some(device) };
    let messages = [message(20.0), message(31.0)];
    let mut triggered = 0_u64;
    let ns = best_ns((EVALUATIONS_PER_ROUND / rules).max(1), |n| {
        let input = Input {
            device_id: Some("thermo-1"),
            product: Some("thermometer"),
            topic: topic.as_str(),
            ts_ns: i64::try_from(n).unwrap_or(0) * 1_000_000,
            values: &messages[n % 2],
            payload: Some(b"{\"temperature\":20.0}"),
        };
        let summary = set.evaluate(&origin, &input, n as u64, |decision| {
            black_box(&decision.evaluation);
        });
        triggered += u64::from(summary.triggered);
    });
    println!("{rules:>5} {others:>7} {ns:>12.0} {:>12.0}   {script}", ns / rules as f64);
    black_box(triggered);
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    measure_memory();
    println!("rules  others   ns/message      ns/rule   script");
    let scripts = [
        "msg.values.temperature > 30",
        "temperature > 30",
        "temperature > 30 && humidity < 40.0 || battery < 3",
        "missing > 30",
        "if temperature > 30 { raise_alarm(\"hot\", \"critical\", `${temperature}`); }",
        "let hot = temperature > 30; let n = 0; for i in 0..10 { n += i; } hot && n == 45",
        "msg.values.f = msg.values.temperature * 1.8 + 32; f > 86",
        "[temperature, humidity].filter(|v| v > 30).len() == 2",
    ];
    for script in scripts {
        for rules in [1, 10, 100] {
            measure(script, rules, 0)?;
        }
    }
    measure("temperature > 30", 10, 10_000)?;
    let mut transform = Transform::compile(
        "msg.values.f = msg.values.temperature * 9 / 5 + 32; msg.values.remove(\"rssi\")",
        &Limits::default(),
        &Environment::default(),
    )?;
    let values = message(20.0);
    let ns = best_ns(EVALUATIONS_PER_ROUND, |_| {
        black_box(transform.apply(&Input { topic: "t", values: &values, ..Input::default() }));
    });
    println!("transform of 5 values: {ns:.0} ns");
    Ok(())
}

/// Time and memory to compile rules; first, while no memory is there to be used again.
fn measure_memory() {
    let begun = Instant::now();
    let definitions: Vec<RuleDefinition> = (0..10_000)
        .map(|n| definition(&format!("temperature > {n}"), &Sources::default()))
        .collect();
    let before = resident_kb();
    let (set, _) = RuleSet::of(
        &definitions,
        &Limits::default(),
        BreakerLimits::default(),
        &Environment::default(),
    );
    println!(
        "10000 rules compiled in {:?}, {} bytes each",
        begun.elapsed(),
        (resident_kb() - before) * 1024 / set.len()
    );
}

/// Resident memory in KiB; 0 where the system does not tell.
fn resident_kb() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
}
