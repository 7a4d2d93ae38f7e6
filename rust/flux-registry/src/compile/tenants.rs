//! Tenants, and what refers to entries that are gone.

use std::sync::Arc;

use flux_types::{Key, TenantId};

use super::{Candidate, Place};
use crate::document::{Delete, TenantEntry};

impl Candidate<'_> {
    pub(super) fn give_up_tenant_name(&mut self, id: TenantId) {
        if let Some(name) = self.next.tenants.get(&id) {
            self.next.tenant_names.remove(name);
        }
    }

    pub(super) fn tenants(&mut self, entries: Vec<TenantEntry>) {
        for (index, entry) in entries.into_iter().enumerate() {
            let place = self.place("tenants", index);
            if self.tenant_entry(place, &entry).is_none() {
                self.failed_tenants.insert(entry.id);
            }
        }
    }

    fn tenant_entry(&mut self, place: Place, entry: &TenantEntry) -> Option<()> {
        if entry.id.0 == 0 {
            self.wrong(place.at("/id"), "tenant.id", "tenants are numbered from 1");
            return None;
        }
        let name: Arc<str> = match Key::new(&entry.name) {
            Ok(_) if entry.name.contains('@') => {
                let message = "a tenant's name cannot contain `@`: it stands after one in sign-in";
                self.wrong(place.at("/name"), "tenant.name", message);
                return None;
            }
            Ok(name) => name.shared(),
            Err(error) => {
                self.wrong(place.at("/name"), "tenant.name", error.to_string());
                return None;
            }
        };
        if let Some(other) = self.next.tenant_names.get(&name) {
            let message = format!("tenant {other} is called `{name}` already");
            self.wrong(place.at("/name"), "tenant.name_taken", message);
            return None;
        }
        self.next.tenant_names.insert(Arc::clone(&name), entry.id);
        self.next.tenants.insert(entry.id, name);
        Some(())
    }

    pub(super) fn delete_tenants(&mut self, ids: &[TenantId]) {
        for (index, id) in ids.iter().enumerate() {
            self.give_up_tenant_name(*id);
            if self.next.tenants.remove(id).is_none() {
                self.nothing_to_delete("tenants", index, id);
            }
        }
    }

    pub(super) fn nothing_to_delete(
        &mut self,
        section: &'static str,
        index: usize,
        id: impl std::fmt::Display,
    ) {
        let place = Place { prefix: "/delete", section, index };
        self.wrong(place.at(""), "config.nothing_to_delete", format!("there is no {id}"));
    }

    /// What stays must not refer to what goes. Looks through everything, but only when something
    /// that others refer to was deleted.
    pub(super) fn refuse_dangling(&mut self, delete: &Delete) {
        self.refuse_devices_without_product(delete);
        self.refuse_rules_without_source(delete);
        for (index, id) in delete.tenants.iter().enumerate() {
            let left = self.next.devices.values().any(|device| device.tenant == *id)
                || self.next.products.values().any(|product| product.tenant == *id)
                || self.next.accounts.values().any(|account| account.tenant == *id)
                || self.next.rules.values().any(|rule| rule.tenant == *id);
            if left {
                self.in_use("tenants", index, "the tenant still has entries".to_owned());
            }
        }
    }

    fn refuse_devices_without_product(&mut self, delete: &Delete) {
        if delete.products.is_empty() {
            return;
        }
        for (index, id) in delete.products.iter().enumerate() {
            let mut of_product = self.next.devices.values().filter(|device| device.product == *id);
            if let Some(device) = of_product.next() {
                let others = of_product.count();
                let message = match others {
                    0 => format!("device {} is of this product", device.key),
                    _ => format!("device {} and {others} others are of this product", device.key),
                };
                self.in_use("products", index, message);
            }
        }
    }

    fn refuse_rules_without_source(&mut self, delete: &Delete) {
        if delete.products.is_empty() && delete.devices.is_empty() {
            return;
        }
        let mut found = Vec::new();
        for rule in self.next.rules.values() {
            let products = delete.products.iter().enumerate();
            let products = products.filter(|(_, id)| rule.sources.products.contains(id));
            found.extend(products.map(|(index, _)| ("products", index, rule.id)));
            let devices = delete.devices.iter().enumerate();
            let devices = devices.filter(|(_, id)| rule.sources.devices.contains(id));
            found.extend(devices.map(|(index, _)| ("devices", index, rule.id)));
        }
        found.sort_unstable();
        for (section, index, rule) in found {
            self.in_use(section, index, format!("rule {rule} names it as a source"));
        }
    }

    fn in_use(&mut self, section: &'static str, index: usize, message: String) {
        let place = Place { prefix: "/delete", section, index };
        let hint = "change or delete what refers to it first, or in the same change";
        self.wrong_hint(place.at(""), "config.in_use", message, hint);
    }
}
