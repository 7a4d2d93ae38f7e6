//! The configuration document and its delta, as they are written in JSON.
//!
//! Owns the shapes and the reading of them with every problem at once. Texts are still texts here
//! (keys, topics, digests): whether they hold is the business of [`crate::compile`].

mod action;
mod read;

use std::collections::BTreeMap;

use flux_types::{DeviceId, Generation, PrincipalId, ProductId, RuleId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use action::{
    ActionEntry, AlarmEntry, ClearAlarmEntry, CommandEntry, PublishEntry, WebhookEntry,
};

/// The topic template of telemetry where a product names none.
pub const TELEMETRY_TEMPLATE: &str = "v1/devices/{device}/telemetry";
/// The topic template of commands where a product names none.
pub const COMMAND_TEMPLATE: &str = "v1/devices/{device}/commands";
/// The topic template of replies where a product names none.
pub const REPLY_TEMPLATE: &str = "v1/devices/{device}/replies";

/// The whole configuration of one generation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Which generation it is.
    #[serde(default)]
    pub generation: Generation,
    /// The tenants everything else belongs to.
    #[serde(default)]
    pub tenants: Vec<TenantEntry>,
    /// Accounts that are not devices.
    #[serde(default)]
    pub principals: Vec<PrincipalEntry>,
    /// Products.
    #[serde(default)]
    pub products: Vec<ProductEntry>,
    /// Devices.
    #[serde(default)]
    pub devices: Vec<DeviceEntry>,
    /// Rules.
    #[serde(default)]
    pub rules: Vec<RuleEntry>,
    /// Site constants that scripts see as `env`.
    #[serde(default)]
    pub env: Map<String, Value>,
}

impl Document {
    /// What a site has before anyone configured it: generation 0 with tenant 1, `default`.
    #[must_use]
    pub fn initial() -> Self {
        Self {
            tenants: vec![TenantEntry { id: TenantId::DEFAULT, name: "default".to_owned() }],
            ..Self::default()
        }
    }
}

/// A change from one generation to a later one; taken whole or not at all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delta {
    /// The generation it was made from.
    pub base_generation: Generation,
    /// The generation it leads to; greater than the base.
    pub generation: Generation,
    /// What is new or replaced, whole entries each.
    #[serde(default)]
    pub upsert: Upsert,
    /// What goes.
    #[serde(default)]
    pub delete: Delete,
}

/// Entries that a [`Delta`] adds or replaces.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upsert {
    /// Tenants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantEntry>,
    /// Accounts that are not devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<PrincipalEntry>,
    /// Products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductEntry>,
    /// Devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceEntry>,
    /// Rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleEntry>,
    /// The site constants, all of them; left as they are when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Map<String, Value>>,
}

/// Identities that a [`Delta`] removes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delete {
    /// Tenants.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tenants: Vec<TenantId>,
    /// Accounts that are not devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub principals: Vec<PrincipalId>,
    /// Products.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub products: Vec<ProductId>,
    /// Devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceId>,
    /// Rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantEntry {
    /// Its number, from 1.
    pub id: TenantId,
    /// Its name, unique; what stands after `@` when signing in.
    pub name: String,
}

/// An account that is not a device, with topic grants of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrincipalEntry {
    /// Its identity.
    pub id: PrincipalId,
    /// Its tenant.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// What it signs in as; unique in the tenant, device keys included.
    pub username: String,
    /// SHA-256 of its secret, 64 hexadecimal digits; without one it cannot sign in.
    #[serde(default)]
    pub secret_sha256: Option<String>,
    /// The digest of the secret before, still accepted while secrets are being changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_sha256_previous: Option<String>,
    /// Whether it may sign in.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Filters over the topics it may publish to.
    #[serde(default)]
    pub publish: Vec<String>,
    /// Filters that cover what it may subscribe to.
    #[serde(default)]
    pub subscribe: Vec<String>,
}

/// A product: what devices of one make and model have in common.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductEntry {
    /// Its identity.
    pub id: ProductId,
    /// Its tenant.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// Its key, unique in the tenant; the id when none is given.
    #[serde(default)]
    pub key: Option<String>,
    /// Where its devices send telemetry: `{device}` once, as a whole level; other `{name}` levels
    /// match anything.
    #[serde(default = "telemetry_template")]
    pub topic_template: String,
    /// Where its devices are sent commands.
    #[serde(default = "command_template")]
    pub command_topic_template: String,
    /// Where its devices answer commands.
    #[serde(default = "reply_template")]
    pub reply_topic_template: String,
    /// How payloads become values.
    #[serde(default)]
    pub decode: DecodeSpec,
    /// Plugins that look at each decoded message before it is stored, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin_chain: Vec<PluginUse>,
    /// A Rhai script that runs after decode and before storage.
    #[serde(default)]
    pub transform: Option<String>,
    /// The thing model and whatever else belongs to the product; any JSON.
    #[serde(default)]
    pub metadata: Value,
}

/// How the payloads of a product's devices become values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum DecodeSpec {
    /// JSON, with or without a mapping of paths.
    Json(JsonMapping),
    /// Whatever a plugin understands.
    Plugin(PluginUse),
}

/// A plugin, and how it is used here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginUse {
    /// The plugin's id: its file's name without the ending.
    pub plugin: String,
    /// What it is told: an object of the plugin's own making.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// What it may ask for and have carried out: `command`, `publish`, `raise_alarm`,
    /// `clear_alarm`, `webhook`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
}

impl Default for DecodeSpec {
    fn default() -> Self {
        Self::Json(JsonMapping::default())
    }
}

impl DecodeSpec {
    /// The plugin that decodes, where one does.
    #[must_use]
    pub fn plugin(&self) -> Option<&PluginUse> {
        match self {
            Self::Json(_) => None,
            Self::Plugin(used) => Some(used),
        }
    }
}

/// Which paths of a JSON payload are what. A path is dotted, with array indices: `data[0].t`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonMapping {
    /// Where the payload names the device's key; the topic's device when absent.
    #[serde(default)]
    pub device: Option<String>,
    /// Where the payload tells the time; the time of receipt when absent.
    #[serde(default)]
    pub ts: Option<String>,
    /// What that time is written in.
    #[serde(default)]
    pub ts_unit: TimeUnit,
    /// Path by value name; every scalar of the payload under its own name when absent.
    #[serde(default)]
    pub values: Option<BTreeMap<String, String>>,
}

/// What a point in time is written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Seconds since 1970, with or without a fraction.
    S,
    /// Milliseconds since 1970.
    #[default]
    Ms,
    /// Microseconds since 1970.
    Us,
    /// Nanoseconds since 1970.
    Ns,
    /// Text by RFC 3339.
    Rfc3339,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceEntry {
    /// Its identity.
    pub id: DeviceId,
    /// Its tenant; its product's too.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// Its product.
    pub product: ProductId,
    /// Its key, unique in the tenant, account names included; the id when none is given.
    #[serde(default)]
    pub key: Option<String>,
    /// SHA-256 of its secret, 64 hexadecimal digits; without one it cannot sign in.
    #[serde(default)]
    pub secret_sha256: Option<String>,
    /// The digest of the secret before, still accepted while secrets are being changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_sha256_previous: Option<String>,
    /// Whether it may sign in and its messages are decoded.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Labels; those named like a `{capture}` of a topic template stand in for it.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// Its identity.
    pub id: RuleId,
    /// Its tenant.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// Which version of the rule this is, from 1.
    #[serde(default = "first_version")]
    pub version: u32,
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Whether it is run.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The Rhai script whose `true` triggers the actions.
    pub trigger_script: String,
    /// Plugins that look at each message before the script does, and at each firing after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plugin_chain: Vec<PluginUse>,
    /// What it listens to; everything of the tenant when all lists are empty.
    #[serde(default)]
    pub sources: SourcesEntry,
    /// What it does when triggered, in order.
    #[serde(default)]
    pub actions: Vec<ActionEntry>,
}

/// What a rule listens to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourcesEntry {
    /// Topic filters.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Products.
    #[serde(default)]
    pub products: Vec<ProductId>,
    /// Devices.
    #[serde(default)]
    pub devices: Vec<DeviceId>,
}

fn default_tenant() -> TenantId {
    TenantId::DEFAULT
}

fn yes() -> bool {
    true
}

fn first_version() -> u32 {
    1
}

fn telemetry_template() -> String {
    TELEMETRY_TEMPLATE.to_owned()
}

fn command_template() -> String {
    COMMAND_TEMPLATE.to_owned()
}

fn reply_template() -> String {
    REPLY_TEMPLATE.to_owned()
}
