//! Frames nobody meant to send, layouts and commands nobody should write.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

use binary_layout::BinaryLayout;
use binary_layout::limits::{FRAME_BYTES_MAX, REPEAT_MAX, VALUES_MAX};
use flux_plugin_sdk::Json;
use flux_plugin_sdk::testing::{Call, check_vectors, hostile};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
const CODES: [&str; 9] = [
    "",
    "layout.case",
    "layout.checksum",
    "layout.device",
    "layout.head",
    "layout.length",
    "layout.limit",
    "layout.truncated",
    "layout.value",
];

#[test]
fn vectors_hold() {
    check_vectors::<BinaryLayout>(VECTORS);
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Settings and frames of the vectors.
fn cases() -> Vec<(String, Vec<u8>)> {
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(VECTORS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let vectors: Json = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let case = |one: &Json| {
            let frame = bytes(one.at("/input/hex")?.as_str()?);
            Some((one.at("/context/settings")?.to_string(), frame))
        };
        cases.extend(vectors.items().unwrap().iter().filter_map(case));
    }
    assert!(cases.len() > 50);
    cases
}

#[test]
fn hostile_frames_are_answered() {
    for (settings, frame) in cases() {
        let call = Call::new().settings(&settings);
        for variation in hostile(&frame, 500) {
            let outcome = call.decode::<BinaryLayout>(&variation);
            assert!(CODES.contains(&outcome.error_code()), "{:?}", outcome.error);
            assert!(outcome.messages.iter().all(|message| !message.values.is_empty()));
        }
    }
}

/// Without checksum and length, so that what is behind them is reached.
#[test]
fn hostile_frames_without_proof_are_answered() {
    for (settings, frame) in cases() {
        let mut json: Json = settings.parse().unwrap();
        json.set("checksum", Json::Null);
        json.set("length", Json::Null);
        let call = Call::new().settings(&json.to_string());
        for variation in hostile(&frame, 300) {
            let outcome = call.decode::<BinaryLayout>(&variation);
            let code = outcome.error_code();
            assert!(CODES.contains(&code) || code == "settings.invalid", "{:?}", outcome.error);
        }
    }
}

#[test]
fn hostile_settings_are_answered() {
    let mut accepted = 0;
    for (settings, frame) in cases() {
        // Each is parsed and compiled: some of them do, and others for each vector.
        for variation in hostile(settings.as_bytes(), 500).step_by(29) {
            let settings = String::from_utf8_lossy(&variation);
            let outcome = Call::new().settings(&settings).decode::<BinaryLayout>(&frame);
            accepted += u32::from(CODES.contains(&outcome.error_code()));
            let _ = Call::new().settings(&settings).encode::<BinaryLayout>("write", "{}");
        }
    }
    assert!(accepted > 500, "only {accepted} were any settings at all");
}

#[test]
fn what_a_frame_asks_for_ends_at_a_limit() {
    for (settings, frame, code) in [
        // As many as a byte can say, of what takes no room.
        (
            r#"{"fields": [{"name": "n", "type": "u32"},
                {"name": "a{i}", "type": "u8", "offset": -1, "repeat": {"count": {"field": "n"}}}]}"#,
            vec![0xff; 8],
            "layout.limit",
        ),
        // To the end, and never there.
        (
            r#"{"fields": [{"type": "group", "repeat": {"count": "end"}, "fields": [
                {"name": "a", "type": "u8", "when": {"offset": 0, "equals": 9}}]}]}"#,
            vec![1, 2, 3],
            "layout.limit",
        ),
        (
            r#"{"fields": [{"name": "a{i}", "type": "u8", "repeat": {"count": "end"}}]}"#,
            vec![0; REPEAT_MAX + 1],
            "layout.limit",
        ),
        // Many fields, many times.
        (
            r#"{"fields": [{"type": "group", "repeat": {"count": "end"}, "fields": [
                {"name": "a{i}", "type": "u8"}, {"name": "b{i}", "type": "u8"}]}]}"#,
            vec![0; VALUES_MAX + 2],
            "layout.limit",
        ),
        (
            r#"{"fields": [{"name": "n", "type": "u64"}, {"name": "t", "type": "string", "length": {"field": "n"}}]}"#,
            vec![0xff; 16],
            "layout.truncated",
        ),
        (
            r#"{"fields": [{"name": "a", "type": "u8"}]}"#,
            vec![0; FRAME_BYTES_MAX + 1],
            "layout.length",
        ),
    ] {
        let outcome = Call::new().settings(settings).decode::<BinaryLayout>(&frame);
        assert_eq!(outcome.error_code(), code, "{settings}");
    }
}

#[test]
fn repetitions_end_with_the_frame() {
    for (settings, frame) in [
        (
            r#"{"fields": [{"name": "a{i}", "type": "u8", "repeat": {"count": "end"}}]}"#,
            vec![7; REPEAT_MAX],
        ),
        (
            r#"{"fields": [{"name": "a{i}", "type": "u8", "repeat": {"count": "end", "stride": 3}}]}"#,
            vec![7; 12],
        ),
        (
            r#"{"fields": [{"name": "a{i}", "type": "u8", "repeat": {"count": "end"}}], "checksum": {"type": "sum8"}}"#,
            vec![1, 2, 3, 6],
        ),
    ] {
        let outcome = Call::new().settings(settings).decode::<BinaryLayout>(&frame);
        assert_eq!(outcome.error, None);
        let expected = match frame.len() {
            12 => 4,
            4 => 3,
            all => all,
        };
        assert_eq!(outcome.messages[0].values.len(), expected);
    }
}

/// A field, or a whole layout, and what is said of it.
#[test]
fn what_is_wrong_with_a_layout_is_said_with_its_place() {
    for (field, text) in [
        (r#"{"type": "u12"}"#, "/fields/0/type: must be one of \"u8\""),
        (r#"{"name": "", "type": "u8"}"#, "/fields/0/name: must have 1 to 200 bytes"),
        (r#"{"name": "a{i}", "type": "u8"}"#, "/fields/0/name: has {i}, and nothing is repeated"),
        (
            r#"{"name": "a", "type": "u8"}, {"name": "a", "type": "u8"}"#,
            "/fields/1/name: another field",
        ),
        (r#"{"name": "a", "type": "u8", "offset": 99999}"#, "/fields/0/offset: must be from"),
        (r#"{"name": "a", "type": "u8", "scale": 0}"#, "/fields/0/scale: must not be 0"),
        (r#"{"name": "a", "type": "f32", "mask": 1}"#, "/fields/0/mask: has no meaning"),
        (r#"{"name": "a", "type": "u8", "length": 1}"#, "/fields/0/length: has no meaning"),
        (r#"{"name": "a", "type": "pad", "length": 1}"#, "/fields/0/name: has no meaning"),
        (
            r#"{"name": "a", "type": "i16", "mask": 1}"#,
            "/fields/0/mask: has no meaning for a signed",
        ),
        (
            r#"{"name": "a", "type": "u8", "mask": "0x100"}"#,
            "/fields/0/mask: must have some of the lowest 8",
        ),
        (r#"{"name": "a", "type": "u8", "mask": "zz"}"#, "/fields/0/mask: must be a whole number"),
        (r#"{"name": "a", "type": "u8", "shift": 8}"#, "/fields/0/shift: must be less than 8"),
        (r#"{"name": "a", "type": "u8", "null": 256}"#, "/fields/0/null: is no number of 8 bits"),
        (
            r#"{"name": "a", "type": "u8", "enum": {"x": "y"}}"#,
            "/fields/0/enum/x: the name of this member",
        ),
        (
            r#"{"name": "a", "type": "u8", "enum": {"1": "y", "0x1": "z"}}"#,
            "/fields/0/enum/1: this number is there",
        ),
        (
            r#"{"name": "a", "type": "i8", "enum": {"-129": "y"}}"#,
            "/fields/0/enum/-129: is no number of 8 bits",
        ),
        (r#"{"name": "a", "type": "bits"}"#, "/fields/0/width: is missing"),
        (r#"{"name": "a", "type": "bits", "width": 65}"#, "/fields/0/width: must be 1 to 64"),
        (
            r#"{"name": "a", "type": "bits", "width": 1, "bit": 1}"#,
            "/fields/0/bit: is counted from `offset`",
        ),
        (r#"{"name": "a", "type": "bcd"}"#, "/fields/0/length: is missing"),
        (
            r#"{"name": "a", "type": "bcd", "length": 9}"#,
            "/fields/0/length: must be a number from 1 to 8",
        ),
        (r#"{"name": "a", "type": "string"}"#, "/fields/0/length: is missing"),
        (
            r#"{"name": "a", "type": "string", "length": "all"}"#,
            "/fields/0/length: must be a number, {",
        ),
        (
            r#"{"name": "a", "type": "string", "length": {"field": "n"}}"#,
            "/fields/0/length: no field before is called \"n\"",
        ),
        (
            r#"{"name": "a", "type": "time", "format": "bcd", "length": 4}"#,
            "/fields/0/length: must be 6 to 7",
        ),
        (
            r#"{"name": "a", "type": "u8", "when": {"equals": 1}}"#,
            "/fields/0/when: must have either",
        ),
        (
            r#"{"name": "a", "type": "u8", "when": {"field": "a", "equals": 1}}"#,
            "/fields/0/when/field: no field before",
        ),
        (
            r#"{"name": "a", "type": "u8", "when": {"offset": 0, "equals": []}}"#,
            "/fields/0/when/equals: must have",
        ),
        (
            r#"{"name": "a", "type": "u8", "repeat": {"count": 0}}"#,
            "/fields/0/repeat/count: must be 1 to 1024",
        ),
        (
            r#"{"name": "a", "type": "u8", "repeat": {"count": 1, "stride": 0}}"#,
            "/fields/0/repeat/stride: must be at least 1",
        ),
        (r#"{"type": "group"}"#, "/fields/0/fields: must have at least one"),
        (
            r#"{"type": "group", "repeat": {"count": 2}, "fields": [{"name": "a", "type": "u8", "repeat": {"count": 2}}]}"#,
            "/fields/0/fields/0/repeat: cannot be within",
        ),
        (r#"{"type": "switch", "cases": {"1": []}}"#, "/fields/0/on: is missing"),
        (
            r#"{"name": "k", "type": "u8"}, {"type": "switch", "on": "k"}"#,
            "/fields/1/cases: must have at least one",
        ),
        (
            r#"{"name": "k", "type": "u8"}, {"type": "switch", "on": "k", "cases": {"0x1": [{"type": "u9"}]}}"#,
            "/fields/1/cases/0x1/0/type: must be one of",
        ),
        (r#"{"name": "a", "type": "u8", "value": 1}"#, "/fields/0/value: is for commands only"),
        (r#"{"name": "a", "typ": "u8"}"#, "/fields/0/typ: is not known"),
    ] {
        refused(&format!(r#"{{"fields": [{field}]}}"#), text);
    }
    let one = r#""fields": [{"name": "a", "type": "u8"}]"#;
    for (rest, text) in [
        (r#""length": 0"#, "/length: must be at least 1"),
        (r#""checksum": {"type": "md5"}"#, "/checksum/type: must be one of"),
        (r#""checksum": {"type": "sum8", "to": 99999}"#, "/checksum/to: must be from"),
        (r#""device": {"offset": 0, "length": 0}"#, "/device/length: must be 1 to 64"),
        (
            r#""device": {"offset": 0, "length": 9, "format": "unsigned"}"#,
            "/device/length: must be 1 to 8",
        ),
        (r#""ts": {"offset": 0, "length": 3}"#, "/ts/length: must be 4 to 8"),
        (r#""ts": {"offset": 0, "utc_offset_min": 9999}"#, "/ts/utc_offset_min: must be from"),
        (r#""variants": [{"head": {"bytes": ""}}]"#, "/variants/0/head/bytes: must have 1 to 64"),
        (
            r#""variants": [{"head": {"bytes": "0"}}]"#,
            "/variants/0/head/bytes: must be hexadecimal",
        ),
        (
            r#""variants": [{"head": {"bytes": "00", "mask": "0000"}}]"#,
            "/variants/0/head/mask: must have as many",
        ),
        (
            r#""variants": [{"head": {"bytes": "00"}, "fields": [{"name": "a", "type": "u8"}]}]"#,
            "/variants/0/fields/0/name: another",
        ),
        (r#""commands": {"x": {}}"#, "/commands/x/length: must be 1 to"),
        (
            r#""commands": {"x": {"length": 1, "template": "0102"}}"#,
            "/commands/x/template: has more than",
        ),
        (
            r#""commands": {"x": {"fields": [{"type": "u8"}]}}"#,
            "/commands/x/fields/0: must have a name",
        ),
        (
            r#""commands": {"x": {"fields": [{"type": "u8", "value": 256}]}}"#,
            "/commands/x/fields/0/value: must be from 0 to 255",
        ),
        (
            r#""commands": {"x": {"fields": [{"name": "v", "type": "u8", "default": "on"}]}}"#,
            "/commands/x/fields/0/default: must be a number",
        ),
        (
            r#""commands": {"x": {"fields": [{"name": "v", "type": "u8", "when": {"offset": 0, "equals": 0}}]}}"#,
            "/commands/x/fields/0/when: is for reading",
        ),
        (
            r#""commands": {"x": {"fields": [{"name": "v", "type": "f16"}]}}"#,
            "/commands/x/fields/0/type: is for reading",
        ),
        (
            r#""commands": {"x": {"fields": [{"name": "v", "type": "u8", "offset": -1}]}}"#,
            "/commands/x/fields/0/offset: needs a length",
        ),
        (
            r#""commands": {"x": {"length": 1, "fields": [{"name": "v", "type": "u16"}]}}"#,
            "/commands/x/fields/0: ends behind",
        ),
        (
            r#""commands": {"x": {"length": 1, "checksum": {"type": "crc32"}}}"#,
            "/commands/x/checksum: does not fit",
        ),
    ] {
        refused(&format!("{{{one}, {rest}}}"), text);
    }
    refused("{}", "/fields: describes nothing");
    let many = vec![r#"{"type": "pad", "length": 1}"#; 501].join(",");
    let variant = format!(r#"{{"head": {{"bytes": "00"}}, "fields": [{many}]}}"#);
    refused(
        &format!(r#"{{"variants": [{variant}, {variant}]}}"#),
        "/variants/1/fields/499: there are more than 1000 fields",
    );
    refused(
        r#"{"length": 2, "fields": [{"name": "a", "type": "u16", "offset": 1}]}"#,
        "/fields/0/offset: does not lie within",
    );
    let deep = (0..6).fold(r#"{"name": "a", "type": "u8"}"#.to_owned(), |inner, _| {
        format!(r#"{{"type": "group", "fields": [{inner}]}}"#)
    });
    let nested = "/fields/0".repeat(5);
    refused(
        &format!(r#"{{"fields": [{deep}]}}"#),
        &format!("{nested}/fields: fields can be at most 4 deep"),
    );
}

fn refused(settings: &str, text: &str) {
    let outcome = Call::new().settings(settings).decode::<BinaryLayout>(&[0; 4]);
    let error = outcome.error.unwrap_or_else(|| panic!("{settings} is taken"));
    assert_eq!(error.code, "settings.invalid");
    assert!(error.text.starts_with(text), "{settings}\n{error}\nis not {text}");
    assert!(outcome.messages.is_empty());
}

#[test]
fn wrong_parameters_are_named() {
    let settings = r#"{"commands": {"set": {"fields": [
        {"name": "level", "type": "i16", "scale": 0.1},
        {"name": "mode", "type": "u8", "enum": {"1": "off", "2": "on"}, "default": "off"},
        {"name": "bits", "type": "bits", "width": 3, "default": 0},
        {"name": "word", "type": "string", "length": 2, "default": ""},
        {"name": "raw", "type": "hex", "length": 2, "default": "0000"},
        {"name": "digits", "type": "bcd", "length": 1, "default": 0},
        {"name": "single", "type": "f32", "default": 0},
        {"name": "yes", "type": "bool", "default": false},
        {"name": "nibble", "type": "u8", "mask": "0xf0", "shift": 4, "default": 0},
        {"name": "at", "type": "time", "format": "bytes", "default": 1774747805}]}}}"#;
    for (params, text) in [
        ("{}", "/params/level: is missing"),
        ("[]", "/params: must be an object"),
        (r#"{"levle": 1}"#, "/params/levle: is not known; there is level, mode"),
        (r#"{"level": 3276.8}"#, "/params/level: must be from -3276.8 to 3276.7"),
        (r#"{"level": "high"}"#, "/params/level: must be a number"),
        (r#"{"level": 0, "mode": "auto"}"#, "/params/mode: must be off, on"),
        (r#"{"level": 0, "mode": -1}"#, "/params/mode: must be from 0 to 255"),
        (r#"{"level": 0, "bits": 8}"#, "/params/bits: must be from 0 to 7"),
        (r#"{"level": 0, "word": "abc"}"#, "/params/word: must have at most 2 bytes"),
        (r#"{"level": 0, "raw": "00"}"#, "/params/raw: must have 2 bytes"),
        (r#"{"level": 0, "raw": "0g00"}"#, "/params/raw: must be hexadecimal"),
        (r#"{"level": 0, "digits": 100}"#, "/params/digits: does not fit"),
        (r#"{"level": 0, "single": 1e39}"#, "/params/single: does not fit"),
        (r#"{"level": 0, "yes": 1}"#, "/params/yes: must be true or false"),
        (r#"{"level": 0, "nibble": 16}"#, "/params/nibble: must be from 0 to 15"),
        (r#"{"level": 0, "at": "later"}"#, "/params/at: must be seconds since 1970"),
        (r#"{"level": 0, "at": 0}"#, "/params/at: does not fit"),
    ] {
        let outcome = Call::new().settings(settings).encode::<BinaryLayout>("set", params);
        let error = outcome.error.expect(params);
        assert_eq!(error.code, "command.params");
        assert!(error.text.starts_with(text), "{params}: {error}");
        assert!(outcome.frames.is_empty());
    }
    let call = Call::new().settings(settings);
    assert_eq!(call.encode::<BinaryLayout>("get", "{}").error_code(), "command.unknown");
    assert_eq!(call.encode::<BinaryLayout>("set", r#"{"level": 0}"#).error, None);
}

#[test]
fn the_settings_of_the_readme_are_taken() {
    let blocks: Vec<_> = include_str!("../README.md").split("```json").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let settings = block.split("```").next().unwrap_or_default();
        let outcome = Call::new().settings(settings).decode::<BinaryLayout>(&[]);
        assert_ne!(outcome.error_code(), "settings.invalid", "{settings}\n{:?}", outcome.error);
    }
}
