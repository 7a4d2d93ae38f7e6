//! Topics, and the device keys made of them.
//!
//! Owns `spBv1.0/{group}/{verb}/{edge}[/{device}]` (specification section 4.2) and the patterns of
//! keys. Must never know payloads.

use flux_plugin_sdk::PluginError;

/// The namespace of Sparkplug B.
const NAMESPACE: &str = "spBv1.0";
/// Bytes of a group, an edge node or a device in a topic.
pub(crate) const ID_BYTES_MAX: usize = 255;
/// Bytes of a device's key.
const KEY_BYTES_MAX: usize = 128;

/// What a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    NBirth,
    DBirth,
    NData,
    DData,
    NDeath,
    DDeath,
    /// NCMD or DCMD: for the edge node, not from it.
    Command,
    /// Of a host application.
    State,
}

/// Where a message was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Topic<'a> {
    pub(crate) verb: Verb,
    pub(crate) group: &'a str,
    pub(crate) edge: &'a str,
    /// Empty: the edge node itself.
    pub(crate) device: &'a str,
}

impl<'a> Topic<'a> {
    /// Reads a topic.
    ///
    /// # Errors
    /// `sparkplug.topic`.
    pub(crate) fn parse(text: &'a str) -> Result<Self, PluginError> {
        Self::read(text).ok_or_else(|| {
            let form = "spBv1.0/{group}/{NBIRTH, NDATA, ...}/{edge node}[/{device}]";
            let text = format!("the topic {text:?} is none of Sparkplug B: expected {form}");
            PluginError::new("sparkplug.topic", text)
        })
    }

    fn read(text: &'a str) -> Option<Self> {
        let mut levels = text.split('/');
        if levels.next()? != NAMESPACE {
            return None;
        }
        let (group, verb) = (levels.next()?, levels.next()?);
        if group == "STATE" {
            return Some(Self { verb: Verb::State, group: "", edge: "", device: "" });
        }
        let (edge, device) = (levels.next()?, levels.next());
        let (verb, of_device) = match verb {
            "NBIRTH" => (Verb::NBirth, false),
            "DBIRTH" => (Verb::DBirth, true),
            "NDATA" => (Verb::NData, false),
            "DDATA" => (Verb::DData, true),
            "NDEATH" => (Verb::NDeath, false),
            "DDEATH" => (Verb::DDeath, true),
            "NCMD" => (Verb::Command, false),
            "DCMD" => (Verb::Command, true),
            _ => return None,
        };
        let is_id = |id: &str| !id.is_empty() && id.len() <= ID_BYTES_MAX;
        let ids = is_id(group) && is_id(edge) && device.is_none_or(is_id);
        let complete = ids && device.is_some() == of_device && levels.next().is_none();
        complete.then_some(Self { verb, group, edge, device: device.unwrap_or_default() })
    }

    /// Where a command to the edge node itself goes.
    pub(crate) fn node_command(&self) -> String {
        format!("{NAMESPACE}/{}/NCMD/{}", self.group, self.edge)
    }
}

/// How a device's key is made of its ids: text with `{group}`, `{edge}` and `{device}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Group,
    Edge,
    Device,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// `settings.invalid`, with the place this pattern stands at.
    pub(crate) fn parse(pointer: &str, text: &str) -> Result<Self, PluginError> {
        let wrong = |what: &str| PluginError::new("settings.invalid", format!("{pointer}: {what}"));
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let name = after.strip_prefix('{').and_then(|after| after.split_once('}'));
            let (name, after) = name.ok_or_else(|| wrong("a brace has no partner"))?;
            parts.push(match name {
                "group" => Part::Group,
                "edge" => Part::Edge,
                "device" => Part::Device,
                _ => {
                    let what =
                        format!("there is no {{{name}}}, only {{group}}, {{edge}}, {{device}}");
                    return Err(wrong(&what));
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            return Err(wrong("must not be empty"));
        }
        Ok(Self(parts))
    }

    /// Whether it is made of the device.
    pub(crate) fn has_device(&self) -> bool {
        self.0.contains(&Part::Device)
    }

    /// The key of these ids. What cannot stand in a key (white space, control characters, a `$` at
    /// its beginning) becomes `_`: ids such as `Raspberry Pi` are common.
    pub(crate) fn key(&self, group: &str, edge: &str, device: &str) -> String {
        let mut key = String::new();
        for part in &self.0 {
            key.push_str(match part {
                Part::Text(text) => text,
                Part::Group => group,
                Part::Edge => edge,
                Part::Device => device,
            });
        }
        let refused = |c: char| c.is_whitespace() || c.is_control() || "/+#".contains(c);
        if key.starts_with('$') || key.contains(refused) {
            key = key.replace(refused, "_");
            if key.starts_with('$') {
                key.replace_range(..1, "_");
            }
        }
        key
    }
}

/// A key the host can take.
///
/// # Errors
/// `sparkplug.device`.
pub(crate) fn checked(key: String) -> Result<String, PluginError> {
    if key.len() <= KEY_BYTES_MAX {
        return Ok(key);
    }
    let text = format!(
        "the device's key would have {} bytes, and has {KEY_BYTES_MAX} at most: {key}; let the \
         settings `device` and `node` make shorter ones",
        key.len()
    );
    Err(PluginError::new("sparkplug.device", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_name_group_edge_node_and_device() {
        let topic =
            Topic::parse("spBv1.0/Sparkplug B Devices/DDATA/Raspberry Pi/Pibrella").unwrap();
        assert_eq!(topic.verb, Verb::DData);
        assert_eq!(
            (topic.group, topic.edge, topic.device),
            ("Sparkplug B Devices", "Raspberry Pi", "Pibrella")
        );
        assert_eq!(topic.node_command(), "spBv1.0/Sparkplug B Devices/NCMD/Raspberry Pi");
        assert_eq!(Topic::parse("spBv1.0/STATE/scada").unwrap().verb, Verb::State);
        assert_eq!(Topic::parse("spBv1.0/g/DCMD/e/d").unwrap().verb, Verb::Command);
    }

    #[test]
    fn topics_of_another_form_are_refused() {
        let long = format!("spBv1.0/g/NDATA/{}", "e".repeat(256));
        for text in [
            "",
            "spBv1.0",
            "spBv1.0/g",
            "spBv1.0/g/NDATA",
            "spBv1.0/g/NDATA/",
            "spBv1.0//NDATA/e",
            "spAv1.0/g/NDATA/e",
            "spBv1.0/g/NDATA/e/d",
            "spBv1.0/g/DDATA/e",
            "spBv1.0/g/DDATA/e/",
            "spBv1.0/g/DDATA/e/d/x",
            "spBv1.0/g/ndata/e",
            "v1/devices/a/telemetry",
            &long,
        ] {
            assert_eq!(Topic::parse(text).unwrap_err().code, "sparkplug.topic", "{text}");
        }
    }

    #[test]
    fn keys_are_made_by_the_pattern() {
        let key =
            |pattern: &str| Pattern::parse("/device", pattern).unwrap().key("g", "e 1", "d\u{a0}2");
        assert_eq!(key("{device}"), "d_2");
        assert_eq!(key("{group}-{edge}-{device}"), "g-e_1-d_2");
        assert_eq!(key("plant.{edge}"), "plant.e_1");
        assert_eq!(Pattern::parse("", "{edge}").unwrap().key("g", "$x", ""), "_x");
        assert!(checked("k".repeat(128)).is_ok());
        assert_eq!(checked("k".repeat(129)).unwrap_err().code, "sparkplug.device");
    }

    #[test]
    fn patterns_that_are_none_are_refused_with_their_place() {
        for (pattern, expected) in [
            ("", "/device: must not be empty"),
            ("{edge", "/device: a brace has no partner"),
            ("edge}", "/device: a brace has no partner"),
            ("{line}", "/device: there is no {line}, only {group}, {edge}, {device}"),
        ] {
            assert_eq!(Pattern::parse("/device", pattern).unwrap_err().text, expected);
        }
    }
}
