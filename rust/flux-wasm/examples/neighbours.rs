//! What one worker's other plugins feel of one that means harm:
//! `cargo run --profile quick -p flux-wasm --example neighbours`.
//!
//! A worker serves two plugins in turns, as a shard does: batches of 64 inputs for a good one and one
//! input for an endless one. Prints how long the good batches took from their turn on, alone, while
//! the breaker of the other has not opened, and once it is open; and how long each kind of harm lasts
//! before it is contained.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flux_wasm::{BreakerState, Context, Limits, Options, Package, Plugin, Plugins, Sink};

const HEAD: &str = r#"(module (memory (export "memory") 3)
  (table $t 1 funcref)
  (func (export "abi_version") (result i32) (i32.const 1))
  (func (export "alloc") (param i32) (result i32) (i32.const 65536))
  (func (export "dealloc") (param i32 i32))
  (func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
  (func (export "decode") (param i32 i32 i32 i32) (result i64) "#;

const HARM: [(&str, &str); 5] = [
    ("an endless loop", "(loop $l (br $l)) (unreachable)"),
    ("endless recursion", "(i64.extend_i32_u (call $deep (i32.const 0)))"),
    (
        "a memory bomb",
        "(loop $l (if (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)) (then (br $l))))
         (memory.fill (i32.const 0) (i32.const 1) (i32.mul (memory.size) (i32.const 65536)))
         (unreachable)",
    ),
    (
        "a table bomb",
        "(loop $l (if (i32.ge_s (table.grow $t (ref.null func) (i32.const 9)) (i32.const 0))
           (then (br $l)))) (unreachable)",
    ),
    ("a forged output", "(i64.const 0x7fffffffffffffff)"),
];

fn install(plugins: &Plugins, id: &str, text: &str) -> Result<Arc<Plugin>, String> {
    let wasm = wat::parse_str(text).map_err(|error| error.to_string())?;
    plugins.install(id, &Package::new(wasm)).map_err(|error| error.to_string())?;
    plugins.get(id).ok_or_else(|| "it is not there".to_owned())
}

/// The middle, the 99th of a hundred, and the greatest.
fn summary(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len() - 1));
    let [p50, p99, max] =
        [at(50), at(99), times.last()].map(|time| time.copied().unwrap_or_default());
    format!("{} batches: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}", times.len())
}

/// Serves batches for the good plugin and, before each, an input for the bad one; how long the good
/// ones took, while the bad one's breaker is as asked.
fn serve(
    good: &Arc<Plugin>,
    bad: Option<&Arc<Plugin>>,
    open: bool,
    batches: usize,
) -> Vec<Duration> {
    let inputs = vec![&[0_u8, 1, 0, 2, 0, 3, 0, 4][..]; 64];
    let mut sink = Sink::default();
    let mut times = Vec::new();
    while times.len() < batches {
        let turn = Instant::now();
        if let Some(bad) = bad {
            let was_open = bad.breaker() != BreakerState::Closed;
            let _ = bad.lease().and_then(|mut lease| {
                lease.decode(&Context::default(), &[0], &mut sink).map(|_| ())
            });
            if was_open != open {
                if was_open {
                    return times;
                }
                continue;
            }
        }
        sink.clear();
        if let Ok(mut lease) = good.lease() {
            lease.decode_batch(&Context::default(), &inputs, &mut sink);
        }
        times.push(turn.elapsed());
    }
    times
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plugins = Plugins::open(Options::new(Limits::default()))?;
    let good = install(&plugins, "good", include_str!("../tests/guests/registers.wat"))?;
    for (name, body) in HARM {
        let bad = install(
            &plugins,
            name.split(' ').next_back().unwrap_or(name),
            &format!("{HEAD}{body}))"),
        )?;
        let mut lease = bad.lease()?;
        let start = Instant::now();
        let error = lease.decode(&Context::default(), &[0; 64], &mut Sink::default());
        let error = error.err().map_or("no error at all".to_owned(), |error| error.to_string());
        println!("{name:<20} contained in {:>8.1?}: {error}", start.elapsed());
    }
    let alone = serve(&good, None, false, 20_000);
    println!("\nthe good one alone        {}", summary(alone));
    let bad = install(&plugins, "endless", &format!("{HEAD}{}))", HARM[0].1))?;
    let closed = serve(&good, Some(&bad), false, 1_000);
    println!("beside an endless one     {}", summary(closed));
    let open = serve(&good, Some(&bad), true, 20_000);
    println!("once it is set aside      {}", summary(open));
    let again = serve(&good, None, false, 20_000);
    println!("the good one alone again  {}", summary(again));
    Ok(())
}
