//! What all connections of a process share.

use std::sync::Arc;

use flux_types::Received;

use crate::counters::Counters;
use crate::limits::Limits;
use crate::ports::{Access, Inbound};
use crate::router::Router;
use crate::session::Sessions;

/// Sessions, subscriptions, limits, counts and rights, shared by every connection and by whoever
/// routes messages.
pub struct Broker {
    pub(crate) access: Arc<dyn Access>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) router: Arc<Router>,
    pub(crate) sessions: Sessions,
}

impl Broker {
    /// A broker with no session and no subscription.
    #[must_use]
    pub fn new(limits: Limits, access: Arc<dyn Access>) -> Arc<Self> {
        let limits = Arc::new(limits);
        let counters = Arc::new(Counters::default());
        let router = Arc::new(Router::new(Arc::clone(&limits), Arc::clone(&counters)));
        let sessions =
            Sessions::new(Arc::clone(&router), Arc::clone(&limits), Arc::clone(&counters));
        Arc::new(Self { access, limits, counters, router, sessions })
    }

    /// The limits everything stays within.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What was counted.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Where messages are routed to subscribers, from any thread.
    #[must_use]
    pub fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// The sessions, connected or not.
    #[must_use]
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Rights have changed: ends subscriptions that are no longer allowed and tells how many.
    /// Publishing is checked anew by itself, with [`Access::revision`]; principals that were
    /// removed or disabled are for [`Sessions::disconnect_principal`].
    pub fn rights_changed(&self) -> usize {
        self.sessions.revoke_subscriptions(&*self.access)
    }

    /// Publishes wills that are due and ends sessions that expired, a bounded number of them.
    /// Returns when to call again, in monotonic milliseconds.
    pub fn tick(&self, now: Received, inbound: &mut Vec<Inbound>) -> Option<u64> {
        const STEPS_MAX: usize = 1024;
        self.sessions.tick(now, STEPS_MAX, inbound)
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("sessions", &self.sessions).finish_non_exhaustive()
    }
}
