//! What a configuration of 100 000 devices costs: to compile, change, keep, and ask.
//!
//! `cargo run --release -p flux-registry --example registry_speed [devices]`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flux_registry::{
    ConfigurationFile, Delta, Document, Limits, Registry, ScriptCheck, ScriptKind,
};
use flux_types::{Problem, TenantId, Topic, TopicFilter};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

struct NoScripts;

impl ScriptCheck for NoScripts {
    fn check(&self, _: ScriptKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }
}

type Failure = Box<dyn std::error::Error>;

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn device(number: usize, tag: usize) -> Value {
    let secret: String =
        Sha256::digest(format!("secret-{number}")).iter().map(|b| format!("{b:02x}")).collect();
    json!({"id": id(number), "product": id(1 + number % 10), "key": format!("device-{number}"),
           "secret_sha256": secret, "tags": {"line": format!("{}", number % 7), "tag": tag.to_string()}})
}

fn document(devices: usize) -> String {
    let products: Vec<Value> = (1..11)
        .map(|n| match n {
            1..6 => json!({"id": id(n), "key": format!("product-{n}")}),
            _ => json!({"id": id(n), "topic_template": format!("plant/{{line}}/{{device}}/p{n}"),
                        "command_topic_template": format!("plant/{{line}}/{{device}}/p{n}/c"),
                        "reply_topic_template": format!("plant/{{line}}/{{device}}/p{n}/r")}),
        })
        .collect();
    let rules: Vec<Value> = (0..1000)
        .map(|n| json!({"id": id(n), "trigger_script": "t > 1", "sources": {"devices": [id(100 + n)]}}))
        .collect();
    let rest = json!({"generation": 1, "tenants": [{"id": 1, "name": "default"}],
                      "products": products, "rules": rules});
    // device by device: a tree of them all would spoil the figure of memory
    let mut text = rest.to_string();
    text.pop();
    text.push_str(",\"devices\":[");
    for n in 100..100 + devices {
        text.push_str(if n > 100 { "," } else { "" });
        text.push_str(&device(n, 0).to_string());
    }
    text.push_str("]}");
    text
}

fn main() -> Result<(), Failure> {
    let count = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let text = document(count);
    let before_kib = resident_kib();
    println!("{count} devices, 10 products, 1 000 rules; document of {} KiB", text.len() / 1024);

    let registry = Registry::new(Arc::new(NoScripts), Limits::default());
    let start = Instant::now();
    let document = Document::from_json(text.as_bytes()).map_err(told)?;
    println!("{:<44}{:>12.1} ms", "read", ms(start));
    let start = Instant::now();
    registry.replace(document).map_err(|error| told(error.problems().to_vec()))?;
    println!("{:<44}{:>12.1} ms", "compile", ms(start));
    drop(text);
    println!("{:<44}{:>12} KiB", "resident, more than before", resident_kib() - before_kib);

    changes(&registry, count)?;
    asking(&registry, count)?;
    keeping(&registry)
}

fn changes(registry: &Registry, count: usize) -> Result<(), Failure> {
    let one = |n: usize, upsert: Value| -> Result<f64, Failure> {
        let base = registry.current().generation().0;
        let delta = json!({"base_generation": base, "generation": base + 1, "upsert": upsert});
        let delta = Delta::from_json(delta.to_string().as_bytes()).map_err(told)?;
        let start = Instant::now();
        let applied = registry.apply(delta).map_err(|error| told(error.problems().to_vec()))?;
        let took = ms(start) * 1000.0;
        assert!(!applied.changes.devices.is_empty() || !applied.changes.rules.is_empty(), "{n}");
        Ok(took)
    };
    let mut device_us = Vec::new();
    let mut rule_us = Vec::new();
    for n in 0..1000 {
        device_us.push(one(n, json!({"devices": [device(100 + n * (count / 1000), n + 1)]}))?);
        let rule = json!({"id": id(n), "trigger_script": "t > 2"});
        rule_us.push(one(n, json!({"rules": [rule]}))?);
    }
    for (name, mut took) in [("delta of one device", device_us), ("delta of one rule", rule_us)] {
        took.sort_unstable_by(f64::total_cmp);
        println!("{name:<44}{:>12.1} us (p99 {:.1})", took[500], took[990]);
    }
    Ok(())
}

fn asking(registry: &Registry, count: usize) -> Result<(), Failure> {
    let snapshot = registry.snapshot();
    let tenant = TenantId::DEFAULT;
    // every device in an order that is no order, so that caches are what they are in life
    let spread: Vec<usize> = (0..count).map(|n| 100 + n * 7919 % count).collect();
    let default = |n: usize| Topic::new(&format!("v1/devices/device-{n}/telemetry"));
    let plant = |n: usize| Topic::new(&format!("plant/3/device-{n}/p{}", 1 + n % 10));
    let topics: Vec<Topic> = spread
        .iter()
        .map(|n| if n % 10 < 5 { default(*n) } else { plant(*n) })
        .collect::<Result<_, _>>()?;
    each("resolve, every device in turn", &topics, |topic| {
        black_box(snapshot.resolve(tenant, topic).is_ok())
    });
    each("resolve, 1 000 devices", topics.get(..1000).unwrap_or(&topics), |topic| {
        black_box(snapshot.resolve(tenant, topic).is_ok())
    });
    let unknown = (0..1000).map(|n| Topic::new(&format!("v1/devices/x-{n}/telemetry")));
    let unknown: Vec<Topic> = unknown.collect::<Result<_, _>>()?;
    each("resolve, device not known", &unknown, |topic| {
        black_box(snapshot.resolve(tenant, topic).is_err())
    });
    let foreign = (0..1000).map(|n| Topic::new(&format!("home/room/{n}")));
    let foreign: Vec<Topic> = foreign.collect::<Result<_, _>>()?;
    each("resolve, no template", &foreign, |topic| {
        black_box(snapshot.resolve(tenant, topic).is_err())
    });

    let names: Vec<(String, String)> =
        spread.iter().map(|n| (format!("device-{n}"), format!("secret-{n}"))).collect();
    each("authenticate, every device in turn", &names, |(name, secret)| {
        black_box(snapshot.authenticate(name, secret.as_bytes()).is_ok())
    });
    each("authenticate, 1 000 devices", names.get(..1000).unwrap_or(&names), |(name, secret)| {
        black_box(snapshot.authenticate(name, secret.as_bytes()).is_ok())
    });
    let wrong: Vec<String> = (0..1000).map(|n| format!("nobody-{n}")).collect();
    each("authenticate, name not known", &wrong, |name| {
        black_box(snapshot.authenticate(name, b"secret-000000").is_err())
    });

    let principal = snapshot.authenticate("device-100", b"secret-100")?;
    let grants = snapshot.grants(&principal).map_err(|reason| reason.to_string())?;
    let own = [Topic::new("v1/devices/device-100/telemetry")?];
    each("may_publish, device", &own, |topic| black_box(grants.may_publish(topic)));
    let own = [TopicFilter::new("v1/devices/device-100/commands")?];
    each("may_subscribe, device", &own, |filter| black_box(grants.may_subscribe(filter)));
    each("current", &[()], |()| black_box(registry.current().generation().0 > 0));
    Ok(())
}

fn keeping(registry: &Registry) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let file = ConfigurationFile::new(directory.path());
    let start = Instant::now();
    file.save(&registry.current())?;
    println!("{:<44}{:>12.1} ms", "save", ms(start));
    let start = Instant::now();
    let document = file.load()?.ok_or("nothing was saved")?;
    println!("{:<44}{:>12.1} ms", "load", ms(start));
    assert_eq!(document.generation, registry.current().generation());
    Ok(())
}

/// Nanoseconds for each item: the median over pieces of a thousand, short enough that most are not
/// interrupted on a machine that is shared.
fn each<T>(name: &str, items: &[T], mut ask: impl FnMut(&T) -> bool) {
    const PIECE: usize = 1000;
    let repeats = PIECE.div_ceil(items.len());
    let mut pieces = Vec::new();
    while pieces.len() < 500 {
        for piece in items.chunks(PIECE) {
            let start = Instant::now();
            for _ in 0..repeats {
                assert!(piece.iter().all(&mut ask), "{name}: not as expected");
            }
            #[allow(clippy::cast_precision_loss)] // a thousand
            pieces.push(start.elapsed().as_secs_f64() * 1e9 / (piece.len() * repeats) as f64);
        }
    }
    pieces.sort_unstable_by(f64::total_cmp);
    println!("{name:<44}{:>12.0} ns", pieces[pieces.len() / 2]);
}

fn told(problems: Vec<Problem>) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

/// Resident memory of this process; 0 where the system does not tell.
fn resident_kib() -> i64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
