//! Frames nobody meant to send, and commands nobody should.
#![allow(clippy::unwrap_used)] // helpers of tests are no tests to clippy

use bacnet_ip::{BacnetIp, FRAME_BYTES_MAX};
use flux_plugin_sdk::Json;
use flux_plugin_sdk::testing::{Call, Outcome, check_vectors, hostile};

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/vectors");
const CODES: [&str; 11] = [
    "",
    "bacnet.abort",
    "bacnet.bvlc",
    "bacnet.charset",
    "bacnet.error",
    "bacnet.length",
    "bacnet.malformed",
    "not_mine",
    "bacnet.reject",
    "bacnet.secure",
    "bacnet.segmented",
];

#[test]
fn vectors_hold() {
    check_vectors::<BacnetIp>(VECTORS);
}

/// The frames of the vectors, which real encoders made.
fn frames() -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for entry in std::fs::read_dir(VECTORS).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let vectors: Json = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let hex = vectors.items().unwrap().iter().filter_map(|one| one.at("/input/hex")?.as_str());
        frames.extend(hex.map(bytes));
    }
    assert!(frames.len() > 50);
    frames
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The same with a length in the header that is right: so that what is behind it is looked at.
fn with_length(mut frame: Vec<u8>) -> Vec<u8> {
    let len = u16::try_from(frame.len()).unwrap().to_be_bytes();
    if let Some(field) = frame.get_mut(2..4) {
        field.copy_from_slice(&len);
    }
    frame
}

fn unicast(npdu: &[u8]) -> Vec<u8> {
    with_length([&[0x81, 0x0a, 0, 0], npdu].concat())
}

const NAMED: &str = r#"{"objects": [
    {"object": "analog-input,1", "name": "supply", "scale": 0.1, "enum": {"1": "one"}},
    {"object": "bitstring-value,5", "name": "alarms", "bits": ["frost", "", "filter"]}],
    "other_devices": "instance", "unmapped": "drop"}"#;

#[test]
fn hostile_frames_are_answered() {
    let calls = [
        Call::new(),
        Call::new().settings(NAMED).request(&unicast(&bytes("0104 0005070c 0c00000001 1955"))),
    ];
    for frame in frames() {
        for variation in hostile(&frame, 300) {
            for call in &calls {
                for bytes in [variation.clone(), with_length(variation.clone())] {
                    let outcome = call.decode::<BacnetIp>(&bytes);
                    assert!(CODES.contains(&outcome.error_code()), "{:?}", outcome.error);
                    assert!(outcome.messages.iter().all(|message| !message.values.is_empty()));
                }
            }
        }
    }
}

#[test]
fn hostile_requests_leave_the_answer_readable() {
    let answer = bytes("810a0017010030070c0c00000001 1955 3e 4441ac0000 3f");
    let request = unicast(&bytes("0104 0005070c 0c00000001 1955"));
    for variation in hostile(&request, 1_000) {
        let call = Call::new().request(&with_length(variation));
        let outcome = call.decode::<BacnetIp>(&answer);
        assert!(["", "not_mine"].contains(&outcome.error_code()));
    }
}

#[test]
fn a_frame_cut_at_any_byte_says_nothing_the_whole_does_not() {
    for frame in frames() {
        let values = |outcome: &Outcome| {
            outcome.messages.first().map(|message| message.values.clone()).unwrap_or_default()
        };
        let whole = Call::new().decode::<BacnetIp>(&frame);
        for len in 0..frame.len() {
            let cut = Call::new().decode::<BacnetIp>(&with_length(frame[..len].to_vec()));
            let (part, all) = (values(&cut), values(&whole));
            assert!(all.starts_with(&part), "{part:?} of {all:?}");
            // Nothing is passed over in silence: what is short of values, or of an error, fails.
            let is_less = part.len() < all.len() || whole.error.is_some() || all.is_empty();
            assert!(cut.error.is_some() || is_less);
        }
    }
}

#[test]
fn a_length_that_is_not_the_frames_is_refused() {
    let mut frame = unicast(&bytes("0100 2007 0f"));
    frame.push(0);
    assert_eq!(Call::new().decode::<BacnetIp>(&frame).error_code(), "bacnet.length");
    let long = unicast(&vec![1; FRAME_BYTES_MAX]);
    assert_eq!(Call::new().decode::<BacnetIp>(&long).error_code(), "bacnet.length");
}

#[test]
fn values_made_of_values_end_at_a_depth() {
    let nested = |levels: usize| {
        let inner = [vec![0x0e; levels], vec![0x0f; levels]].concat();
        unicast(&[bytes("0100 30070c 0c00000001 1955 3e"), inner, vec![0x3f]].concat())
    };
    assert_eq!(Call::new().decode::<BacnetIp>(&nested(7)).error_code(), "");
    for levels in [8, 9, 500] {
        let outcome = Call::new().decode::<BacnetIp>(&nested(levels));
        assert_eq!(outcome.error_code(), "bacnet.malformed");
    }
}

#[test]
fn more_values_than_a_message_holds_are_refused() {
    let flags = bytes("096f 2e 820400 2f");
    let list = flags.repeat(260);
    let head = bytes("0100 1002 0901 1c020004d2 2c00000001 3900 4e");
    let frame = unicast(&[head, list, vec![0x4f]].concat());
    let outcome = Call::new().decode::<BacnetIp>(&frame);
    assert_eq!(outcome.error_code(), "bacnet.length");
    assert_eq!(outcome.messages[0].values.len(), 1024);
}

#[test]
fn wrong_settings_are_named() {
    for (settings, text) in [
        (
            r#"{"objects": [{"object": "analog-input", "name": "a"}]}"#,
            "/objects/0/object: must be a type",
        ),
        (
            r#"{"objects": [{"object": "analogue-input,1", "name": "a"}]}"#,
            "/objects/0/object: must be a type",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a", "property": "x"}]}"#,
            "/objects/0/property: is no property",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": ""}]}"#,
            "/objects/0/name: must have 1 to 200 bytes",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a"}, {"object": "0,2", "name": "a"}]}"#,
            "/objects/1/name: another object",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a"}, {"object": "analog-input,1", "name": "b"}]}"#,
            "/objects/1/object: analog-input,1 present-value is named already",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a", "scale": 0}]}"#,
            "/objects/0/scale: must not be 0",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a", "enum": {"x": "y"}}]}"#,
            "/objects/0/enum/x: the name of this member",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a", "enum": {"1": "y", "2": "y"}}]}"#,
            "/objects/0/enum/2: is the word",
        ),
        (
            r#"{"objects": [{"object": "0,1", "name": "a", "priority": 17}]}"#,
            "/objects/0/priority: must be 1 to 16",
        ),
        (r#"{"priority": 0}"#, "/priority: must be 1 to 16"),
        (
            r#"{"devices": {"x": "a"}}"#,
            "/devices/x: the name of this member must be a device's instance",
        ),
        (r#"{"devices": {"1": ""}}"#, "/devices/1: must have 1 to 200 bytes"),
        (r#"{"route": {"network": 0, "address": "01"}}"#, "/route/network: must be 1 to 65534"),
        (r#"{"route": {"network": 1, "address": "0"}}"#, "/route/address: must be hexadecimal"),
        (r#"{"route": {"network": 1, "address": ""}}"#, "/route/address: must have 1 to 18 bytes"),
        (r#"{"properties_per_read": 81}"#, "/properties_per_read: must be 1 to 80"),
    ] {
        let error = Call::new().settings(settings).decode::<BacnetIp>(b"").error.expect(settings);
        assert_eq!(error.code, "settings.invalid");
        assert!(error.text.starts_with(text), "{settings}: {error}");
    }
}

#[test]
fn wrong_parameters_are_named_and_send_nothing() {
    let settings =
        r#"{"objects": [{"object": "multi-state-value,1", "name": "mode", "enum": {"1": "off"}}]}"#;
    for (command, params, text) in [
        (
            "read",
            r#"{"names": ["mode", "x"]}"#,
            "/params/names/1: the settings name no object \"x\"",
        ),
        ("read", r#"{"objects": ["x"]}"#, "/params/objects/0: must be a type"),
        ("read", r#"{"objects": ["0,1"], "property": "x"}"#, "/params/property: is no property"),
        ("write", r#"{"value": 1}"#, "/params: must have either `name` or `object`"),
        ("write", r#"{"name": "mode", "object": "0,1", "value": 1}"#, "/params: must have either"),
        ("write", r#"{"name": "mode", "index": 1, "value": 1}"#, "/params/index: is the settings'"),
        ("write", r#"{"name": "mode", "value": "on"}"#, "/params/value: must be one of off"),
        ("write", r#"{"name": "mode", "value": -1}"#, "/params/value: must be a whole number, 0"),
        ("write", r#"{"object": "group,1", "value": 1}"#, "/params/type: is missing"),
        (
            "write",
            r#"{"object": "0,1", "value": 1, "priority": 0}"#,
            "/params/priority: must be 1 to 16",
        ),
        ("write", r#"{"object": "0,1"}"#, "/params/value: is missing"),
        ("subscribe_cov", r#"{"objects": ["device,-1"]}"#, "/params/objects/0: must be a type"),
        ("who_is", r#"{"low": 1}"#, "/params: must have both"),
        ("who_is", r#"{"low": 2, "high": 1}"#, "/params: must have both"),
    ] {
        let outcome = Call::new().settings(settings).encode::<BacnetIp>(command, params);
        let error = outcome.error.expect(params);
        assert_eq!(error.code, "command.params");
        assert!(error.text.starts_with(text), "{params}: {error}");
        assert_eq!((outcome.frames.len(), outcome.state), (0, None));
    }
    assert_eq!(Call::new().encode::<BacnetIp>("read", "null").error_code(), "command.params");
    assert_eq!(Call::new().encode::<BacnetIp>("sing", "{}").error_code(), "command.unknown");
}

#[test]
fn requests_are_numbered_around_the_clock() {
    let call = Call::new().settings(r#"{"properties_per_read": 1}"#).state(&[254]);
    let outcome = call.encode::<BacnetIp>("read", r#"{"objects": ["0,1", "0,2", "0,3"]}"#);
    let numbers: Vec<u8> = outcome.frames.iter().map(|frame| frame[8]).collect();
    assert_eq!((numbers, outcome.state), (vec![255, 0, 1], Some(vec![1])));
}

#[test]
fn the_largest_read_fits_an_apdu() {
    let object = |number: usize| {
        format!(
            r#"{{"object": "1023,{}", "name": "n{number}", "property": "4194303", "index": 4294967295}}"#,
            4_194_303 - number
        )
    };
    let objects: Vec<String> = (0..80).map(object).collect();
    let settings = format!(r#"{{"objects": [{}], "properties_per_read": 80}}"#, objects.join(","));
    let outcome = Call::new().settings(&settings).encode::<BacnetIp>("read", "{}");
    assert_eq!(outcome.frames.len(), 1);
    assert!(outcome.frames[0].len() - 6 <= 1476, "{}", outcome.frames[0].len());
}

#[test]
fn the_settings_of_the_readme_are_taken() {
    let blocks: Vec<_> = include_str!("../README.md").split("```json").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let settings = block.split("```").next().unwrap_or_default();
        let outcome = Call::new().settings(settings).decode::<BacnetIp>(&[]);
        assert_ne!(outcome.error_code(), "settings.invalid", "{settings}\n{:?}", outcome.error);
    }
}
