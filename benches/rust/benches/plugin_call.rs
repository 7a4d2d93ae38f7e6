//! A plugin's `decode` of four registers: one by one, in a batch, in a fresh instance.

mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fixture::{Outcome, TOPIC};
use flux_wasm::{Context, Limits, Options, Package, Plugin, Plugins, Settings, Sink};

/// The guest that the plugin host's own tests use.
const REGISTERS: &str = include_str!("../../../rust/flux-wasm/tests/guests/registers.wat");
const INPUT: &[u8] = &[0, 1, 0, 2, 0, 3, 0, 4];

fn plugin(manifest: &str) -> Result<(Plugins, Arc<Plugin>), Box<dyn std::error::Error>> {
    let plugins = Plugins::open(Options::new(Limits::default()))?;
    let mut package = Package::new(wat::parse_str(REGISTERS)?);
    package.manifest = Some(manifest.as_bytes().to_vec());
    plugins.install("registers", &package)?;
    let plugin = plugins.get("registers").ok_or("the plugin is not there")?;
    Ok((plugins, plugin))
}

fn calling(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("plugin_call");
    let settings = Settings::new(&serde_json::json!({ "unit": 1 }));
    let context = Context {
        settings: settings.view(),
        source: "device:meter-0042/1".into(),
        topic: TOPIC.into(),
        received_ns: 1_700_000_000_000_000_000,
        ..Context::default()
    };
    let mut sink = Sink::default();
    let (_plugins, reused) = plugin("mode = \"reuse\"")?;
    let mut lease = reused.lease()?;
    lease.decode(&context, INPUT, &mut sink)?;
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            sink.clear();
            lease.decode(&context, black_box(INPUT), &mut sink).is_ok()
        });
    });
    for len in [16, 64, 256] {
        let inputs = vec![INPUT; len];
        group.throughput(Throughput::Elements(len as u64));
        group.bench_function(format!("decode_batch, {len}"), |bencher| {
            bencher.iter(|| {
                sink.clear();
                lease.decode_batch(&context, black_box(&inputs), &mut sink).messages
            });
        });
    }
    let (_others, fresh) = plugin("mode = \"fresh\"")?;
    let mut lease = fresh.lease()?;
    group.throughput(Throughput::Elements(1));
    group.bench_function("decode, fresh", |bencher| {
        bencher.iter(|| {
            sink.clear();
            lease.decode(&context, black_box(INPUT), &mut sink).is_ok()
        });
    });
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[calling]);
}
