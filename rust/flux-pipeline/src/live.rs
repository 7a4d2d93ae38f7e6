//! What happens, as it happens, for whoever taps it: people at the API, never devices.
//!
//! Events are made only while somebody listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flux_bus::{Bus, BusError, BusLimits, Doorbell, Overflow, Tap};
use flux_types::{DeviceId, Telemetry, TenantId, Topic, TopicFilter};

use crate::firing::Firing;
use crate::refusals::Refused;
use crate::views::{Alarm, Command};

/// Something that happened.
#[derive(Debug, Clone)]
pub enum LiveEvent {
    /// A device reported values.
    Telemetry(Arc<Telemetry>),
    /// A rule fired.
    Firing(Arc<Firing>),
    /// An alarm changed.
    Alarm(Arc<Alarm>),
    /// A command changed.
    Command(Arc<Command>),
    /// A device came or went.
    Presence {
        /// The device.
        device: DeviceId,
        /// Whether it is connected now.
        online: bool,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// A rule wrote to its log, or failed.
    RuleLog {
        /// The rule's id.
        rule: String,
        /// `trace` to `error`.
        level: &'static str,
        /// What it wrote.
        text: String,
        /// When, ms since 1970.
        at_ms: i64,
    },
    /// A message or a connection was refused, once or several times.
    Refused(Arc<Refused>),
}

impl LiveEvent {
    /// All kinds, as people name them.
    pub const KINDS: [&'static str; 7] =
        ["telemetry", "firing", "alarm", "command", "presence", "rule_log", "refused"];

    /// Which of [`LiveEvent::KINDS`] it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        Self::KINDS[self.index()]
    }

    fn index(&self) -> usize {
        match self {
            Self::Telemetry(_) => 0,
            Self::Firing(_) => 1,
            Self::Alarm(_) => 2,
            Self::Command(_) => 3,
            Self::Presence { .. } => 4,
            Self::RuleLog { .. } => 5,
            Self::Refused(_) => 6,
        }
    }
}

/// The bus of what happens. A tap that does not keep up loses the oldest, counted; it never holds
/// up the engine.
#[derive(Debug, Clone)]
pub struct Live {
    bus: Bus<LiveEvent>,
    topics: Arc<[Topic]>,
    taps: Arc<AtomicUsize>,
}

/// A tap on what happens. Dropping it ends it.
#[derive(Debug)]
pub struct LiveTap {
    /// The ring to receive from.
    pub tap: Tap<LiveEvent>,
    taps: Arc<AtomicUsize>,
}

impl Drop for LiveTap {
    fn drop(&mut self) {
        self.taps.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Live {
    /// A bus whose taps hold `capacity` events.
    ///
    /// # Errors
    /// [`BusError::Capacity`] if that is zero or absurd.
    pub fn new(capacity: usize) -> Result<Self, BusError> {
        let bus =
            Bus::with_limits(BusLimits { capacity, block_allowed: false, ..BusLimits::default() })?;
        let topics = LiveEvent::KINDS.iter().filter_map(|kind| Topic::new(kind).ok()).collect();
        Ok(Self { bus, topics, taps: Arc::default() })
    }

    /// Whether anybody listens: ask before making an event.
    #[inline]
    #[must_use]
    pub fn is_heard(&self) -> bool {
        self.taps.load(Ordering::Relaxed) > 0
    }

    /// Tells the tenant's taps.
    pub fn tell(&self, tenant: TenantId, event: LiveEvent) {
        if self.is_heard()
            && let Some(topic) = self.topics.get(event.index())
        {
            // an error means the bus is closed: nobody listens
            let _ = self.bus.publish_in(tenant, topic.clone(), event);
        }
    }

    /// Listens to one of [`LiveEvent::KINDS`] of a tenant, or to all of them. Rings the bell given.
    ///
    /// # Errors
    /// [`BusError`] if there are too many taps, or no such kind.
    pub fn tap(
        &self,
        tenant: TenantId,
        kind: Option<&str>,
        doorbell: Doorbell,
    ) -> Result<LiveTap, BusError> {
        let filter = TopicFilter::new(kind.unwrap_or("#"))?;
        let options = flux_bus::TapOptions {
            tenant,
            overflow: Overflow::DropOldest,
            doorbell: Some(doorbell),
            ..Default::default()
        };
        let tap = self.bus.subscribe_with(&filter, options)?;
        self.taps.fetch_add(1, Ordering::Relaxed);
        Ok(LiveTap { tap, taps: Arc::clone(&self.taps) })
    }

    /// The counters of the bus.
    #[must_use]
    pub fn stats(&self) -> flux_bus::BusStats {
        self.bus.stats()
    }
}
