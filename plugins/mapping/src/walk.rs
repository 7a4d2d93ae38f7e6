//! A payload, read once and straight into values.

use std::borrow::Cow;

use flux_plugin_sdk::{Output, PluginError};

use crate::path::{Node, Target};
use crate::sample::{Message, Name, Names, Sample, Value, device_name};
use crate::source::{Item, Left, Source, check_nesting, name};
use crate::time::time_ns;
use crate::{
    BYTES_TOTAL_MAX, DEPTH_MAX, Mapping, NAME_BYTES_MAX, SAMPLES_MAX, VALUES_MAX, VALUES_TOTAL_MAX,
    json,
};

/// The envelope's two names.
const VALUES: &str = "values";
const TS: &str = "ts";

/// Decodes a payload.
///
/// # Errors
/// `decode.*` and the format's own; nothing is written then.
pub fn decode<'a, S: Source<'a>>(
    mapping: &Mapping,
    mut source: S,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let mut walk = Walk {
        mapping,
        path: String::new(),
        names: Names::default(),
        sample: Sample::default(),
        messages: Vec::new(),
        values: 0,
        bytes: 0,
    };
    walk.top(&mut source, false)?;
    source.end()?;
    if walk.messages.is_empty() {
        let text = "the payload has none of the values that are looked for";
        return Err(PluginError::new("decode.nothing", text));
    }
    walk.messages.iter().for_each(|message| message.write(&walk.names, out));
    Ok(())
}

/// One payload being read.
struct Walk<'m, 'a> {
    mapping: &'m Mapping,
    /// The name of what is being read.
    path: String,
    names: Names,
    sample: Sample<'m, 'a>,
    messages: Vec<Message<'m, 'a>>,
    /// Of all messages.
    values: usize,
    /// Of all values.
    bytes: usize,
}

/// Where in a sample we are.
#[derive(Clone, Copy)]
struct Place<'m> {
    /// What is looked for here and below; `None` for nothing.
    node: Option<&'m Node>,
    /// How many objects and arrays we are in.
    depth: usize,
    /// Whether names below begin with the name of this place.
    named: bool,
}

impl<'m> Place<'m> {
    /// The node, where something is looked for just here.
    fn sought(self) -> Option<&'m Node> {
        self.node.filter(|node| !node.targets.is_empty())
    }
}

fn too_many(what: &str, max: usize) -> PluginError {
    let code = if what == "samples" { "decode.too_many_samples" } else { "decode.too_many_values" };
    PluginError::new(code, format!("the payload has more than {max} {what}"))
}

impl<'m, 'a> Walk<'m, 'a> {
    /// The payload, or one element of the array it is.
    fn top<S: Source<'a>>(&mut self, source: &mut S, element: bool) -> Result<(), PluginError> {
        let root = Place { node: Some(&self.mapping.paths), depth: 0, named: false };
        match source.item()? {
            Item::Map(left) => self.map(source, left, root)?,
            Item::List(_) if element => return Err(not_an_object("an array in an array")),
            Item::List(left) if self.mapping.paths.has_items() => self.items(source, left, root)?,
            Item::List(mut left) => {
                while source.more(&mut left)? {
                    self.top(source, true)?;
                }
                return Ok(());
            }
            other => return Err(not_an_object(other.kind())),
        }
        self.finish()
    }

    fn map<S: Source<'a>>(
        &mut self,
        source: &mut S,
        mut left: Left,
        place: Place<'m>,
    ) -> Result<(), PluginError> {
        if place.depth >= DEPTH_MAX {
            let text = format!("objects are nested deeper than {DEPTH_MAX}");
            return Err(PluginError::new("decode.too_deep", text));
        }
        let start = self.path.len();
        while source.more(&mut left)? {
            let depth = place.depth + 1;
            if !self.mapping.flat && place.node.is_none_or(|node| !node.leads_on()) {
                source.skip(depth)?;
                source.skip(depth)?;
                continue;
            }
            let key = name(source.item()?)?;
            let node = place.node.and_then(|node| node.key(&key));
            let inner = Place { node, depth, named: true };
            if self.mapping.flat {
                let envelope = self.enter(&key, place, inner)?;
                self.value(source, inner, envelope)?;
                self.path.truncate(start);
            } else if node.is_some() {
                self.value(source, inner, false)?;
            } else {
                source.skip(depth)?;
            }
        }
        Ok(())
    }

    /// Goes into a member: its name follows that of the object. Tells whether it may be the
    /// envelope's `values`.
    fn enter(
        &mut self,
        key: &str,
        outer: Place<'m>,
        inner: Place<'m>,
    ) -> Result<bool, PluginError> {
        if outer.named {
            self.path.push('.');
        }
        self.path.push_str(key);
        if self.path.len() > NAME_BYTES_MAX {
            return Err(name_too_long(&self.path));
        }
        let top = inner.depth == 1 && self.mapping.envelope;
        let envelope = top && key == VALUES && self.sample.enveloped.is_none();
        self.sample.other |= top && !envelope && key != TS && inner.node.is_none();
        Ok(envelope)
    }

    /// Looks for what stands at indices of an array. Only what is mapped is looked for there, so no
    /// names are put together.
    fn items<S: Source<'a>>(
        &mut self,
        source: &mut S,
        mut left: Left,
        place: Place<'m>,
    ) -> Result<(), PluginError> {
        check_nesting(place.depth)?;
        let depth = place.depth + 1;
        let mut index = 0;
        while source.more(&mut left)? {
            match place.node.and_then(|node| node.item(index)) {
                Some(node) => {
                    self.value(source, Place { node: Some(node), depth, named: true }, false)?;
                }
                None => source.skip(depth)?,
            }
            index += 1;
        }
        Ok(())
    }

    /// A value somewhere in a sample.
    fn value<S: Source<'a>>(
        &mut self,
        source: &mut S,
        place: Place<'m>,
        envelope: bool,
    ) -> Result<(), PluginError> {
        let before = source.clone();
        match source.item()? {
            Item::Map(left) => match place.sought() {
                Some(node) => {
                    *source = before;
                    self.found(source, node, place.depth)
                }
                None if envelope => self.envelope(source, left, place),
                None => {
                    self.sample.other |= self.is_envelope_ts(place);
                    self.map(source, left, place)
                }
            },
            Item::List(left) => {
                self.sample.other |= envelope;
                match place.node {
                    Some(_) if !self.mapping.flat && place.sought().is_none() => {
                        self.items(source, left, place)
                    }
                    node => {
                        *source = before;
                        self.list(source, node, place)
                    }
                }
            }
            Item::Null => {
                self.sample.other |= envelope;
                Ok(())
            }
            scalar => {
                self.sample.other |= envelope;
                let value = scalar_value(scalar);
                match place.sought() {
                    Some(node) => self.take_all(node, &value),
                    None if self.mapping.flat => self.push_read(place, value),
                    // a path that leads on from here finds nothing
                    None => Ok(()),
                }
            }
        }
    }

    /// What the object called `values` holds: its names are its own until the sample's end tells
    /// otherwise.
    fn envelope<S: Source<'a>>(
        &mut self,
        source: &mut S,
        left: Left,
        mut place: Place<'m>,
    ) -> Result<(), PluginError> {
        place.named = false;
        self.path.clear();
        let start = self.sample.values.len();
        self.map(source, left, place)?;
        self.sample.enveloped = Some(start..self.sample.values.len());
        Ok(())
    }

    /// An array that is kept, as a value of its name or where a path ends.
    fn list<S: Source<'a>>(
        &mut self,
        source: &mut S,
        node: Option<&'m Node>,
        place: Place<'m>,
    ) -> Result<(), PluginError> {
        if place.sought().is_some() {
            return node.map_or(Ok(()), |node| self.found(source, node, place.depth));
        }
        if let Some(node) = node {
            self.below(&mut source.clone(), node, place.depth)?;
        }
        let value = whole(source, place.depth)?;
        self.push_read(place, value)
    }

    /// What a path ends at: it is taken as a whole, and so is what longer paths find in it.
    fn found<S: Source<'a>>(
        &mut self,
        source: &mut S,
        node: &'m Node,
        depth: usize,
    ) -> Result<(), PluginError> {
        if node.leads_on() {
            self.below(&mut source.clone(), node, depth)?;
        }
        if node.targets.is_empty() {
            return source.skip(depth);
        }
        match source.clone().item()? {
            Item::Null => source.skip(depth),
            _ => {
                let value = whole(source, depth)?;
                self.take_all(node, &value)
            }
        }
    }

    /// What the paths that lead on from a node find in an item.
    fn below<S: Source<'a>>(
        &mut self,
        source: &mut S,
        node: &'m Node,
        depth: usize,
    ) -> Result<(), PluginError> {
        check_nesting(depth)?;
        match source.item()? {
            Item::List(mut left) => {
                let mut index = 0;
                while source.more(&mut left)? {
                    match node.item(index) {
                        Some(node) => self.found(source, node, depth + 1)?,
                        None => source.skip(depth + 1)?,
                    }
                    index += 1;
                }
            }
            Item::Map(mut left) => {
                while source.more(&mut left)? {
                    let key = name(source.item()?)?;
                    match node.key(&key) {
                        Some(node) => self.found(source, node, depth + 1)?,
                        None => source.skip(depth + 1)?,
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes a value for everything that ends at a node.
    fn take_all(&mut self, node: &'m Node, value: &Value<'a>) -> Result<(), PluginError> {
        for target in &node.targets {
            match target {
                Target::Device => self.sample.device = Some(value.clone()),
                Target::Time => self.sample.ts = Some(value.clone()),
                Target::Value(name) => self.push(Name::Mapped(name), value.clone())?,
            }
        }
        Ok(())
    }

    /// Takes a value under the name that is being read.
    fn push_read(&mut self, place: Place<'m>, value: Value<'a>) -> Result<(), PluginError> {
        if self.is_envelope_ts(place) {
            if !matches!(value, Value::Bool(_) | Value::Bytes(_) | Value::Json(_)) {
                // whether it is the time is known at the sample's end
                self.sample.ts = Some(value);
                return Ok(());
            }
            self.sample.other = true;
        }
        if self.path.is_empty() {
            // JSON may call a value nothing, a message may not
            return Err(PluginError::new("decode.key", "a value's name is empty"));
        }
        let name = Name::Read(self.names.push(&self.path));
        self.push(name, value)
    }

    fn is_envelope_ts(&self, place: Place<'m>) -> bool {
        self.mapping.envelope && place.depth == 1 && self.path == TS
    }

    fn push(&mut self, name: Name<'m>, value: Value<'a>) -> Result<(), PluginError> {
        if self.sample.values.len() >= VALUES_MAX {
            return Err(too_many("values in a sample", VALUES_MAX));
        }
        self.values += 1;
        if self.values > VALUES_TOTAL_MAX {
            return Err(too_many("values", VALUES_TOTAL_MAX));
        }
        self.bytes += value.size();
        if self.bytes > BYTES_TOTAL_MAX {
            let text = format!("its values have more than {BYTES_TOTAL_MAX} bytes");
            return Err(PluginError::new("decode.too_large", text));
        }
        self.sample.values.push((name, value));
        Ok(())
    }

    /// Makes a message of the sample.
    fn finish(&mut self) -> Result<(), PluginError> {
        let mut sample = std::mem::take(&mut self.sample);
        if self.mapping.envelope {
            self.open_envelope(&mut sample)?;
        }
        sample.keep_last(&self.names);
        if sample.values.is_empty() {
            return Ok(());
        }
        if self.messages.len() >= SAMPLES_MAX {
            return Err(too_many("samples", SAMPLES_MAX));
        }
        let time_ns = sample.ts.as_ref().map(|ts| self.time(ts)).transpose()?;
        let device = sample.device.as_ref().map(device_name).transpose()?.unwrap_or_default();
        self.messages.push(Message { device, time_ns, values: sample.values });
        Ok(())
    }

    fn time(&self, ts: &Value<'a>) -> Result<i64, PluginError> {
        let unit = self.mapping.ts_unit;
        time_ns(ts, unit).ok_or_else(|| {
            let text = format!("the time {} is not {}", ts.shown(), unit.described());
            PluginError::new("decode.time", text)
        })
    }

    /// Decides whether the sample was an envelope, and gives its parts the names they have then.
    fn open_envelope(&mut self, sample: &mut Sample<'m, 'a>) -> Result<(), PluginError> {
        let enveloped = sample.enveloped.take();
        if enveloped.is_some() && !sample.other {
            return Ok(());
        }
        let inner = enveloped.and_then(|range| sample.values.get_mut(range));
        for (name, _) in inner.into_iter().flatten() {
            let full = format!("{VALUES}.{}", self.names.get(name));
            if full.len() > NAME_BYTES_MAX {
                return Err(name_too_long(&full));
            }
            *name = Name::Read(self.names.push(&full));
        }
        if let Some(ts) = sample.ts.take() {
            if sample.values.len() >= VALUES_MAX {
                return Err(too_many("values in a sample", VALUES_MAX));
            }
            sample.values.push((Name::Mapped(TS), ts));
        }
        Ok(())
    }
}

/// The next item with all that is in it, as one value.
fn whole<'a, S: Source<'a>>(source: &mut S, depth: usize) -> Result<Value<'a>, PluginError> {
    match source.item()? {
        item @ (Item::List(_) | Item::Map(_) | Item::Null) => {
            let mut text = String::new();
            json::write(source, item, depth, &mut text)?;
            Ok(Value::Json(text.into()))
        }
        scalar => Ok(scalar_value(scalar)),
    }
}

#[allow(clippy::cast_precision_loss)] // beyond i64: as near as a double comes
fn scalar_value(item: Item<'_>) -> Value<'_> {
    match item {
        Item::Bool(yes) => Value::Bool(yes),
        Item::Int(number) => Value::Int(number),
        Item::Long(number) => Value::Real(number as f64),
        Item::Real(number) => Value::Real(number),
        Item::Text(text) => Value::Text(text),
        Item::Bytes(bytes) => Value::Bytes(bytes),
        Item::Time(ns) => Value::Time(ns),
        Item::Null | Item::List(_) | Item::Map(_) => Value::Json(Cow::Borrowed("null")),
    }
}

fn not_an_object(found: &str) -> PluginError {
    let text = format!("expected an object or an array of objects, found {found}");
    PluginError::new("decode.not_an_object", text)
}

fn name_too_long(name: &str) -> PluginError {
    let start: String = name.chars().take(40).collect();
    let text = format!("a value's name has more than {NAME_BYTES_MAX} bytes: {start}...");
    PluginError::new("decode.name_too_long", text)
}
