//! What this crate needs from above: who may do what, and a way to be called again.
//!
//! Taking publications in is not a trait: [`crate::Connection::on_bytes`] collects them as
//! [`Inbound`] in the caller's vector, so that one read of a socket becomes one append to the log,
//! and [`crate::Connection::acknowledge`] is called once they are committed.

use std::net::SocketAddr;
use std::sync::Arc;

use flux_types::{Message, SourceId, TenantId, Topic, TopicFilter};

use crate::codec::{PacketId, Reason, Version};

/// What a client says about itself in CONNECT.
#[derive(Clone, Copy)]
pub struct SignIn<'a> {
    /// The protocol version it speaks.
    pub version: Version,
    /// Its client identifier; the one we assigned when it sent none.
    pub client_id: &'a str,
    /// User name, when given.
    pub username: Option<&'a str>,
    /// Password or token, when given.
    pub password: Option<&'a [u8]>,
    /// Where it connects from.
    pub peer: SocketAddr,
}

impl std::fmt::Debug for SignIn<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn") // never the password
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// Who a connection belongs to, once signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose messages, topics and sessions these are.
    pub tenant: TenantId,
    /// The device or account, whatever client identifier it uses. Owns its sessions: nobody else
    /// in the tenant can take them over.
    pub id: Arc<str>,
    /// Stands in every message. Has to name the principal *and* the client identifier, because No
    /// Local compares it [MQTT-3.8.3-3].
    pub source: SourceId,
}

/// Why a sign-in is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Denial {
    /// Unknown name or wrong secret; which of them is not told.
    BadCredentials,
    /// Known, but disabled or not allowed here.
    NotAuthorized,
    /// The client identifier is not one that this principal may use.
    ClientIdentifier,
    /// Cannot tell now; trying later may help.
    Unavailable,
}

impl Denial {
    /// What the client is told.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::BadCredentials => Reason::BAD_USER_NAME_OR_PASSWORD,
            Self::NotAuthorized => Reason::NOT_AUTHORIZED,
            Self::ClientIdentifier => Reason::CLIENT_IDENTIFIER_NOT_VALID,
            Self::Unavailable => Reason::SERVER_UNAVAILABLE,
        }
    }
}

/// What a client tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// To connect.
    Connect,
    /// To stay connected.
    Stay,
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
}

/// What a client tried in vain, for people who look for the cause.
#[derive(Clone, Copy)]
pub struct Refused<'a> {
    /// What it tried.
    pub attempt: Attempt,
    /// Where it connects from.
    pub peer: SocketAddr,
    /// Who it is, once signed in.
    pub principal: Option<&'a Principal>,
    /// The user name it gave, where it has not signed in.
    pub username: Option<&'a str>,
    /// Its client identifier, once CONNECT was read.
    pub client_id: Option<&'a str>,
    /// The topic or filter it was about.
    pub topic: Option<&'a str>,
    /// Why, in a stable word.
    pub code: &'static str,
    /// Why, for people. Not for the client, which is told less.
    pub why: &'a dyn std::fmt::Display,
}

/// Who may connect, publish and subscribe. Called on network threads: answers at once.
pub trait Access: Send + Sync {
    /// Changes whenever an answer of [`Access::may_publish`] may have changed; until then a
    /// connection remembers the answers for its last topics.
    fn revision(&self) -> u64;

    /// Checks name and secret.
    ///
    /// # Errors
    /// Why it is refused.
    fn authenticate(&self, sign_in: &SignIn<'_>) -> Result<Principal, Denial>;

    /// Whether the principal may publish to the topic. Topics below `$SYS` and `$share`
    /// are refused before this is asked.
    fn may_publish(&self, principal: &Principal, topic: &Topic) -> bool;

    /// Whether the principal may subscribe to the filter.
    fn may_subscribe(&self, principal: &Principal, filter: &TopicFilter) -> bool;

    /// The principal's client can be sent messages: it has subscribed to something, or is back
    /// with a session that had. Called on the connection's thread, no locks held; returns soon.
    fn subscribed(&self, principal: &Principal) {
        let _ = principal;
    }

    /// A client was refused something. Not called for a sign-in that [`Access::authenticate`]
    /// denied, which knows best why. Called on the connection's thread for each refusal, however
    /// many there are: has to be cheap and return at once.
    fn refused(&self, refused: &Refused<'_>) {
        let _ = refused;
    }
}

/// Calls a connection's owner back.
pub trait Wake: Send + Sync {
    /// Something is to be delivered: call [`crate::Connection::on_deliverable`] soon, on the
    /// thread that owns the connection. Called at most once per dirty period, from any thread,
    /// with locks held: has to return at once and must not call into this crate.
    fn wake(&self);
}

/// A publication that was received and found in order.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// What was published.
    pub message: Arc<Message>,
    /// Given when [`crate::Connection::acknowledge`] is to be called with it once the message is
    /// committed. None for QoS 0 and for wills, which may be QoS 1 all the same.
    pub packet_id: Option<PacketId>,
}
