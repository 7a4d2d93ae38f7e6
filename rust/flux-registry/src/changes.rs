//! What is different between two generations.
//!
//! A delta tells which entries to look at; two whole configurations are compared entry by entry.

use std::sync::Arc;

use crate::access::Identity;
use crate::entity::{Account, Device, Product};
use crate::registry::Changes;
use crate::secret::Secrets;
use crate::snapshot::Snapshot;

impl Changes {
    /// The same changes make the same lists, whichever way they were found.
    pub(crate) fn sort(&mut self) {
        self.removed.sort_unstable();
        self.disabled.sort_unstable();
        self.secret_changed.sort_unstable();
        self.grants_changed.sort_unstable();
        self.devices.sort_unstable();
        self.products.sort_unstable();
        self.products_removed.sort_unstable();
        self.products_retopiced.sort_unstable();
        self.rules.sort_unstable();
        self.rules_removed.sort_unstable();
    }

    pub(crate) fn device(&mut self, old: Option<&Device>, new: &Device) {
        if old == Some(new) {
            return;
        }
        self.devices.push(new.id);
        let Some(old) = old else { return };
        let who = Identity::Device(new.id);
        self.sign_in(who, (old.enabled, &old.secrets), (new.enabled, &new.secrets));
        if old.key != new.key || old.product != new.product {
            self.grants_changed.push(who);
        }
    }

    pub(crate) fn account(&mut self, old: Option<&Account>, new: &Account) {
        let Some(old) = old else { return };
        let who = Identity::Account(new.id);
        self.sign_in(who, (old.enabled, &old.secrets), (new.enabled, &new.secrets));
        if old.publish != new.publish || old.subscribe != new.subscribe {
            self.grants_changed.push(who);
        }
    }

    fn sign_in(&mut self, who: Identity, old: (bool, &Secrets), new: (bool, &Secrets)) {
        if old.0 && !new.0 {
            self.disabled.push(who);
        }
        if old.1 != new.1 {
            self.secret_changed.push(who);
        }
    }

    pub(crate) fn product(&mut self, old: Option<&Product>, new: &Product) {
        if old == Some(new) {
            return;
        }
        self.products.push(new.id);
        let topics = |product: &Product| {
            [&product.telemetry, &product.command, &product.reply].map(ToString::to_string)
        };
        if old.is_some_and(|old| topics(old) != topics(new)) {
            self.products_retopiced.push(new.id);
        }
    }
}

impl Snapshot {
    /// Everything in which this configuration differs from another.
    #[must_use]
    pub fn changes_since(&self, base: &Self) -> Changes {
        let mut changes = Changes {
            base_generation: base.generation,
            generation: self.generation,
            env: base.env != self.env,
            ..Changes::default()
        };
        for product in self.products() {
            changes.product(base.products.get(&product.id).map(Arc::as_ref), product);
        }
        for device in self.devices() {
            changes.device(base.devices.get(&device.id).map(Arc::as_ref), device);
        }
        for account in self.accounts() {
            changes.account(base.accounts.get(&account.id).map(Arc::as_ref), account);
        }
        for rule in self.rules() {
            if base.rules.get(&rule.id) != Some(rule) {
                changes.rules.push(rule.id);
            }
        }
        self.removed_since(base, &mut changes);
        changes.sort();
        changes
    }

    fn removed_since(&self, base: &Self, changes: &mut Changes) {
        let devices = base.devices.keys().filter(|id| !self.devices.contains_key(*id));
        changes.removed.extend(devices.map(|id| Identity::Device(*id)));
        let accounts = base.accounts.keys().filter(|id| !self.accounts.contains_key(*id));
        changes.removed.extend(accounts.map(|id| Identity::Account(*id)));
        let products = base.products.keys().filter(|id| !self.products.contains_key(*id));
        changes.products_removed.extend(products);
        let rules = base.rules.keys().filter(|id| !self.rules.contains_key(*id));
        changes.rules_removed.extend(rules);
    }
}
