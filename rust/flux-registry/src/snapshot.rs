//! One compiled generation, immutable, sharing with its predecessor all that did not change.
//!
//! Owns the lookups. The maps are persistent (hash array mapped tries), so that a successor that
//! differs in one device copies a handful of nodes and no more. Must never be changed once shared:
//! [`crate::compile`] works on a copy.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use equivalent::Equivalent;
use flux_types::{DeviceId, Generation, Key, PrincipalId, ProductId, RuleId, TenantId};
use foldhash::quality::RandomState;
use imbl::GenericHashMap;
use imbl::shared_ptr::DefaultSharedPtr;
use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::{Map as JsonMap, Value};

use crate::document::{Document, PluginUse, TenantEntry};
use crate::entity::{Account, Device, Product};
use crate::resolve::TenantTopics;
use crate::rule::RuleSpec;

/// Tries branch on every part of the hash, so it has to be good in every part.
pub(crate) type Map<K, V> = GenericHashMap<K, V, RandomState, DefaultSharedPtr>;

/// A compiled configuration.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) generation: Generation,
    pub(crate) tenants: Map<TenantId, Arc<str>>,
    pub(crate) tenant_names: Map<Arc<str>, TenantId>,
    pub(crate) products: Map<ProductId, Arc<Product>>,
    pub(crate) product_keys: Map<Name, ProductId>,
    pub(crate) devices: Map<DeviceId, Arc<Device>>,
    pub(crate) accounts: Map<PrincipalId, Arc<Account>>,
    /// Devices by key and accounts by user name: one space of names per tenant.
    pub(crate) logins: Map<Name, Login>,
    pub(crate) rules: Map<RuleId, Arc<RuleSpec>>,
    /// What the templates of all products come to; made anew when products change.
    pub(crate) topics: Arc<HashMap<TenantId, TenantTopics, RandomState>>,
    pub(crate) env: Arc<JsonMap<String, Value>>,
}

/// Who signs in under a name.
#[derive(Debug, Clone)]
pub(crate) enum Login {
    Device(Arc<Device>),
    Account(Arc<Account>),
}

/// A name within a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) tenant: TenantId,
    pub(crate) key: Key,
}

/// A name to look for, before anything was allocated for it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameRef<'n> {
    pub(crate) tenant: TenantId,
    pub(crate) key: &'n str,
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        NameRef { tenant: self.tenant, key: self.key.as_str() }.hash(state);
    }
}

impl Hash for NameRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.key.hash(state);
    }
}

impl Equivalent<Name> for NameRef<'_> {
    fn equivalent(&self, name: &Name) -> bool {
        self.tenant == name.tenant && self.key == name.key.as_str()
    }
}

impl Snapshot {
    /// Generation 0 with nothing in it, not even a tenant.
    pub(crate) fn empty() -> Self {
        Self {
            generation: Generation::default(),
            tenants: Map::default(),
            tenant_names: Map::default(),
            products: Map::default(),
            product_keys: Map::default(),
            devices: Map::default(),
            accounts: Map::default(),
            logins: Map::default(),
            rules: Map::default(),
            topics: Arc::default(),
            env: Arc::default(),
        }
    }

    /// Generation 0: tenant 1, `default`, and nothing else. What [`Document::initial`] compiles to.
    #[must_use]
    pub fn initial() -> Self {
        let mut snapshot = Self::empty();
        for tenant in Document::initial().tenants {
            let name: Arc<str> = tenant.name.into();
            snapshot.tenants.insert(tenant.id, Arc::clone(&name));
            snapshot.tenant_names.insert(name, tenant.id);
        }
        snapshot
    }

    /// Which generation this is.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The tenant of that name.
    #[must_use]
    pub fn tenant_id(&self, name: &str) -> Option<TenantId> {
        self.tenant_names.get(name).copied()
    }

    /// The name of a tenant.
    #[must_use]
    pub fn tenant_name(&self, tenant: TenantId) -> Option<&Arc<str>> {
        self.tenants.get(&tenant)
    }

    /// A device by its identity.
    #[must_use]
    pub fn device(&self, id: DeviceId) -> Option<&Arc<Device>> {
        self.devices.get(&id)
    }

    /// A device by its key.
    #[must_use]
    pub fn device_by_key(&self, tenant: TenantId, key: &str) -> Option<&Arc<Device>> {
        match self.logins.get(&NameRef { tenant, key }) {
            Some(Login::Device(device)) => Some(device),
            _ => None,
        }
    }

    /// A product by its identity.
    #[must_use]
    pub fn product(&self, id: ProductId) -> Option<&Arc<Product>> {
        self.products.get(&id)
    }

    /// A product by its key.
    #[must_use]
    pub fn product_by_key(&self, tenant: TenantId, key: &str) -> Option<&Arc<Product>> {
        self.products.get(self.product_keys.get(&NameRef { tenant, key })?)
    }

    /// An account by its identity.
    #[must_use]
    pub fn account(&self, id: PrincipalId) -> Option<&Arc<Account>> {
        self.accounts.get(&id)
    }

    /// A rule by its identity.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Arc<RuleSpec>> {
        self.rules.get(&id)
    }

    /// All devices, in no order.
    pub fn devices(&self) -> impl ExactSizeIterator<Item = &Arc<Device>> {
        self.devices.values()
    }

    /// All products, in no order.
    pub fn products(&self) -> impl ExactSizeIterator<Item = &Arc<Product>> {
        self.products.values()
    }

    /// Every use of a plugin by a product or a rule, in no order.
    pub fn plugin_uses(&self) -> impl Iterator<Item = &PluginUse> {
        let products = self.products.values().flat_map(|product| product.plugin_uses());
        let rules = self.rules.values().flat_map(|rule| rule.plugin_chain.iter());
        products.chain(rules)
    }

    /// All accounts that are not devices, in no order.
    pub fn accounts(&self) -> impl ExactSizeIterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// All rules, enabled or not, in no order.
    pub fn rules(&self) -> impl ExactSizeIterator<Item = &Arc<RuleSpec>> {
        self.rules.values()
    }

    /// The site constants that scripts see as `env`.
    #[must_use]
    pub fn env(&self) -> &Arc<JsonMap<String, Value>> {
        &self.env
    }

    /// The document this was compiled from, each list in the order of its ids and every default
    /// written out.
    #[must_use]
    pub fn to_document(&self) -> Document {
        Document {
            generation: self.generation,
            tenants: self.tenant_entries(),
            principals: by_id(&self.accounts).map(|account| account.to_entry()).collect(),
            products: by_id(&self.products).map(|product| product.to_entry()).collect(),
            devices: by_id(&self.devices).map(|device| device.to_entry()).collect(),
            rules: by_id(&self.rules).map(|rule| rule.to_entry()).collect(),
            env: (*self.env).clone(),
        }
    }

    fn tenant_entries(&self) -> Vec<TenantEntry> {
        let entry =
            |(id, name): (&TenantId, &Arc<str>)| TenantEntry { id: *id, name: name.to_string() };
        let mut entries: Vec<_> = self.tenants.iter().map(entry).collect();
        entries.sort_unstable_by_key(|tenant| tenant.id);
        entries
    }
}

fn by_id<K: Ord + Copy, V>(map: &Map<K, Arc<V>>) -> impl ExactSizeIterator<Item = &V> {
    let mut entries: Vec<(K, &V)> = map.iter().map(|(id, value)| (*id, &**value)).collect();
    entries.sort_unstable_by_key(|(id, _)| *id);
    entries.into_iter().map(|(_, value)| value)
}

/// Written like its [`Snapshot::to_document`], but entry by entry: the whole document of a large
/// site never stands in memory beside its compiled form.
impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Document", 7)?;
        document.serialize_field("generation", &self.generation)?;
        document.serialize_field("tenants", &self.tenant_entries())?;
        document.serialize_field("principals", &List(&self.accounts, Account::to_entry))?;
        document.serialize_field("products", &List(&self.products, Product::to_entry))?;
        document.serialize_field("devices", &List(&self.devices, Device::to_entry))?;
        document.serialize_field("rules", &List(&self.rules, RuleSpec::to_entry))?;
        document.serialize_field("env", &*self.env)?;
        document.end()
    }
}

struct List<'m, K, V, E>(&'m Map<K, Arc<V>>, fn(&V) -> E);

impl<K: Ord + Copy, V, E: Serialize> Serialize for List<'_, K, V, E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(by_id(self.0).map(self.1))
    }
}
