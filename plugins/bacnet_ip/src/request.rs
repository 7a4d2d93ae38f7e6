//! Commands into requests: clauses 13.14, 15.5, 15.7, 15.9 and 16.10.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Command, Context, Json, Output, PluginError, Setting, settings};

use crate::apdu;
use crate::datatype::Datatype;
use crate::link::{self, Cast};
use crate::network::{self, Destination};
use crate::plan::{OBJECTS_MAX, Plan, Point, Reference, compile, reference};
use crate::services::{confirmed, unconfirmed};
use crate::tags::{Class, unsigned_bytes, write, write_bracket};
use crate::value::ObjectId;

settings! {
    /// What is read: what is named, or everything in the settings.
    #[derive(Debug)]
    pub(crate) struct Read {
        /// Names from the settings.
        names: Vec<String> = Vec::new(),
        /// Objects, such as `analog-input,1`.
        objects: Vec<String> = Vec::new(),
        /// Which property of the objects.
        property: String = "present-value".to_owned(),
        /// Which element of it, of an array.
        index: Option<u32>,
    }
}

settings! {
    /// What is written, and where: to a name from the settings, or to an object.
    #[derive(Debug)]
    pub(crate) struct Write {
        /// A name from the settings.
        name: Option<String>,
        /// An object, such as `analog-output,1`.
        object: Option<String>,
        /// Which property of the object.
        property: Option<String>,
        /// Which element, of an array.
        index: Option<u32>,
        /// The value; `null` gives the priority back.
        value: Json,
        /// Its type, where it does not follow from the object.
        r#type: Option<Datatype>,
        /// 1, the highest, to 16.
        priority: Option<u8>,
    }
}

settings! {
    /// Whose changes are reported: what is named, or every object in the settings.
    #[derive(Debug)]
    pub(crate) struct Subscribe {
        /// Names from the settings.
        names: Vec<String> = Vec::new(),
        /// Objects, such as `analog-input,1`.
        objects: Vec<String> = Vec::new(),
        /// Whether notifications are to be confirmed; left out: as in the settings.
        confirmed: Option<bool>,
        /// How long it holds, s; 0: for ever. Left out: as in the settings.
        lifetime_s: Option<u32>,
        /// The number it is made under; left out: as in the settings.
        process_id: Option<u32>,
        /// Whether it is to end.
        cancel: bool = false,
    }
}

settings! {
    /// Which devices are to answer: all, or those within a range.
    #[derive(Debug)]
    pub(crate) struct WhoIs {
        /// The lowest instance.
        low: Option<u32>,
        /// The highest instance.
        high: Option<u32>,
    }
}

/// Encodes one command.
///
/// # Errors
/// `command.unknown`, `command.params`, `settings.invalid`.
pub(crate) fn encode(
    ctx: &Context<'_>,
    command: &Command<'_>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let plan = ctx.compiled(compile)?;
    let mut requests = Requests { plan: &plan, invoke_id: last_invoke_id(ctx), out };
    let made = match command.name {
        "read" => requests.read(&params(command)?),
        "write" => requests.write(&params(command)?),
        "subscribe_cov" => requests.subscribe(&params(command)?),
        "who_is" => requests.who_is(&params(command)?),
        _ => return Err(command.unknown()),
    };
    made.map_err(wrong)
}

fn params<T: Setting>(command: &Command<'_>) -> Result<T, PluginError> {
    let none = Json::Object(Vec::new());
    let params = if *command.params == Json::Null { &none } else { command.params };
    T::from_json(params).map_err(wrong)
}

fn wrong(error: JsonError) -> PluginError {
    PluginError::new("command.params", error.within("params").to_string())
}

/// The number of the last request is the source's state. At first it is taken from the clock, so
/// that answers to what was asked before a restart are not taken for new ones.
fn last_invoke_id(ctx: &Context<'_>) -> u8 {
    let clock = || u8::try_from((ctx.received_ns() >> 20) & 0xff).unwrap_or(0);
    ctx.state().first().copied().unwrap_or_else(clock)
}

/// Writes requests, one frame each.
struct Requests<'p, 'o, 'b> {
    plan: &'p Plan,
    /// The number of the last one.
    invoke_id: u8,
    out: &'o mut Output<'b>,
}

impl<'p> Requests<'p, '_, '_> {
    /// Sends a confirmed request; what it says behind its header is for `write` to add.
    fn confirmed(&mut self, service: u8, write: impl FnOnce(&mut Vec<u8>)) {
        self.invoke_id = self.invoke_id.wrapping_add(1);
        let mut apdu = apdu::confirmed(self.invoke_id, service);
        write(&mut apdu);
        let destination = self.plan.route.as_ref().map_or(Destination::Local, Destination::Remote);
        let npdu = network::write(destination, true, &apdu);
        self.out.frame(&link::frame(Cast::One, &npdu));
    }

    fn point(&self, name: &str) -> Result<&'p Point, JsonError> {
        let unknown = || JsonError::new(format!("the settings name no object {name:?}"));
        self.plan.named(name).ok_or_else(unknown)
    }

    /// What names and objects stand for; everything in the settings where there are none.
    fn references(
        &self,
        names: &[String],
        objects: &[String],
        property: &str,
        index: Option<u32>,
    ) -> Result<Vec<Reference>, JsonError> {
        if names.is_empty() && objects.is_empty() {
            if self.plan.points.is_empty() {
                let text = "name some: the settings have no objects that could be meant";
                return Err(JsonError::new(text).within("objects"));
            }
            return Ok(self.plan.points.iter().map(|point| point.at).collect());
        }
        if names.len() + objects.len() > OBJECTS_MAX {
            return Err(JsonError::new(format!("must be at most {OBJECTS_MAX}")).within("objects"));
        }
        let named = names.iter().enumerate().map(|(index, name)| {
            let point = self.point(name).map_err(|error| error.within(index).within("names"));
            point.map(|point| point.at)
        });
        let given = objects.iter().enumerate().map(|(place, object)| {
            reference(object, property, index).map_err(|error| {
                // It is this command's property, and one of several objects.
                let is_property = error.pointer == "/property";
                let text = JsonError::new(error.text);
                if is_property {
                    text.within("property")
                } else {
                    text.within(place).within("objects")
                }
            })
        });
        named.chain(given).collect()
    }

    fn read(&mut self, read: &Read) -> Result<(), JsonError> {
        let references = self.references(&read.names, &read.objects, &read.property, read.index)?;
        for together in references.chunks(self.plan.properties_per_read) {
            match together {
                [one] => self.confirmed(confirmed::READ_PROPERTY, |apdu| {
                    write_reference(apdu, *one);
                }),
                many => self.confirmed(confirmed::READ_PROPERTY_MULTIPLE, |apdu| {
                    for of_one in many.chunk_by(|a, b| a.object == b.object) {
                        write_specification(apdu, of_one);
                    }
                }),
            }
        }
        self.remember();
        Ok(())
    }

    fn write(&mut self, write: &Write) -> Result<(), JsonError> {
        let (at, point) = self.target(write)?;
        let datatype = write.r#type.or(point.and_then(|point| point.datatype));
        let datatype =
            datatype.or_else(|| Datatype::of(at.object, at.property)).ok_or_else(|| {
                JsonError::new(format!(
                    "is missing: what {at} takes does not follow from the object"
                ))
                .within("type")
            })?;
        let priority = write.priority.or(point.map_or(self.plan.priority, |point| point.priority));
        if priority.is_some_and(|priority| !(1..=16).contains(&priority)) {
            return Err(JsonError::new("must be 1 to 16").within("priority"));
        }
        let mut value = Vec::new();
        let raw = point
            .map_or_else(|| Ok(write.value.clone()), |point| raw(point, datatype, &write.value));
        let written = raw.and_then(|raw| datatype.write(&raw, &mut value));
        written.map_err(|error| error.within("value"))?;
        self.confirmed(confirmed::WRITE_PROPERTY, |apdu| {
            write_reference(apdu, at);
            write_bracket(apdu, Class::Opening, 3);
            apdu.extend_from_slice(&value);
            write_bracket(apdu, Class::Closing, 3);
            if let Some(priority) = priority {
                self::write(apdu, Class::Context, 4, &[priority]);
            }
        });
        self.remember();
        Ok(())
    }

    /// A name's place and point; an object's place alone, which is written as it stands.
    fn target(&self, write: &Write) -> Result<(Reference, Option<&'p Point>), JsonError> {
        match (&write.name, &write.object) {
            (Some(name), None) => {
                for (given, field) in
                    [(write.property.is_some(), "property"), (write.index.is_some(), "index")]
                {
                    if given {
                        return Err(
                            JsonError::new("is the settings' to say, of a name").within(field)
                        );
                    }
                }
                let point = self.point(name).map_err(|error| error.within("name"))?;
                Ok((point.at, Some(point)))
            }
            (None, Some(object)) => {
                let property = write.property.as_deref().unwrap_or("present-value");
                Ok((reference(object, property, write.index)?, None))
            }
            _ => Err(JsonError::new("must have either `name` or `object`")),
        }
    }

    fn subscribe(&mut self, subscribe: &Subscribe) -> Result<(), JsonError> {
        let references =
            self.references(&subscribe.names, &subscribe.objects, "present-value", None)?;
        let mut objects: Vec<ObjectId> = Vec::new();
        // Notifications are of the whole object, however many of its properties are named.
        for reference in &references {
            if !objects.contains(&reference.object) {
                objects.push(reference.object);
            }
        }
        let process_id = subscribe.process_id.unwrap_or(self.plan.process_id);
        let is_confirmed = subscribe.confirmed.unwrap_or(self.plan.confirmed);
        let lifetime_s = subscribe.lifetime_s.unwrap_or(self.plan.lifetime_s);
        for object in objects {
            self.confirmed(confirmed::SUBSCRIBE_COV, |apdu| {
                write(apdu, Class::Context, 0, &unsigned_bytes(process_id.into()));
                write(apdu, Class::Context, 1, &object.0.to_be_bytes());
                if !subscribe.cancel {
                    write(apdu, Class::Context, 2, &[u8::from(is_confirmed)]);
                    write(apdu, Class::Context, 3, &unsigned_bytes(lifetime_s.into()));
                }
            });
        }
        self.remember();
        Ok(())
    }

    /// 16.10.1: both ends of the range, or neither.
    fn who_is(&mut self, who_is: &WhoIs) -> Result<(), JsonError> {
        let mut apdu = apdu::unconfirmed(unconfirmed::WHO_IS);
        match (who_is.low, who_is.high) {
            (None, None) => {}
            (Some(low), Some(high)) if low <= high && high <= ObjectId::INSTANCE_MAX => {
                write(&mut apdu, Class::Context, 0, &unsigned_bytes(low.into()));
                write(&mut apdu, Class::Context, 1, &unsigned_bytes(high.into()));
            }
            _ => {
                let max = ObjectId::INSTANCE_MAX;
                let text = format!("must have both `low` and `high`, 0 to {max}, or neither");
                return Err(JsonError::new(text));
            }
        }
        let npdu = network::write(Destination::Everybody, false, &apdu);
        self.out.frame(&link::frame(Cast::All, &npdu));
        Ok(())
    }

    fn remember(&mut self) {
        self.out.set_state(&[self.invoke_id]);
    }
}

/// What is written for a value: words become their numbers, scales are undone.
fn raw(point: &Point, datatype: Datatype, value: &Json) -> Result<Json, JsonError> {
    if let (Some(word), false) = (value.as_str(), point.labels.is_empty()) {
        let found = point.labels.iter().find(|(_, known)| *known == word);
        return found
            .and_then(|(number, _)| i64::try_from(*number).ok())
            .map(Json::Int)
            .ok_or_else(|| {
                let known: Vec<_> = point.labels.values().map(String::as_str).collect();
                JsonError::new(format!("must be one of {}", known.join(", ")))
            });
    }
    let Some(number) = value.as_f64().filter(|_| point.scale.changes()) else {
        return Ok(value.clone());
    };
    let raw = point.scale.undo(number);
    let is_whole =
        matches!(datatype, Datatype::Unsigned | Datatype::Integer | Datatype::Enumerated);
    Ok(Json::Float(if is_whole { raw.round() } else { raw }))
}

/// Object, property, element: 15.5.1.1 and 15.9.1.1.
fn write_reference(apdu: &mut Vec<u8>, at: Reference) {
    write(apdu, Class::Context, 0, &at.object.0.to_be_bytes());
    write(apdu, Class::Context, 1, &unsigned_bytes(at.property.into()));
    if let Some(index) = at.index {
        write(apdu, Class::Context, 2, &unsigned_bytes(index.into()));
    }
}

/// An object and some of its properties: 15.7.1.1.
fn write_specification(apdu: &mut Vec<u8>, of_one: &[Reference]) {
    let Some(first) = of_one.first() else { return };
    write(apdu, Class::Context, 0, &first.object.0.to_be_bytes());
    write_bracket(apdu, Class::Opening, 1);
    for at in of_one {
        write(apdu, Class::Context, 0, &unsigned_bytes(at.property.into()));
        if let Some(index) = at.index {
            write(apdu, Class::Context, 1, &unsigned_bytes(index.into()));
        }
    }
    write_bracket(apdu, Class::Closing, 1);
}
