//! A bounded lock-free ring made for batches.
//!
//! Owns the slots, their order and the exact capacity. Must never wait, wake anybody or know what it
//! carries: waiting is [`crate::Doorbell`]'s, policies are [`crate::Bus`]'s.
//!
//! Design: D. Vyukov's bounded queue (1024cores.net, "Bounded MPMC queue"), in which every slot has
//! a sequence number that says whose turn it is, with three changes. A batch claims all its
//! slots with one compare-and-swap: the slots after the claim's start are looked at *before* it, and
//! as only the owner of a position can change its slot, they are still as seen when the exchange
//! succeeds. Positions count in steps of two, so that "free for lap n" and "full in lap n" differ
//! even in a ring of one slot, and the spare bit of the tail says *closed*: whoever claims, claims
//! before the close or not at all. The capacity is any number: slots are rounded up to a power of
//! two, and the distance between tail and head is held to the number asked for.

mod batch;

use std::fmt;
use std::mem::MaybeUninit;

use crate::BusError;
use crate::sync::{AtomicUsize, Ordering, Padded, UnsafeCell, spin_loop, yield_now};

pub use batch::Batch;

/// The largest capacity of a ring, in messages.
pub const RING_CAPACITY_MAX: usize = 1 << 20;

/// How often a producer that evicts yields to a thread that is amid moving a message in or out of
/// the very slot it needs, before it gives its own message up.
#[cfg(not(loom))]
const EVICTION_YIELDS_MAX: u32 = 1 << 10;
#[cfg(loom)]
const EVICTION_YIELDS_MAX: u32 = 2;
/// How often it spins first: the move takes nanoseconds unless its thread was suspended.
#[cfg(not(loom))]
const EVICTION_SPINS_MAX: u32 = 64;
#[cfg(loom)]
const EVICTION_SPINS_MAX: u32 = 1;

const CLOSED: usize = 1;
const FULL: usize = 1;
const STEP: usize = 2;

/// A message that found no room, handed back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PushError<T> {
    /// The ring holds as many messages as it may.
    #[error("the ring is full")]
    Full(T),
    /// The ring was closed.
    #[error("the ring is closed")]
    Closed(T),
}

impl<T> PushError<T> {
    /// The message.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

/// The ring was closed (and, when asked for messages, emptied).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ring is closed")]
pub struct Closed;

/// What became of a batch that was pushed by evicting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evicting {
    /// How many of the batch went in.
    pub accepted: usize,
    /// How many older messages went out for them.
    pub evicted: usize,
}

struct Slot<T> {
    /// `position` while free for it, `position + FULL` while it holds that position's message.
    turn: AtomicUsize,
    value: UnsafeCell<MaybeUninit<T>>,
}

/// What the producers write.
struct Producers {
    /// The next position to fill, and [`CLOSED`].
    tail: AtomicUsize,
    /// A head seen lately, never ahead of the true one: saves reading the consumer's line.
    head_seen: AtomicUsize,
}

/// Why nothing could be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// As many messages as the ring may hold.
    Full,
    /// The next slot's last message is just being moved out.
    Busy,
    Closed,
}

/// A bounded lock-free ring: any number of producers and consumers, first in, first out.
///
/// Messages of one producer come out in the order they went in. A consumer sees a message only
/// after all before it: one producer suspended amid a push delays those behind it, and never blocks
/// another producer.
pub struct Ring<T> {
    producers: Padded<Producers>,
    /// The next position to take.
    head: Padded<AtomicUsize>,
    slots: Box<[Slot<T>]>,
    /// Messages, in steps of [`STEP`].
    capacity: usize,
}

// SAFETY: a message is moved in by one thread and out by one other, ordered by its slot's `turn`
// (release after the move in, acquire before the move out, and the reverse for reuse). Messages are
// never shared by reference, so `T: Send` suffices for both.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Ring<T> {}

impl<T> Ring<T> {
    /// A ring that holds exactly `capacity` messages.
    ///
    /// # Errors
    /// [`BusError::Capacity`] unless `1 ≤ capacity ≤` [`RING_CAPACITY_MAX`].
    pub fn new(capacity: usize) -> Result<Self, BusError> {
        if capacity == 0 || capacity > RING_CAPACITY_MAX {
            return Err(BusError::Capacity { given: capacity });
        }
        let slots = (0..capacity.next_power_of_two())
            .map(|index| Slot {
                turn: AtomicUsize::new(index * STEP),
                value: UnsafeCell::new(MaybeUninit::uninit()),
            })
            .collect();
        Ok(Self {
            producers: Padded(Producers {
                tail: AtomicUsize::new(0),
                head_seen: AtomicUsize::new(0),
            }),
            head: Padded(AtomicUsize::new(0)),
            slots,
            capacity: capacity * STEP,
        })
    }

    /// How many messages it can hold.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity / STEP
    }

    /// How many messages it holds; in passing when others use it meanwhile, never above the
    /// capacity.
    #[must_use]
    pub fn len(&self) -> usize {
        let tail = self.producers.tail.load(Ordering::Acquire) & !CLOSED;
        let head = self.head.load(Ordering::Acquire);
        // between the two loads the head may have passed the tail we saw
        let distance = tail.wrapping_sub(head);
        if distance > self.capacity { 0 } else { distance / STEP }
    }

    /// Whether it holds no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many messages ever went in.
    #[must_use]
    pub fn pushed_total(&self) -> u64 {
        (self.producers.tail.load(Ordering::Acquire) / STEP) as u64
    }

    /// How many messages ever came out, evicted ones included.
    #[must_use]
    pub fn taken_total(&self) -> u64 {
        (self.head.load(Ordering::Acquire) / STEP) as u64
    }

    /// Lets nothing more in; what is inside can still be taken. Tells whether it was open.
    pub fn close(&self) -> bool {
        self.producers.tail.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.producers.tail.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Whether it was closed and every message claimed before that was taken: nothing will ever
    /// come out again.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let tail = self.producers.tail.load(Ordering::Acquire);
        tail & CLOSED != 0 && self.head.load(Ordering::Acquire) == tail & !CLOSED
    }

    #[inline(always)]
    fn slot(&self, position: usize) -> &Slot<T> {
        let index = (position / STEP) & (self.slots.len() - 1);
        // SAFETY: the number of slots is a power of two and at least one, so that masking with one
        // less leaves an index below it.
        unsafe { self.slots.get_unchecked(index) }
    }

    /// How many of the `count` slots from `position` on have the turn `position + state`.
    #[inline(always)]
    fn run(&self, position: usize, count: usize, state: usize) -> usize {
        let mut at = position;
        let mut run = 0;
        while run < count && self.slot(at).turn.load(Ordering::Acquire) == at.wrapping_add(state) {
            at = at.wrapping_add(STEP);
            run += 1;
        }
        run
    }

    /// Claims up to `wanted` (at least one) free slots: the first position and how many.
    #[inline]
    fn claim(&self, wanted: usize) -> Result<(usize, usize), Refusal> {
        let wanted = wanted.min(self.capacity());
        let mut tail = self.producers.tail.load(Ordering::Relaxed);
        loop {
            if tail & CLOSED != 0 {
                return Err(Refusal::Closed);
            }
            let mut used = tail.wrapping_sub(self.producers.head_seen.load(Ordering::Relaxed));
            // also when `tail` is old and the head has passed it: the difference wraps
            if used.saturating_add(wanted * STEP) > self.capacity {
                let head = self.head.load(Ordering::Acquire);
                self.producers.head_seen.store(head, Ordering::Relaxed);
                used = tail.wrapping_sub(head);
                if used == self.capacity {
                    return Err(Refusal::Full);
                }
                if used > self.capacity {
                    tail = self.producers.tail.load(Ordering::Relaxed);
                    continue;
                }
            }
            let free = self.run(tail, wanted.min((self.capacity - used) / STEP), 0);
            if free == 0 {
                let now = self.producers.tail.load(Ordering::Relaxed);
                if now == tail {
                    return Err(Refusal::Busy);
                }
                tail = now;
                continue;
            }
            // relaxed: the turns order the messages, the tail only tells positions apart
            match self.producers.tail.compare_exchange_weak(
                tail,
                tail.wrapping_add(free * STEP),
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok((tail, free)),
                Err(now) => tail = now,
            }
        }
    }

    /// Fills a claimed position.
    #[inline(always)]
    fn fill(&self, position: usize, item: T) {
        let slot = self.slot(position);
        slot.value.with_mut(|value| {
            // SAFETY: the position was claimed by this thread alone, after its slot was seen free
            // (acquire), and nobody touches the slot until the store below.
            unsafe { (*value).write(item) };
        });
        slot.turn.store(position.wrapping_add(FULL), Ordering::Release);
    }

    /// Pushes one message.
    ///
    /// # Errors
    /// Hands the message back: [`PushError::Full`] (also when the slot's last message is just being
    /// moved out by a consumer) or [`PushError::Closed`].
    #[inline]
    pub fn try_push(&self, item: T) -> Result<(), PushError<T>> {
        match self.claim(1) {
            Ok((position, _)) => {
                self.fill(position, item);
                Ok(())
            }
            Err(Refusal::Closed) => Err(PushError::Closed(item)),
            Err(Refusal::Full | Refusal::Busy) => Err(PushError::Full(item)),
        }
    }

    /// Moves as many messages as there is room for from the front of `items`; tells how many. The
    /// rest stays in `items`.
    ///
    /// # Errors
    /// [`Closed`], with nothing moved.
    #[inline]
    pub fn push_batch(&self, items: &mut impl Batch<T>) -> Result<usize, Closed> {
        let mut pushed = 0;
        while items.count() > 0 {
            match self.claim(items.count()) {
                Ok((position, count)) => {
                    self.fill_all(position, count, items);
                    pushed += count;
                }
                Err(Refusal::Closed) if pushed == 0 => return Err(Closed),
                Err(_) => break,
            }
        }
        Ok(pushed)
    }

    #[inline]
    fn fill_all(&self, position: usize, count: usize, items: &mut impl Batch<T>) {
        let mut at = position;
        for item in items.take_front(count) {
            self.fill(at, item);
            at = at.wrapping_add(STEP);
        }
        debug_assert_eq!(at, position.wrapping_add(count * STEP));
    }

    /// Moves all of `items` in; where there is no room the oldest messages go out, and are dropped.
    /// A message is evicted only at an instant at which the ring is full.
    ///
    /// What stays in `items` could not be pushed: its slot was held for thousands of spins by a
    /// suspended thread amid moving a message. It is the caller's to drop and count.
    ///
    /// # Errors
    /// [`Closed`]; what was not moved stays in `items`.
    pub fn push_evicting(
        &self,
        items: &mut impl Batch<T>,
        done: &mut Evicting,
    ) -> Result<(), Closed> {
        let mut patience = Patience::default();
        while items.count() > 0 {
            match self.claim(items.count()) {
                Ok((position, count)) => {
                    self.fill_all(position, count, items);
                    done.accepted += count;
                    patience = Patience::default();
                }
                Err(Refusal::Closed) => return Err(Closed),
                Err(Refusal::Full) => {
                    let evicted = self.evict(items.count());
                    done.evicted += evicted;
                    if evicted == 0 && !patience.wait() {
                        return Ok(());
                    }
                }
                Err(Refusal::Busy) if patience.wait() => {}
                Err(Refusal::Busy) => return Ok(()),
            }
        }
        Ok(())
    }

    /// Drops up to `count` of the oldest messages if the ring is full; tells how many.
    fn evict(&self, count: usize) -> usize {
        let head = self.head.load(Ordering::Acquire);
        let tail = self.producers.tail.load(Ordering::Relaxed);
        if tail & CLOSED != 0 || tail.wrapping_sub(head) != self.capacity {
            return 0;
        }
        let ready = self.run(head, count.min(self.capacity()), FULL);
        // while the head stands there the tail can go no further: the ring is full at that instant
        if ready == 0 || !self.take_claim(head, ready) {
            return 0;
        }
        let taken = Taken { ring: self, at: head, end: head.wrapping_add(ready * STEP) };
        taken.for_each(drop);
        ready
    }

    #[inline(always)]
    fn take_claim(&self, head: usize, count: usize) -> bool {
        // release: who sees this head and finds its own tail behind it can learn the newer tail
        self.head
            .compare_exchange(
                head,
                head.wrapping_add(count * STEP),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Claims up to `max` messages for moving out, after `prepare` was told how many.
    #[inline]
    fn take(&self, max: usize, mut prepare: impl FnMut(usize)) -> Taken<'_, T> {
        loop {
            let head = self.head.load(Ordering::Acquire);
            let ready = self.run(head, max, FULL);
            if ready == 0 {
                // empty, or its producer is amid the push; unless another consumer was faster
                if max == 0 || self.slot(head).turn.load(Ordering::Acquire) == head {
                    return Taken { ring: self, at: head, end: head };
                }
                spin_loop();
                continue;
            }
            prepare(ready);
            if self.take_claim(head, ready) {
                return Taken { ring: self, at: head, end: head.wrapping_add(ready * STEP) };
            }
        }
    }

    /// Takes the oldest message.
    #[inline]
    pub fn pop(&self) -> Option<T> {
        self.take(1, |_| ()).next()
    }

    /// Takes up to `max` of the oldest messages to the end of `into`; tells how many.
    #[inline]
    pub fn pop_batch(&self, into: &mut Vec<T>, max: usize) -> usize {
        // room is made before the claim: nothing may fail between it and the release of the slots
        let taken = self.take(max, |count| into.reserve(count));
        let count = taken.len();
        into.extend(taken);
        count
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("closed", &self.is_closed())
            .finish()
    }
}

/// Messages claimed by a consumer. Gives each slot back as its message is moved out, and those not
/// moved out when it is dropped, so that a panicking destructor of a message leaks no slot.
struct Taken<'r, T> {
    ring: &'r Ring<T>,
    at: usize,
    end: usize,
}

impl<T> Iterator for Taken<'_, T> {
    type Item = T;

    #[inline(always)]
    fn next(&mut self) -> Option<T> {
        if self.at == self.end {
            return None;
        }
        let slot = self.ring.slot(self.at);
        let item = slot.value.with(|value| {
            // SAFETY: the position was claimed by this thread alone, after its slot was seen full
            // (acquire), so the message is written whole, and it is read out once: the slot is free
            // from the store below on.
            unsafe { (*value).assume_init_read() }
        });
        // free for the next lap
        let lap = self.ring.slots.len() * STEP;
        slot.turn.store(self.at.wrapping_add(lap), Ordering::Release);
        self.at = self.at.wrapping_add(STEP);
        Some(item)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.wrapping_sub(self.at) / STEP;
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Taken<'_, T> {}

impl<T> Drop for Taken<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.at != self.end {
            self.for_each(drop);
        }
    }
}

/// Bounded spinning, then bounded yielding.
#[derive(Default)]
struct Patience(u32);

impl Patience {
    /// Passes a moment; false when there were enough of them.
    fn wait(&mut self) -> bool {
        self.0 += 1;
        if self.0 <= EVICTION_SPINS_MAX {
            spin_loop();
        } else if self.0 <= EVICTION_SPINS_MAX + EVICTION_YIELDS_MAX {
            yield_now();
        } else {
            return false;
        }
        true
    }
}
