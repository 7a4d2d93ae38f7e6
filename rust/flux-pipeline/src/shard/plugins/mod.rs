//! Plugins, as one shard uses them: they decode payloads, look at samples and act on firings.
//!
//! Owns the uses of one configuration with what is leased for the batch under way. Must never let a
//! plugin's failure cost more than the message it failed on, nor carry out what a plugin was not
//! granted.

mod chain;
mod decode;
mod effects;

pub(crate) use chain::Chain;
pub(crate) use decode::{PluginDecoder, PluginPorts};
use effects::Granted;

use std::sync::Arc;

use flux_registry::PluginUse;
use flux_types::SourceId;
use flux_wasm::{Lease, PluginError, Plugins, Settings};

/// One use of a plugin by a product or a rule.
pub(crate) struct Used {
    id: Arc<str>,
    settings: Settings,
    granted: Granted,
    /// Taken at the first call of a batch and given back at its end.
    lease: Option<Lease>,
}

impl Used {
    fn new(used: &PluginUse) -> Self {
        Self {
            id: used.plugin.as_str().into(),
            settings: Settings::new(&serde_json::Value::Object(used.settings.clone())),
            granted: Granted::new(&used.grants),
            lease: None,
        }
    }

    /// The lease and the settings to call it with.
    fn take(&mut self, plugins: &Plugins) -> Result<(&mut Lease, &Settings), PluginError> {
        if self.lease.is_none() {
            let unknown = || PluginError::Unknown { id: self.id.to_string() };
            self.lease = Some(plugins.get(&self.id).ok_or_else(unknown)?.lease()?);
        }
        match &mut self.lease {
            Some(lease) => Ok((lease, &self.settings)),
            None => Err(PluginError::Unknown { id: self.id.to_string() }),
        }
    }

    fn end_batch(&mut self) {
        self.lease = None;
    }
}

/// Who a source is, whatever it connected as: what state is kept by, and order.
pub(crate) fn principal(source: &SourceId) -> &str {
    let word = source.as_str();
    word.split_once('/').map_or(word, |(principal, _)| principal)
}
