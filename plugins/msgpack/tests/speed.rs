//! How long a call takes here, in time of a processor: `cargo test --release --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)] // what is recorded is there

use std::hint::black_box;

use flux_plugin_abi::Buffer;
use flux_plugin_sdk::testing::Call;
use flux_plugin_sdk::{Json, Output, PluginHandler};
use msgpack::MessagePack;

/// Nanoseconds this thread has run, which other work on the machine does not change much.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

#[test]
#[ignore = "a measurement"]
fn recorded_payloads() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/as_json.json");
    let vectors: Json = std::fs::read_to_string(path).unwrap().parse().unwrap();
    for index in [0, 1, 6, 24] {
        let vector = &vectors.items().unwrap()[index];
        let hex = vector.at("/input/hex").and_then(Json::as_str).unwrap();
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let raw: Vec<u8> = (0..hex.len()).step_by(2).map(byte).collect();
        let settings = vector.at("/context/settings").map(Json::to_string).unwrap_or_default();
        Call::new().settings(&settings).with_context(|ctx| {
            let mut written = Buffer::new();
            let rounds: u32 = 1_000_000;
            let started = cpu_ns();
            for _ in 0..rounds {
                let mut out = Output::new(&mut written);
                MessagePack::decode(ctx, black_box(&raw), &mut out).unwrap();
            }
            let ns = (cpu_ns() - started) / u64::from(rounds);
            let name = vector.get("name").and_then(Json::as_str).unwrap();
            println!("{name}: {ns} ns, {} bytes read", raw.len());
        });
    }
}
