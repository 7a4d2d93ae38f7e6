//! How long a call takes here, in time of a processor: `cargo test --release --test speed -- --ignored --nocapture`.

#![allow(clippy::unwrap_used)] // what is recorded is there

use std::hint::black_box;

use flux_plugin_abi::{Append, Buffer};
use flux_plugin_sdk::testing::Call;
use flux_plugin_sdk::{Json, Output, PluginHandler};
use sparkplug_b::SparkplugB;

/// Nanoseconds this thread has run, which other work on the machine does not change much.
fn cpu_ns() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse().unwrap()
}

fn vectors() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors/session.json");
    std::fs::read_to_string(path).unwrap().parse().unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn time(what: &str, call: &Call, raw: &[u8]) {
    call.with_context(|ctx| {
        let mut written = Buffer::new();
        let started = cpu_ns();
        let rounds: u32 = 200_000;
        for _ in 0..rounds {
            let mut out = Output::new(&mut written);
            let _ = black_box(SparkplugB::decode(ctx, black_box(raw), &mut out));
        }
        let ns = (cpu_ns() - started) / u64::from(rounds);
        println!("{what}: {ns} ns, {} bytes written", written.len());
    });
}

#[test]
#[ignore = "a measurement"]
fn births_and_data() {
    let vectors = vectors();
    let text = |index: usize, pointer| {
        vectors.items().unwrap()[index].at(pointer).and_then(Json::as_str).unwrap()
    };
    let mut state = Vec::new();
    for (index, what) in
        ["NBIRTH, 4 metrics", "DBIRTH, 6 metrics", "NDATA, 2 aliases", "DDATA, 4 aliases"]
            .into_iter()
            .enumerate()
    {
        let raw = bytes(text(index, "/input/hex"));
        let call = Call::new().topic(text(index, "/context/topic")).state(&state);
        time(what, &call, &raw);
        state = call.decode::<SparkplugB>(&raw).state.unwrap();
    }
    println!("state: {} bytes", state.len());
}

#[test]
#[ignore = "a measurement"]
fn one_alias_of_many() {
    for count in [100, 1_000, 4_000_usize] {
        let mut birth = Vec::new();
        for index in 0..count {
            let name = format!("Line 1/Cell {}/Robot {}/Torque {index}", index / 64, index / 8);
            let alias = [index as u8 | 0x80, (index >> 7) as u8];
            let mut metric = vec![0x0a, name.len() as u8];
            metric.extend_from_slice(name.as_bytes());
            metric.extend_from_slice(&[0x10, alias[0], alias[1], 0x20, 0x03, 0x50, 0x01]);
            birth.extend_from_slice(&[0x12, metric.len() as u8]);
            birth.extend_from_slice(&metric);
        }
        birth.extend_from_slice(&[0x18, 0x00]);
        let born = Call::new().topic("spBv1.0/g/NBIRTH/e").decode::<SparkplugB>(&birth);
        let state = born.state.unwrap();
        let last = count - 1;
        let alias = [last as u8 | 0x80, (last >> 7) as u8];
        let data = [0x12, 0x05, 0x10, alias[0], alias[1], 0x50, 0x07, 0x18, 0x01];
        let call = Call::new().topic("spBv1.0/g/NDATA/e").state(&state);
        time(&format!("NDATA, the last of {count}, state of {} bytes", state.len()), &call, &data);
    }
}
