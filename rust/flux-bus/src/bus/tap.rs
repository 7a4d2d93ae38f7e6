//! One subscriber: its ring, its policy, its counters.
//!
//! Owns what happens between a publisher and this one consumer. Must never touch another tap.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use flux_types::{TenantId, TopicFilter};

use super::stats::{Dropped, TapStats};
use super::{Event, Inner, Overflow};
use crate::ring::{Batch, Closed, Evicting, Ring};
use crate::space::Space;
use crate::sync::Padded;
use crate::{BusError, Doorbell};

/// How long a publisher waits for a `block` tap, unless told otherwise.
pub const BLOCK_TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

/// How a tap is to be.
#[derive(Debug, Clone)]
pub struct TapOptions {
    /// What happens when its ring is full.
    pub overflow: Overflow,
    /// Messages its ring holds; the bus's own capacity when `None`.
    pub capacity: Option<usize>,
    /// How long a publish call waits for room in this tap before it drops (with
    /// [`Overflow::Block`]); `None` waits until there is room or the tap or the bus is closed.
    pub block_timeout: Option<Duration>,
    /// The bell to ring, shared with other taps and rings; one of its own when `None`.
    pub doorbell: Option<Doorbell>,
    /// Whose messages it sees.
    pub tenant: TenantId,
}

impl Default for TapOptions {
    fn default() -> Self {
        Self {
            overflow: Overflow::default(),
            capacity: None,
            block_timeout: Some(BLOCK_TIMEOUT_DEFAULT),
            doorbell: None,
            tenant: TenantId::DEFAULT,
        }
    }
}

#[derive(Debug, Default)]
struct Lost {
    oldest: AtomicU64,
    newest: AtomicU64,
    timed_out: AtomicU64,
    closed: AtomicU64,
}

/// What publishers and the consumer share.
#[derive(Debug)]
pub(super) struct Line<P> {
    ring: Ring<Event<P>>,
    bell: Doorbell,
    space: Space,
    overflow: Overflow,
    block_timeout: Option<Duration>,
    pub(super) tenant: TenantId,
    pub(super) filter: TopicFilter,
    /// Its place in the bus's table of taps.
    pub(super) place: usize,
    lost: Lost,
    received: Padded<AtomicU64>,
}

impl<P> Line<P> {
    pub(super) fn new(
        filter: &TopicFilter,
        options: TapOptions,
        capacity: usize,
        place: usize,
    ) -> Result<Self, BusError> {
        Ok(Self {
            ring: Ring::new(options.capacity.unwrap_or(capacity))?,
            bell: options.doorbell.unwrap_or_default(),
            space: Space::default(),
            overflow: options.overflow,
            block_timeout: options.block_timeout,
            tenant: options.tenant,
            filter: filter.clone(),
            place,
            lost: Lost::default(),
            received: Padded::default(),
        })
    }

    /// Offers messages under the tap's policy and leaves none in `events`.
    pub(super) fn offer(&self, events: &mut impl Batch<Event<P>>) {
        let pushed = match self.overflow {
            Overflow::DropNewest => self.ring.push_batch(events).map(|count| count > 0),
            Overflow::DropOldest => self.offer_evicting(events),
            Overflow::Block => self.offer_blocking(events),
        };
        if pushed == Ok(true) {
            self.bell.ring();
        }
        let left = events.count();
        if left > 0 {
            let cause = if self.ring.is_closed() {
                &self.lost.closed
            } else if self.overflow == Overflow::Block {
                &self.lost.timed_out
            } else {
                &self.lost.newest
            };
            cause.fetch_add(left as u64, Ordering::Relaxed);
            events.take_front(left).for_each(drop);
        }
    }

    fn offer_evicting(&self, events: &mut impl Batch<Event<P>>) -> Result<bool, Closed> {
        let mut done = Evicting::default();
        let outcome = self.ring.push_evicting(events, &mut done);
        if done.evicted > 0 {
            self.lost.oldest.fetch_add(done.evicted as u64, Ordering::Relaxed);
        }
        outcome.map(|()| done.accepted > 0)
    }

    fn offer_blocking(&self, events: &mut impl Batch<Event<P>>) -> Result<bool, Closed> {
        let pushed = self.ring.push_batch(events)? > 0;
        if events.count() == 0 {
            return Ok(pushed);
        }
        self.bell.ring();
        let deadline = self.block_timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let outcome = self.space.wait(deadline, || match self.ring.push_batch(events) {
            Err(Closed) => Some(Err(Closed)),
            Ok(count) => {
                if count > 0 {
                    self.bell.ring();
                }
                (events.count() == 0).then_some(Ok(false))
            }
        });
        outcome.unwrap_or(Ok(false))
    }

    /// Lets nothing more in, releases publishers that wait, wakes the consumer.
    pub(super) fn close(&self) {
        if self.ring.close() {
            self.space.announce();
            self.bell.ring();
        }
    }

    pub(super) fn stats(&self) -> TapStats {
        TapStats {
            accepted: self.ring.pushed_total(),
            received: self.received.load(Ordering::Relaxed),
            dropped: Dropped {
                oldest: self.lost.oldest.load(Ordering::Relaxed),
                newest: self.lost.newest.load(Ordering::Relaxed),
                timed_out: self.lost.timed_out.load(Ordering::Relaxed),
                closed: self.lost.closed.load(Ordering::Relaxed),
            },
            queued: self.ring.len(),
            capacity: self.ring.capacity(),
        }
    }
}

/// A subscriber. It has one consumer: receiving takes `&mut`. Dropping it unsubscribes.
pub struct Tap<P> {
    line: Arc<Line<P>>,
    bus: Weak<Inner<P>>,
}

impl<P> fmt::Debug for Tap<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap")
            .field("filter", &self.line.filter)
            .field("overflow", &self.line.overflow)
            .field("stats", &self.line.stats())
            .finish_non_exhaustive()
    }
}

impl<P> Tap<P> {
    pub(super) fn new(line: Arc<Line<P>>, bus: Weak<Inner<P>>) -> Self {
        Self { line, bus }
    }

    /// Takes up to `max` messages to the end of `into`, without waiting; tells how many, 0 when
    /// none is there.
    ///
    /// # Errors
    /// [`Closed`] when none is there and none will ever come: the tap or the bus was closed.
    pub fn try_recv_batch(
        &mut self,
        into: &mut Vec<Event<P>>,
        max: usize,
    ) -> Result<usize, Closed> {
        let taken = self.line.ring.pop_batch(into, max);
        if taken > 0 {
            if self.line.overflow == Overflow::Block {
                self.line.space.announce();
            }
            self.line.received.fetch_add(taken as u64, Ordering::Relaxed);
        } else if self.line.ring.is_finished() {
            return Err(Closed);
        }
        Ok(taken)
    }

    /// Takes up to `max` messages to the end of `into`, waiting for the first at most for `timeout`
    /// (`None`: for ever); tells how many, 0 after that time. It answers the bell: with a bell that
    /// others ring too, look at them all afterwards, or use [`Tap::try_recv_batch`].
    ///
    /// # Errors
    /// [`Closed`] when none will ever come: the tap or the bus was closed.
    pub fn recv_batch(
        &mut self,
        into: &mut Vec<Event<P>>,
        max: usize,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<usize, Closed> {
        let taken = self.try_recv_batch(into, max)?;
        if taken > 0 || max == 0 {
            return Ok(taken);
        }
        let bell = self.line.bell.clone();
        bell.receive(timeout.into(), || self.try_recv_batch(into, max))
    }

    /// The bell rung for this tap.
    #[must_use]
    pub fn bell(&self) -> &Doorbell {
        &self.line.bell
    }

    /// A handle for other threads: counters and closing.
    #[must_use]
    pub fn control(&self) -> TapControl<P> {
        TapControl { line: Arc::clone(&self.line), bus: Weak::clone(&self.bus) }
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> TapStats {
        self.line.stats()
    }

    /// Its filter.
    #[must_use]
    pub fn filter(&self) -> &TopicFilter {
        &self.line.filter
    }

    /// Its policy.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        self.line.overflow
    }

    /// Unsubscribes. What is in the ring can still be received.
    pub fn close(&self) {
        leave(&self.line, &self.bus);
    }
}

impl<P> Drop for Tap<P> {
    fn drop(&mut self) {
        self.close();
        while self.line.ring.pop().is_some() {}
        if let Some(bus) = self.bus.upgrade() {
            bus.depart(&self.line);
        }
    }
}

fn leave<P>(line: &Arc<Line<P>>, bus: &Weak<Inner<P>>) {
    line.close();
    if let Some(bus) = bus.upgrade() {
        bus.unsubscribe(line);
    }
}

/// Counters and closing of a [`Tap`] for threads that are not its consumer.
pub struct TapControl<P> {
    line: Arc<Line<P>>,
    bus: Weak<Inner<P>>,
}

impl<P> Clone for TapControl<P> {
    fn clone(&self) -> Self {
        Self { line: Arc::clone(&self.line), bus: Weak::clone(&self.bus) }
    }
}

impl<P> fmt::Debug for TapControl<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapControl").field("filter", &self.line.filter).finish_non_exhaustive()
    }
}

impl<P> TapControl<P> {
    /// Unsubscribes. What is in the ring can still be received; the consumer then finds it closed.
    pub fn close(&self) {
        leave(&self.line, &self.bus);
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.line.ring.is_closed()
    }

    /// The tap's counters.
    #[must_use]
    pub fn stats(&self) -> TapStats {
        self.line.stats()
    }
}
