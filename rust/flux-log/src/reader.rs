//! Reading committed records, from memory where they still are, from files otherwise.
//!
//! Owns a reader's place. Must never give out what is not committed, nor pass over a record that
//! was acknowledged without saying so.

use std::sync::Arc;
use std::time::Duration;

use flux_types::Position;

use crate::error::{Damage, DamageCause, LogError};
use crate::log::wait_committed;
use crate::record::Batch;
use crate::segment::{Found, FrameScanner, Segment};
use crate::shared::Shared;
use crate::stats::Counters;

/// Iterates committed records in order of position and follows the log's tail.
///
/// A reader holds nothing back: what a view needs is held by registering the view.
pub struct Reader {
    shared: Arc<Shared>,
    next: Position,
    place: Option<Place>,
    /// Found sound, to be given after the damage before it has been told.
    pending: Option<Batch>,
}

/// Where in which file the reader is.
struct Place {
    segment: Arc<Segment>,
    scanner: FrameScanner,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Self {
        // Offsets count from 1: nothing is asked for at 0.
        let next = Position { offset: from.offset.max(1), ..from };
        Self { shared, next, place: None, pending: None }
    }

    /// The position from which the next batch will be read.
    #[must_use]
    pub fn next_position(&self) -> Position {
        self.next
    }

    /// The next records, up to a frame's worth (16 KiB, or one larger batch), or `None` when all
    /// that is committed has been read.
    ///
    /// # Errors
    /// [`LogError::Retired`] when records asked for were removed, [`LogError::DamagedRange`] when
    /// acknowledged records cannot be read: in both cases the next call goes on after them.
    /// [`LogError::Io`] when a file cannot be read: the next call tries again.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, LogError> {
        loop {
            if let Some(batch) = self.pending.take() {
                return Ok(Some(self.give(batch)));
            }
            if self.next > self.shared.committed() {
                return Ok(None);
            }
            if let Some(batch) = self.read_memory() {
                return Ok(Some(batch));
            }
            if self.place.is_none() {
                self.find()?;
            }
            if let Some(batch) = self.read_file()? {
                return Ok(Some(batch));
            }
        }
    }

    /// Waits until there is something to read, at most `timeout`; whether there is.
    ///
    /// # Errors
    /// [`LogError::Stopped`] when the log has stopped and nothing more will come.
    pub fn wait(&self, timeout: Duration) -> Result<bool, LogError> {
        wait_committed(&self.shared, self.next, timeout)
    }

    fn read_memory(&mut self) -> Option<Batch> {
        let batch = self.shared.hot.lock().get(self.next)?;
        self.place = None;
        Counters::add(&self.shared.counters.hot_reads, 1);
        Some(self.give(batch))
    }

    fn give(&mut self, batch: Batch) -> Batch {
        let batch = batch.since(self.next.offset);
        let last = batch.last();
        self.next = Position { offset: last.offset + 1, ..last };
        batch
    }

    /// Finds the segment of the next record.
    fn find(&mut self) -> Result<(), LogError> {
        let (segment, floor) = {
            let segments = self.shared.segments.read();
            (segments.find(self.next), segments.floor)
        };
        let Some(segment) = segment else { return Ok(()) };
        let first = segment.first();
        if self.next < first {
            let from = std::mem::replace(&mut self.next, first);
            if from <= floor {
                return Err(LogError::Retired { from, to: floor });
            }
            let to = segment.header.previous;
            if from <= to {
                let cause = DamageCause::MissingSegment;
                return Err(self.damaged(from, to, cause, &segment));
            }
        }
        let at = segment.place_of(self.next.offset);
        let file = match self.shared.options.disk.open(&segment.path, false) {
            Ok(file) => file,
            // Retired since it was found: looking again tells so.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.gone(&segment) => {
                return Ok(());
            }
            Err(source) => {
                let path = segment.path.clone();
                return Err(LogError::Io { operation: "open", path, source });
            }
        };
        let read_bytes = self.shared.options.read_bytes;
        let scanner = FrameScanner::new(file, segment.header.seed(), at, read_bytes);
        self.place = Some(Place { segment, scanner });
        Ok(())
    }

    fn gone(&self, segment: &Arc<Segment>) -> bool {
        let segments = self.shared.segments.read();
        !segments.list.iter().any(|other| Arc::ptr_eq(other, segment))
    }

    /// The next frame of the present file; `None` when another place has to be found.
    fn read_file(&mut self) -> Result<Option<Batch>, LogError> {
        let Some(place) = &mut self.place else { return Ok(None) };
        let segment = Arc::clone(&place.segment);
        let last = segment.last();
        if self.next > last {
            self.place = None;
            return Ok(None);
        }
        loop {
            let found = place.scanner.next(segment.used());
            let found = found.map_err(|source| {
                let path = segment.path.clone();
                LogError::Io { operation: "read", path, source }
            })?;
            match found {
                Found::Frame { header, .. } if header.last() < self.next.offset => {}
                Found::Spoiled(_) => {}
                Found::Frame { header, payload, .. } => {
                    let first = Position { offset: header.first, ..last };
                    let batch = Batch::new(first, header.count, payload);
                    Counters::add(&self.shared.counters.file_reads, 1);
                    if first > self.next {
                        let from = std::mem::replace(&mut self.next, first);
                        let to = Position { offset: first.offset - 1, ..first };
                        self.pending = Some(batch);
                        return Err(self.damaged(from, to, DamageCause::Checksum, &segment));
                    }
                    return Ok(Some(self.give(batch)));
                }
                Found::End => {
                    self.place = None;
                    let from = self.next;
                    self.next = Position { offset: last.offset + 1, ..last };
                    return Err(self.damaged(from, last, DamageCause::Checksum, &segment));
                }
            }
        }
    }

    fn damaged(
        &self,
        from: Position,
        to: Position,
        cause: DamageCause,
        segment: &Segment,
    ) -> LogError {
        Counters::add(&self.shared.counters.damaged_ranges, 1);
        let records = to.offset.saturating_sub(from.offset) + 1;
        Counters::add(&self.shared.counters.damaged_records, records);
        let damage = Damage { from, to, cause, path: segment.path.clone() };
        tracing::error!(%damage, "acknowledged records are damaged; reading goes on after them");
        LogError::DamagedRange(Box::new(damage))
    }
}
