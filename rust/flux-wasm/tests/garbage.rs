//! Whatever bytes a guest answers with: a message, or a failed call; never a panic, and never
//! anything left behind.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::cell::RefCell;
use std::sync::Arc;

use flux_plugin_abi::{EffectKind, OutputWriter};
use flux_wasm::{Context, FailureReason, Plugin, Plugins, Sink};
use guests::{parrot, patient, plugin_within};
use proptest::prelude::*;

thread_local! {
    static PARROT: (Plugins, Arc<Plugin>) = plugin_within(parrot(), patient());
    static SINK: RefCell<Sink> = RefCell::default();
}

/// Lets the parrot answer with these bytes.
fn answer(output: &[u8]) {
    PARROT.with(|(_, plugin)| {
        SINK.with_borrow_mut(|sink| {
            sink.clear();
            let result = plugin.lease().unwrap().decode(&Context::default(), output, sink);
            match result {
                Ok(outcome) => {
                    assert_eq!(outcome.items, 0..1);
                    look_at_everything(sink);
                }
                Err(error) => {
                    assert_eq!(error.reason(), FailureReason::Output, "{error}");
                    assert_eq!((sink.items().len(), sink.messages_len()), (0, 0));
                    assert!(sink.state().is_none());
                }
            }
        });
    });
}

fn look_at_everything(sink: &Sink) {
    for item in sink.items() {
        for message in item.messages() {
            let names: std::collections::HashSet<_> =
                message.values().map(|(name, _)| Arc::clone(name)).collect();
            assert_eq!(names.len(), message.values().len(), "a name stands once");
            let _ = (message.device(), message.ts_ns(), message.tags().count());
        }
        let _ = (item.effects().len(), item.frames().len(), item.reported());
    }
}

fn good_output() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut output = OutputWriter::new(&mut bytes);
    let mut message = output.message("m1", Some(5)).unwrap();
    message.tag("line", "3").unwrap();
    message.value("on", true).unwrap().value("t", 1.5).unwrap().value("s", "hi").unwrap();
    drop(message);
    output.state(b"abc").unwrap();
    output.effect(EffectKind::Publish, r#"{"topic":"a/b"}"#).unwrap();
    output.error("crc", "bad checksum").unwrap();
    output.frame(&[1, 2]).unwrap();
    bytes
}

#[test]
fn a_good_answer_cut_anywhere_is_a_shorter_one_or_a_failed_call() {
    let good = good_output();
    for len in 0..=good.len() {
        answer(&good[..len]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_bytes_are_survived(mut bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        answer(&bytes);
        if let Some(first) = bytes.first_mut() {
            *first = 1;
            answer(&bytes);
        }
    }

    #[test]
    fn a_good_answer_with_bytes_changed_is_survived(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = good_output();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        answer(&bytes);
    }

    #[test]
    fn sections_of_any_kind_in_any_order_are_survived(
        sections in proptest::collection::vec(
            (0_u8..9, proptest::collection::vec(any::<u8>(), 0..40)), 0..12)
    ) {
        let mut bytes = vec![1];
        for (tag, body) in sections {
            bytes.push(if tag == 8 { 0x80 } else { tag });
            bytes.extend(u32::try_from(body.len()).unwrap().to_le_bytes());
            bytes.extend(body);
        }
        answer(&bytes);
    }

    #[test]
    fn json_of_any_shape_is_survived(text in r#"[\[{]("(messages|values|ts|device|effects|state|error)"|[0-9.:,\[\]{}" ]|null|true){0,30}"#) {
        answer(text.as_bytes());
    }

}

proptest! {
    // each case compiles a module
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_result_is_survived(result in any::<i64>(), small in any::<u16>()) {
        for result in [result, i64::from(small) << 32 | result & 0xffff] {
            let wasm = guests::decoding(&format!("(i64.const {result})"));
            let (_plugins, plugin) = plugin_within(wasm, patient());
            let mut sink = Sink::default();
            let _ = plugin.lease().unwrap().decode(&Context::default(), &[0; 9], &mut sink);
            look_at_everything(&sink);
        }
    }
}
