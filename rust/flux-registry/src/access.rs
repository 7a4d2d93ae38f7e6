//! Who may sign in, and what they may publish and subscribe to.
//!
//! | who | may publish to | may subscribe to |
//! |---|---|---|
//! | device | its product's telemetry and reply topics with its own key | its own command topic |
//! | account | what its `publish` filters match | what its `subscribe` filters cover |
//! | anonymous (only where the listener allows it) | everything outside `$…` | everything outside `$…` |
//!
//! Nobody publishes to `$…`: those topics are the server's. Must never tell a client why it was
//! turned away; [`AuthDenied::reason`] is for logs and counters.

use std::fmt;
use std::sync::Arc;

use flux_types::{
    Coded, DeviceId, ErrorKind, Generation, PrincipalId, ProductId, SourceId, TenantId, Topic,
    TopicFilter,
};

use crate::entity::{Account, Device, Product};
use crate::secret::{Digest, SECRET_BYTES_MAX, Secrets};
use crate::snapshot::{Login, NameRef, Snapshot};

/// Who someone is, once signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// A device.
    Device(DeviceId),
    /// An account that is not a device.
    Account(PrincipalId),
    /// Nobody in particular.
    Anonymous,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(id) => write!(f, "device:{id}"),
            Self::Account(id) => write!(f, "account:{id}"),
            Self::Anonymous => f.write_str("anonymous"),
        }
    }
}

/// Someone who has signed in.
#[derive(Debug, Clone)]
pub struct Principal {
    /// Who.
    pub identity: Identity,
    /// Whose topics and devices it sees.
    pub tenant: TenantId,
    /// The identity as a word. A device is one source whatever connection it uses; for the others
    /// see [`Principal::source_of`].
    pub source: SourceId,
    /// The device, where it is one: as it was when it signed in.
    pub device: Option<Arc<Device>>,
    credential: Option<Digest>,
}

impl Principal {
    /// The source of what one connection sends. Devices are a source each; accounts and anonymous
    /// clients may be connected many times over, and each client is a source of its own.
    #[must_use]
    pub fn source_of(&self, client_id: &str) -> SourceId {
        match self.identity {
            Identity::Device(_) => self.source.clone(),
            _ => SourceId::new(format!("{}/{client_id}", self.source)),
        }
    }
}

/// The one answer to everybody who cannot sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the user name or the password is wrong")]
pub struct AuthDenied {
    reason: DeniedReason,
}

impl AuthDenied {
    /// Why in truth: for logs and counters, never for the client.
    #[must_use]
    pub fn reason(&self) -> DeniedReason {
        self.reason
    }
}

impl Coded for AuthDenied {
    fn code(&self) -> &'static str {
        "auth.denied"
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Denied
    }
}

/// Why someone could not sign in, or may stay connected no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeniedReason {
    /// Nobody has that name.
    UnknownName,
    /// The name is known and has no secret to sign in with.
    NoSecret,
    /// The secret is not the name's, or no longer.
    WrongSecret,
    /// All is right, but the device or account is disabled.
    Disabled,
    /// The device or account is no more.
    Removed,
}

impl DeniedReason {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownName => "unknown_name",
            Self::NoSecret => "no_secret",
            Self::WrongSecret => "wrong_secret",
            Self::Disabled => "disabled",
            Self::Removed => "removed",
        }
    }
}

impl fmt::Display for DeniedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownName => "the name is not known",
            Self::NoSecret => "the name has no secret",
            Self::WrongSecret => "the secret is wrong",
            Self::Disabled => "the name is disabled",
            Self::Removed => "the name was removed",
        })
    }
}

/// Where a signed-in principal stands after a change of configuration.
#[derive(Debug, Clone)]
pub enum Standing {
    /// It stays, and its grants are these.
    Stays(Grants),
    /// It has to be disconnected.
    Gone(DeniedReason),
}

impl Snapshot {
    /// Checks a user name and a password.
    ///
    /// The name is a device's key, a device's id or an account's user name, in tenant 1 or, with
    /// `@` and a tenant's name at the end, in that tenant. (Where a name itself ends like that,
    /// the tenant has to be added.) The same work is done for every name, known or not.
    ///
    /// # Errors
    /// [`AuthDenied`], the same for every reason.
    pub fn authenticate(&self, username: &str, password: &[u8]) -> Result<Principal, AuthDenied> {
        let denied = |reason| Err(AuthDenied { reason });
        let long = password.len() > SECRET_BYTES_MAX;
        let given = Digest::of(if long { &[] } else { password });
        let login = self.login(username);
        let secrets = login.as_ref().map_or_else(Secrets::default, Login::secrets);
        let accepted = secrets.accept(&given) & !long;
        let Some(login) = login else { return denied(DeniedReason::UnknownName) };
        if secrets.is_empty() {
            return denied(DeniedReason::NoSecret);
        }
        if !accepted {
            return denied(DeniedReason::WrongSecret);
        }
        if !login.enabled() {
            return denied(DeniedReason::Disabled);
        }
        Ok(login.principal(given))
    }

    /// Finds the device that a secret alone names, as in an HTTP bearer token. A secret that several
    /// devices have names none.
    ///
    /// # Errors
    /// [`AuthDenied`], the same for every reason.
    pub fn authenticate_token(&self, token: &[u8]) -> Result<Principal, AuthDenied> {
        let denied = |reason| Err(AuthDenied { reason });
        if token.len() > SECRET_BYTES_MAX {
            return denied(DeniedReason::UnknownName);
        }
        let given = Digest::of(token);
        let digest = given.bytes();
        let from = (digest, DeviceId(uuid::Uuid::nil()));
        let mut holders = self.secrets.range(from..).take_while(|(known, _)| *known == digest);
        let (Some((_, id)), None) = (holders.next(), holders.next()) else {
            return denied(DeniedReason::UnknownName);
        };
        let Some(device) = self.devices.get(id) else { return denied(DeniedReason::UnknownName) };
        if !device.enabled {
            return denied(DeniedReason::Disabled);
        }
        Ok(Login::Device(Arc::clone(device)).principal(given))
    }

    /// Lets somebody in without a name, in tenant 1. Whether that is allowed is the listener's
    /// setting (`[mqtt] allow_anonymous`). An anonymous client may publish and subscribe to
    /// everything outside `$…`, every device's topics among it.
    #[must_use]
    pub fn anonymous(&self) -> Principal {
        Principal {
            identity: Identity::Anonymous,
            tenant: TenantId::DEFAULT,
            source: SourceId::new("anonymous"),
            device: None,
            credential: None,
        }
    }

    /// What a principal may do under this configuration; for [`Grants::generation`].
    ///
    /// # Errors
    /// Why it may do nothing any more.
    pub fn grants(&self, principal: &Principal) -> Result<Grants, DeniedReason> {
        let may = match principal.identity {
            Identity::Anonymous => May::Everything,
            Identity::Account(id) => {
                let account = self.accounts.get(&id).ok_or(DeniedReason::Removed)?;
                stays(account.enabled, &account.secrets, principal)?;
                May::Granted(Arc::clone(account))
            }
            Identity::Device(id) => {
                let device = self.devices.get(&id).ok_or(DeniedReason::Removed)?;
                stays(device.enabled, &device.secrets, principal)?;
                let product = self.products.get(&device.product).ok_or(DeniedReason::Removed)?;
                May::Own(Arc::clone(device), Arc::clone(product))
            }
        };
        Ok(Grants { generation: self.generation, may })
    }

    /// Looks at a connected principal again after a change: has it to go, and if not, what may it
    /// do now? [`crate::Changes::touches`] tells whom to look at.
    #[must_use]
    pub fn standing(&self, principal: &Principal) -> Standing {
        match self.grants(principal) {
            Ok(grants) => Standing::Stays(grants),
            Err(reason) => Standing::Gone(reason),
        }
    }

    fn login(&self, username: &str) -> Option<Login> {
        let qualified = username
            .rsplit_once('@')
            .and_then(|(name, tenant)| Some((name, *self.tenant_names.get(tenant)?)));
        let (name, tenant) = qualified.unwrap_or((username, TenantId::DEFAULT));
        let by_id = || {
            // only the usual way of writing an id, so that one device has one name by id
            let id: DeviceId = (name.len() == 36).then(|| name.parse().ok()).flatten()?;
            let device = self.devices.get(&id).filter(|device| device.tenant == tenant)?;
            Some(Login::Device(Arc::clone(device)))
        };
        self.logins.get(&NameRef { tenant, key: name }).cloned().or_else(by_id)
    }
}

/// The secret one signed in with has to be good still: who changes a secret means to lock out
/// whoever has the old one.
fn stays(enabled: bool, secrets: &Secrets, principal: &Principal) -> Result<(), DeniedReason> {
    if !enabled {
        return Err(DeniedReason::Disabled);
    }
    match principal.credential {
        Some(credential) if !secrets.accept(&credential) => Err(DeniedReason::WrongSecret),
        _ => Ok(()),
    }
}

impl Login {
    fn secrets(&self) -> Secrets {
        match self {
            Self::Device(device) => device.secrets,
            Self::Account(account) => account.secrets,
        }
    }

    fn enabled(&self) -> bool {
        match self {
            Self::Device(device) => device.enabled,
            Self::Account(account) => account.enabled,
        }
    }

    fn principal(self, credential: Digest) -> Principal {
        let (identity, tenant, device) = match self {
            Self::Device(device) => (Identity::Device(device.id), device.tenant, Some(device)),
            Self::Account(account) => (Identity::Account(account.id), account.tenant, None),
        };
        let source = SourceId::new(identity.to_string());
        Principal { identity, tenant, source, device, credential: Some(credential) }
    }
}

/// What one principal may publish and subscribe to. Cheap to clone; checks allocate nothing.
#[derive(Debug, Clone)]
pub struct Grants {
    generation: Generation,
    may: May,
}

#[derive(Debug, Clone)]
enum May {
    Everything,
    Granted(Arc<Account>),
    Own(Arc<Device>, Arc<Product>),
}

impl Grants {
    /// The generation they come from.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.generation
    }

    /// The product whose topics they are made of, for a device.
    pub(crate) fn product(&self) -> Option<ProductId> {
        match &self.may {
            May::Own(_, product) => Some(product.id),
            _ => None,
        }
    }

    /// Whether a message may be published there.
    #[must_use]
    pub fn may_publish(&self, topic: &Topic) -> bool {
        if topic.is_reserved() {
            return false;
        }
        match &self.may {
            May::Everything => true,
            May::Granted(account) => {
                account.publish.iter().any(|grant| grant.matches(topic.as_str()))
            }
            May::Own(device, product) => {
                let key = device.key.as_str();
                product.telemetry.matches(topic.as_str(), key)
                    || product.reply.matches(topic.as_str(), key)
            }
        }
    }

    /// Whether a filter may be subscribed to; of a shared subscription, the filter after
    /// `$share/<group>/`.
    #[must_use]
    pub fn may_subscribe(&self, filter: &TopicFilter) -> bool {
        match &self.may {
            May::Everything => !filter.as_str().starts_with('$'),
            May::Granted(account) => account.subscribe.iter().any(|grant| grant.covers(filter)),
            May::Own(device, product) => product.command.covers(filter, device.key.as_str()),
        }
    }

    /// Whether it may name that device in a payload: whoever may publish to all of a device's
    /// telemetry topics may. A device may name itself.
    #[must_use]
    pub fn may_speak_for(&self, device: &Device, product: &Product) -> bool {
        match &self.may {
            May::Everything => device.tenant == TenantId::DEFAULT,
            May::Granted(account) => {
                account.tenant == device.tenant
                    && account.publish.iter().any(|grant| {
                        covers_levels(grant, product.telemetry.levels_for(device.key.as_str()))
                    })
            }
            May::Own(own, _) => own.id == device.id,
        }
    }
}

/// As [`TopicFilter::covers`], of a filter that is not written out.
fn covers_levels<'l>(grant: &TopicFilter, mut narrower: impl Iterator<Item = &'l str>) -> bool {
    for level in grant.levels() {
        match (level, narrower.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (literal, Some(name)) if literal == name => {}
            _ => return false,
        }
    }
    narrower.next().is_none()
}
