//! The words of a mapping, and what they compile to.

use std::collections::BTreeMap;

use flux_plugin_sdk::{PluginError, settings};

use crate::NAME_BYTES_MAX;
use crate::path::{Node, Path, Target};

settings! {
    /// What a point in time is written in.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum TimeUnit {
        /// Seconds since 1970, with or without a fraction.
        S = "s",
        /// Milliseconds since 1970.
        Ms = "ms",
        /// Microseconds since 1970.
        Us = "us",
        /// Nanoseconds since 1970.
        Ns = "ns",
        /// Text by RFC 3339.
        Rfc3339 = "rfc3339",
    }
}

impl TimeUnit {
    pub(crate) const fn ns(self) -> i64 {
        match self {
            Self::S => 1_000_000_000,
            Self::Ms => 1_000_000,
            Self::Us => 1_000,
            Self::Ns | Self::Rfc3339 => 1,
        }
    }

    /// What a time of that unit looks like, for people.
    pub(crate) const fn described(self) -> &'static str {
        match self {
            Self::S => "a number of seconds since 1970",
            Self::Ms => "a number of milliseconds since 1970",
            Self::Us => "a number of microseconds since 1970",
            Self::Ns => "a number of nanoseconds since 1970",
            Self::Rfc3339 => "text like 2024-05-01T12:00:00Z (RFC 3339)",
        }
    }
}

settings! {
    /// Which paths of a payload are what: as in a product's JSON decoding. A path is dotted, with
    /// array indices: data[0].t
    #[derive(Debug, Clone, PartialEq)]
    pub struct MappingSettings {
        /// Path to the device's key; the source's own device if left out.
        device: Option<String>,
        /// Path to the time; that of receipt if left out.
        ts: Option<String>,
        /// What that time is written in.
        ts_unit: TimeUnit = TimeUnit::Ms,
        /// Path by name of value; every scalar if left out.
        values: Option<BTreeMap<String, String>>,
    }
}

/// A mapping, checked, its paths as one tree.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) ts_unit: TimeUnit,
    /// Where in a sample something is looked for.
    pub(crate) paths: Node,
    /// Whether whatever the paths do not name becomes a value.
    pub(crate) flat: bool,
    /// Whether the common envelope is looked for.
    pub(crate) envelope: bool,
}

impl Mapping {
    /// Checks paths and names.
    ///
    /// # Errors
    /// `settings.invalid`, with the place of the first that is wrong.
    pub fn compile(settings: &MappingSettings) -> Result<Self, PluginError> {
        let mut paths = Node::default();
        if let Some(path) = &settings.device {
            paths.add(&parse("/device", path)?, Target::Device);
        }
        if let Some(path) = &settings.ts {
            paths.add(&parse("/ts", path)?, Target::Time);
        }
        for (name, path) in settings.values.iter().flatten() {
            let pointer = format!("/values/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.is_empty() || name.len() > NAME_BYTES_MAX {
                return Err(invalid(&pointer, &format!("a name has 1 to {NAME_BYTES_MAX} bytes")));
            }
            paths.add(&parse(&pointer, path)?, Target::Value(name.as_str().into()));
        }
        if settings.values.as_ref().is_some_and(BTreeMap::is_empty) {
            return Err(invalid("/values", "nothing is mapped; leave it out to take every value"));
        }
        let flat = settings.values.is_none();
        if flat && paths.has_items() {
            let what = "a payload that is one array has no names: its values have to be mapped";
            return Err(invalid("/values", what));
        }
        Ok(Self { ts_unit: settings.ts_unit, paths, flat, envelope: flat && settings.ts.is_none() })
    }
}

fn parse(pointer: &str, text: &str) -> Result<Path, PluginError> {
    Path::parse(text).map_err(|what| invalid(pointer, &what))
}

fn invalid(pointer: &str, what: &str) -> PluginError {
    PluginError::new("settings.invalid", format!("{pointer}: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flux_plugin_sdk::setting;

    fn error(json: &str) -> String {
        let settings = setting::read::<MappingSettings>(json).unwrap();
        Mapping::compile(&settings).unwrap_err().text.into_owned()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (json, expected) in [
            (r#"{"device": "a..b"}"#, "/device: a name is missing at character 3"),
            (r#"{"ts": ""}"#, "/ts: a path has 1 to 512 bytes"),
            (r#"{"values": {"p/q": "a["}}"#, "/values/p~1q: the bracket at character 2"),
            (r#"{"values": {}}"#, "/values: nothing is mapped"),
            (r#"{"values": {"": "a"}}"#, "/values/: a name has 1 to 255 bytes"),
            (r#"{"ts": "[0]"}"#, "/values: a payload that is one array has no names"),
        ] {
            assert!(error(json).starts_with(expected), "{}", error(json));
        }
    }
}
