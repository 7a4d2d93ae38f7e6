//! One plugin: a name under which versions come and go.
//!
//! Owns the version in force, what is counted, and the breaker; all but the version outlive a
//! reload. A worker takes a [`Lease`](crate::Lease) for a batch and thereby one version for all of
//! it; the next batch sees the next version.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwapOption;
use flux_plugin_abi::Context;
use serde::{Deserialize, Serialize};

use crate::breaker::{Breaker, BreakerState};
use crate::instance::{Blueprint, Input, Instance};
use crate::interface::{Function, Interface};
use crate::pool::Pool;
use crate::sandbox::log::LogGate;
use crate::sandbox::{ContentHash, Sandbox};
use crate::stats::{CallStats, Counters, PoolStats};
use crate::{Lease, PluginError};

/// Whether instances serve more than one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Instances come from the pool and go back to it.
    #[default]
    Reuse,
    /// Each call has an instance of its own, as the module describes it.
    Fresh,
}

/// A compiled version, and its instances.
pub(crate) struct Version {
    pub(crate) hash: ContentHash,
    pub(crate) blueprint: Blueprint,
    pub(crate) mode: Mode,
    pub(crate) pool: Pool,
    /// What `describe` says; `null` where there is none.
    pub(crate) description: serde_json::Value,
}

impl Version {
    /// Compiles a module, holds it against the ABI, and runs it for the first time: whatever would
    /// make every call fail is found here.
    pub(crate) fn load(
        sandbox: &Sandbox,
        wasm: &[u8],
        mode: Mode,
        log: &Arc<LogGate>,
    ) -> Result<Arc<Self>, PluginError> {
        let (module, hash) = sandbox.compile(wasm)?;
        let blueprint = Blueprint::new(sandbox, &module)?;
        let _ticking = sandbox.ticker().begin();
        let mut first = Instance::new(sandbox, &blueprint, Arc::clone(log), false)?;
        let description = introduce(sandbox, &blueprint, &mut first)?;
        let version = Self { hash, blueprint, mode, pool: Pool::default(), description };
        if mode == Mode::Reuse {
            version.pool.stock(first, &sandbox.limits);
        }
        Ok(Arc::new(version))
    }

    pub(crate) fn interface(&self) -> &Interface {
        &self.blueprint.interface
    }
}

/// Asks a new instance for its ABI and for its description.
fn introduce(
    sandbox: &Sandbox,
    blueprint: &Blueprint,
    instance: &mut Instance,
) -> Result<serde_json::Value, PluginError> {
    let limits = &sandbox.limits;
    if blueprint.interface.abi == crate::Abi::V1 {
        let found = instance.abi_version(limits)?;
        if found != flux_plugin_abi::ABI_VERSION {
            let message = format!("abi_version returns {found}; this host speaks 1");
            let problem = flux_types::Problem::new("plugin.interface", message)
                .hint("build it against the ABI of this host, or upgrade fluxhybrid");
            return Err(PluginError::Interface { problems: vec![problem] });
        }
    }
    if !blueprint.interface.has(Function::Describe) {
        return Ok(serde_json::Value::Null);
    }
    let context = Context::default();
    instance.call(blueprint, limits, Function::Describe, &context, Input::One(&[]), |bytes, _| {
        serde_json::from_slice(bytes).map_err(|error| PluginError::Document {
            what: "what describe returns",
            message: error.to_string(),
        })
    })
}

/// A plugin. Cheap to share; lives as long as somebody holds it, and refuses leases once it is
/// removed.
pub struct Plugin {
    id: Arc<str>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) version: ArcSwapOption<Version>,
    pub(crate) counters: Counters,
    pub(crate) breaker: Breaker,
    pub(crate) log: Arc<LogGate>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Plugin {
    pub(crate) fn new(id: Arc<str>, sandbox: Arc<Sandbox>, log: Arc<LogGate>) -> Self {
        Self {
            id,
            sandbox,
            version: ArcSwapOption::empty(),
            counters: Counters::default(),
            breaker: Breaker::default(),
            log,
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// What the version in force offers; `None` once the plugin is removed.
    #[must_use]
    pub fn interface(&self) -> Option<Interface> {
        self.version.load().as_ref().map(|version| version.interface().clone())
    }

    /// Takes an instance of the version in force, for a batch of calls.
    ///
    /// # Errors
    /// [`PluginError::Tripped`], [`PluginError::Busy`], [`PluginError::Unknown`] once it is
    /// removed.
    pub fn lease(self: &Arc<Self>) -> Result<Lease, PluginError> {
        Lease::take(self)
    }

    /// What was counted of its calls.
    #[must_use]
    pub fn stats(&self) -> CallStats {
        self.counters.read()
    }

    /// The state of its pool.
    #[must_use]
    pub fn pool_stats(&self) -> PoolStats {
        let version = self.version.load();
        let (available, busy) = version.as_ref().map_or((0, 0), |version| version.pool.counts());
        PoolStats {
            available,
            busy,
            max_size: self.sandbox.limits.pool_size,
            hits: self.counters.hits.load(Ordering::Relaxed),
            misses: self.counters.misses.load(Ordering::Relaxed),
        }
    }

    /// Whether it is called, or set aside.
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        self.breaker.state(self.sandbox.ticker().read_ms())
    }

    /// How often its breaker has opened.
    #[must_use]
    pub fn trips(&self) -> u64 {
        self.breaker.trips()
    }

    /// Whether a version is no other than the one in force.
    pub(crate) fn runs(&self, version: &Version) -> bool {
        let running = self.version.load();
        running
            .as_ref()
            .is_some_and(|running| running.hash == version.hash && running.mode == version.mode)
    }

    /// Puts a version in force, or none. Batches under way end on the one they began with.
    pub(crate) fn swap(&self, version: Option<Arc<Version>>) -> Option<Arc<Version>> {
        let before = self.version.swap(version);
        if let Some(before) = &before {
            before.pool.close();
        }
        self.breaker.reset();
        before
    }
}
