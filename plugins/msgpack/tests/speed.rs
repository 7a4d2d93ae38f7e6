//! How long a call takes here: `cargo test --release --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)] // what is recorded is there

use std::hint::black_box;
use std::time::Instant;

use flux_plugin_sdk::testing::Call;
use flux_plugin_sdk::{Json, Output, PluginHandler};
use msgpack::MessagePack;

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
            let mut written = Vec::new();
            let rounds: u32 = 1_000_000;
            let started = Instant::now();
            for _ in 0..rounds {
                let mut out = Output::new(&mut written);
                MessagePack::decode(ctx, black_box(&raw), &mut out).unwrap();
            }
            let ns = started.elapsed().as_nanos() / u128::from(rounds);
            let name = vector.get("name").and_then(Json::as_str).unwrap();
            println!("{name}: {ns} ns, {} bytes read", raw.len());
        });
    }
}
