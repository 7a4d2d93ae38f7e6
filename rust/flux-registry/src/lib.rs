//! Compiled configuration: principals, credentials, access rules, topic to product to device.
//!
//! Owns the configuration document, its checking and the generation in force. A generation is
//! immutable and swapped whole; readers never wait. Must never open a socket, run a script or
//! hold data (who is online, last values): configuration only.
//!
//! ```
//! use std::sync::Arc;
//! use flux_registry::{Document, Limits, Registry, ScriptCheck, ScriptKind, TopicKind};
//! use flux_types::{Problem, TenantId, Topic};
//!
//! struct AnyScript;
//! impl ScriptCheck for AnyScript {
//!     fn check(&self, _: ScriptKind, _: &str) -> Vec<Problem> { Vec::new() }
//! }
//!
//! let registry = Registry::new(Arc::new(AnyScript), Limits::default());
//! let document = Document::from_json(br#"{
//!     "generation": 1,
//!     "tenants": [{"id": 1, "name": "default"}],
//!     "products": [{"id": "00000000-0000-4000-8000-000000000001", "key": "thermometer"}],
//!     "devices": [{"id": "00000000-0000-4000-8000-000000000002", "key": "thermo-1",
//!                  "product": "00000000-0000-4000-8000-000000000001"}]
//! }"#).unwrap();
//! registry.replace(document).unwrap();
//!
//! let now = registry.current();
//! let topic = Topic::new("v1/devices/thermo-1/telemetry").unwrap();
//! let resolved = now.resolve(TenantId::DEFAULT, &topic).unwrap();
//! assert_eq!(resolved.kind, TopicKind::Telemetry);
//! assert_eq!(resolved.product.key.as_str(), "thermometer");
//! ```

#![forbid(unsafe_code)]

mod access;
mod changes;
mod compile;
mod document;
mod entity;
mod error;
mod file;
mod limits;
mod ports;
mod registry;
mod report;
mod resolve;
mod rule;
mod secret;
mod snapshot;
mod tags;
mod template;

pub use access::{AuthDenied, DeniedReason, Grants, Identity, Principal, Standing};
pub use compile::{compile, compile_delta, compile_within};
pub use document::{
    ActionEntry, AlarmEntry, COMMAND_TEMPLATE, ClearAlarmEntry, CommandEntry, DecodeSpec, Delete,
    Delta, DeviceEntry, Document, JsonMapping, PluginUse, PrincipalEntry, ProductEntry,
    PublishEntry, REPLY_TEMPLATE, RuleEntry, SourcesEntry, TELEMETRY_TEMPLATE, TenantEntry,
    TimeUnit, Upsert, WebhookEntry,
};
pub use entity::{Account, Device, Product};
pub use error::{ApplyError, FileError};
pub use file::ConfigurationFile;
pub use limits::Limits;
pub use ports::{ScriptCheck, ScriptKind};
pub use registry::{Applied, Changes, Registry};
pub use resolve::{Resolved, TopicKind, Unmatched};
pub use rule::{ActionSpec, RuleSources, RuleSpec};
pub use secret::SECRET_BYTES_MAX;
pub use snapshot::Snapshot;
pub use tags::Tags;
pub use template::{RenderError, TemplateError, TopicTemplate};
