//! The configuration in force, and its replacement as a whole.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use flux_types::{DeviceId, Generation, ProductId, RuleId};
use parking_lot::Mutex;

use crate::access::{Grants, Identity, Principal};
use crate::compile::{compile_delta, compile_within};
use crate::document::{Delta, Document, PluginUse};
use crate::error::ApplyError;
use crate::limits::Limits;
use crate::ports::ScriptCheck;
use crate::snapshot::Snapshot;

/// Holds the configuration in force. Reading it never waits.
pub struct Registry {
    current: ArcSwap<Snapshot>,
    check: Arc<dyn ScriptCheck>,
    limits: Limits,
    /// One change at a time.
    writer: Mutex<()>,
}

/// A change that was made.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What is in force now.
    pub snapshot: Arc<Snapshot>,
    /// What is different.
    pub changes: Changes,
}

impl Applied {
    /// The uses of plugins that are new or may have changed.
    pub fn plugin_uses(&self) -> impl Iterator<Item = &PluginUse> {
        let snapshot = &self.snapshot;
        let products = self.changes.products.iter().filter_map(|id| snapshot.product(*id));
        let rules = self.changes.rules.iter().filter_map(|id| snapshot.rule(*id));
        products
            .flat_map(|product| product.plugin_uses())
            .chain(rules.flat_map(|rule| rule.plugin_chain.iter()))
    }
}

/// What a change of configuration changed, each list in the order of its ids. Entries that were
/// given again as they were are not listed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// The generation before.
    pub base_generation: Generation,
    /// The generation now.
    pub generation: Generation,
    /// Devices and accounts that are no more: to be disconnected.
    pub removed: Vec<Identity>,
    /// Devices and accounts that may not sign in any more: to be disconnected.
    pub disabled: Vec<Identity>,
    /// Devices and accounts whose secret is another: those who signed in with one that is no
    /// longer accepted are to be disconnected.
    pub secret_changed: Vec<Identity>,
    /// Devices and accounts whose grants are others: key, product, filters.
    pub grants_changed: Vec<Identity>,
    /// Devices that are new or different in any way.
    pub devices: Vec<DeviceId>,
    /// Products that are new or different in any way.
    pub products: Vec<ProductId>,
    /// Products that are no more.
    pub products_removed: Vec<ProductId>,
    /// Products whose topics are others: all their devices' grants have changed.
    pub products_retopiced: Vec<ProductId>,
    /// Rules that are new or different in any way.
    pub rules: Vec<RuleId>,
    /// Rules that are no more.
    pub rules_removed: Vec<RuleId>,
    /// Whether `env` is different.
    pub env: bool,
}

impl Changes {
    /// Whether a connected principal has to be looked at again, by [`Snapshot::standing`]. After a
    /// change of many entries it says so of everybody, which is quicker than finding out.
    #[must_use]
    pub fn touches(&self, principal: &Principal, grants: &Grants) -> bool {
        const SEARCHED_MAX: usize = 64;
        let lists = [&self.removed, &self.disabled, &self.secret_changed, &self.grants_changed];
        let searched = self.products_retopiced.len() + lists.iter().map(|l| l.len()).sum::<usize>();
        searched > SEARCHED_MAX
            || lists.iter().any(|list| list.contains(&principal.identity))
            || grants.product().is_some_and(|id| self.products_retopiced.contains(&id))
    }

    /// Whether rules have to be compiled again: rules, or what scripts see, are different.
    #[must_use]
    pub fn rules_differ(&self) -> bool {
        self.env || !self.rules.is_empty() || !self.rules_removed.is_empty()
    }
}

impl Registry {
    /// A registry with generation 0: tenant 1, `default`, and nothing else.
    #[must_use]
    pub fn new(check: Arc<dyn ScriptCheck>, limits: Limits) -> Self {
        let current = ArcSwap::from_pointee(Snapshot::initial());
        Self { current, check, limits, writer: Mutex::new(()) }
    }

    /// What is in force. Hold it for the length of a batch, not longer.
    #[must_use]
    pub fn current(&self) -> Guard<Arc<Snapshot>> {
        self.current.load()
    }

    /// What is in force, to keep.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Makes a change, whole or not at all.
    ///
    /// # Errors
    /// When it was made from another generation, or leads to a configuration that does not hold.
    pub fn apply(&self, delta: Delta) -> Result<Applied, ApplyError> {
        let _one_at_a_time = self.writer.lock();
        let base = self.current.load_full();
        let applied = compile_delta(&base, delta, &*self.check, &self.limits)?;
        self.current.store(Arc::clone(&applied.snapshot));
        Ok(applied)
    }

    /// Puts a whole document in force, of a later generation than the one in force. (At
    /// generation 0 any document is later.)
    ///
    /// # Errors
    /// When it is not later, or does not hold.
    pub fn replace(&self, document: Document) -> Result<Applied, ApplyError> {
        let _one_at_a_time = self.writer.lock();
        let base = self.current.load_full();
        let (given, current) = (document.generation, base.generation);
        if current > Generation(0) && given <= current {
            return Err(ApplyError::NotLater { given, current });
        }
        let snapshot = compile_within(document, &*self.check, &self.limits)
            .map_err(ApplyError::Invalid)
            .map(Arc::new)?;
        let changes = snapshot.changes_since(&base);
        self.current.store(Arc::clone(&snapshot));
        Ok(Applied { snapshot, changes })
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let generation = self.current.load().generation;
        f.debug_struct("Registry").field("generation", &generation).finish_non_exhaustive()
    }
}
