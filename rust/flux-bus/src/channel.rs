//! Many producers, one consumer: a ring, the consumer's doorbell, and room to wait for.
//!
//! Owns who may still send and receive. Must never drop a message that was accepted while its
//! receiver lives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::ring::{Batch, Closed, PushError, Ring};
use crate::space::Space;
use crate::sync::{AtomicUsize, Ordering};
use crate::{BusError, Doorbell, Notify};

#[derive(Debug)]
struct Shared<T> {
    ring: Ring<T>,
    bell: Doorbell,
    space: Space,
    senders: AtomicUsize,
}

impl<T> Shared<T> {
    fn close(&self) {
        if self.ring.close() {
            self.bell.ring();
            self.space.announce();
        }
    }
}

/// A bounded channel from many producers to one consumer that waits at `bell`.
///
/// Several channels may share a bell: the consumer then uses [`Receiver::try_recv_batch`] on each
/// after each [`Doorbell::wait`].
///
/// # Errors
/// [`BusError::Capacity`] as [`Ring::new`].
pub fn channel<T>(capacity: usize, bell: Doorbell) -> Result<(Sender<T>, Receiver<T>), BusError> {
    let shared = Arc::new(Shared {
        ring: Ring::new(capacity)?,
        bell,
        space: Space::default(),
        senders: AtomicUsize::new(1),
    });
    Ok((Sender { shared: Arc::clone(&shared) }, Receiver { shared }))
}

/// The producers' end. Cloned for each; the channel closes when the last is dropped.
#[derive(Debug)]
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.shared.senders.fetch_add(1, Ordering::Relaxed);
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.shared.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.shared.close();
        }
    }
}

impl<T> Sender<T> {
    /// Sends one message without waiting.
    ///
    /// # Errors
    /// Hands it back: [`PushError::Full`] or [`PushError::Closed`].
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), PushError<T>> {
        self.shared.ring.try_push(item)?;
        self.shared.bell.ring();
        Ok(())
    }

    /// Sends what there is room for from the front of `items`, without waiting; tells how many.
    ///
    /// # Errors
    /// [`Closed`], with nothing sent.
    #[inline]
    pub fn try_send_batch(&self, items: &mut impl Batch<T>) -> Result<usize, Closed> {
        let sent = self.shared.ring.push_batch(items)?;
        if sent > 0 {
            self.shared.bell.ring();
        }
        Ok(sent)
    }

    /// Sends one message, waiting for room at most for `timeout` (`None`: for ever).
    ///
    /// # Errors
    /// Hands it back: [`PushError::Full`] after the time, or [`PushError::Closed`].
    pub fn send(&self, item: T, timeout: impl Into<Option<Duration>>) -> Result<(), PushError<T>> {
        let mut items = Some(item);
        let outcome = self.send_batch(&mut items, timeout);
        match (items, outcome) {
            (None, _) => Ok(()),
            (Some(item), Ok(())) => Err(PushError::Full(item)),
            (Some(item), Err(Closed)) => Err(PushError::Closed(item)),
        }
    }

    /// Sends all of `items`, in order, waiting for room at most for `timeout` in all (`None`: for
    /// ever). What found no room in that time stays in `items`.
    ///
    /// # Errors
    /// [`Closed`]; what was not sent stays in `items`.
    pub fn send_batch(
        &self,
        items: &mut impl Batch<T>,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<(), Closed> {
        self.try_send_batch(items)?;
        if items.count() == 0 {
            return Ok(());
        }
        let deadline = timeout.into().and_then(|timeout| Instant::now().checked_add(timeout));
        let sent = self.shared.space.wait(deadline, || match self.try_send_batch(items) {
            Ok(_) if items.count() > 0 => None,
            outcome => Some(outcome.map(drop)),
        });
        sent.unwrap_or(Ok(()))
    }

    /// Has `listener` told once, when room was made or the channel closed. Try to send *after* this
    /// call: room made before it is not told. The same `Arc` is registered once however often it is
    /// given, so a producer holds one and cannot pile up.
    pub fn on_space(&self, listener: &Arc<dyn Notify>) {
        self.shared.space.register(listener);
    }

    /// How many messages wait to be received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.ring.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.ring.is_empty()
    }

    /// How many messages can wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.ring.capacity()
    }

    /// Whether the receiver is gone or closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.ring.is_closed()
    }
}

/// The consumer's end. Dropping it closes the channel and drops what was not received.
#[derive(Debug)]
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
        while self.shared.ring.pop().is_some() {}
    }
}

impl<T> Receiver<T> {
    /// Takes up to `max` messages to the end of `into`, without waiting; tells how many, 0 when
    /// none waits.
    ///
    /// # Errors
    /// [`Closed`] when no message will ever come again.
    #[inline]
    pub fn try_recv_batch(&mut self, into: &mut Vec<T>, max: usize) -> Result<usize, Closed> {
        let taken = self.shared.ring.pop_batch(into, max);
        if taken > 0 {
            self.shared.space.announce();
        } else if self.shared.ring.is_finished() {
            return Err(Closed);
        }
        Ok(taken)
    }

    /// Takes up to `max` messages to the end of `into`, waiting for the first at most for `timeout`
    /// (`None`: for ever); tells how many, 0 after that time. It answers the bell: with a bell that
    /// others ring too, look at them all afterwards, or use [`Receiver::try_recv_batch`].
    ///
    /// # Errors
    /// [`Closed`] when no message will ever come again.
    pub fn recv_batch(
        &mut self,
        into: &mut Vec<T>,
        max: usize,
        timeout: impl Into<Option<Duration>>,
    ) -> Result<usize, Closed> {
        let taken = self.try_recv_batch(into, max)?;
        if taken > 0 || max == 0 {
            return Ok(taken);
        }
        let bell = self.shared.bell.clone();
        bell.receive(timeout.into(), || self.try_recv_batch(into, max))
    }

    /// The bell this consumer waits at.
    #[must_use]
    pub fn bell(&self) -> &Doorbell {
        &self.shared.bell
    }

    /// Lets nothing more in; what waits can still be received.
    pub fn close(&self) {
        self.shared.close();
    }

    /// How many messages wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shared.ring.len()
    }

    /// Whether no message waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shared.ring.is_empty()
    }

    /// How many messages can wait.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.ring.capacity()
    }
}
