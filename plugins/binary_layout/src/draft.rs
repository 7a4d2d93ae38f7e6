//! Messages on their way out.

use std::borrow::Cow;
use std::fmt::Write;

use flux_plugin_sdk::{MessageOutput, Output, ValueRef};

use crate::program::Name;

/// A value of a message.
#[derive(Debug, Clone)]
pub(crate) enum Value<'a> {
    Bool(bool),
    Whole(i64),
    Number(f64),
    Text(Cow<'a, str>),
    Bytes(&'a [u8]),
    Time(i64),
}

/// Values of one device for one moment. Written when they are complete, because groups with a time
/// of their own come between.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    time_ns: Option<i64>,
    /// All names, one behind the other.
    names: String,
    /// Where each name ends, and its value.
    values: Vec<(usize, Value<'a>)>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(time_ns: Option<i64>) -> Self {
        Self { time_ns, names: String::new(), values: Vec::new() }
    }

    /// Adds a value; a name that comes again begins a further message, because of two values under
    /// one name one would be lost.
    pub(crate) fn add(
        &mut self,
        name: &Name,
        index: u32,
        value: Value<'a>,
        device: &str,
        out: &mut Output<'_>,
    ) {
        let begin = self.names.len();
        self.names.push_str(&name.before);
        if let Some(after) = &name.after {
            // A string takes everything.
            let _ = write!(self.names, "{index}{after}");
        }
        if name.repeats && self.knows(begin) {
            let again = self.names.split_off(begin);
            self.write(device, out);
            self.names.push_str(&again);
        }
        self.values.push((self.names.len(), value));
    }

    /// Whether the name that begins there is the name of a value already.
    fn knows(&self, begin: usize) -> bool {
        let (known, name) = self.names.split_at(begin);
        let mut from = 0;
        self.values.iter().any(|(to, _)| {
            let one = known.get(from..*to);
            from = *to;
            one == Some(name)
        })
    }

    /// Writes what there is, and begins anew.
    pub(crate) fn write(&mut self, device: &str, out: &mut Output<'_>) {
        if self.values.is_empty() {
            return;
        }
        let mut message = match self.time_ns {
            Some(time_ns) => out.message_at(device, time_ns),
            None => out.message(device),
        };
        let mut from = 0;
        for (to, value) in self.values.drain(..) {
            put(&mut message, self.names.get(from..to).unwrap_or_default(), &value);
            from = to;
        }
        self.names.clear();
    }
}

fn put(message: &mut MessageOutput<'_>, name: &str, value: &Value<'_>) {
    message.value(
        name,
        match value {
            Value::Bool(yes) => ValueRef::Bool(*yes),
            Value::Whole(number) => ValueRef::I64(*number),
            Value::Number(number) => ValueRef::F64(*number),
            Value::Text(text) => ValueRef::Str((&**text).into()),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Time(ns) => ValueRef::Time(*ns),
        },
    );
}
