//! Bytes nobody meant to send, and commands nobody should.

use cayenne_lpp::{CayenneLpp, PAYLOAD_BYTES_MAX};
use flux_plugin_sdk::testing::{Call, check_vectors, hostile};

#[test]
fn vectors_hold() {
    check_vectors::<CayenneLpp>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
}

const GOOD: &[u8] =
    b"\x01\x67\x01\x10\x02\x68\x6c\x06\x71\x04\xd2\xfb\x2e\x00\x00\x17\x85\x69\xc8\x32\x00";

#[test]
fn hostile_payloads_are_answered() {
    for settings in [
        "{}",
        r#"{"format": "packed", "on_error": "ignore", "time": "timestamp"}"#,
        r#"{"format": "gps", "on_error": "refuse"}"#,
        r#"{"format": "by_port", "names": {"1": "a", "2:humidity": "b"}}"#,
        r#"{"types": {"0": {"name": "x", "bytes": 8}, "1": {"name": "y", "bytes": 8, "signed": true, "divisor": 1e-300}}}"#,
    ] {
        let call = Call::new().settings(settings).topic("node/150").received_ns(i64::MIN);
        for payload in hostile(GOOD, 5_000) {
            let outcome = call.decode::<CayenneLpp>(&payload);
            assert!(["", "lpp.truncated", "lpp.type"].contains(&outcome.error_code()));
        }
    }
}

#[test]
fn what_was_read_of_a_payload_cut_at_any_byte_is_a_beginning_of_the_whole() {
    let whole = Call::new().decode::<CayenneLpp>(GOOD).messages.remove(0).values;
    for len in 0..GOOD.len() {
        let outcome = Call::new().decode::<CayenneLpp>(&GOOD[..len]);
        let values = outcome.messages.first().map(|message| message.values.clone());
        let values = values.unwrap_or_default();
        assert_eq!(values, whole[..values.len()]);
        let ends_with_a_record = [0, 4, 7, 15].contains(&len);
        assert_eq!(outcome.error_code(), if ends_with_a_record { "" } else { "lpp.truncated" });
    }
}

#[test]
fn a_payload_beyond_the_limit_is_refused_unread() {
    let payload = b"\x01\x00\x01".repeat(PAYLOAD_BYTES_MAX / 3 + 1);
    let outcome = Call::new().decode::<CayenneLpp>(&payload);
    assert_eq!(outcome.error_code(), "lpp.length");
    assert!(outcome.messages.is_empty());
}

#[test]
fn the_largest_payload_of_one_channel_loses_nothing() {
    let payload = b"\x01\x00\x01".repeat(PAYLOAD_BYTES_MAX / 3);
    let outcome = Call::new().decode::<CayenneLpp>(&payload);
    assert_eq!((outcome.error_code(), outcome.messages.len()), ("", PAYLOAD_BYTES_MAX / 3));
}

#[test]
fn wrong_parameters_are_named() {
    for (settings, command, params, text) in [
        (
            "{}",
            "digital_output",
            r#"{"channel": 256, "value": 1}"#,
            "/params/channel: must be a whole",
        ),
        (
            "{}",
            "digital_output",
            r#"{"channel": 1, "value": 256}"#,
            "/params/value: must be true, false",
        ),
        ("{}", "digital_output", r#"{"channel": 1}"#, "/params/value: is missing"),
        (
            "{}",
            "analog_output",
            r#"{"channel": 1, "value": 327.68}"#,
            "/params/value: must be from -327.68",
        ),
        (
            "{}",
            "analog_output",
            r#"{"channel": 1, "value": -1e300}"#,
            "/params/value: must be from -327.68",
        ),
        (
            r#"{"downlink": "actuator"}"#,
            "digital_output",
            r#"{"channel": 255, "value": 1}"#,
            "/params/channel: must be 0 to 254",
        ),
    ] {
        let outcome = Call::new().settings(settings).encode::<CayenneLpp>(command, params);
        let error = outcome.error.expect(params);
        assert_eq!(error.code, "command.params");
        assert!(error.text.starts_with(text), "{params}: {error}");
        assert!(outcome.frames.is_empty());
    }
    assert_eq!(Call::new().encode::<CayenneLpp>("melt", "{}").error_code(), "command.unknown");
}

#[test]
fn the_settings_of_the_readme_are_taken() {
    let blocks: Vec<_> = include_str!("../README.md").split("```json").skip(1).collect();
    assert!(!blocks.is_empty());
    for block in blocks {
        let settings = block.split("```").next().unwrap_or_default();
        let outcome = Call::new().settings(settings).decode::<CayenneLpp>(&[]);
        assert_ne!(outcome.error_code(), "settings.invalid", "{settings}\n{:?}", outcome.error);
    }
}
