//! Devices.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_types::{DeviceId, Key, TenantId};

use super::{Candidate, Place};
use crate::access::Identity;
use crate::document::DeviceEntry;
use crate::entity::Device;
use crate::snapshot::{Login, Name, NameRef};

impl Candidate<'_> {
    pub(super) fn give_up_device_key(&mut self, id: DeviceId) {
        if let Some(device) = self.next.devices.get(&id) {
            let name = NameRef { tenant: device.tenant, key: device.key.as_str() };
            self.next.logins.remove(&name);
            for digest in device.secrets.iter() {
                self.next.secrets.remove(&(digest.bytes(), id));
            }
        }
    }

    pub(super) fn delete_devices(&mut self, ids: &[DeviceId]) {
        for (index, id) in ids.iter().enumerate() {
            self.give_up_device_key(*id);
            match self.next.devices.remove(id) {
                Some(_) => self.changes.removed.push(Identity::Device(*id)),
                None => self.nothing_to_delete("devices", index, id),
            }
        }
    }

    pub(super) fn devices(&mut self, entries: Vec<DeviceEntry>) {
        for (index, entry) in entries.into_iter().enumerate() {
            let (id, place) = (entry.id, self.place("devices", index));
            let Some(device) = self.device(place, entry) else {
                self.failed.insert(id.0);
                continue;
            };
            let base = self.base;
            let before = base.devices.get(&id);
            self.changes.device(before.map(Arc::as_ref), &device);
            // an entry given again as it was keeps its place in memory
            let device = match before {
                Some(before) if **before == device => Arc::clone(before),
                _ => Arc::new(device),
            };
            let name = (device.tenant, device.key.clone());
            if self.take_name(place, "/key", name, Login::Device(Arc::clone(&device))) {
                let digests = device.secrets.iter().map(|digest| (digest.bytes(), id));
                self.next.secrets.extend(digests);
                self.next.devices.insert(id, device);
            }
        }
    }

    fn device(&mut self, place: Place, entry: DeviceEntry) -> Option<Device> {
        let before = self.base.devices.get(&entry.id).map(|device| device.tenant);
        let tenant = self.tenant(place, entry.tenant, before);
        let product = self.device_product(place, &entry, tenant);
        let key = self.key(place, "/key", entry.key.as_deref(), entry.id.0);
        let (current, previous) = (&entry.secret_sha256, &entry.secret_sha256_previous);
        let secrets = self.secrets(place, current.as_deref(), previous.as_deref());
        let tags = self.tags(place, &entry.tags);
        (tenant && product && tags).then_some(())?;
        Some(Device {
            id: entry.id,
            tenant: entry.tenant,
            product: entry.product,
            key: key?,
            enabled: entry.enabled,
            tags: entry.tags.into(),
            secrets: secrets?,
        })
    }

    fn device_product(&mut self, place: Place, entry: &DeviceEntry, tenant: bool) -> bool {
        let message = match self.next.products.get(&entry.product) {
            _ if self.failed.contains(&entry.product.0) => return false,
            // a tenant that does not hold is reported already
            Some(product) if product.tenant == entry.tenant || !tenant => return true,
            Some(product) => format!("product {} is of another tenant", product.key),
            None => format!("there is no product {}", entry.product),
        };
        self.wrong(place.at("/product"), "device.product_unknown", message);
        false
    }

    fn tags(&mut self, place: Place, tags: &BTreeMap<String, String>) -> bool {
        let mut hold = tags.len() <= self.limits.tags_max;
        if !hold {
            let message = format!("{} tags are more than {}", tags.len(), self.limits.tags_max);
            self.wrong(place.at("/tags"), "config.too_many", message);
        }
        for (name, value) in tags {
            let longest = if name.len() > value.len() { name } else { value };
            let max = self.limits.name_bytes_max;
            hold &= self.text_size(|| place.at("/tags"), longest, max);
        }
        hold
    }

    /// Device keys and account names are one space of names: who signs in has to be one of them.
    pub(super) fn take_name(
        &mut self,
        place: Place,
        field: &str,
        (tenant, key): (TenantId, Key),
        login: Login,
    ) -> bool {
        let owner = match self.next.logins.get(&NameRef { tenant, key: key.as_str() }) {
            None => {
                self.next.logins.insert(Name { tenant, key }, login);
                return true;
            }
            Some(Login::Device(device)) => format!("device {}", device.id),
            Some(Login::Account(account)) => format!("account {}", account.id),
        };
        let message = format!("`{key}` is the name of {owner} already");
        self.wrong(place.at(field), "config.name_taken", message);
        false
    }
}
