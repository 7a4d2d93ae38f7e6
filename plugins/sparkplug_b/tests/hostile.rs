//! What nobody should send, natively: any bytes, under any topic, on top of any state.

#![allow(clippy::unwrap_used)] // what is recorded is there

use flux_plugin_sdk::testing::{Call, Outcome};
use flux_plugin_sdk::{Json, Value};
use sparkplug_b::SparkplugB;

/// Every recorded input with its topic.
fn recorded() -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for file in ["session", "datatypes", "structured", "tahu"] {
        let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let vectors: Json = std::fs::read_to_string(path).unwrap().parse().unwrap();
        for vector in vectors.items().unwrap() {
            let text = |pointer| vector.at(pointer).and_then(Json::as_str).unwrap().to_owned();
            if vector.at("/input/hex").is_some() {
                found.push((text("/context/topic"), bytes(&text("/input/hex"))));
            }
        }
    }
    found
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The state a birth of node and device leaves.
fn born() -> Vec<u8> {
    let inputs = recorded();
    let node = Call::new().topic(&inputs[0].0).decode::<SparkplugB>(&inputs[0].1);
    let call = Call::new().topic(&inputs[1].0).state(&node.state.unwrap());
    call.decode::<SparkplugB>(&inputs[1].1).state.unwrap()
}

/// Decodes, and checks what holds whatever comes.
fn decode(topic: &str, state: &[u8], raw: &[u8]) -> Outcome {
    let outcome = Call::new().topic(topic).state(state).received_ns(1).decode::<SparkplugB>(raw);
    assert!(outcome.state.as_ref().is_none_or(|state| state.len() <= 64 * 1024));
    assert!(outcome.effects.len() <= 1);
    let values: usize = outcome.messages.iter().map(|message| message.values.len()).sum();
    // no metric takes fewer than two bytes, and none gives more than itself, quality and a property
    assert!(values <= 3 * raw.len() / 2 + 2 * outcome.messages.len(), "{values} of {}", raw.len());
    for message in &outcome.messages {
        assert!(message.values.len() <= 1024);
        for (_, value) in &message.values {
            if let Value::Json(text) = value {
                text.parse::<Json>().unwrap();
            }
        }
    }
    outcome
}

#[test]
fn payloads_cut_anywhere_are_errors_or_shorter_payloads() {
    let state = born();
    for (topic, raw) in recorded() {
        for len in 0..raw.len() {
            decode(&topic, &state, &raw[..len]);
            decode(&topic, &[], &raw[..len]);
        }
    }
}

#[test]
fn payloads_with_any_bit_flipped_are_taken_or_refused() {
    let state = born();
    for (topic, raw) in recorded() {
        for bit in 0..raw.len() * 8 {
            let mut flipped = raw.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            decode(&topic, &state, &flipped);
        }
    }
}

#[test]
fn states_with_any_bit_flipped_are_taken_or_begun_anew() {
    let state = born();
    let inputs = recorded();
    for bit in 0..state.len() * 8 {
        let mut flipped = state.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        for (topic, raw) in &inputs[2..4] {
            decode(topic, &flipped, raw);
        }
        let write = Call::new().topic("spBv1.0/Sparkplug B Devices/DCMD/Raspberry Pi/Pibrella");
        let params = r#"{"metric": "Serial", "value": "x"}"#;
        let _ = write.state(&flipped).encode::<SparkplugB>("write", params);
    }
}

/// xorshift64*: enough for fuzzing, and the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn bytes(&mut self, max: usize) -> Vec<u8> {
        let len = self.next() as usize % max;
        (0..len).map(|_| self.next() as u8).collect()
    }
}

const TOPICS: [&str; 6] = [
    "spBv1.0/Sparkplug B Devices/NBIRTH/Raspberry Pi",
    "spBv1.0/Sparkplug B Devices/NDATA/Raspberry Pi",
    "spBv1.0/Sparkplug B Devices/NDEATH/Raspberry Pi",
    "spBv1.0/Sparkplug B Devices/DBIRTH/Raspberry Pi/Pibrella",
    "spBv1.0/Sparkplug B Devices/DDATA/Raspberry Pi/Pibrella",
    "spBv1.0/Sparkplug B Devices/DDEATH/Raspberry Pi/Pibrella",
];

#[test]
fn noise_is_refused() {
    let (mut noise, state) = (Noise(1), born());
    for round in 0..20_000 {
        let raw = noise.bytes(80);
        decode(TOPICS[round % TOPICS.len()], &state, &raw);
    }
}

#[test]
fn pieces_of_payloads_put_together_anyhow_are_taken_or_refused() {
    let (mut noise, state, inputs) = (Noise(2), born(), recorded());
    for round in 0..20_000 {
        let mut raw = Vec::new();
        for _ in 0..=noise.next() % 4 {
            let (_, piece) = &inputs[noise.next() as usize % inputs.len()];
            let start = noise.next() as usize % piece.len();
            let end = start + noise.next() as usize % (piece.len() - start);
            raw.extend_from_slice(&piece[start..end]);
        }
        decode(TOPICS[round % TOPICS.len()], &state, &raw);
    }
}

#[test]
fn what_expands_is_bounded() {
    // metrics of no bytes, a template in a template without end, bytes that become JSON
    let empty = [0x12, 0x00].repeat(500_000);
    assert_eq!(decode(TOPICS[0], &[], &empty).error_code(), "sparkplug.limit");
    let mut template = Vec::new();
    for _ in 0..2_000 {
        let mut metric = vec![0x0a, 0x01, b'm', 0x92, 0x01];
        varint(&mut metric, template.len());
        metric.extend_from_slice(&template);
        template = vec![0x12];
        varint(&mut template, metric.len());
        template.extend_from_slice(&metric);
    }
    assert_eq!(decode(TOPICS[0], &[], &template).error_code(), "sparkplug.payload");
    let mut metric = vec![0x0a, 0x01, b'm', 0x20, 22, 0x82, 0x01];
    varint(&mut metric, 900_000);
    metric.resize(metric.len() + 900_000, 0x80);
    let mut payload = vec![0x12];
    varint(&mut payload, metric.len());
    payload.extend_from_slice(&metric);
    let outcome = decode(TOPICS[0], &[], &payload);
    assert_eq!(outcome.error_code(), "sparkplug.limit");
    assert_eq!(outcome.messages[0].values.len(), 2, "the birth itself is told");
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A payload of metrics with names, aliases and datatype Int32.
fn birth(count: usize, name: impl Fn(usize) -> String, seq: u8) -> Vec<u8> {
    let mut payload = Vec::new();
    for index in 0..count {
        let name = name(index);
        let mut metric = vec![0x0a];
        varint(&mut metric, name.len());
        metric.extend_from_slice(name.as_bytes());
        metric.push(0x10);
        varint(&mut metric, index);
        metric.extend_from_slice(&[0x20, 0x03, 0x50, 0x01]);
        payload.push(0x12);
        varint(&mut payload, metric.len());
        payload.extend_from_slice(&metric);
    }
    payload.push(0x18);
    varint(&mut payload, seq.into());
    payload
}

/// Data of one alias, in bytes of the wire.
fn data(alias: usize, seq: u8) -> Vec<u8> {
    let mut metric = vec![0x10];
    varint(&mut metric, alias);
    metric.extend_from_slice(&[0x50, 0x07]);
    let mut payload = vec![0x12];
    varint(&mut payload, metric.len());
    payload.extend_from_slice(&metric);
    payload.push(0x18);
    varint(&mut payload, seq.into());
    payload
}

#[test]
fn names_without_room_are_needed_and_nobody_is_asked_for_what_would_not_help() {
    let long = |index: usize| format!("{index:x}{}", "é".repeat(40));
    let large = birth(2_000, long, 0);
    let outcome = decode(TOPICS[0], &[], &large);
    assert_eq!(outcome.error_code(), "sparkplug.state_full");
    let values: usize = outcome.messages.iter().map(|message| message.values.len()).sum();
    assert_eq!(values, 2_002, "its values are read all the same");
    let state = outcome.state.unwrap();
    assert!(state.len() < 100);
    let outcome = decode(TOPICS[1], &state, &data(5, 1));
    assert_eq!(outcome.error_code(), "sparkplug.names_needed");
    assert!(outcome.effects.is_empty());
    let outcome = decode(TOPICS[1], &outcome.state.unwrap(), &birth(1, |_| "named".into(), 2));
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.messages[0].number("named"), Some(1.0));
    // a device beside it still has room
    let outcome = decode(TOPICS[3], &outcome.state.unwrap(), &birth(10, |i| format!("d{i}"), 3));
    assert_eq!(outcome.error, None);
    let outcome = decode(TOPICS[4], &outcome.state.unwrap(), &data(9, 4));
    assert_eq!((outcome.error, outcome.messages[0].number("d9")), (None, Some(7.0)));
}

#[test]
fn metrics_in_folders_fit_by_the_thousand() {
    let name =
        |index: usize| format!("Line 1/Cell {}/Robot {}/Torque {index}", index / 64, index / 8);
    let outcome = decode(TOPICS[0], &[], &birth(4_000, name, 255));
    assert_eq!(outcome.error, None);
    let state = outcome.state.unwrap();
    assert!(state.len() < 60_000, "{}", state.len());
    let outcome = decode(TOPICS[1], &state, &data(3_999, 0));
    assert_eq!(outcome.error, None, "0 follows 255");
    assert_eq!(outcome.messages[0].values[0].0, name(3_999));
}

#[test]
fn a_source_of_many_edge_nodes_stays_within_its_state() {
    let mut state = Vec::new();
    for index in 0..1_000 {
        let topic = format!("spBv1.0/g/NBIRTH/node-{index}");
        let outcome = decode(&topic, &state, &birth(5, |i| format!("metric {i}"), 0));
        if let Some(new) = outcome.state {
            state = new;
        }
    }
    assert!(state.len() <= 64 * 1024);
}

#[test]
fn values_beyond_what_a_message_holds_go_into_several() {
    let outcome = decode(TOPICS[0], &[], &birth(3_000, |i| format!("m{i}"), 0));
    assert_eq!(
        outcome.messages.iter().map(|m| m.values.len()).collect::<Vec<_>>(),
        [1024, 1024, 954]
    );
}
