//! Plugins, as people see them: listed, installed, gone back from.
//!
//! Owns what is asked for at start and with each change. Must never let a plugin that cannot be
//! loaded stop a start or a change: its messages are refused, with the reason.

use std::collections::BTreeSet;

use flux_registry::PluginUse;
use flux_wasm::{Package, Plugins};
use serde_json::Value as Json;

use crate::engine::Engine;
use crate::error::EngineError;

/// Has the plugins loaded that these uses name and that come with the program.
pub(crate) fn want<'u>(plugins: &Plugins, uses: impl Iterator<Item = &'u PluginUse>) {
    let ids: BTreeSet<&str> = uses.map(|used| used.plugin.as_str()).collect();
    for id in ids {
        match plugins.want(id) {
            Ok(()) if plugins.get(id).is_none() => {
                tracing::warn!(plugin = id, "the configuration names a plugin that is not there");
            }
            Ok(()) => {}
            Err(error) => tracing::error!(plugin = id, %error, "a plugin cannot be loaded"),
        }
    }
}

fn json(status: impl serde::Serialize) -> Result<Json, EngineError> {
    serde_json::to_value(status).map_err(|error| EngineError::Invalid(error.to_string()))
}

impl Engine {
    /// Every plugin with its health, calls and pool.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn plugins(&self) -> Result<Json, EngineError> {
        json(self.running()?.plugins.list())
    }

    /// One plugin.
    ///
    /// # Errors
    /// There is none of that id, or the engine does not run.
    pub fn plugin(&self, id: &str) -> Result<Json, EngineError> {
        json(self.running()?.plugins.status(id)?)
    }

    /// Puts a plugin in force, in place of what runs under that id.
    ///
    /// # Errors
    /// Why not; nothing has changed then.
    pub fn install_plugin(&self, id: &str, package: &Package) -> Result<Json, EngineError> {
        json(self.running()?.plugins.install(id, package)?)
    }

    /// Puts the version before the present one in force again.
    ///
    /// # Errors
    /// There is none; nothing has changed then.
    pub fn roll_back_plugin(&self, id: &str) -> Result<Json, EngineError> {
        json(self.running()?.plugins.rollback(id)?)
    }

    /// Removes a plugin that was installed.
    ///
    /// # Errors
    /// There is none of that id.
    pub fn remove_plugin(&self, id: &str) -> Result<(), EngineError> {
        Ok(self.running()?.plugins.remove(id)?)
    }

    /// Looks at the plugins' directory now; the status of each plugin that was looked at.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn reload_plugins(&self) -> Result<Json, EngineError> {
        json(self.running()?.plugins.reload()?)
    }
}
