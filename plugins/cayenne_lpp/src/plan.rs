//! How the plugin is set up: settings, checked once and laid out as tables.

use std::borrow::Cow;
use std::collections::BTreeMap;

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{PluginError, settings};

use crate::kinds::{self, Kind, Part};

/// Bytes of a name in the settings: what is put behind it has to fit the ABI's 255 as well.
const NAME_BYTES_MAX: usize = 200;

settings! {
    /// How payloads are laid out.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Format {
        /// Channel, type, data: LPP 1.0, and port 1 of LPP 2.0.
        Dynamic = "dynamic",
        /// Type and data; channels are counted from 0. Port 2 of LPP 2.0.
        Packed = "packed",
        /// Channel, latitude, longitude, altitude. Port 3 of LPP 2.0.
        Gps = "gps",
        /// The LoRaWAN port tells, as in LPP 2.0; it is the topic's last level.
        ByPort = "by_port",
    }
}

settings! {
    /// What becomes of a payload that ends within a record, or has a type that is not known.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Policy {
        /// The records before it count, and the call fails.
        Keep = "keep",
        /// Nothing counts, and the call fails.
        Refuse = "refuse",
        /// The records before it count, and nothing fails.
        Ignore = "ignore",
    }
}

settings! {
    /// What a record of Unix time is.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TimeAs {
        /// A value like others.
        Value = "value",
        /// The time of the payload's values.
        Timestamp = "timestamp",
    }
}

settings! {
    /// How commands are written.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Downlink {
        /// Channel, type, data: as uplinks are.
        Record = "record",
        /// Channel, hundredths in two bytes, 0xFF: what the Cayenne platform sends.
        Actuator = "actuator",
    }
}

settings! {
    /// A type of a number that is not known, or that devices use otherwise.
    #[derive(Debug, Clone)]
    pub struct CustomKind {
        /// The name of its values, which the channel is put behind.
        name: String,
        /// Bytes of data, 1 to 8.
        bytes: u8,
        /// Whether it can be negative.
        signed: bool = false,
        /// How many make one of the unit.
        divisor: f64 = 1.0,
    }
}

settings! {
    /// How payloads are read, and what their values are called.
    #[derive(Debug)]
    pub struct Settings {
        /// How payloads are laid out.
        format: Format = Format::Dynamic,
        /// Names in place of `temperature_1`: by channel (`"1"`), or by channel and type
        /// (`"1:temperature"`).
        names: BTreeMap<String, String> = BTreeMap::new(),
        /// Types by number, in place of the known ones or beside them.
        types: BTreeMap<String, CustomKind> = BTreeMap::new(),
        /// What becomes of a payload that cannot be read to its end.
        on_error: Policy = Policy::Keep,
        /// What a record of Unix time (type 133) is.
        time: TimeAs = TimeAs::Value,
        /// How commands are written.
        downlink: Downlink = Downlink::Record,
    }
}

/// The settings, ready to be used.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) format: Format,
    pub(crate) on_error: Policy,
    pub(crate) time: TimeAs,
    pub(crate) downlink: Downlink,
    /// By type, 256 of them.
    kinds: Vec<Option<Kind>>,
    /// By channel.
    by_channel: BTreeMap<u8, String>,
    /// By channel and type.
    by_record: BTreeMap<(u8, u8), String>,
}

/// What a record's values are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'p> {
    /// As the settings say, for one type of the channel or for all of them.
    Given(&'p str),
    /// After type and channel.
    Made(&'p str, u8),
}

impl Plan {
    pub(crate) fn kind(&self, number: u8) -> Option<&Kind> {
        self.kinds.get(usize::from(number))?.as_ref()
    }

    /// The name for a record of this channel and type.
    pub(crate) fn name<'p>(&'p self, channel: u8, number: u8, kind: &'p str) -> Name<'p> {
        let given =
            self.by_record.get(&(channel, number)).or_else(|| self.by_channel.get(&channel));
        given.map_or(Name::Made(kind, channel), |name| Name::Given(name))
    }
}

/// Checks what belongs together.
///
/// # Errors
/// Code `settings.invalid`, with the JSON pointer of what is wrong.
pub(crate) fn compile(settings: Settings) -> Result<Plan, PluginError> {
    let wrong = |error: JsonError| PluginError::new("settings.invalid", error.to_string());
    let kinds = all_kinds(&settings.types).map_err(|e| wrong(e.within("types")))?;
    let mut plan = Plan {
        format: settings.format,
        on_error: settings.on_error,
        time: settings.time,
        downlink: settings.downlink,
        kinds,
        by_channel: BTreeMap::new(),
        by_record: BTreeMap::new(),
    };
    for (key, name) in &settings.names {
        plan.add_name(key, name).map_err(|error| wrong(error.within(key).within("names")))?;
    }
    Ok(plan)
}

fn all_kinds(custom: &BTreeMap<String, CustomKind>) -> Result<Vec<Option<Kind>>, JsonError> {
    let mut kinds = kinds::known();
    for (key, kind) in custom {
        let compiled = number(key, "a type's number, \"0\" to \"255\"")
            .and_then(|number| Ok((number, kind.compile()?)));
        let (number, compiled) = compiled.map_err(|error| error.within(key))?;
        let others = kinds.iter().enumerate().filter(|(at, _)| *at != usize::from(number));
        if others.flat_map(|(_, kind)| kind).any(|kind| kind.name == compiled.name) {
            let text = format!("another type is called {:?} already", compiled.name);
            return Err(JsonError::new(text).within("name").within(key));
        }
        kinds[usize::from(number)] = Some(compiled);
    }
    Ok(kinds)
}

impl CustomKind {
    fn compile(&self) -> Result<Kind, JsonError> {
        check_name(&self.name).map_err(|error| error.within("name"))?;
        if !(1..=8).contains(&self.bytes) {
            return Err(JsonError::new("must be 1 to 8").within("bytes"));
        }
        // What is neither smaller nor equal is not a number.
        if !(self.divisor.is_finite() && self.divisor != 0.0) {
            return Err(JsonError::new("must not be 0").within("divisor"));
        }
        let part = Part {
            suffix: "",
            bytes: usize::from(self.bytes),
            signed: self.signed,
            divisor: self.divisor,
        };
        let name = Cow::Owned(self.name.clone());
        Ok(Kind { name, parts: Cow::Owned(vec![part]), is_time: false })
    }
}

impl Plan {
    fn add_name(&mut self, key: &str, name: &str) -> Result<(), JsonError> {
        check_name(name)?;
        let mut given = self.by_channel.values().chain(self.by_record.values());
        if given.any(|known| known == name) {
            return Err(JsonError::new(format!("{name:?} is the name of another channel already")));
        }
        let (channel, kind) = match key.split_once(':') {
            Some((channel, kind)) => (channel, Some(kind)),
            None => (key, None),
        };
        let channel = number(channel, "a channel, \"0\" to \"255\", and a type behind a colon")?;
        let Some(kind) = kind else {
            self.by_channel.insert(channel, name.to_owned());
            return Ok(());
        };
        let is = |known: &Option<Kind>| known.as_ref().is_some_and(|known| known.name == kind);
        let found = self.kinds.iter().position(is).and_then(|at| u8::try_from(at).ok());
        let found = found.ok_or_else(|| {
            let known: Vec<_> = self.kinds.iter().flatten().map(|kind| &*kind.name).collect();
            JsonError::new(format!("there is no type {kind:?}; there is {}", known.join(", ")))
        })?;
        self.by_record.insert((channel, found), name.to_owned());
        Ok(())
    }
}

fn number(text: &str, what: &str) -> Result<u8, JsonError> {
    // `parse` takes "+1" and "01" as well, which would let one channel be named twice.
    let number = text.parse::<u8>().ok().filter(|number| number.to_string() == text);
    number.ok_or_else(|| JsonError::new(format!("the name of this member must be {what}")))
}

fn check_name(name: &str) -> Result<(), JsonError> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(JsonError::new(format!("must have 1 to {NAME_BYTES_MAX} bytes")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::testing::Call;

    use crate::CayenneLpp;

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (settings, text) in [
            (r#"{"names": {"x": "a"}}"#, "/names/x: the name of this member must be a channel"),
            (r#"{"names": {"01": "a"}}"#, "/names/01: the name of this member must be a channel"),
            (r#"{"names": {"1": ""}}"#, "/names/1: must have 1 to 200 bytes"),
            (r#"{"names": {"1": "a", "2": "a"}}"#, "/names/2: \"a\" is the name of another"),
            (
                r#"{"names": {"1:warmth": "a"}}"#,
                "/names/1:warmth: there is no type \"warmth\"; there is dig",
            ),
            (
                r#"{"types": {"256": {"name": "a", "bytes": 1}}}"#,
                "/types/256: the name of this member",
            ),
            (r#"{"types": {"9": {"name": "a", "bytes": 9}}}"#, "/types/9/bytes: must be 1 to 8"),
            (
                r#"{"types": {"9": {"name": "a", "bytes": 1, "divisor": 0}}}"#,
                "/types/9/divisor: must not be 0",
            ),
            (
                r#"{"types": {"9": {"name": "humidity", "bytes": 1}}}"#,
                "/types/9/name: another type",
            ),
        ] {
            let error = Call::new().settings(settings).decode::<CayenneLpp>(&[1, 0, 1]).error;
            let error = error.expect(settings);
            assert_eq!(error.code, "settings.invalid", "{settings}");
            assert!(error.text.starts_with(text), "{settings}: {error}");
        }
    }
}
