//! How a use of the plugin is set up.

use std::collections::BTreeMap;

use flux_plugin_mapping::{Mapping, MappingSettings, TimeUnit};
use flux_plugin_sdk::{PluginError, settings};

settings! {
    /// How SenML packs are read.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Senml {
        /// Not at all: a payload is what its maps say.
        Off = "off",
        /// Every record is a value of the source's own device, under its full name.
        Names = "names",
        /// The base name is the device's key, the record's own name that of the value.
        Devices = "devices",
    }
}

settings! {
    /// Which paths of a payload are what: as in a product's JSON decoding. A path is dotted, with
    /// array indices: data[0].t. Or how SenML is read.
    #[derive(Debug)]
    pub(crate) struct Settings {
        /// Path to the device's key; the source's own device if left out.
        device: Option<String>,
        /// Path to the time; that of receipt if left out.
        ts: Option<String>,
        /// What that time is written in; a time by CBOR's tags 0 and 1 needs no unit.
        ts_unit: TimeUnit = TimeUnit::Ms,
        /// Path by name of value; every scalar if left out.
        values: Option<BTreeMap<String, String>>,
        /// Whether payloads are SenML packs, and whose values their records are.
        senml: Senml = Senml::Off,
    }
}

/// Settings, checked.
#[derive(Debug)]
pub(crate) enum Setup {
    Paths(Mapping),
    Senml(Senml),
}

impl Setup {
    /// Checks what belongs together.
    ///
    /// # Errors
    /// `settings.invalid`, with the place.
    pub(crate) fn compile(settings: Settings) -> Result<Self, PluginError> {
        let Settings { device, ts, ts_unit, values, senml } = settings;
        if senml == Senml::Off {
            let mapping = MappingSettings { device, ts, ts_unit, values };
            return Mapping::compile(&mapping).map(Self::Paths);
        }
        let path =
            [("device", device.is_some()), ("ts", ts.is_some()), ("values", values.is_some())];
        match path.iter().find(|(_, there)| *there) {
            None => Ok(Self::Senml(senml)),
            Some((name, _)) => {
                let text = format!("/{name}: a SenML pack has no paths; leave it out, or `senml`");
                Err(PluginError::new("settings.invalid", text))
            }
        }
    }
}
