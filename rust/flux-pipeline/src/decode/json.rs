//! JSON payloads, read once and straight into values: no tree of the payload is built.

use std::cell::RefMut;
use std::fmt;
use std::sync::Arc;

use flux_types::{Telemetry, Value};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::Value as Json;

use super::names::Names;
use super::path::{Node, Target};
use super::time::{described, time_ns};
use super::{DecodeContext, DecodeError, Decoded, Decoder};

/// The envelope's two names.
const VALUES: &str = "values";
const TS: &str = "ts";

pub(super) fn decode(
    decoder: &Decoder,
    context: &DecodeContext<'_>,
    payload: &[u8],
    out: &mut Vec<Telemetry>,
) -> Result<Decoded, DecodeError> {
    let max = decoder.limits.payload_bytes_max;
    if payload.len() > max {
        return Err(DecodeError::TooLarge { bytes: payload.len(), max });
    }
    let text = std::str::from_utf8(payload)
        .map_err(|error| DecodeError::NotUtf8 { offset: error.valid_up_to() })?;
    let mut run = Run {
        decoder,
        context,
        names: decoder.names.borrow_mut(),
        sample: Sample::default(),
        decoded: Decoded::default(),
        fault: None,
        out,
    };
    run.names.path.clear();
    let mut json = serde_json::Deserializer::from_str(text);
    let read = Top { run: &mut run, element: false }.deserialize(&mut json);
    let read = read.and_then(|()| json.end());
    match (run.fault.take(), read) {
        (Some(fault), _) => Err(fault),
        (None, Err(error)) => Err(malformed(&error)),
        (None, Ok(())) if run.decoded == Decoded::default() => Err(DecodeError::Nothing),
        (None, Ok(())) => Ok(run.decoded),
    }
}

/// `serde_json` ends its sentence with the place, which we tell apart.
fn malformed(error: &serde_json::Error) -> DecodeError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let (line, column) = (error.line(), error.column());
    DecodeError::Malformed { message: message.to_owned(), line, column }
}

/// One payload being read.
struct Run<'r> {
    decoder: &'r Decoder,
    context: &'r DecodeContext<'r>,
    names: RefMut<'r, Names>,
    sample: Sample,
    decoded: Decoded,
    /// Why reading was broken off, where it was us who did.
    fault: Option<DecodeError>,
    out: &'r mut Vec<Telemetry>,
}

/// One sample being read.
#[derive(Default)]
struct Sample {
    values: Vec<(Arc<str>, Value)>,
    ts: Option<Value>,
    device: Option<Value>,
    /// What the object called `values` at the top gave, of `values`.
    enveloped: Option<std::ops::Range<usize>>,
    /// Whether a name other than the envelope's was at the top.
    other: bool,
}

impl Run<'_> {
    fn fail<E: Error>(&mut self, fault: DecodeError) -> E {
        self.fault = Some(fault);
        E::custom("broken off")
    }

    /// Takes what stands at a path.
    fn take<E: Error>(&mut self, target: &Target, value: Value) -> Result<(), E> {
        if matches!(&value, Value::Json(json) if json.is_null()) {
            return Ok(());
        }
        match target {
            Target::Device => self.sample.device = Some(value),
            Target::Time => self.sample.ts = Some(value),
            Target::Value(name) => self.push(Arc::clone(name), value)?,
        }
        Ok(())
    }

    /// Takes an array or object for the node it stands at and those below.
    fn take_json<E: Error>(&mut self, node: &Node, json: Json) -> Result<Value, E> {
        let mut below = Vec::new();
        node.walk(&json, &mut |target, json| below.push((target.clone(), json.clone())));
        for (target, json) in below {
            self.take(&target, Value::from_json(json).map_err(E::custom)?)?;
        }
        let value = Value::from_json(json).map_err(E::custom)?;
        for target in &node.targets {
            self.take(target, value.clone())?;
        }
        Ok(value)
    }

    /// Takes a value under the name that is being read.
    fn push_read<E: Error>(&mut self, place: Place<'_>, value: Value) -> Result<(), E> {
        if self.is_envelope_ts(place) {
            if matches!(value, Value::I64(_) | Value::F64(_) | Value::Str(_)) {
                // whether it is the time is known at the sample's end
                self.sample.ts = Some(value);
                return Ok(());
            }
            self.sample.other = true;
        }
        let name = self.names.get(self.sample.values.len());
        self.push(name, value)
    }

    fn is_envelope_ts(&self, place: Place<'_>) -> bool {
        self.decoder.envelope && place.depth == 1 && self.names.path == TS
    }

    fn push<E: Error>(&mut self, name: Arc<str>, value: Value) -> Result<(), E> {
        let max = self.decoder.limits.values_max;
        if self.sample.values.len() >= max {
            return Err(self.fail(DecodeError::TooManyValues { max }));
        }
        self.sample.values.push((name, value));
        Ok(())
    }

    /// Makes telemetry of the sample.
    fn finish(&mut self) -> Result<(), DecodeError> {
        let mut sample = std::mem::take(&mut self.sample);
        self.names.count = sample.values.len();
        if self.decoder.envelope {
            self.open_envelope(&mut sample)?;
        }
        keep_last(&mut sample.values);
        if sample.values.is_empty() {
            return Ok(());
        }
        let max = self.decoder.limits.samples_max;
        if self.decoded.samples + self.decoded.refused >= max {
            return Err(DecodeError::TooManySamples { max });
        }
        let ts_ns = self.time(sample.ts.as_ref())?;
        let named = match sample.device {
            None => None,
            Some(name) => {
                let name = device_name(&name)?;
                if name == self.context.device.key.as_str() {
                    None
                } else if let Some(device) = (self.context.named)(&name) {
                    Some(device)
                } else {
                    self.decoded.refused += 1;
                    return Ok(());
                }
            }
        };
        let device = named.as_deref().unwrap_or(self.context.device);
        self.out.push(Telemetry {
            tenant: device.tenant,
            device: device.id,
            device_key: device.key.clone(),
            product: device.product,
            ts_ns,
            values: sample.values,
        });
        self.decoded.samples += 1;
        Ok(())
    }

    fn time(&self, ts: Option<&Value>) -> Result<i64, DecodeError> {
        let unit = self.decoder.ts_unit;
        let Some(ts) = ts else {
            // One time a sample: history keeps one value of a series at a time.
            let place = i64::try_from(self.decoded.samples).unwrap_or(i64::MAX);
            return Ok(self.context.received_ns.saturating_add(place));
        };
        time_ns(ts, unit)
            .ok_or_else(|| DecodeError::Time { found: shown(ts), expected: described(unit) })
    }

    /// Decides whether the sample was an envelope, and gives its parts the names they have then.
    fn open_envelope(&mut self, sample: &mut Sample) -> Result<(), DecodeError> {
        let enveloped = sample.enveloped.take();
        if enveloped.is_some() && !sample.other {
            return Ok(());
        }
        for (name, _) in
            enveloped.and_then(|range| sample.values.get_mut(range)).into_iter().flatten()
        {
            *name = self.bounded(format!("{VALUES}.{name}"))?;
        }
        if let Some(ts) = sample.ts.take() {
            if sample.values.len() >= self.decoder.limits.values_max {
                return Err(DecodeError::TooManyValues { max: self.decoder.limits.values_max });
            }
            TS.clone_into(&mut self.names.path);
            let name = self.names.get(sample.values.len());
            self.names.path.clear();
            sample.values.push((name, ts));
        }
        Ok(())
    }

    fn bounded(&self, name: String) -> Result<Arc<str>, DecodeError> {
        let max = self.decoder.limits.name_bytes_max;
        if name.len() > max { Err(name_too_long(&name, max)) } else { Ok(name.into()) }
    }
}

fn name_too_long(name: &str, max: usize) -> DecodeError {
    DecodeError::NameTooLong { max, start: name.chars().take(40).collect() }
}

fn device_name(value: &Value) -> Result<std::borrow::Cow<'_, str>, DecodeError> {
    match value {
        Value::Str(text) => Ok((&**text).into()),
        Value::I64(number) => Ok(number.to_string().into()),
        other => Err(DecodeError::DeviceName { found: shown(other) }),
    }
}

/// A value for people, not at any length.
fn shown(value: &Value) -> String {
    let text = value.to_json().to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Keeps the last of those with the same name, in the place of the first.
fn keep_last(values: &mut Vec<(Arc<str>, Value)>) {
    // most samples: every name is another, and few of them
    const SEARCHED_MAX: usize = 32;
    if values.len() <= SEARCHED_MAX {
        let mut index = 1;
        while let Some((name, _)) = values.get(index) {
            match values.iter().take(index).position(|(earlier, _)| earlier == name) {
                Some(first) => {
                    let (_, value) = values.remove(index);
                    values[first].1 = value;
                }
                None => index += 1,
            }
        }
        return;
    }
    let mut places = std::collections::HashMap::with_capacity(values.len());
    let mut kept: Vec<(Arc<str>, Value)> = Vec::with_capacity(values.len());
    for (name, value) in values.drain(..) {
        let place = *places.entry(Arc::clone(&name)).or_insert(kept.len());
        match kept.get_mut(place) {
            Some(earlier) => earlier.1 = value,
            None => kept.push((name, value)),
        }
    }
    *values = kept;
}

/// The payload, or one element of the array it is.
struct Top<'a, 'r> {
    run: &'a mut Run<'r>,
    element: bool,
}

impl<'de> DeserializeSeed<'de> for Top<'_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Top<'_, '_> {
    fn refuse<E: Error>(self, found: &'static str) -> Result<(), E> {
        Err(self.run.fail(DecodeError::NotAnObject { found }))
    }

    fn finish<E: Error>(self) -> Result<(), E> {
        self.run.finish().map_err(|fault| self.run.fail(fault))
    }
}

impl<'de> Visitor<'de> for Top<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let decoder = self.run.decoder;
        self.run.sample.values.reserve(self.run.names.count);
        Place::root(decoder).read_map(self.run, map)?;
        self.finish()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let decoder = self.run.decoder;
        if self.element {
            return self.refuse("an array in an array");
        }
        if decoder.paths.has_items() {
            Place::root(decoder).read_items(self.run, seq)?;
            return self.finish();
        }
        while seq.next_element_seed(Top { run: &mut *self.run, element: true })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.refuse("a boolean")
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.refuse("a number")
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.refuse("text")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.refuse("null")
    }
}

/// Where in a sample we are.
#[derive(Clone, Copy)]
struct Place<'d> {
    /// What is looked for here and below; `None` for nothing.
    node: Option<&'d Node>,
    /// How many objects we are in.
    depth: usize,
    /// Whether names below begin with the name of this place.
    named: bool,
}

impl<'d> Place<'d> {
    fn root(decoder: &'d Decoder) -> Self {
        Self { node: Some(&decoder.paths), depth: 0, named: false }
    }

    /// The node, where something is looked for just here.
    fn sought(self) -> Option<&'d Node> {
        self.node.filter(|node| !node.targets.is_empty())
    }

    fn read_map<'de, A: MapAccess<'de>>(
        self,
        run: &mut Run<'_>,
        mut map: A,
    ) -> Result<(), A::Error> {
        let max = run.decoder.limits.depth_max;
        if self.depth >= max {
            return Err(run.fail(DecodeError::TooDeep { max }));
        }
        let start = run.names.path.len();
        while let Some(step) = map.next_key_seed(KeySeed { run: &mut *run, place: self })? {
            match step {
                Step::Skip => {
                    map.next_value::<IgnoredAny>()?;
                }
                Step::Into { place, envelope } => {
                    map.next_value_seed(ValueSeed { run: &mut *run, place, envelope })?;
                }
            }
            run.names.path.truncate(start);
        }
        Ok(())
    }

    /// Looks for what stands at indices of an array. Only what is mapped is looked for there, so
    /// no names are put together.
    fn read_items<'de, A: SeqAccess<'de>>(
        self,
        run: &mut Run<'_>,
        mut seq: A,
    ) -> Result<(), A::Error> {
        for index in 0.. {
            let more = match self.node.and_then(|node| node.item(index)) {
                Some(node) => {
                    let place = Self { node: Some(node), depth: self.depth + 1, named: true };
                    seq.next_element_seed(ValueSeed { run: &mut *run, place, envelope: false })?
                }
                None => seq.next_element::<IgnoredAny>()?.map(drop),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// What to do with the value of a key.
enum Step<'d> {
    /// Nobody looks for it.
    Skip,
    Into {
        place: Place<'d>,
        /// It is called `values`, at the top, and may be the envelope's.
        envelope: bool,
    },
}

struct KeySeed<'a, 'r, 'd> {
    run: &'a mut Run<'r>,
    place: Place<'d>,
}

impl<'de, 'd> DeserializeSeed<'de> for KeySeed<'_, '_, 'd> {
    type Value = Step<'d>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Step<'d>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'d> Visitor<'_> for KeySeed<'_, '_, 'd> {
    type Value = Step<'d>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Step<'d>, E> {
        let Self { run, place: outer } = self;
        let node = outer.node.and_then(|node| node.key(key));
        let place = Place { node, depth: outer.depth + 1, named: true };
        if !run.decoder.flat {
            let into = Step::Into { place, envelope: false };
            return Ok(if node.is_some() { into } else { Step::Skip });
        }
        if outer.named {
            run.names.path.push('.');
        }
        run.names.path.push_str(key);
        let max = run.decoder.limits.name_bytes_max;
        if run.names.path.len() > max {
            let fault = name_too_long(&run.names.path, max);
            return Err(run.fail(fault));
        }
        let top = place.depth == 1 && run.decoder.envelope;
        let envelope = top && key == VALUES && run.sample.enveloped.is_none();
        run.sample.other |= top && !envelope && key != TS && node.is_none();
        Ok(Step::Into { place, envelope })
    }
}

/// A value somewhere in a sample.
struct ValueSeed<'a, 'r, 'd> {
    run: &'a mut Run<'r>,
    place: Place<'d>,
    envelope: bool,
}

impl ValueSeed<'_, '_, '_> {
    fn scalar<E: Error>(self, value: Value) -> Result<(), E> {
        let Self { run, place, envelope } = self;
        run.sample.other |= envelope;
        match place.sought() {
            Some(node) => {
                node.targets.iter().try_for_each(|target| run.take(target, value.clone()))
            }
            None if run.decoder.flat => run.push_read(place, value),
            // a path that leads on from here finds nothing
            None => Ok(()),
        }
    }
}

impl<'de> DeserializeSeed<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueSeed<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Self { run, mut place, envelope } = self;
        if let Some(node) = place.sought() {
            let json = Json::deserialize(MapAccessDeserializer::new(map))?;
            return run.take_json(node, json).map(drop);
        }
        if !envelope {
            run.sample.other |= run.is_envelope_ts(place);
            return place.read_map(run, map);
        }
        // its names are its own until the sample's end tells otherwise
        place.named = false;
        run.names.path.clear();
        let start = run.sample.values.len();
        place.read_map(run, map)?;
        run.sample.enveloped = Some(start..run.sample.values.len());
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
        let Self { run, place, envelope } = self;
        run.sample.other |= envelope;
        match place.node {
            Some(node) if run.decoder.flat || !node.targets.is_empty() => {
                let json = Json::deserialize(SeqAccessDeserializer::new(seq))?;
                let value = run.take_json(node, json)?;
                if node.targets.is_empty() { run.push_read(place, value) } else { Ok(()) }
            }
            Some(_) => place.read_items(run, seq),
            None => {
                let json = Json::deserialize(SeqAccessDeserializer::new(seq))?;
                run.push_read(place, Value::Json(Arc::new(json)))
            }
        }
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Value::I64(value))
    }

    #[allow(clippy::cast_precision_loss)] // beyond i64: as near as a double comes
    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.scalar(i64::try_from(value).map_or(Value::F64(value as f64), Value::I64))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.scalar(Value::F64(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Value::Str(value.into()))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.run.sample.other |= self.envelope;
        Ok(())
    }
}
