//! The layouts, byte by byte as `docs/PLUGIN_DEV.md` gives them, and what readers make of bytes
//! that keep none of them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use flux_plugin_abi::{
    Batch, Context, EffectKind, Fault, Malformed, MessageReader, MessageWriter, OutputWriter,
    Section, Sections, Settings, Text, ValueRef, write_batch,
};

fn message_output() -> Vec<u8> {
    let mut out = Vec::new();
    let mut output = OutputWriter::new(&mut out);
    let mut message = output.message("m1", Some(2)).unwrap();
    message.tag("line", "3").unwrap();
    message.value("on", true).unwrap().value("n", -1_i64).unwrap();
    message.value("t", 1.5).unwrap().value("s", "hi").unwrap();
    message.value("b", &[9_u8, 8][..]).unwrap();
    message.value("j", ValueRef::Json("{}".into())).unwrap();
    message.value("at", ValueRef::Time(7)).unwrap();
    drop(message);
    output.state(b"st").unwrap();
    output.effect(EffectKind::Publish, "{}").unwrap();
    output.error("crc", "bad").unwrap();
    output.frame(&[1, 2]).unwrap();
    output.item(3);
    out
}

#[test]
fn an_output_is_laid_out_as_documented() {
    let mut expected = vec![0x01, 0x01, 88, 0, 0, 0];
    expected.extend(b"\x02m1\x02\0\0\0\0\0\0\0");
    expected.extend(b"\x01\0\x04line\x01\x003");
    expected.extend(b"\x07\0\x02on\x01");
    expected.extend(b"\x01n\x02\xff\xff\xff\xff\xff\xff\xff\xff");
    expected.extend(b"\x01t\x03\0\0\0\0\0\0\xf8\x3f");
    expected.extend(b"\x01s\x04\x02\0\0\0hi");
    expected.extend(b"\x01b\x05\x02\0\0\0\x09\x08");
    expected.extend(b"\x01j\x06\x02\0\0\0{}");
    expected.extend(b"\x02at\x07\x07\0\0\0\0\0\0\0");
    assert_eq!(expected.len(), 6 + 88);
    expected.extend(b"\x02\x02\0\0\0st");
    expected.extend(b"\x03\x07\0\0\0\x02\x02\0\0\0{}");
    expected.extend(b"\x04\x0c\0\0\0\x03\0crc\x03\0\0\0bad");
    expected.extend(b"\x05\x02\0\0\0\x01\x02");
    expected.extend(b"\x06\x04\0\0\0\x03\0\0\0");
    assert_eq!(message_output(), expected);
}

/// Everything an output holds, as text; the first error ends it.
fn describe(bytes: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut found = Vec::new();
    let mut sections = Sections::read(bytes)?;
    while let Some(section) = sections.next_section()? {
        found.push(match section {
            Section::Message(message) => describe_message(message)?,
            Section::State(state) => format!("state {state:?}"),
            Section::Effect { kind, json } => format!("{} {}", kind.as_str(), json.as_str()?),
            Section::Error { code, text } => format!("{}: {}", code.as_str()?, text.as_str()?),
            Section::Frame(frame) => format!("frame {frame:?}"),
            Section::Item(index) => format!("item {index}"),
        });
    }
    Ok(found)
}

fn describe_message(mut message: MessageReader<'_>) -> Result<String, Malformed> {
    let mut text = format!("{} {:?}", message.device().as_str()?, message.ts_ns());
    while let Some((name, value)) = message.next_tag()? {
        text += &format!(" {}={}", name.as_str()?, value.as_str()?);
    }
    while let Some((name, value)) = message.next_value()? {
        if let ValueRef::Str(text) | ValueRef::Json(text) = value {
            text.as_str()?;
        }
        text += &format!(" {}:{value:?}", name.as_str()?);
    }
    Ok(text)
}

#[test]
fn what_is_written_reads_the_same() {
    let found = describe(&message_output()).unwrap();
    assert_eq!(found.len(), 6);
    assert!(found[0].starts_with("m1 Some(2) line=3 on:Bool(true) n:I64(-1) t:F64(1.5)"));
    assert_eq!(
        found[1..],
        ["state [115, 116]", "publish {}", "crc: bad", "frame [1, 2]", "item 3"]
    );
}

#[test]
fn an_output_cut_anywhere_is_shorter_or_malformed_never_a_panic() {
    let whole = message_output();
    for len in 0..whole.len() {
        match describe(&whole[..len]) {
            Ok(found) => assert!(found.len() < 6, "cut at {len}"),
            Err(error) => assert!(error.offset <= len, "cut at {len}: {error}"),
        }
    }
}

#[test]
fn no_bytes_panic_a_reader() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let whole = message_output();
    for _ in 0..200_000 {
        let mut bytes = whole.clone();
        for _ in 0..1 + random() % 4 {
            let at = usize::try_from(random()).unwrap() % bytes.len();
            bytes[at] = random().to_le_bytes()[0];
        }
        let _ = describe(&bytes);
        let _ = Context::read(&bytes[1..]);
        let _ = Batch::read(&bytes).map(Iterator::count);
    }
}

#[test]
fn unknown_tags_are_refused_unless_they_are_optional() {
    assert_eq!(describe(b"\x01\x81\x01\0\0\0x\x06\x04\0\0\0\0\0\0\0").unwrap(), ["item 0"]);
    let refused = describe(b"\x01\x07\0\0\0\0").unwrap_err();
    assert_eq!(refused, Malformed { offset: 1, fault: Fault::UnknownTag(7) });
    let refused = describe(b"\x02").unwrap_err();
    assert_eq!(refused.fault, Fault::UnknownForm(2));
}

#[test]
fn names_have_between_1_and_255_bytes() {
    let mut out = Vec::new();
    let mut output = OutputWriter::new(&mut out);
    assert!(output.message(&"x".repeat(256), None).is_err());
    assert!(output.is_empty());
    let mut message = output.message(&"x".repeat(255), None).unwrap();
    assert!(message.value(&"n".repeat(256), 1).is_err());
    message.value(&"n".repeat(255), 1).unwrap();
    assert!(message.tag("late", "x").is_err(), "tags come before values");
    drop(message);
    assert_eq!(describe(&out).unwrap().len(), 1);
    let empty_name = b"\x01\x01\x0f\0\0\0\0\0\0\0\0\0\0\0\x80\0\0\x01\0\0\x01";
    assert_eq!(describe(empty_name).unwrap_err().fault, Fault::EmptyName);
}

#[test]
fn a_message_without_values_is_whole() {
    let mut out = Vec::new();
    drop(OutputWriter::new(&mut out).message("", None).unwrap());
    assert_eq!(describe(&out).unwrap(), [" None"]);
    let mut body = Vec::new();
    MessageWriter::body(&mut body, "d", None).unwrap().value("v", 1).unwrap();
    let mut message = MessageReader::from_body(&body).unwrap();
    assert_eq!(message.next_value().unwrap().unwrap().1, ValueRef::I64(1));
    assert_eq!(message.next_value().unwrap(), None);
    body.push(0);
    let mut message = MessageReader::from_body(&body).unwrap();
    message.next_value().unwrap();
    assert_eq!(message.next_value().unwrap_err().fault, Fault::Trailing);
}

#[test]
fn a_context_survives_and_unknown_sections_are_passed_over() {
    let context = Context {
        settings: Settings { id: 5, json: "{\"a\":1}".into() },
        source: "s".into(),
        topic: "plant/a".into(),
        device: "d".into(),
        received_ns: -3,
        request: Some(&[]),
        state: b"state",
        subject: Text::default(),
    };
    let mut bytes = b"\x7f\x01\0\0\0?".to_vec();
    context.write(&mut bytes).unwrap();
    assert_eq!(Context::read(&bytes), Ok(context));
    assert_eq!(Context::read(&[]), Ok(Context::default()));
    for len in 0..bytes.len() {
        let _ = Context::read(&bytes[..len]);
    }
}

#[test]
fn a_context_is_laid_out_as_documented() {
    let context = Context {
        settings: Settings { id: 5, json: "{}".into() },
        source: "s".into(),
        topic: "t".into(),
        device: "d".into(),
        received_ns: 1,
        request: Some(b"r"),
        state: b"st",
        subject: "{}".into(),
    };
    let mut bytes = Vec::new();
    context.write(&mut bytes).unwrap();
    let mut expected = b"\x04\x0a\0\0\0\x05\0\0\0\0\0\0\0{}".to_vec();
    expected.extend(b"\x01\x01\0\0\0s\x02\x01\0\0\0t\x07\x01\0\0\0d");
    expected.extend(b"\x03\x08\0\0\0\x01\0\0\0\0\0\0\0\x05\x01\0\0\0r");
    expected.extend(b"\x06\x02\0\0\0st\x08\x02\0\0\0{}");
    assert_eq!(bytes, expected);
}

#[test]
fn a_batch_that_announces_more_than_it_can_hold_is_refused() {
    let mut bytes = Vec::new();
    write_batch([&b"ab"[..], b"", b"c"], &mut bytes).unwrap();
    assert_eq!(bytes, b"\x03\0\0\0\x02\0\0\0ab\0\0\0\0\x01\0\0\0c");
    let batch = Batch::read(&bytes).unwrap();
    assert_eq!(batch.len(), 3);
    let items: Result<Vec<_>, _> = batch.collect();
    assert_eq!(items.unwrap(), [&b"ab"[..], b"", b"c"]);
    bytes[0] = 200;
    assert_eq!(Batch::read(&bytes).unwrap_err().fault, Fault::Truncated);
    bytes[0] = 3;
    bytes.pop();
    assert!(Batch::read(&bytes).unwrap().any(|item| item.is_err()));
}
