//! What a call costs: `cargo run --profile quick -p flux-wasm --example call_cost`.
//!
//! Prints nanoseconds, the best of several rounds, for the guest in `tests/guests/registers.wat`
//! (four registers into four values) and, where paths to other modules are given, for their `decode`
//! of eight bytes.

use std::hint::black_box;
use std::time::Instant;

use flux_wasm::{Context, Limits, Options, Package, Plugins, Settings, Sink};

const ROUNDS: usize = 15;

/// The best time of one call, in nanoseconds, over rounds of so many.
fn best(calls: usize, mut round: impl FnMut(usize)) -> f64 {
    (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            round(calls);
            #[allow(clippy::cast_precision_loss)] // far below 2^53
            let ns = start.elapsed().as_nanos() as f64 / calls as f64;
            ns
        })
        .fold(f64::INFINITY, f64::min)
}

fn report(name: &str, ns: f64) {
    println!("{name:<58} {ns:>9.1} ns");
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let registers = wat::parse_str(include_str!("../tests/guests/registers.wat"))?;
    // the same with a megabyte of stack before its data, as Rust guests have unless told otherwise
    let text = include_str!("../tests/guests/registers.wat");
    let roomy = text.replace("(memory (export \"memory\") 3)", "(memory (export \"memory\") 17)");
    measure("registers", &registers)?;
    measure_fresh("registers, 3 pages", registers)?;
    measure_fresh("registers, 17 pages", wat::parse_str(roomy)?)?;
    for path in std::env::args().skip(1) {
        let wasm = std::fs::read(&path)?;
        measure(&path, &wasm)?;
        measure_fresh(&path, wasm)?;
    }
    Ok(())
}

fn measure(name: &str, wasm: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    let plugins = Plugins::open(Options::new(Limits::default()))?;
    plugins.install("p", &Package::new(wasm.to_vec()))?;
    let plugin = plugins.get("p").ok_or("installed")?;
    let settings = Settings::new(&serde_json::json!({ "unit": 1, "map": "x".repeat(2000) }));
    let context = Context {
        settings: settings.view(),
        source: "device:0191/7".into(),
        topic: "plant/line-1/meter-7/raw".into(),
        received_ns: 1_700_000_000_000_000_000,
        ..Context::default()
    };
    let mut sink = Sink::default();
    let input = [0, 1, 0, 2, 0, 3, 0, 4];
    let mut lease = plugin.lease()?;
    let ns = best(100_000, |calls| {
        for _ in 0..calls {
            sink.clear();
            let _ = black_box(lease.decode(&context, black_box(&input), &mut sink));
        }
    });
    report(&format!("{name}: decode, into the sink"), ns);
    let ns = best(100_000, |calls| {
        for _ in 0..calls {
            sink.clear();
            let _ = black_box(lease.decode(&context, black_box(&input), &mut sink));
            for message in sink.items().flat_map(|item| item.messages()) {
                black_box(message.to_values());
            }
        }
    });
    report(&format!("{name}: decode, into owned values"), ns);
    for len in [16, 64, 256] {
        let inputs = vec![&input[..]; len];
        let ns = best(200_000 / len, |calls| {
            for _ in 0..calls {
                sink.clear();
                black_box(lease.decode_batch(&context, black_box(&inputs), &mut sink));
            }
        });
        #[allow(clippy::cast_precision_loss)]
        report(&format!("{name}: decode_batch of {len}, an input"), ns / len as f64);
    }
    drop(lease);
    let ns = best(100_000, |calls| {
        for _ in 0..calls {
            let _ = black_box(plugin.lease());
        }
    });
    report(&format!("{name}: a lease and its return"), ns);
    Ok(())
}

fn measure_fresh(name: &str, wasm: Vec<u8>) -> Result<(), Box<dyn std::error::Error>> {
    let plugins = Plugins::open(Options::new(Limits::default()))?;
    let mut package = Package::new(wasm);
    package.manifest = Some(b"mode = \"fresh\"".to_vec());
    plugins.install("p", &package)?;
    let plugin = plugins.get("p").ok_or("installed")?;
    let mut sink = Sink::default();
    let mut lease = plugin.lease()?;
    let ns = best(5_000, |calls| {
        for _ in 0..calls {
            sink.clear();
            let _ = black_box(lease.decode(&Context::default(), &[0; 8], &mut sink));
        }
    });
    report(&format!("{name}: decode in a fresh instance"), ns);
    Ok(())
}
