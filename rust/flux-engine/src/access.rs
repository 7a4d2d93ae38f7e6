//! Who may do what over MQTT: the registry's answers in the MQTT crate's words.
//!
//! Owns the list of who has signed in, so that a change of configuration reaches whom it concerns.

use std::collections::HashMap;
use std::fmt::Display;
use std::sync::{Arc, OnceLock, Weak};

use flux_mqtt::{Access, Attempt, Denial, Principal, Refused, SignIn};
use flux_pipeline::refusals::{self, Refusing};
use flux_pipeline::{Pipeline, Refusals};
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
    refusals: OnceLock<Refusals>,
}

impl RegistryAccess {
    pub(crate) fn new(registry: Arc<Registry>, allow_anonymous: bool) -> Self {
        let (signed_in, pipeline) = (RwLock::default(), RwLock::default());
        Self { registry, allow_anonymous, signed_in, pipeline, refusals: OnceLock::new() }
    }

    /// Tells whom to call when a device can take commands, and when somebody is refused.
    pub(crate) fn set_pipeline(&self, pipeline: &Arc<Pipeline>) {
        let _ = self.refusals.set(pipeline.refusals().clone()); // one pipeline, set once
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

    /// Lets nobody in, and notes why in truth, which the client is not told.
    fn deny(
        &self,
        sign_in: &SignIn<'_>,
        denial: Denial,
        code: &'static str,
        reason: &dyn Display,
    ) -> Denial {
        if let Some(refusals) = self.refusals.get() {
            refusals.note(&Refusing {
                attempt: refusals::Attempt::Connect,
                tenant: TenantId::DEFAULT,
                source: None,
                username: sign_in.username,
                client_id: Some(sign_in.client_id),
                address: Some(sign_in.peer),
                topic: None,
                code,
                reason,
            });
        }
        denial
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
            (None, false) => {
                let why = "it gave no user name, and anonymous clients are not let in";
                return Err(self.deny(sign_in, Denial::NotAuthorized, "auth.no_name", &why));
            }
            (Some(name), _) => {
                let password = sign_in.password.unwrap_or_default();
                snapshot.authenticate(name, password).map_err(|denied| {
                    let (peer, reason) = (sign_in.peer, denied.reason());
                    tracing::warn!(%peer, username = name, %reason, "an MQTT client was refused");
                    let (denial, code) = match reason {
                        DeniedReason::UnknownName | DeniedReason::Removed => {
                            (Denial::BadCredentials, "auth.unknown_name")
                        }
                        DeniedReason::NoSecret => (Denial::BadCredentials, "auth.no_secret"),
                        DeniedReason::WrongSecret => (Denial::BadCredentials, "auth.wrong_secret"),
                        DeniedReason::Disabled => (Denial::NotAuthorized, "auth.disabled"),
                    };
                    self.deny(sign_in, denial, code, &reason)
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

    fn refused(&self, refused: &Refused<'_>) {
        let Some(refusals) = self.refusals.get() else { return };
        let principal = refused.principal;
        refusals.note(&Refusing {
            attempt: match refused.attempt {
                Attempt::Connect => refusals::Attempt::Connect,
                Attempt::Stay => refusals::Attempt::Stay,
                Attempt::Publish => refusals::Attempt::Publish,
                Attempt::Subscribe => refusals::Attempt::Subscribe,
            },
            tenant: principal.map_or(TenantId::DEFAULT, |principal| principal.tenant),
            source: principal.map(|principal| principal.source.as_str()),
            username: refused.username,
            client_id: refused.client_id,
            address: Some(refused.peer),
            topic: refused.topic,
            code: refused.code,
            reason: refused.why,
        });
    }
}
