//! A payload into telemetry, flat and by a mapping, beside `serde_json` alone.

mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput};
use fixture::{Outcome, PAYLOAD};
use flux_pipeline::decode::{DecodeContext, Decoder};
use flux_registry::{Device, Document, JsonMapping, ScriptCheck, ScriptKind, compile};
use flux_types::{Problem, TenantId};

const NESTED: &[u8] = br#"{"data":{"t":41.37,"h":55,"volts":[3.3,3.2]},"meta":{"rssi":-61}}"#;
const MAPPING: &str =
    r#"{"type": "json", "values": {"temperature": "data.t", "battery": "data.volts[0]"}}"#;

const PLANT: &str = r#"{
    "generation": 1,
    "tenants": [{"id": 1, "name": "default"}],
    "products": [{"id": "6f1d5d2e-3c1b-4d26-9a49-5b3c1f0e7a11", "key": "thermometer"}],
    "devices": [{"id": "6f1d5d2e-3c1b-4d26-9a49-5b3c1f0e7a12", "key": "thermo-0042",
                 "product": "6f1d5d2e-3c1b-4d26-9a49-5b3c1f0e7a11"}]
}"#;

/// There is no script to check.
struct NoScripts;

impl ScriptCheck for NoScripts {
    fn check(&self, _: ScriptKind, _: &str) -> Vec<Problem> {
        Vec::new()
    }
}

fn device() -> Result<Arc<Device>, Box<dyn std::error::Error>> {
    let document: Document = serde_json::from_str(PLANT)?;
    let snapshot = compile(document, &NoScripts).map_err(|problems| format!("{problems:?}"))?;
    let device = snapshot.device_by_key(TenantId::DEFAULT, "thermo-0042");
    Ok(Arc::clone(device.ok_or("the device is not there")?))
}

fn decoding(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("json_decode");
    let device = device()?;
    let context = DecodeContext { device: &device, received_ns: 1, named: &|_| None };
    let mapped: JsonMapping = serde_json::from_str(MAPPING)?;
    let cases = [
        ("flat", JsonMapping::default(), PAYLOAD),
        ("mapped", mapped, NESTED),
        ("nested, flat", JsonMapping::default(), NESTED),
    ];
    for (name, spec, payload) in cases {
        let decoder = Decoder::compile(&spec).map_err(|problems| format!("{problems:?}"))?;
        let mut out = Vec::new();
        decoder.decode(&context, payload, &mut out)?;
        group.throughput(Throughput::Bytes(payload.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                decoder.decode(&context, black_box(payload), &mut out).is_ok()
            });
        });
    }
    group.throughput(Throughput::Bytes(PAYLOAD.len() as u64));
    group.bench_function("serde_json::Value, flat", |bencher| {
        bencher.iter(|| serde_json::from_slice::<serde_json::Value>(black_box(PAYLOAD)).is_ok());
    });
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[decoding]);
}
