//! The compact form.

use std::sync::Arc;

use bytes::Bytes;
use flux_plugin_abi::{EffectKind, Malformed, MessageReader, Section, Sections, Text, ValueRef};
use flux_types::Value;

use super::sink::{Cell, Effect, Mark, Reported, Sink};
use crate::words::Word;
use crate::{Limits, OutputFault};

#[inline]
pub(super) fn read(
    bytes: &[u8],
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<(), OutputFault> {
    let mut sections = Sections::read(bytes)?;
    while let Some(section) = sections.next_section()? {
        match section {
            Section::Message(message) => read_message(message, mark, limits, sink)?,
            Section::Item(item) => sink.go_to_item(mark, item)?,
            seldom => read_seldom(seldom, mark, limits, sink)?,
        }
    }
    Ok(())
}

#[inline]
fn read_message(
    mut message: MessageReader<'_>,
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<(), OutputFault> {
    let device = message.device();
    let device = if device.is_empty() { None } else { Some(word(sink, device)?) };
    sink.open_message(mark, device, message.ts_ns(), limits)?;
    if message.tags_left() > 0 {
        message = read_tags(message, limits, sink)?;
    }
    let mut values = message.values()?;
    sink.reserve_values(values.left(), limits)?;
    while let Some(name) = values.next_name()? {
        let name = word(sink, name)?;
        match values.value()? {
            ValueRef::I64(number) => sink.push_cell(Cell::i64(name, number)),
            ValueRef::F64(number) if number.is_finite() => {
                sink.push_cell(Cell::f64(name, number));
            }
            ValueRef::F64(_) => sink.drop_value(),
            ValueRef::Bool(yes) => sink.push_cell(Cell::bool(name, yes)),
            ValueRef::Time(ns) => sink.push_cell(Cell::time(name, ns)),
            ValueRef::Str(text) => push_text(name, text, sink)?,
            ValueRef::Bytes(bytes) => push_bytes(name, bytes, sink),
            ValueRef::Json(text) => push_json(name, text, sink)?,
        }
    }
    Ok(())
}

/// By value and back, so that a message without tags can stay in registers.
#[inline(never)]
fn read_tags<'a>(
    mut message: MessageReader<'a>,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<MessageReader<'a>, OutputFault> {
    sink.reserve_tags(message.tags_left(), limits)?;
    while let Some((name, value)) = message.next_tag()? {
        let (name, value) = (word(sink, name)?, word(sink, value)?);
        sink.push_tag(name, value);
    }
    Ok(message)
}

#[inline(never)]
fn push_text(name: Word, text: Text<'_>, sink: &mut Sink) -> Result<(), OutputFault> {
    sink.push_value(name, Value::Str(Arc::from(text.as_str()?)));
    Ok(())
}

#[inline(never)]
fn push_bytes(name: Word, bytes: &[u8], sink: &mut Sink) {
    sink.push_value(name, Value::Bytes(Bytes::copy_from_slice(bytes)));
}

#[inline(never)]
fn push_json(name: Word, text: Text<'_>, sink: &mut Sink) -> Result<(), OutputFault> {
    let json = serde_json::from_str(text.as_str()?)
        .map_err(|error| OutputFault::Json(format!("a value of type JSON: {error}")))?;
    let value = Value::from_json(json).map_err(|error| OutputFault::Json(error.to_string()))?;
    sink.push_value(name, value);
    Ok(())
}

#[inline]
fn word(sink: &mut Sink, text: Text<'_>) -> Result<Word, Malformed> {
    match sink.words.expected(text.as_bytes()) {
        Some(word) => Ok(word),
        None => look_up(sink, text),
    }
}

#[inline(never)]
fn look_up(sink: &mut Sink, text: Text<'_>) -> Result<Word, Malformed> {
    text.as_str().map(|text| sink.words.number(text))
}

#[inline(never)]
fn read_seldom(
    section: Section<'_>,
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<(), OutputFault> {
    match section {
        // these are not seldom
        Section::Message(_) | Section::Item(_) => Ok(()),
        Section::State(state) => sink.set_state(state, limits),
        Section::Frame(frame) => sink.push_frame(mark, Bytes::copy_from_slice(frame), limits),
        Section::Effect { kind, json } => {
            let effect = effect(kind, json)?;
            sink.push_effect(mark, effect, limits)
        }
        Section::Error { code, text } => {
            let (code, text) = (code.as_str()?.into(), text.as_str()?.into());
            sink.set_reported(Reported { code, text });
            Ok(())
        }
    }
}

fn effect(kind: EffectKind, json: Text<'_>) -> Result<Effect, OutputFault> {
    let fields = serde_json::from_str(json.as_str()?)
        .map_err(|error| OutputFault::Json(format!("an effect: {error}")))?;
    Ok(Effect { kind, fields })
}
