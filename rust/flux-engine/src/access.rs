//! Who may do what over MQTT: the registry's answers in the MQTT crate's words.
//!
//! Owns the list of who has signed in, so that a change of configuration reaches whom it concerns.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use flux_mqtt::{Access, Denial, Principal, SignIn};
use flux_pipeline::Pipeline;
use flux_registry::{Changes, DeniedReason, Grants, Identity, Registry, Standing};
use flux_types::{Generation, TenantId, Topic, TopicFilter};
use parking_lot::RwLock;

/// A principal that has signed in, with what it may do.
#[derive(Debug, Clone)]
struct SignedIn {
    principal: flux_registry::Principal,
    grants: Grants,
}

/// Adapts [`Registry`] to [`Access`].
pub(crate) struct RegistryAccess {
    registry: Arc<Registry>,
    allow_anonymous: bool,
    /// By the principal's id. At most one for each that is configured.
    signed_in: RwLock<HashMap<Arc<str>, SignedIn>>,
    pipeline: RwLock<Weak<Pipeline>>,
}

impl RegistryAccess {
    pub(crate) fn new(registry: Arc<Registry>, allow_anonymous: bool) -> Self {
        let (signed_in, pipeline) = (RwLock::default(), RwLock::default());
        Self { registry, allow_anonymous, signed_in, pipeline }
    }

    /// Tells whom to call when a device can take commands.
    pub(crate) fn set_pipeline(&self, pipeline: &Arc<Pipeline>) {
        *self.pipeline.write() = Arc::downgrade(pipeline);
    }

    /// The device behind a principal, if it is one.
    pub(crate) fn device(&self, principal: &Principal) -> Option<flux_types::DeviceId> {
        match self.signed_in.read().get(&principal.id)?.principal.identity {
            Identity::Device(device) => Some(device),
            _ => None,
        }
    }

    /// After a change of configuration: who has to go.
    pub(crate) fn dismissed(&self, changes: &Changes) -> Vec<(TenantId, Arc<str>)> {
        let snapshot = self.registry.snapshot();
        let mut gone = Vec::new();
        self.signed_in.write().retain(|id, known| {
            if !changes.touches(&known.principal, &known.grants) {
                return true;
            }
            match snapshot.standing(&known.principal) {
                Standing::Stays(grants) => {
                    known.grants = grants;
                    true
                }
                Standing::Gone(_) => {
                    gone.push((known.principal.tenant, Arc::clone(id)));
                    false
                }
            }
        });
        gone
    }

    fn ask(&self, principal: &Principal, question: impl Fn(&Grants) -> bool) -> bool {
        self.signed_in.read().get(&principal.id).is_some_and(|known| question(&known.grants))
    }
}

impl Access for RegistryAccess {
    fn revision(&self) -> u64 {
        let Generation(generation) = self.registry.current().generation();
        generation
    }

    fn authenticate(&self, sign_in: &SignIn<'_>) -> Result<Principal, Denial> {
        let snapshot = self.registry.snapshot();
        let principal = match (sign_in.username, self.allow_anonymous) {
            (None, true) => snapshot.anonymous(),
            (None, false) => return Err(Denial::NotAuthorized),
            (Some(name), _) => {
                let password = sign_in.password.unwrap_or_default();
                snapshot.authenticate(name, password).map_err(|denied| {
                    let (peer, reason) = (sign_in.peer, denied.reason());
                    tracing::warn!(%peer, username = name, %reason, "an MQTT client was refused");
                    match reason {
                        DeniedReason::Disabled => Denial::NotAuthorized,
                        _ => Denial::BadCredentials,
                    }
                })?
            }
        };
        let grants = snapshot.grants(&principal).map_err(|_| Denial::NotAuthorized)?;
        let id: Arc<str> = principal.source.as_str().into();
        let adapted = Principal {
            tenant: principal.tenant,
            id: Arc::clone(&id),
            source: flux_types::SourceId::new(format!("{id}/{}", sign_in.client_id)),
        };
        self.signed_in.write().insert(id, SignedIn { principal, grants });
        Ok(adapted)
    }

    fn may_publish(&self, principal: &Principal, topic: &Topic) -> bool {
        self.ask(principal, |grants| grants.may_publish(topic))
    }

    fn may_subscribe(&self, principal: &Principal, filter: &TopicFilter) -> bool {
        self.ask(principal, |grants| grants.may_subscribe(filter))
    }

    fn subscribed(&self, principal: &Principal) {
        let known = self.signed_in.read().get(&principal.id).cloned();
        let device = known.and_then(|known| known.principal.device);
        if let (Some(device), Some(pipeline)) = (device, self.pipeline.read().upgrade()) {
            pipeline.device_ready(device.tenant, &device.key);
        }
    }
}
