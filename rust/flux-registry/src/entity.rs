//! Compiled products, devices and accounts: what the document's entries become once they hold.

use std::sync::Arc;

use flux_types::{DeviceId, Key, PrincipalId, ProductId, TenantId, TopicFilter};
use serde_json::Value;

use crate::document::{DecodeSpec, DeviceEntry, PluginUse, PrincipalEntry, ProductEntry};
use crate::resolve::TopicKind;
use crate::secret::Secrets;
use crate::tags::Tags;
use crate::template::TopicTemplate;

/// A product: what devices of one make and model have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its identity.
    pub id: ProductId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its key, unique in the tenant.
    pub key: Key,
    /// Where its devices send telemetry.
    pub telemetry: TopicTemplate,
    /// Where its devices are sent commands.
    pub command: TopicTemplate,
    /// Where its devices answer commands.
    pub reply: TopicTemplate,
    /// How payloads become values.
    pub decode: DecodeSpec,
    /// Plugins that look at each decoded message before it is stored, in order.
    pub plugin_chain: Vec<PluginUse>,
    /// The Rhai script that edits values after decode.
    pub transform: Option<Arc<str>>,
    /// The thing model and whatever else belongs to the product.
    pub metadata: Value,
}

impl Product {
    /// Which of its three topics a topic is for the device of that key; `None` when none.
    #[must_use]
    pub fn topic_kind(&self, topic: &str, device: &str) -> Option<TopicKind> {
        TopicKind::ALL.into_iter().find(|kind| self.template(*kind).matches(topic, device))
    }

    /// The template of that kind.
    #[must_use]
    pub fn template(&self, kind: TopicKind) -> &TopicTemplate {
        match kind {
            TopicKind::Telemetry => &self.telemetry,
            TopicKind::Reply => &self.reply,
            TopicKind::Command => &self.command,
        }
    }

    /// The plugins its devices' messages go through.
    pub fn plugin_uses(&self) -> impl Iterator<Item = &PluginUse> {
        self.decode.plugin().into_iter().chain(&self.plugin_chain)
    }

    pub(crate) fn to_entry(&self) -> ProductEntry {
        ProductEntry {
            id: self.id,
            tenant: self.tenant,
            key: Some(self.key.to_string()),
            topic_template: self.telemetry.to_string(),
            command_topic_template: self.command.to_string(),
            reply_topic_template: self.reply.to_string(),
            decode: self.decode.clone(),
            plugin_chain: self.plugin_chain.clone(),
            transform: self.transform.as_deref().map(str::to_owned),
            metadata: self.metadata.clone(),
        }
    }
}

/// A device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Its identity.
    pub id: DeviceId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its product.
    pub product: ProductId,
    /// Its key, unique in the tenant: what people, topics and rules call it.
    pub key: Key,
    /// Whether it may sign in and its messages are decoded.
    pub enabled: bool,
    /// Labels.
    pub tags: Tags,
    pub(crate) secrets: Secrets,
}

impl Device {
    pub(crate) fn to_entry(&self) -> DeviceEntry {
        DeviceEntry {
            id: self.id,
            tenant: self.tenant,
            product: self.product,
            key: Some(self.key.to_string()),
            secret_sha256: self.secrets.current.map(|digest| digest.to_hex()),
            secret_sha256_previous: self.secrets.previous.map(|digest| digest.to_hex()),
            enabled: self.enabled,
            tags: self.tags.to_map(),
        }
    }
}

/// An account that is not a device, with topic grants of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its identity.
    pub id: PrincipalId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What it signs in as.
    pub username: Key,
    /// Whether it may sign in.
    pub enabled: bool,
    /// Filters over the topics it may publish to.
    pub publish: Arc<[TopicFilter]>,
    /// Filters that cover what it may subscribe to.
    pub subscribe: Arc<[TopicFilter]>,
    pub(crate) secrets: Secrets,
}

impl Account {
    pub(crate) fn to_entry(&self) -> PrincipalEntry {
        let texts = |filters: &[TopicFilter]| filters.iter().map(ToString::to_string).collect();
        PrincipalEntry {
            id: self.id,
            tenant: self.tenant,
            username: self.username.to_string(),
            secret_sha256: self.secrets.current.map(|digest| digest.to_hex()),
            secret_sha256_previous: self.secrets.previous.map(|digest| digest.to_hex()),
            enabled: self.enabled,
            publish: texts(&self.publish),
            subscribe: texts(&self.subscribe),
        }
    }
}
