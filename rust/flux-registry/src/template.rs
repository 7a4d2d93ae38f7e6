//! Topic templates: `plant/{line}/{device}/telemetry`.
//!
//! Owns their grammar, matching and rendering. Must never know which devices exist.

use std::fmt;
use std::sync::Arc;

use flux_types::{Key, TOPIC_LEVELS_MAX, Topic, TopicError, TopicFilter};

use crate::tags::Tags;

/// A topic with one level that is the device's key and others that may be anything.
#[derive(Clone, PartialEq, Eq)]
pub struct TopicTemplate {
    text: Arc<str>,
    levels: Box<[Level]>,
    device_level: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Level {
    Literal(Box<str>),
    Device,
    Capture(Box<str>),
}

/// Why a text is no topic template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It breaks a rule every topic has to obey.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// Begins with `$`, which MQTT reserves for the server.
    #[error("a template cannot begin with `$`: MQTT reserves it for the server")]
    Reserved,
    /// No `{device}`.
    #[error("a template has to have `{{device}}` as one of its levels")]
    NoDevice,
    /// A name stands twice.
    #[error("`{{{0}}}` stands twice")]
    Twice(String),
    /// A brace that is not around a whole level, or a capture without a proper name.
    #[error("`{0}` is neither a plain level nor a whole `{{name}}`")]
    Brace(String),
}

impl TemplateError {
    /// How to mend it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Topic(TopicError::Wildcard(_)) => "write `{name}` for a level that varies",
            Self::Topic(_) | Self::Reserved => "write it like `plant/{line}/{device}/telemetry`",
            Self::NoDevice => "put `{device}` where the device's key stands",
            Self::Twice(_) => "give each varying level a name of its own",
            Self::Brace(_) => {
                "a name is made of letters, digits, `_` and `-`, alone in its level: `{line}`"
            }
        }
    }
}

/// Why no topic can be made of a template for a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The device's product is not part of this configuration.
    #[error("the device's product is not known")]
    NoProduct,
    /// A capture for which the device has no tag.
    #[error("the device has no tag `{0}`, which its topic needs")]
    MissingTag(String),
    /// A tag that cannot stand as one level.
    #[error("the device's tag `{0}` cannot stand as one level of a topic")]
    TagNotALevel(String),
    /// Together it is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
}

impl Level {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        if !text.contains(['{', '}']) {
            return Ok(Self::Literal(text.into()));
        }
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            Some("device") => Ok(Self::Device),
            Some(name) if !name.is_empty() && name.chars().all(named) => {
                Ok(Self::Capture(name.into()))
            }
            _ => Err(TemplateError::Brace(text.to_owned())),
        }
    }
}

impl TopicTemplate {
    /// Checks a text and takes it as a template.
    ///
    /// # Errors
    /// Says which rule it breaks; [`TemplateError::hint`] how to mend it.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let topic = Topic::new(text)?;
        if topic.is_reserved() {
            return Err(TemplateError::Reserved);
        }
        let levels = topic.levels().map(Level::parse).collect::<Result<Box<[_]>, _>>()?;
        let mut names: Vec<&str> = levels.iter().filter_map(Level::name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(TemplateError::Twice(pair[0].to_owned()));
        }
        let device_level = levels.iter().position(|level| *level == Level::Device);
        let device_level = device_level.ok_or(TemplateError::NoDevice)?;
        Ok(Self { text: topic.shared(), levels, device_level })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Which level is the device's key, from 0.
    #[must_use]
    pub fn device_level(&self) -> usize {
        self.device_level
    }

    /// How many levels it has, from 1 to [`TOPIC_LEVELS_MAX`].
    #[must_use]
    pub fn level_count(&self) -> usize {
        debug_assert!(self.levels.len() <= TOPIC_LEVELS_MAX);
        self.levels.len()
    }

    /// Whether a topic is this template's with that device.
    #[must_use]
    pub fn matches(&self, topic: &str, device: &str) -> bool {
        let mut rest = Some(topic);
        for level in &self.levels {
            let Some(text) = rest else { return false };
            let (name, below) = split_level(text);
            rest = below;
            let fits = match level {
                Level::Literal(literal) => **literal == *name,
                Level::Device => name == device,
                Level::Capture(_) => !name.is_empty(),
            };
            if !fits {
                return false;
            }
        }
        rest.is_none()
    }

    /// Whether every topic a filter matches is this template's with that device.
    #[must_use]
    pub fn covers(&self, filter: &TopicFilter, device: &str) -> bool {
        let mut theirs = filter.levels();
        for level in &self.levels {
            let fits = match (level, theirs.next()) {
                (_, None | Some("#")) => false,
                (Level::Literal(literal), Some(name)) => **literal == *name,
                (Level::Device, Some(name)) => name == device,
                (Level::Capture(_), Some(name)) => !name.is_empty(),
            };
            if !fits {
                return false;
            }
        }
        theirs.next().is_none()
    }

    /// The levels for that device, with `+` where anything may stand.
    pub fn levels_for<'t>(&'t self, device: &'t str) -> impl Iterator<Item = &'t str> {
        self.levels.iter().map(move |level| match level {
            Level::Literal(literal) => literal,
            Level::Device => device,
            Level::Capture(_) => "+",
        })
    }

    /// The captures other than the device and what stands in their place in a topic that matches.
    pub fn captures<'t>(&'t self, topic: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.levels.iter().zip(topic.split('/')).filter_map(|(level, name)| match level {
            Level::Capture(capture) => Some((&**capture, name)),
            _ => None,
        })
    }

    /// The topic for one device, with its tags standing in for the captures.
    ///
    /// # Errors
    /// When a capture has no tag, or a tag cannot stand as a level.
    pub fn render(&self, device: &Key, tags: &Tags) -> Result<Topic, RenderError> {
        let mut topic = String::with_capacity(self.text.len() + device.as_str().len());
        for (index, level) in self.levels.iter().enumerate() {
            if index > 0 {
                topic.push('/');
            }
            topic.push_str(match level {
                Level::Literal(literal) => literal,
                Level::Device => device.as_str(),
                Level::Capture(name) => tag_level(name, tags)?,
            });
        }
        Ok(Topic::new(&topic)?)
    }

    /// Whether some topic could be both templates', whatever the device.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.levels.len() == other.levels.len()
            && self.levels.iter().zip(&other.levels).all(|pair| match pair {
                (Level::Literal(a), Level::Literal(b)) => a == b,
                // a key and a capture are never empty
                (Level::Literal(a), _) | (_, Level::Literal(a)) => !a.is_empty(),
                _ => true,
            })
    }

    /// The template without the captures' names; two of one shape match the same topics.
    pub(crate) fn shape(&self) -> String {
        self.levels_for("{device}").collect::<Vec<_>>().join("/")
    }

    /// The filter over its topics, whatever the device.
    pub(crate) fn filter(&self) -> Result<TopicFilter, TopicError> {
        TopicFilter::new(&self.levels_for("+").collect::<Vec<_>>().join("/"))
    }
}

impl Level {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Device => Some("device"),
            Self::Capture(name) => Some(name),
        }
    }
}

fn tag_level<'t>(name: &str, tags: &'t Tags) -> Result<&'t str, RenderError> {
    let tag = tags.get(name).ok_or_else(|| RenderError::MissingTag(name.to_owned()))?;
    if tag.is_empty() || tag.contains(['/', '+', '#', '\0']) {
        return Err(RenderError::TagNotALevel(name.to_owned()));
    }
    Ok(tag)
}

/// The first level and what follows it.
pub(crate) fn split_level(topic: &str) -> (&str, Option<&str>) {
    match topic.split_once('/') {
        Some((level, below)) => (level, Some(below)),
        None => (topic, None),
    }
}

impl fmt::Display for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for TopicTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}
