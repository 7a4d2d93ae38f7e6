//! How long one payload takes to decode, against building a tree of it.
//!
//! `cargo run --release -p flux-pipeline --example decode_speed`

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use flux_pipeline::decode::{DecodeContext, Decoder};
use flux_registry::{Document, JsonMapping, ScriptCheck, ScriptKind, compile};
use flux_types::{Problem, TenantId};

struct NoScripts;

impl ScriptCheck for NoScripts {
    fn check(&self, _: ScriptKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }
}

const CONFIGURATION: &str = r#"{
    "tenants": [{"id": 1, "name": "default"}],
    "products": [{"id": "00000000-0000-4000-8000-000000000001"}],
    "devices": [{"id": "00000000-0000-4000-8000-000000000002", "key": "thermo-1",
                 "product": "00000000-0000-4000-8000-000000000001"}]}"#;
const FLAT: &str =
    r#"{"temperature":21.53,"humidity":48.2,"battery":3312,"site":"plant-7/line-3/"}"#;
const THREE: &str =
    r#"{"temperature":21.538461,"humidity":48.2051282,"pressure_hpa":1013.2564102}"#;
const ENVELOPE: &str =
    r#"{"ts":1700000000123,"values":{"temperature":21.5,"humidity":48.2,"on":true}}"#;
const NESTED: &str =
    r#"{"at":1700000000,"data":[{"t":21.5,"h":48.2}],"meta":{"rssi":-71,"x":[1]}}"#;

fn main() -> Result<(), String> {
    let document = Document::from_json(CONFIGURATION.as_bytes()).map_err(|p| format!("{p:?}"))?;
    let snapshot = compile(document, &NoScripts).map_err(|p| format!("{p:?}"))?;
    let device = snapshot.device_by_key(TenantId::DEFAULT, "thermo-1").ok_or("no device")?;
    let context = DecodeContext {
        device: device.as_ref(),
        received_ns: 1,
        named: &|_| Some(Arc::clone(device)),
    };
    let mapped: JsonMapping = serde_json::from_str(
        r#"{"ts": "at", "ts_unit": "s",
            "values": {"t": "data[0].t", "h": "data[0].h", "rssi": "meta.rssi"}}"#,
    )
    .map_err(|error| error.to_string())?;
    let flat = JsonMapping::default();
    let cases = [
        ("flat, 4 values", FLAT, &flat),
        ("flat, 3 long numbers", THREE, &flat),
        ("envelope", ENVELOPE, &flat),
        ("mapped", NESTED, &mapped),
    ];
    println!("{:<22}{:>7}{:>12}{:>12}", "payload", "bytes", "decode ns", "tree ns");
    for (name, payload, spec) in cases {
        let decoder = Decoder::compile(spec).map_err(|p| format!("{p:?}"))?;
        let mut out = Vec::new();
        let decode = best_ns(|| {
            out.clear();
            black_box(decoder.decode(&context, black_box(payload.as_bytes()), &mut out).is_ok());
        });
        let tree = best_ns(|| {
            let tree: Result<serde_json::Value, _> =
                serde_json::from_slice(black_box(payload.as_bytes()));
            black_box(tree.is_ok());
        });
        println!("{name:<22}{:>7}{decode:>12.0}{tree:>12.0}", payload.len());
    }
    Ok(())
}

/// The best of twenty rounds: the machine is shared.
fn best_ns(mut work: impl FnMut()) -> f64 {
    const CALLS: u32 = 20_000;
    let round = |_| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    };
    (0..20).map(round).fold(f64::INFINITY, f64::min)
}
