//! Compiled rules: checked, but the script itself is compiled by whoever runs it.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_types::{DeviceId, Key, ProductId, Qos, RuleId, Severity, TenantId, Topic, TopicFilter};
use serde_json::{Map, Value};

use crate::document::{
    ActionEntry, AlarmEntry, ClearAlarmEntry, CommandEntry, PluginUse, PublishEntry, RuleEntry,
    SourcesEntry, WebhookEntry,
};

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Its identity.
    pub id: RuleId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Which version of the rule this is, from 1.
    pub version: u32,
    /// What people call it.
    pub name: String,
    /// Whether it is run.
    pub enabled: bool,
    /// The Rhai script whose `true` triggers the actions.
    pub trigger_script: Arc<str>,
    /// Plugins that look at each message before the script does, and at each firing after it.
    pub plugin_chain: Vec<PluginUse>,
    /// What it listens to.
    pub sources: RuleSources,
    /// What it does when triggered, in order.
    pub actions: Vec<ActionSpec>,
}

/// What a rule listens to: whatever any of the lists names, or everything of its tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSources {
    /// Topic filters.
    pub topics: Vec<TopicFilter>,
    /// Products.
    pub products: Vec<ProductId>,
    /// Devices.
    pub devices: Vec<DeviceId>,
}

impl RuleSources {
    /// Whether no source is named, which means everything of the tenant.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.topics.is_empty() && self.products.is_empty() && self.devices.is_empty()
    }
}

/// What a rule does when triggered.
#[derive(Debug, Clone, PartialEq)]
pub enum ActionSpec {
    /// Sends a command to a device.
    Command {
        /// The device's key; looked up when the rule fires.
        device: Key,
        /// What it is told to do.
        command: String,
        /// With what.
        params: Map<String, Value>,
        /// Milliseconds after which it is recorded as expired rather than sent.
        max_age_ms: u64,
    },
    /// Publishes a message.
    Publish {
        /// Where.
        topic: Topic,
        /// Text is sent as it stands, anything else as JSON, `null` as nothing.
        payload: Value,
        /// At most [`Qos::AtLeastOnce`].
        qos: Qos,
        /// Whether it stays for later subscribers.
        retain: bool,
    },
    /// Raises an alarm of the device that fired.
    RaiseAlarm {
        /// Its name.
        alarm: String,
        /// How bad it is.
        severity: Severity,
        /// What people read.
        text: String,
    },
    /// Clears an alarm of the device that fired.
    ClearAlarm {
        /// Its name.
        alarm: String,
    },
    /// Posts the firing to a URL.
    Webhook {
        /// Absolute, `http` or `https`, without user and password.
        url: String,
        /// Headers added to the request; names and values are legal HTTP.
        headers: BTreeMap<String, String>,
        /// Milliseconds after which it is recorded as expired rather than sent.
        max_age_ms: u64,
    },
}

impl RuleSpec {
    pub(crate) fn to_entry(&self) -> RuleEntry {
        RuleEntry {
            id: self.id,
            tenant: self.tenant,
            version: self.version,
            name: self.name.clone(),
            enabled: self.enabled,
            trigger_script: self.trigger_script.to_string(),
            plugin_chain: self.plugin_chain.clone(),
            sources: SourcesEntry {
                topics: self.sources.topics.iter().map(ToString::to_string).collect(),
                products: self.sources.products.clone(),
                devices: self.sources.devices.clone(),
            },
            actions: self.actions.iter().map(ActionSpec::to_entry).collect(),
        }
    }
}

impl ActionSpec {
    fn to_entry(&self) -> ActionEntry {
        match self.clone() {
            Self::Command { device, command, params, max_age_ms } => {
                let device = device.to_string();
                ActionEntry::Command(CommandEntry { device, command, params, max_age_ms })
            }
            Self::Publish { topic, payload, qos, retain } => {
                let (topic, qos) = (topic.to_string(), qos.into());
                ActionEntry::Publish(PublishEntry { topic, payload, qos, retain })
            }
            Self::RaiseAlarm { alarm, severity, text } => {
                let severity = severity.to_string();
                ActionEntry::RaiseAlarm(AlarmEntry { alarm, severity, text })
            }
            Self::ClearAlarm { alarm } => ActionEntry::ClearAlarm(ClearAlarmEntry { alarm }),
            Self::Webhook { url, headers, max_age_ms } => {
                ActionEntry::Webhook(WebhookEntry { url, headers, max_age_ms })
            }
        }
    }
}
