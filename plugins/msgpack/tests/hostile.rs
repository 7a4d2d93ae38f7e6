//! What nobody should send, natively: any bytes under any settings.

#![allow(clippy::unwrap_used)] // what is recorded is there

use flux_plugin_sdk::testing::{Call, Outcome};
use flux_plugin_sdk::{Json, Value};
use msgpack::MessagePack;

const SETTINGS: [&str; 4] = [
    "{}",
    r#"{"device": "dev", "ts": "meta.at"}"#,
    r#"{"values": {"t": "t", "whole": "list", "first": "list[0]", "deep": "a.b.c"}}"#,
    r#"{"values": {"x": "[0].t"}, "ts": "[1]"}"#,
];

/// Every recorded input.
fn recorded() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for file in ["as_json", "types"] {
        let path = format!("{}/vectors/{file}.json", env!("CARGO_MANIFEST_DIR"));
        let vectors: Json = std::fs::read_to_string(path).unwrap().parse().unwrap();
        for vector in vectors.items().unwrap() {
            let hex = vector.at("/input/hex").and_then(Json::as_str).unwrap();
            let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
            found.push((0..hex.len()).step_by(2).map(byte).collect());
        }
    }
    // the long ones tell nothing more, cut at every byte
    found.retain(|raw: &Vec<u8>| raw.len() < 400);
    found
}

/// Decodes, and checks what holds whatever comes.
fn decode(settings: &str, raw: &[u8]) -> Outcome {
    let outcome = Call::new().settings(settings).received_ns(1).decode::<MessagePack>(raw);
    assert!(outcome.error.is_none() || outcome.messages.is_empty(), "an error leaves nothing");
    let values: usize = outcome.messages.iter().map(|message| message.values.len()).sum();
    assert!(outcome.messages.len() <= raw.len() && values <= 3 * raw.len());
    for (_, value) in outcome.messages.iter().flat_map(|message| &message.values) {
        if let Value::Json(text) = value {
            // names that stand twice are kept as they came; the SDK's reader refuses them
            let twice = |error: &str| error.contains("stands twice");
            assert!(text.parse::<Json>().map_or_else(|e| twice(&e.text), |_| true), "{text}");
        }
    }
    outcome
}

#[test]
fn payloads_cut_anywhere_are_refused() {
    for raw in recorded() {
        let whole = decode(SETTINGS[0], &raw).error.is_none();
        for len in 0..raw.len() {
            let outcome = decode(SETTINGS[0], &raw[..len]);
            assert!(!whole || outcome.messages.is_empty(), "{len} of {raw:02x?}");
            SETTINGS.iter().for_each(|settings| drop(decode(settings, &raw[..len])));
        }
    }
}

#[test]
fn payloads_with_any_bit_flipped_are_taken_or_refused() {
    for raw in recorded() {
        for bit in 0..raw.len() * 8 {
            let mut flipped = raw.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            decode(SETTINGS[bit % SETTINGS.len()], &flipped);
            decode(SETTINGS[0], &flipped);
        }
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
}

#[test]
fn noise_is_taken_or_refused() {
    let mut noise = Noise(1);
    for round in 0..50_000 {
        let len = noise.next() % 60;
        let mut raw: Vec<u8> = (0..len).map(|_| noise.next() as u8).collect();
        // most noise is no map
        raw.insert(0, 0x85);
        decode(SETTINGS[round % SETTINGS.len()], &raw);
    }
}

#[test]
fn pieces_of_payloads_put_together_anyhow_are_taken_or_refused() {
    let (mut noise, inputs) = (Noise(2), recorded());
    for round in 0..30_000 {
        let mut raw = vec![0x85];
        for _ in 0..=noise.next() % 4 {
            let piece = &inputs[noise.next() as usize % inputs.len()];
            let start = noise.next() as usize % piece.len();
            let end = start + noise.next() as usize % (piece.len() - start);
            raw.extend_from_slice(&piece[start..end]);
        }
        decode(SETTINGS[round % SETTINGS.len()], &raw);
    }
}

#[test]
fn what_nests_or_expands_without_end_is_bounded() {
    for settings in SETTINGS {
        // arrays in arrays, maps in maps, and both
        for open in [&[0x91][..], &[0x81, 0x20], &[0x91, 0x81, 0x20]] {
            let deep = open.repeat(300_000);
            assert!(decode(settings, &deep).error.is_some());
        }
    }
    // a million nulls in an array become five million bytes of JSON
    let mut raw = vec![0x81, 0x20];
    raw.extend_from_slice(&[0xdd, 0x00, 0x0f, 0x42, 0x40]);
    raw.resize(raw.len() + 1_000_000, 0xc0);
    assert_eq!(decode(SETTINGS[0], &raw).error_code(), "decode.too_large");
    // a million small samples
    let mut raw = vec![0xdd, 0x00, 0x03, 0xd0, 0x90];
    raw.extend([0x81, 0x20, 0x01].repeat(250_000));
    assert_eq!(decode(SETTINGS[0], &raw).error_code(), "decode.too_many_samples");
}
