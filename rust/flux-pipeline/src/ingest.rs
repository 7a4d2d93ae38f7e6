//! The way in: messages of any protocol become records, and hints to the shards.
//!
//! Owns [`Ingest`], one for each network worker, and [`Progress`], how far the shards are. A
//! promised message is only appended here: its shard reads it from the log once it is on disk. A
//! message without promise also goes into its shard's ring, to be decided without waiting; when
//! the ring has no room it takes the other way. Must never block.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flux_bus::Sender;
use flux_log::{Log, LogError};
use flux_types::{Coded, ErrorKind, Message, Position, SourceId};
use parking_lot::Mutex;

use crate::counters::{Counters, count_many};
use crate::journal::{Cursor, Draft, MessageFlags};

/// A message without promise, on its way to its shard.
#[derive(Debug)]
pub(crate) struct AtOnce {
    pub(crate) position: Position,
    pub(crate) message: Arc<Message>,
}

/// How far each shard has decided.
#[derive(Debug)]
pub struct Progress {
    shards: Box<[ShardProgress]>,
    lag_records_max: u64,
}

#[derive(Debug, Default)]
struct ShardProgress {
    /// The whole position, for cursors.
    up_to: Mutex<Position>,
    /// Its offset, for the question asked with every batch.
    offset: AtomicU64,
}

impl Progress {
    pub(crate) fn new(shards: usize, lag_records_max: u64) -> Self {
        Self { shards: (0..shards).map(|_| ShardProgress::default()).collect(), lag_records_max }
    }

    pub(crate) fn set(&self, shard: usize, position: Position) {
        if let Some(shard) = self.shards.get(shard) {
            *shard.up_to.lock() = position;
            shard.offset.store(position.offset, Ordering::Release);
        }
    }

    /// The cursor of each shard.
    pub(crate) fn cursors(&self) -> Vec<Cursor> {
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shards = number(self.shards.len());
        let cursor = |(index, shard): (usize, &ShardProgress)| Cursor {
            shard: number(index),
            shards,
            up_to: *shard.up_to.lock(),
        };
        self.shards.iter().enumerate().map(cursor).collect()
    }

    /// Records committed and not yet seen by the slowest shard.
    #[must_use]
    pub fn lag_records(&self, committed: Position) -> u64 {
        let slowest = self.shards.iter().map(|shard| shard.offset.load(Ordering::Acquire)).min();
        committed.offset.saturating_sub(slowest.unwrap_or(committed.offset))
    }

    fn is_behind(&self, committed: Position) -> bool {
        self.lag_records(committed) > self.lag_records_max
    }
}

/// Which shard's a source's messages are: its principal decides, so that order is kept however it
/// connects.
#[must_use]
pub(crate) fn shard_hash(source: &SourceId) -> u32 {
    let word = source.as_str();
    let principal = word.split_once('/').map_or(word, |(principal, _)| principal);
    // FNV-1a: stands in the log, so it has to be the same in every build
    principal
        .bytes()
        .fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// The shard of a hash.
#[must_use]
pub(crate) fn shard_of(hash: u32, shards: usize) -> usize {
    hash as usize % shards.max(1)
}

/// Why messages were not taken. None of the batch was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too much waits for the disk or for the shards: pause the sources until the log tells of a
    /// commit, then try again.
    #[error("busy: too much waits for the disk or for the rules")]
    Busy,
    /// The disk is full.
    #[error("the disk is full")]
    Full,
    /// The log stopped after a failure, or is closed.
    #[error("the log has stopped")]
    Stopped,
    /// It was taken, and is not on disk after a long wait: it may still get there, and be decided.
    #[error("the message is not on disk yet; it may still get there")]
    Slow,
    /// One of the messages is larger than a record may be.
    #[error("a message is larger than a record may be")]
    TooLarge,
}

impl Coded for Refusal {
    fn code(&self) -> &'static str {
        match self {
            Self::Busy => "ingest.busy",
            Self::Full => "ingest.disk_full",
            Self::Stopped => "ingest.stopped",
            Self::Slow => "ingest.slow",
            Self::TooLarge => "ingest.too_large",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::TooLarge => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        }
    }
}

impl From<&LogError> for Refusal {
    fn from(error: &LogError) -> Self {
        match error {
            LogError::Busy { .. } => Self::Busy,
            LogError::Full { .. } => Self::Full,
            LogError::RecordTooLarge { .. } | LogError::BatchTooLarge { .. } => Self::TooLarge,
            _ => Self::Stopped,
        }
    }
}

/// A message to take in.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The message.
    pub message: Arc<Message>,
    /// Whether it may be decided before it is on disk: it carries no promise, and nothing that
    /// does is still under way before it from the same source.
    pub at_once: bool,
}

/// One network worker's way in.
pub struct Ingest {
    log: Log,
    progress: Arc<Progress>,
    rings: Vec<Sender<AtOnce>>,
    counters: Arc<Counters>,
    draft: Draft,
    /// Messages of the batch for each ring, so far.
    claimed: Vec<usize>,
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest").field("shards", &self.rings.len()).finish_non_exhaustive()
    }
}

impl Ingest {
    pub(crate) fn new(
        log: Log,
        progress: Arc<Progress>,
        rings: Vec<Sender<AtOnce>>,
        counters: Arc<Counters>,
    ) -> Self {
        let claimed = vec![0; rings.len()];
        Self { log, progress, rings, counters, draft: Draft::default(), claimed }
    }

    /// How far the log is committed.
    #[must_use]
    pub fn committed(&self) -> Position {
        self.log.committed()
    }

    /// Whether messages would be refused as [`Refusal::Busy`] for the shards' sake.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.progress.is_behind(self.log.committed())
    }

    /// Appends a batch; gives each message's position through `placed`, in order. Those that go at
    /// once are with their shards when this returns.
    ///
    /// # Errors
    /// [`Refusal`]; nothing was taken then.
    pub fn accept(
        &mut self,
        batch: &[Incoming],
        mut placed: impl FnMut(usize, Position),
    ) -> Result<(), Refusal> {
        if batch.is_empty() {
            return Ok(());
        }
        if self.is_behind() {
            return Err(Refusal::Busy);
        }
        self.draft.clear();
        self.claimed.fill(0);
        let mut at_once = Vec::new();
        for (index, Incoming { message, at_once: may }) in batch.iter().enumerate() {
            let hash = shard_hash(&message.source);
            let shard = shard_of(hash, self.rings.len());
            let goes = *may && self.claim(shard);
            if goes {
                at_once.push((index, shard));
            }
            let flags = MessageFlags { at_once: goes, route: false };
            self.draft.message(message, hash, flags);
        }
        let appended =
            self.log.append_batch(&self.draft.appends()).map_err(|error| Refusal::from(&error))?;
        count_many(&self.counters.messages_accepted, batch.len());
        appended.positions().enumerate().for_each(|(index, position)| placed(index, position));
        for (index, shard) in at_once {
            if let (Some(position), Some(incoming), Some(ring)) =
                (appended.position(index), batch.get(index), self.rings.get(shard))
            {
                let message = Arc::clone(&incoming.message);
                // only this worker fills this ring, so the room that was claimed is there; a
                // closed ring means that the engine stops
                let _ = ring.try_send(AtOnce { position, message });
            }
        }
        Ok(())
    }

    fn claim(&mut self, shard: usize) -> bool {
        let (Some(ring), Some(claimed)) = (self.rings.get(shard), self.claimed.get_mut(shard))
        else {
            return false;
        };
        let fits = ring.len() + *claimed < ring.capacity();
        *claimed += usize::from(fits);
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_its_shard_however_it_connects() {
        let of = |word: &str| shard_hash(&SourceId::new(word));
        assert_eq!(of("device:1/a"), of("device:1/b"));
        assert_ne!(of("device:1/a"), of("device:2/a"));
        // stands in the log: must never change
        assert_eq!(of("device:1"), 0xc94e_67ae);
    }

    #[test]
    fn lag_is_that_of_the_slowest_shard() {
        let progress = Progress::new(2, 10);
        progress.set(0, Position { epoch: 1, offset: 90 });
        progress.set(1, Position { epoch: 1, offset: 100 });
        let committed = Position { epoch: 1, offset: 100 };
        assert_eq!(progress.lag_records(committed), 10);
        assert!(!progress.is_behind(committed));
        assert!(progress.is_behind(Position { epoch: 1, offset: 101 }));
    }
}
