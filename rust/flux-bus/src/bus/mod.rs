//! Publish and subscribe by MQTT topic filter.
//!
//! Owns who hears what, and counts everything that somebody does not hear. Must never let a
//! subscriber hold up a publisher, except under [`Overflow::Block`] where that is asked for.

mod overflow;
mod stats;
mod tap;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use flux_types::{TenantId, Topic, TopicFilter, TopicTrie};
use foldhash::fast::RandomState;

use crate::BusError;
use crate::sync::{Mutex, Padded, lock};
use tap::Line;

pub use overflow::Overflow;
pub use stats::{BusStats, Dropped, TapStats};
pub use tap::{BLOCK_TIMEOUT_DEFAULT, Tap, TapControl, TapOptions};

/// How many messages of a batch are sorted by subscriber before they are handed on.
const PUBLISH_CHUNK_LEN: usize = 256;
/// How many sets of sorting buffers are kept for the next batch.
const SPARE_SORTERS_MAX: usize = 8;
/// How many taps' buffers such a set keeps.
const SORTER_PLACES_KEPT_MAX: usize = 64;

/// The limits of a bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusLimits {
    /// Messages a tap's ring holds when the tap does not say. From 1 to
    /// [`crate::RING_CAPACITY_MAX`].
    pub capacity: usize,
    /// How many taps there may be.
    pub taps_max: usize,
    /// Whether a tap may hold up publishers ([`Overflow::Block`]).
    pub block_allowed: bool,
}

impl Default for BusLimits {
    fn default() -> Self {
        Self { capacity: 1024, taps_max: 1024, block_allowed: true }
    }
}

/// A message on the bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event<P = Bytes> {
    /// What it was published to.
    pub topic: Topic,
    /// What was published; cloned for every tap, so it should be cheap to clone.
    pub payload: P,
}

/// A bus. Clones are the same bus; it closes when the last is dropped.
///
/// Messages of one publisher reach each tap in the order published.
pub struct Bus<P = Bytes> {
    inner: Arc<Inner<P>>,
}

impl<P> Clone for Bus<P> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<P> fmt::Debug for Bus<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus")
            .field("limits", &self.inner.limits)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Who hears what. Never changed: a change is a new one.
struct Routes<P> {
    tenants: HashMap<TenantId, TopicTrie<Arc<Line<P>>>, RandomState>,
    /// By [`Line::place`].
    taps: Vec<Option<Arc<Line<P>>>>,
    closed: bool,
}

impl<P> Routes<P> {
    fn none(closed: bool) -> Self {
        Self { tenants: HashMap::default(), taps: Vec::new(), closed }
    }

    fn with(&self, line: &Arc<Line<P>>) -> Self {
        let mut tenants = self.tenants.clone();
        tenants.entry(line.tenant).or_default().insert(&line.filter, Arc::clone(line));
        let mut taps = self.taps.clone();
        if line.place >= taps.len() {
            taps.resize(line.place + 1, None);
        }
        taps[line.place] = Some(Arc::clone(line));
        Self { tenants, taps, closed: false }
    }

    fn without(&self, line: &Arc<Line<P>>) -> Self {
        let mut tenants = self.tenants.clone();
        if let Some(trie) = tenants.get_mut(&line.tenant) {
            trie.retain(&line.filter, |other| !Arc::ptr_eq(other, line));
            if trie.is_empty() {
                tenants.remove(&line.tenant);
            }
        }
        let mut taps = self.taps.clone();
        taps[line.place] = None;
        while taps.last().is_some_and(Option::is_none) {
            taps.pop();
        }
        Self { tenants, taps, closed: false }
    }

    fn tap_at(&self, place: usize) -> Option<&Arc<Line<P>>> {
        self.taps.get(place).and_then(Option::as_ref)
    }

    /// The first place without a tap.
    fn vacancy(&self) -> usize {
        self.taps.iter().position(Option::is_none).unwrap_or(self.taps.len())
    }

    fn taps(&self) -> impl Iterator<Item = &Arc<Line<P>>> {
        self.taps.iter().flatten()
    }
}

/// What changes with subscriptions only.
struct Book<P> {
    /// Taps that left while publishers may still be offering to them.
    leaving: Vec<Arc<Line<P>>>,
    /// The counts of those that are gone for good.
    gone: BusStats,
}

impl<P> Book<P> {
    /// Closes the accounts of taps that no publisher can reach any more.
    fn settle(&mut self) {
        let gone = &mut self.gone;
        self.leaving.retain_mut(|line| {
            let Some(line) = Arc::get_mut(line) else { return true };
            gone.add_tap(&line.stats());
            false
        });
    }
}

/// Sorts a batch by tap; keeps its buffers.
struct Sorter<P> {
    /// By [`Line::place`].
    events: Vec<Vec<Event<P>>>,
    /// The places whose buffers are not empty, in the order met.
    places: Vec<usize>,
    /// The places the last event went to: a source's messages often share a topic.
    same: Vec<usize>,
}

impl<P> Default for Sorter<P> {
    fn default() -> Self {
        Self { events: Vec::new(), places: Vec::new(), same: Vec::new() }
    }
}

impl<P> Sorter<P> {
    fn add(&mut self, place: usize, event: Event<P>) {
        if place >= self.events.len() {
            self.events.resize_with(place + 1, Vec::new);
        }
        if self.events[place].is_empty() {
            self.places.push(place);
        }
        self.events[place].push(event);
    }

    fn last_was(&self, topic: &Topic) -> bool {
        let buffer = self.same.first().and_then(|place| self.events.get(*place));
        buffer.and_then(|events| events.last()).is_some_and(|event| event.topic == *topic)
    }

    fn hand_on(&mut self, routes: &Routes<P>) {
        self.same.clear();
        for place in self.places.drain(..) {
            if let (Some(events), Some(tap)) = (self.events.get_mut(place), routes.tap_at(place)) {
                tap.offer(events);
            }
        }
    }
}

struct Inner<P> {
    routes: ArcSwap<Routes<P>>,
    limits: BusLimits,
    published: Padded<AtomicU64>,
    unmatched: Padded<AtomicU64>,
    book: Mutex<Book<P>>,
    spare_sorters: Mutex<Vec<Sorter<P>>>,
}

impl<P> Inner<P> {
    fn unsubscribe(&self, line: &Arc<Line<P>>) {
        let mut book = lock(&self.book);
        let routes = self.routes.load();
        if routes.tap_at(line.place).is_some_and(|tap| Arc::ptr_eq(tap, line)) {
            self.routes.store(Arc::new(routes.without(line)));
            book.leaving.push(Arc::clone(line));
        }
        drop(routes);
        book.settle();
    }

    /// Settles a tap whose consumer is going: `line` is its handle.
    fn depart(&self, line: &Arc<Line<P>>) {
        let mut book = lock(&self.book);
        // two handles: the book's and the consumer's, so nobody is left to make more
        if Arc::strong_count(line) == 2
            && let Some(at) = book.leaving.iter().position(|other| Arc::ptr_eq(other, line))
        {
            book.leaving.swap_remove(at);
            book.gone.add_tap(&line.stats());
        }
    }

    fn close(&self) {
        let mut book = lock(&self.book);
        let routes = self.routes.swap(Arc::new(Routes::none(true)));
        for line in routes.taps() {
            line.close();
            book.leaving.push(Arc::clone(line));
        }
        drop(routes);
        book.settle();
    }
}

impl<P> Drop for Inner<P> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<P> Bus<P> {
    /// A bus whose taps hold `capacity` messages each unless they say otherwise.
    ///
    /// # Errors
    /// [`BusError::Capacity`] as [`crate::Ring::new`].
    pub fn new(capacity: usize) -> Result<Self, BusError> {
        Self::with_limits(BusLimits { capacity, ..BusLimits::default() })
    }

    /// A bus with limits of one's own.
    ///
    /// # Errors
    /// [`BusError::Capacity`] as [`crate::Ring::new`].
    pub fn with_limits(limits: BusLimits) -> Result<Self, BusError> {
        if limits.capacity == 0 || limits.capacity > crate::RING_CAPACITY_MAX {
            return Err(BusError::Capacity { given: limits.capacity });
        }
        Ok(Self {
            inner: Arc::new(Inner {
                routes: ArcSwap::from_pointee(Routes::none(false)),
                limits,
                published: Padded::default(),
                unmatched: Padded::default(),
                book: Mutex::new(Book { leaving: Vec::new(), gone: BusStats::default() }),
                spare_sorters: Mutex::new(Vec::new()),
            }),
        })
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> BusLimits {
        self.inner.limits
    }

    /// Subscribes to the default tenant's topics, with the bus's capacity.
    ///
    /// # Errors
    /// As [`Bus::subscribe_with`].
    pub fn subscribe(&self, filter: &TopicFilter, overflow: Overflow) -> Result<Tap<P>, BusError> {
        self.subscribe_with(filter, TapOptions { overflow, ..TapOptions::default() })
    }

    /// Subscribes. The tap sees what is published from now on. Costs a copy of the routes: it is
    /// for taps that stay, not for one per message.
    ///
    /// # Errors
    /// [`BusError::Capacity`], [`BusError::BlockDenied`], [`BusError::TooManyTaps`] or
    /// [`BusError::Closed`].
    pub fn subscribe_with(
        &self,
        filter: &TopicFilter,
        options: TapOptions,
    ) -> Result<Tap<P>, BusError> {
        let inner = &self.inner;
        if options.overflow == Overflow::Block && !inner.limits.block_allowed {
            return Err(BusError::BlockDenied);
        }
        let mut book = lock(&inner.book);
        book.settle();
        let routes = inner.routes.load();
        if routes.closed {
            return Err(BusError::Closed);
        }
        if routes.taps().count() >= inner.limits.taps_max {
            return Err(BusError::TooManyTaps { taps_max: inner.limits.taps_max });
        }
        let line = Line::new(filter, options, inner.limits.capacity, routes.vacancy())?;
        let line = Arc::new(line);
        inner.routes.store(Arc::new(routes.with(&line)));
        Ok(Tap::new(line, Arc::downgrade(inner)))
    }

    /// Closes the bus and all its taps: nothing more can be published, publishers that wait are
    /// released, consumers take what is in their rings and then find it closed.
    pub fn close(&self) {
        self.inner.close();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.routes.load().closed
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> BusStats {
        let mut book = lock(&self.inner.book);
        book.settle();
        let mut stats = book.gone;
        let routes = self.inner.routes.load();
        for line in routes.taps().chain(&book.leaving) {
            stats.add_tap(&line.stats());
        }
        stats.taps = routes.taps().count();
        stats.published = self.inner.published.load(Ordering::Relaxed);
        stats.unmatched = self.inner.unmatched.load(Ordering::Relaxed);
        stats
    }
}

impl<P: Clone> Bus<P> {
    /// Publishes to the default tenant's taps; tells how many matched. Waits only for taps with
    /// [`Overflow::Block`], for each up to its time limit.
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub fn publish(&self, topic: Topic, payload: P) -> Result<usize, BusError> {
        self.publish_in(TenantId::DEFAULT, topic, payload)
    }

    /// Publishes to a tenant's taps, as [`Bus::publish`].
    ///
    /// # Errors
    /// [`BusError::Closed`].
    pub fn publish_in(
        &self,
        tenant: TenantId,
        topic: Topic,
        payload: P,
    ) -> Result<usize, BusError> {
        let routes = self.inner.routes.load();
        if routes.closed {
            return Err(BusError::Closed);
        }
        self.inner.published.fetch_add(1, Ordering::Relaxed);
        let event = Event { topic, payload };
        let mut matched = 0;
        // all but the last get a copy
        let mut last: Option<&Arc<Line<P>>> = None;
        if let Some(trie) = routes.tenants.get(&tenant) {
            trie.visit(&event.topic, |line| {
                matched += 1;
                if let Some(line) = last.replace(line) {
                    line.offer(&mut Some(event.clone()));
                }
            });
        }
        match last {
            Some(line) => line.offer(&mut Some(event)),
            None => {
                self.inner.unmatched.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(matched)
    }

    /// Publishes many messages to the default tenant's taps, in order: each tap takes its share
    /// at once, and is woken once. Tells how many were published: fewer than given only when the
    /// bus was closed meanwhile.
    ///
    /// # Errors
    /// [`BusError::Closed`], with nothing published.
    pub fn publish_batch(
        &self,
        events: impl IntoIterator<Item = Event<P>>,
    ) -> Result<usize, BusError> {
        self.publish_batch_in(TenantId::DEFAULT, events)
    }

    /// Publishes many messages to a tenant's taps, as [`Bus::publish_batch`].
    ///
    /// # Errors
    /// As [`Bus::publish_batch`].
    pub fn publish_batch_in(
        &self,
        tenant: TenantId,
        events: impl IntoIterator<Item = Event<P>>,
    ) -> Result<usize, BusError> {
        let mut sorter = lock(&self.inner.spare_sorters).pop().unwrap_or_default();
        let mut events = events.into_iter();
        let mut published = 0;
        let mut matched = 0;
        loop {
            let routes = self.inner.routes.load();
            if routes.closed && published == 0 {
                return Err(BusError::Closed);
            } else if routes.closed {
                break;
            }
            let before = published;
            for event in events.by_ref().take(PUBLISH_CHUNK_LEN) {
                published += 1;
                matched += usize::from(sort(&mut sorter, &routes, tenant, event));
            }
            if published == before {
                break;
            }
            sorter.hand_on(&routes);
        }
        self.inner.published.fetch_add(published as u64, Ordering::Relaxed);
        self.inner.unmatched.fetch_add((published - matched) as u64, Ordering::Relaxed);
        sorter.events.truncate(SORTER_PLACES_KEPT_MAX);
        let mut spare = lock(&self.inner.spare_sorters);
        if spare.len() < SPARE_SORTERS_MAX {
            spare.push(sorter);
        }
        Ok(published)
    }
}

/// Puts an event into the buffers of the taps it matches; tells whether there were any.
fn sort<P: Clone>(
    sorter: &mut Sorter<P>,
    routes: &Routes<P>,
    tenant: TenantId,
    event: Event<P>,
) -> bool {
    if !sorter.last_was(&event.topic) {
        sorter.same.clear();
        if let Some(trie) = routes.tenants.get(&tenant) {
            trie.visit(&event.topic, |line| sorter.same.push(line.place));
        }
    }
    let Some(last) = sorter.same.len().checked_sub(1) else { return false };
    for at in 0..last {
        sorter.add(sorter.same[at], event.clone());
    }
    sorter.add(sorter.same[last], event);
    true
}
