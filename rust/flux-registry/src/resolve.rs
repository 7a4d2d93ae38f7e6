//! From a topic to the device and product it belongs to.
//!
//! Compilation sees to it that one topic can name only one device: templates of one tenant that
//! overlap have the device in the same level. So the search goes by levels first, to the device,
//! and the device's product says what the topic is.

use std::fmt;
use std::sync::Arc;

use flux_types::{TenantId, Topic, TopicFilter, TopicTrie};

use crate::entity::{Device, Product};
use crate::snapshot::Snapshot;
use crate::template::{RenderError, TopicTemplate};

/// What a device's topic is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TopicKind {
    /// The device reports.
    Telemetry,
    /// The device answers a command.
    Reply,
    /// The device is commanded.
    Command,
}

impl TopicKind {
    /// All, the most frequent first.
    pub const ALL: [Self; 3] = [Self::Telemetry, Self::Reply, Self::Command];
}

/// Whose a topic is.
#[derive(Debug, Clone, Copy)]
pub struct Resolved<'s> {
    /// What it is for.
    pub kind: TopicKind,
    /// The device.
    pub device: &'s Arc<Device>,
    /// The device's product.
    pub product: &'s Arc<Product>,
}

impl<'s> Resolved<'s> {
    /// The template's captures other than the device, with what stands there in the topic.
    pub fn captures(&self, topic: &'s Topic) -> impl Iterator<Item = (&'s str, &'s str)> {
        self.product.template(self.kind).captures(topic.as_str())
    }
}

/// Why a topic is no device's. The message is still brokered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unmatched {
    /// No product's template looks like it.
    NoTemplate,
    /// A template does, but its device is not known, or is of a product with other templates.
    UnknownDevice,
    /// The device is known and disabled.
    DisabledDevice,
}

impl Unmatched {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoTemplate => "no_template",
            Self::UnknownDevice => "unknown_device",
            Self::DisabledDevice => "disabled_device",
        }
    }
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoTemplate => "no product's topic template matches",
            Self::UnknownDevice => "the device the topic names is not known",
            Self::DisabledDevice => "the device the topic names is disabled",
        })
    }
}

/// What all templates of a tenant come to.
#[derive(Debug, Default)]
pub(crate) struct TenantTopics {
    /// Where a device may stand, by the topic's number of levels. Few: one or two as a rule.
    places: Vec<Place>,
    /// Tells topics that only lack their device from those nobody knows.
    shapes: TopicTrie<()>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    level_count: usize,
    device_level: usize,
}

impl TenantTopics {
    pub(crate) fn add(&mut self, template: &TopicTemplate, filter: &TopicFilter) {
        let place =
            Place { level_count: template.level_count(), device_level: template.device_level() };
        if !self.places.contains(&place) {
            self.places.push(place);
        }
        self.shapes.insert(filter, ());
    }

    /// The levels of a topic at which a device may stand.
    fn device_names<'t>(&'t self, topic: &'t str) -> impl Iterator<Item = &'t str> {
        let level_count = 1 + topic.bytes().filter(|byte| *byte == b'/').count();
        let fitting = move |place: &&Place| place.level_count == level_count;
        self.places
            .iter()
            .filter(fitting)
            .filter_map(move |place| topic.split('/').nth(place.device_level))
    }
}

impl Snapshot {
    /// Whose a topic is.
    ///
    /// # Errors
    /// Why it is no device's, to be counted.
    pub fn resolve(&self, tenant: TenantId, topic: &Topic) -> Result<Resolved<'_>, Unmatched> {
        let topics = self.topics.get(&tenant).ok_or(Unmatched::NoTemplate)?;
        for name in topics.device_names(topic.as_str()) {
            let Some(device) = self.device_by_key(tenant, name) else { continue };
            let Some(product) = self.products.get(&device.product) else { continue };
            let Some(kind) = product.topic_kind(topic.as_str(), name) else { continue };
            if !device.enabled {
                return Err(Unmatched::DisabledDevice);
            }
            return Ok(Resolved { kind, device, product });
        }
        let mut known = false;
        if topics.device_names(topic.as_str()).next().is_some() {
            topics.shapes.visit(topic, |()| known = true);
        }
        Err(if known { Unmatched::UnknownDevice } else { Unmatched::NoTemplate })
    }

    /// The topic on which a device is sent commands.
    ///
    /// # Errors
    /// When the template has a capture that the device has no fitting tag for.
    pub fn command_topic(&self, device: &Device) -> Result<Topic, RenderError> {
        self.topic_of(device, TopicKind::Command)
    }

    /// The topic on which a device answers commands.
    ///
    /// # Errors
    /// When the template has a capture that the device has no fitting tag for.
    pub fn reply_topic(&self, device: &Device) -> Result<Topic, RenderError> {
        self.topic_of(device, TopicKind::Reply)
    }

    /// The topic on which a device sends telemetry.
    ///
    /// # Errors
    /// When the template has a capture that the device has no fitting tag for.
    pub fn telemetry_topic(&self, device: &Device) -> Result<Topic, RenderError> {
        self.topic_of(device, TopicKind::Telemetry)
    }

    fn topic_of(&self, device: &Device, kind: TopicKind) -> Result<Topic, RenderError> {
        let product = self.products.get(&device.product).ok_or(RenderError::NoProduct)?;
        product.template(kind).render(&device.key, &device.tags)
    }
}
