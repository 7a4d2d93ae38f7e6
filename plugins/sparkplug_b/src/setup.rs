//! How a use of the plugin is set up.

use flux_plugin_sdk::{PluginError, settings};

use crate::topic::{Pattern, Topic, checked};

settings! {
    /// How edge nodes and their devices become devices and values here. Nothing has to be set.
    #[derive(Debug)]
    pub(crate) struct Settings {
        /// The key of a Sparkplug device's device, of {group}, {edge} and {device}. White space
        /// becomes _.
        device: String = "{device}".to_owned(),
        /// The key of an edge node's own device, of {group} and {edge}.
        node: String = "{edge}".to_owned(),
        /// Name of the value that says whether a device is connected; empty: none.
        online: String = "online".to_owned(),
        /// Name of the value that says how good a device's values are, 192 (good) or 500 (stale).
        /// The same behind a metric's name and a dot says it of that metric. Empty: none.
        quality: String = "quality".to_owned(),
        /// Properties of metrics that are kept, as values named by metric, dot and property.
        properties: Vec<String> = vec!["engUnit".to_owned()],
        /// Whether sequence numbers are checked. Without it, data that is read leaves no trace in
        /// the source's state.
        sequence: bool = true,
        /// Whether an edge node is asked for its births when they are missing.
        rebirth: bool = true,
        /// Milliseconds between two such requests to an edge node, at least.
        rebirth_interval_ms: u32 = 30_000,
        /// Whether commands name the datatypes of their values: the specification would rather not
        /// have them, common edge nodes do not understand without.
        command_datatypes: bool = true,
    }
}

/// Properties that can be kept.
const PROPERTIES_MAX: usize = 32;

/// Settings, checked.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    device: Pattern,
    node: Pattern,
}

impl Setup {
    /// Checks what belongs together.
    ///
    /// # Errors
    /// `settings.invalid`, with the place.
    pub(crate) fn compile(settings: Settings) -> Result<Self, PluginError> {
        let device = Pattern::parse("/device", &settings.device)?;
        let node = Pattern::parse("/node", &settings.node)?;
        let wrong = |text: &str| Err(PluginError::new("settings.invalid", text.to_owned()));
        if !device.has_device() {
            return wrong("/device: must have {device}, or all devices of an edge node are one");
        }
        if node.has_device() {
            return wrong("/node: cannot have {device}: an edge node's topics name none");
        }
        if settings.properties.len() > PROPERTIES_MAX {
            return wrong(&format!("/properties: has at most {PROPERTIES_MAX} items"));
        }
        Ok(Self { settings, device, node })
    }

    /// The key of a device, or of the edge node where the device is empty.
    pub(crate) fn key(&self, group: &str, edge: &str, device: &str) -> String {
        let pattern = if device.is_empty() { &self.node } else { &self.device };
        pattern.key(group, edge, device)
    }

    /// The same of a topic.
    ///
    /// # Errors
    /// `sparkplug.device`: the key is too long.
    pub(crate) fn key_of(&self, topic: &Topic<'_>) -> Result<String, PluginError> {
        checked(self.key(topic.group, topic.edge, topic.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compile(json: &str) -> Result<Setup, PluginError> {
        flux_plugin_sdk::testing::Call::new().settings(json).with_context(|ctx| {
            Setup::compile(flux_plugin_sdk::setting::read(ctx.settings_text()).unwrap())
        })
    }

    #[test]
    fn a_node_is_called_by_its_own_pattern() {
        let setup = compile(r#"{"device": "{edge}.{device}"}"#).unwrap();
        assert_eq!(setup.key("g", "e", "d"), "e.d");
        assert_eq!(setup.key("g", "e", ""), "e");
    }

    #[test]
    fn patterns_that_lose_a_device_are_refused() {
        for (json, place) in [
            (r#"{"device": "{edge}"}"#, "/device: must have {device}"),
            (r#"{"node": "{edge}-{device}"}"#, "/node: cannot have {device}"),
            (r#"{"node": ""}"#, "/node: must not be empty"),
        ] {
            let error = compile(json).unwrap_err();
            assert!(error.text.starts_with(place), "{}", error.text);
            assert_eq!(error.code, "settings.invalid");
        }
    }
}
