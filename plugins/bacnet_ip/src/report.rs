//! Values of objects into values of a message: names, scales, words.

use std::fmt::Write;

use flux_plugin_sdk::{MessageOutput, Output, PluginError, ValueRef, debug};

use crate::names::{OBJECT_TYPES, PROPERTIES};
use crate::plan::{PRESENT_VALUE, Plan, Point, Reference, Unmapped};
use crate::value::{Bits, Content, Value};

/// Values of one frame: what the host takes in one message.
const VALUES_MAX: usize = 1024;

const STATUS_FLAGS: u32 = 111;
/// The bits of the status flags, in order (clause 21, BACnetStatusFlags).
const FLAGS: [&str; 4] = ["in_alarm", "fault", "overridden", "out_of_service"];

/// Where values go. The message begins with its first value: one without any says nothing.
#[derive(Debug)]
enum Sink<'o, 'b> {
    Waiting(&'o mut Output<'b>),
    Begun(MessageOutput<'o>),
    /// Only while one becomes the other.
    Changing,
}

/// The values of one frame, on their way into one message.
#[derive(Debug)]
pub(crate) struct Report<'p, 'o, 'b> {
    plan: &'p Plan,
    device: &'p str,
    sink: Sink<'o, 'b>,
    values: usize,
    /// The first property that could not be read, and how many more there are.
    problem: Option<(PluginError, usize)>,
    name: String,
}

impl<'p, 'o, 'b> Report<'p, 'o, 'b> {
    pub(crate) fn new(plan: &'p Plan, device: &'p str, out: &'o mut Output<'b>) -> Self {
        let sink = Sink::Waiting(out);
        Self { plan, device, sink, values: 0, problem: None, name: String::with_capacity(64) }
    }

    /// A property could not be read; the others count.
    pub(crate) fn problem(&mut self, error: PluginError) {
        match &mut self.problem {
            Some((_, more)) => *more += 1,
            none => *none = Some((error, 0)),
        }
    }

    /// # Errors
    /// The first property that could not be read.
    pub(crate) fn finish(self) -> Result<(), PluginError> {
        match self.problem {
            None => Ok(()),
            Some((error, 0)) => Err(error),
            Some((error, more)) => {
                Err(PluginError::new(error.code, format!("{}, and {more} more", error.text)))
            }
        }
    }

    /// What a property holds.
    ///
    /// # Errors
    /// `bacnet.length`: more values than a message holds.
    pub(crate) fn property(
        &mut self,
        at: Reference,
        content: &Content<'_>,
    ) -> Result<(), PluginError> {
        let plan = self.plan;
        let point = plan.point(at);
        if point.is_none() && plan.unmapped == Unmapped::Drop {
            return Ok(());
        }
        self.name.clear();
        match point {
            Some(point) => self.name.push_str(&point.name),
            None => self.made_name(at),
        }
        match content {
            Content::Many(json) => {
                let text = json.to_string();
                self.put(ValueRef::Json(text.as_str().into()))
            }
            Content::One(Value::Null) => {
                debug!("{at} is null");
                Ok(())
            }
            // What a device writes where it measured nothing.
            Content::One(Value::Real(number)) if !number.is_finite() => {
                debug!("{at} is {number}");
                Ok(())
            }
            Content::One(Value::Double(number)) if !number.is_finite() => {
                debug!("{at} is {number}");
                Ok(())
            }
            Content::One(Value::Bits(bits)) => self.bits(at, point, *bits),
            Content::One(value) => self.value(at, point, value),
        }
    }

    /// After the object's present value, if that is named, or its type and instance; the property
    /// behind it unless it is the present value.
    fn made_name(&mut self, at: Reference) {
        let own = Reference { property: PRESENT_VALUE, index: None, ..at };
        match self.plan.point(own) {
            Some(point) => self.name.push_str(&point.name),
            None => {
                push_words(&mut self.name, &OBJECT_TYPES.text(at.object.kind()));
                let _ = write!(self.name, "_{}", at.object.instance());
            }
        }
        if !matches!(at.property, PRESENT_VALUE | STATUS_FLAGS) {
            self.name.push('_');
            push_words(&mut self.name, &PROPERTIES.text(at.property));
        }
        if let Some(index) = at.index {
            let _ = write!(self.name, "_{index}");
        }
    }

    fn put(&mut self, value: ValueRef<'_>) -> Result<(), PluginError> {
        if self.values == VALUES_MAX {
            let text = format!("the frame has more than {VALUES_MAX} values");
            return Err(PluginError::new("bacnet.length", text));
        }
        self.values += 1;
        self.sink = match std::mem::replace(&mut self.sink, Sink::Changing) {
            Sink::Waiting(out) => Sink::Begun(out.message(self.device)),
            begun => begun,
        };
        if let Sink::Begun(message) = &mut self.sink {
            message.value(&self.name, value);
        }
        Ok(())
    }

    /// Bits that have names become values of their own.
    fn bits(
        &mut self,
        at: Reference,
        point: Option<&Point>,
        bits: Bits<'_>,
    ) -> Result<(), PluginError> {
        let named = point.filter(|point| !point.bits.is_empty());
        let base = self.name.len();
        if let Some(point) = named {
            return self.named_bits(base, bits, point.bits.iter().map(String::as_str));
        }
        if at.property == STATUS_FLAGS {
            return self.named_bits(base, bits, FLAGS.into_iter());
        }
        let text = Value::Bits(bits).to_string();
        self.put(text.as_str().into())
    }

    fn named_bits<'n>(
        &mut self,
        base: usize,
        bits: Bits<'_>,
        names: impl Iterator<Item = &'n str>,
    ) -> Result<(), PluginError> {
        for (bit, name) in bits.iter().zip(names).filter(|(_, name)| !name.is_empty()) {
            self.name.truncate(base);
            self.name.push('_');
            self.name.push_str(name);
            self.put(bit.into())?;
        }
        Ok(())
    }

    fn value(
        &mut self,
        at: Reference,
        point: Option<&Point>,
        value: &Value<'_>,
    ) -> Result<(), PluginError> {
        if let Some(point) = point {
            if let Some(word) = whole(value).and_then(|number| point.labels.get(&number)) {
                return self.put(word.as_str().into());
            }
            if let Some(raw) = number(value).filter(|_| point.scale.changes()) {
                return self.put(point.scale.apply(raw).into());
            }
        }
        match value {
            Value::Boolean(yes) => self.put((*yes).into()),
            // Of binary objects the present value is on or off (clause 21, BACnetBinaryPV).
            Value::Enumerated(state @ (0 | 1)) if is_binary(at) => self.put((*state == 1).into()),
            Value::Unsigned(number) | Value::Enumerated(number) => self.put(unsigned(*number)),
            Value::Integer(number) => self.put((*number).into()),
            Value::Real(number) => self.put((*number).into()),
            Value::Double(number) => self.put((*number).into()),
            Value::Octets(bytes) => self.put((*bytes).into()),
            Value::Text(text) => self.put((&**text).into()),
            other => {
                let text = other.to_string();
                self.put(text.as_str().into())
            }
        }
    }
}

/// `analog-input` is written `analog_input`, which a rule can name.
fn push_words(name: &mut String, words: &str) {
    name.extend(words.chars().map(|c| if c == '-' { '_' } else { c }));
}

/// The present value of an object that is on or off.
fn is_binary(at: Reference) -> bool {
    at.property == PRESENT_VALUE && matches!(at.object.kind(), 3..=5 | 55)
}

fn whole(value: &Value<'_>) -> Option<u64> {
    match value {
        Value::Boolean(yes) => Some(u64::from(*yes)),
        Value::Unsigned(number) | Value::Enumerated(number) => Some(*number),
        Value::Integer(number) => (*number).try_into().ok(),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss)] // what is scaled is measured
fn number(value: &Value<'_>) -> Option<f64> {
    match value {
        Value::Unsigned(number) | Value::Enumerated(number) => Some(*number as f64),
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(f64::from(*number)),
        Value::Double(number) => Some(*number),
        _ => None,
    }
}

#[allow(clippy::cast_precision_loss)] // beyond 2^63 there is no other number
fn unsigned(number: u64) -> ValueRef<'static> {
    i64::try_from(number).map_or_else(|_| ValueRef::F64(number as f64), ValueRef::I64)
}
