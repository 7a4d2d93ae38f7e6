//! Who is who on the gateway: the registry's devices by what the gateway knows them by.
//!
//! Owns the index of the tags `address` and `line`, and each product's compiled `link`. Changes with
//! the configuration, by what changed.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use flux_gateway::{Directory, LinkDevice, LinkProduct, LinkSpec};
use flux_registry::{Applied, Device, Identity, Registry, Snapshot};
use flux_types::{DeviceId, ProductId, TenantId};
use parking_lot::RwLock;

/// The tag that says at which address a device is.
const ADDRESS: &str = "address";
/// The tag that says which line a device is on: that of the device of that key.
const LINE: &str = "line";

/// Adapts [`Registry`] to [`Directory`].
pub(crate) struct RegistryDirectory {
    registry: Arc<Registry>,
    index: RwLock<Index>,
}

type Named = (TenantId, Box<str>);

#[derive(Default)]
struct Index {
    links: HashMap<ProductId, Arc<LinkSpec>>,
    by_address: HashMap<Named, DeviceId>,
    by_line: HashMap<Named, Vec<DeviceId>>,
    /// What each device with such tags stands under.
    tags: HashMap<DeviceId, Vec<(&'static str, Named)>>,
}

/// A place we connect to, and the devices there.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) tenant: TenantId,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) devices: Vec<LinkDevice>,
}

impl RegistryDirectory {
    pub(crate) fn new(registry: Arc<Registry>) -> Self {
        let mut index = Index::default();
        let snapshot = registry.snapshot();
        for product in snapshot.products() {
            index.product(&snapshot, product.id);
        }
        for device in snapshot.devices() {
            index.device(device.id, Some(device));
        }
        Self { registry, index: RwLock::new(index) }
    }

    /// Takes a change of configuration.
    pub(super) fn update(&self, applied: &Applied) {
        let mut index = self.index.write();
        for id in applied.changes.products.iter().chain(&applied.changes.products_removed) {
            index.product(&applied.snapshot, *id);
        }
        for id in &applied.changes.devices {
            index.device(*id, applied.snapshot.device(*id).map(Arc::as_ref));
        }
        for identity in &applied.changes.removed {
            if let Identity::Device(id) = identity {
                index.device(*id, None);
            }
        }
    }

    /// The line a device is on: that its tag names, or its own.
    pub(super) fn line_of(&self, id: DeviceId) -> Option<Arc<str>> {
        let snapshot = self.registry.current();
        let device = snapshot.device(id)?;
        Some(device.tags.get(LINE).map_or_else(|| device.key.shared(), Arc::from))
    }

    /// The devices whose tag names the line.
    pub(super) fn on_line(&self, tenant: TenantId, line: &str) -> Vec<LinkDevice> {
        let ids = self.index.read().by_line.get(&(tenant, line.into())).cloned();
        ids.into_iter().flatten().filter_map(|id| self.device(id)).collect()
    }

    /// Everything we connect to.
    pub(super) fn targets(&self) -> Vec<Target> {
        let index = self.index.read();
        if index.links.values().all(|link| link.connect.is_none()) {
            return Vec::new();
        }
        let snapshot = self.registry.snapshot();
        let mut targets: HashMap<(TenantId, String, u16), Vec<LinkDevice>> = HashMap::new();
        for device in snapshot.devices().filter(|device| device.enabled) {
            let Some(link) = index.links.get(&device.product) else { continue };
            let Some(connect) = &link.connect else { continue };
            match connect.render(|tag| device.tags.get(tag)) {
                Ok((host, port)) => {
                    let known = targets.entry((device.tenant, host, port)).or_default();
                    known.push(link_device(device));
                }
                Err(why) => tracing::warn!(device = %device.key, why, "not connected to"),
            }
        }
        let target = |((tenant, host, port), mut devices): (_, Vec<LinkDevice>)| {
            devices.sort_unstable_by_key(|device| device.id);
            Target { tenant, host, port, devices }
        };
        targets.into_iter().map(target).collect()
    }
}

fn link_device(device: &Device) -> LinkDevice {
    LinkDevice { id: device.id, key: device.key.clone(), product: device.product }
}

impl Index {
    fn product(&mut self, snapshot: &Snapshot, id: ProductId) {
        let link = snapshot.product(id).and_then(|product| product.link.as_ref());
        match link.map(LinkSpec::from_json) {
            Some(Ok(link)) => {
                self.links.insert(id, Arc::new(link));
            }
            Some(Err(problems)) => {
                // checked before it came into force; a stored one of an older version may differ
                tracing::error!(?problems, "a product's link does not work");
                self.links.remove(&id);
            }
            None => {
                self.links.remove(&id);
            }
        }
    }

    fn device(&mut self, id: DeviceId, device: Option<&Device>) {
        for (tag, named) in self.tags.remove(&id).unwrap_or_default() {
            if tag == ADDRESS {
                self.by_address.remove(&named);
            } else if let Some(line) = self.by_line.get_mut(&named) {
                line.retain(|known| *known != id);
                if line.is_empty() {
                    self.by_line.remove(&named);
                }
            }
        }
        let Some(device) = device.filter(|device| device.enabled) else { return };
        let mut under = Vec::new();
        for tag in [ADDRESS, LINE] {
            let Some(value) = device.tags.get(tag) else { continue };
            let named: Named = (device.tenant, value.into());
            if tag == ADDRESS {
                if let Some(other) = self.by_address.insert(named.clone(), id) {
                    tracing::warn!(%other, device = %id, address = value, "two devices, one address");
                }
            } else {
                let line = self.by_line.entry(named.clone()).or_default();
                line.push(id);
                line.sort_unstable();
            }
            under.push((tag, named));
        }
        if !under.is_empty() {
            self.tags.insert(id, under);
        }
    }
}

impl Directory for RegistryDirectory {
    fn product(&self, tenant: TenantId, key: &str) -> Option<LinkProduct> {
        let id = self.registry.current().product_by_key(tenant, key)?.id;
        self.product_of(id)
    }

    fn product_of(&self, id: ProductId) -> Option<LinkProduct> {
        let link = Arc::clone(self.index.read().links.get(&id)?);
        Some(LinkProduct { id, link })
    }

    fn device(&self, id: DeviceId) -> Option<LinkDevice> {
        let snapshot = self.registry.current();
        snapshot.device(id).filter(|device| device.enabled).map(|device| link_device(device))
    }

    fn by_key(&self, tenant: TenantId, key: &str) -> Option<LinkDevice> {
        let snapshot = self.registry.current();
        let device = snapshot.device_by_key(tenant, key).filter(|device| device.enabled);
        device.map(|device| link_device(device))
    }

    fn by_address(&self, tenant: TenantId, peer: SocketAddr) -> Option<LinkDevice> {
        let index = self.index.read();
        let of = |text: String| index.by_address.get(&(tenant, text.into())).copied();
        let id = of(peer.to_string()).or_else(|| of(peer.ip().to_string()))?;
        drop(index);
        self.device(id)
    }

    fn accepts_secret(&self, device: DeviceId, secret: &[u8]) -> bool {
        let snapshot = self.registry.current();
        snapshot.device(device).is_some_and(|device| device.accepts(secret))
    }
}
