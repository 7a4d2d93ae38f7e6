//! From a network worker to the log: what has arrived, what is appended, what is committed.
//!
//! Owns the order of these three for the protocols that carry nothing without promise. Must never
//! tell a sender that something is taken before the log has it.

use std::collections::VecDeque;
use std::sync::Arc;

use flux_pipeline::ports::Delivery;
use flux_pipeline::{Incoming, Ingest, Refusal};
use flux_types::{Message, Position};

/// Messages appended at a time at most.
const BATCH_LEN_MAX: usize = 1024;
/// What MQTT properties of a message are counted for.
const PROPERTIES_BYTES: usize = 64 << 10;
/// What the log adds to a message.
const RECORD_OVERHEAD_BYTES: usize = 128;
/// Bytes appended at a time, but for one large message.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What a message takes in the log, at most.
pub(crate) fn record_bytes(message: &Message) -> usize {
    let properties = if message.properties.is_some() { PROPERTIES_BYTES } else { 0 };
    let names = message.topic.as_str().len() + message.source.as_str().len();
    message.payload.len() + names + properties + RECORD_OVERHEAD_BYTES
}

/// One worker's messages on their way to the log. `T` says whom each came from.
pub(crate) struct Intake<T> {
    ingest: Option<Ingest>,
    delivery: Arc<dyn Delivery>,
    arrivals: VecDeque<(Arc<Message>, T)>,
    pending: VecDeque<(Position, Arc<Message>, T)>,
    busy: bool,
}

impl<T> Intake<T> {
    /// The way in of one worker; committed messages are routed there.
    pub(crate) fn new(ingest: Option<Ingest>, delivery: Arc<dyn Delivery>) -> Self {
        let (arrivals, pending) = (VecDeque::new(), VecDeque::new());
        Self { ingest, delivery, arrivals, pending, busy: false }
    }

    /// Takes a message that is to be appended at the end of the turn.
    pub(crate) fn push(&mut self, message: Message, from: T) {
        self.arrivals.push_back((Arc::new(message), from));
    }

    /// Whether something has arrived and is not appended yet.
    pub(crate) fn has_arrivals(&self) -> bool {
        !self.arrivals.is_empty()
    }

    /// Whether the log was too far behind to take what arrived last.
    pub(crate) fn is_busy(&self) -> bool {
        self.busy
    }

    /// Whether the log is to wake the worker.
    pub(crate) fn is_waiting(&self) -> bool {
        !(self.arrivals.is_empty() && self.pending.is_empty())
    }

    /// Whom what could not be appended yet came from.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = &T> {
        self.arrivals.iter().map(|(_, from)| from)
    }

    /// Appends what has arrived, as far as there is room. What cannot be taken at all goes to
    /// `refused`, with why; what only has to wait stays.
    pub(crate) fn append(&mut self, mut refused: impl FnMut(T, &Refusal) -> Fate<T>) {
        self.busy = false;
        let Some(ingest) = &mut self.ingest else { return };
        while !self.arrivals.is_empty() {
            let batch = first_batch(&self.arrivals);
            let mut positions = Vec::with_capacity(batch.len());
            match ingest.accept(&batch, |_, position| positions.push(position)) {
                Ok(()) => {
                    let taken = self.arrivals.drain(..batch.len());
                    let placed = positions.into_iter().zip(taken);
                    let pending =
                        placed.map(|(position, (message, from))| (position, message, from));
                    self.pending.extend(pending);
                }
                Err(Refusal::Busy) => {
                    self.busy = true;
                    return;
                }
                Err(refusal) => {
                    let mut kept = Vec::new();
                    for (message, from) in self.arrivals.drain(..batch.len()) {
                        if let Fate::Keep(from) = refused(from, &refusal) {
                            kept.push((message, from));
                        }
                    }
                    if !kept.is_empty() {
                        kept.into_iter().rev().for_each(|known| self.arrivals.push_front(known));
                        self.busy = true;
                        return;
                    }
                }
            }
        }
    }

    /// Routes what is committed, and tells whom it came from.
    pub(crate) fn release(&mut self, mut committed: impl FnMut(T)) {
        let Some(ingest) = &self.ingest else { return };
        let up_to = ingest.committed();
        while self.pending.front().is_some_and(|(position, ..)| *position <= up_to) {
            let Some((_, message, from)) = self.pending.pop_front() else { return };
            self.delivery.route(&message);
            committed(from);
        }
    }

    /// Gives up what could not be appended; tells whom it came from.
    pub(crate) fn give_up(&mut self, mut told: impl FnMut(T)) {
        self.busy = false;
        self.arrivals.drain(..).for_each(|(_, from)| told(from));
    }
}

/// What becomes of a message that the log refuses.
pub(crate) enum Fate<T> {
    /// It waits for better times.
    Keep(T),
    /// Its sender was told, or it was counted.
    Gone,
}

/// The first of what has arrived, within the limits of one append.
fn first_batch<T>(arrivals: &VecDeque<(Arc<Message>, T)>) -> Vec<Incoming> {
    let mut bytes = 0;
    arrivals
        .iter()
        .take(BATCH_LEN_MAX)
        .take_while(|(message, _)| {
            let first = bytes == 0;
            bytes += record_bytes(message);
            first || bytes <= BATCH_BYTES_MAX
        })
        .map(|(message, _)| Incoming { message: Arc::clone(message), at_once: false })
        .collect()
}
