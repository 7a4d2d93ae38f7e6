//! The compact form.

use std::sync::Arc;

use bytes::Bytes;
use flux_plugin_abi::{EffectKind, Malformed, MessageReader, Section, Sections, Text, ValueRef};
use flux_types::Value;

use super::sink::{Effect, Mark, Reported, Sink};
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
            other => read_other(other, mark, limits, sink)?,
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
    while let Some((name, value)) = message.next_tag()? {
        let (name, value) = (word(sink, name)?, word(sink, value)?);
        sink.push_tag(name, value, limits)?;
    }
    while let Some((name, value)) = message.next_value()? {
        let name = word(sink, name)?;
        let value = match value {
            ValueRef::I64(number) => Value::I64(number),
            ValueRef::F64(number) if number.is_finite() => Value::F64(number),
            ValueRef::F64(_) => {
                sink.drop_value();
                continue;
            }
            ValueRef::Bool(yes) => Value::Bool(yes),
            ValueRef::Time(ns) => Value::Time(ns),
            ValueRef::Str(text) => Value::Str(Arc::from(text.as_str()?)),
            ValueRef::Bytes(bytes) => Value::Bytes(Bytes::copy_from_slice(bytes)),
            ValueRef::Json(text) => structured(text)?,
        };
        sink.push_value(name, value, limits)?;
    }
    Ok(())
}

#[inline]
fn word(sink: &mut Sink, text: Text<'_>) -> Result<crate::words::Word, Malformed> {
    sink.words().number(text.as_bytes(), || text.as_str().map(|_| ()))
}

fn structured(text: Text<'_>) -> Result<Value, OutputFault> {
    let json = serde_json::from_str(text.as_str()?)
        .map_err(|error| OutputFault::Json(format!("a value of type JSON: {error}")))?;
    Value::from_json(json).map_err(|error| OutputFault::Json(error.to_string()))
}

fn read_other(
    section: Section<'_>,
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<(), OutputFault> {
    match section {
        Section::Message(_) => Ok(()),
        Section::State(state) => sink.set_state(state, limits),
        Section::Frame(frame) => sink.push_frame(mark, Bytes::copy_from_slice(frame), limits),
        Section::Item(item) => sink.go_to_item(mark, item),
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
