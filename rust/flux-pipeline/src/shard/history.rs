//! Samples on their way into the time-series store.
//!
//! Owns a shard's writer. Must never say that a sample is kept which is not: once the store has no
//! room, the log holds what is missing until the next start.

use flux_tsdb::{Store, Writer};
use flux_types::{Position, Telemetry};

use crate::counters::{Counters, count_many};

pub(crate) struct History {
    writer: Writer,
    /// A sample was not taken: the log must not let go of it.
    gap: bool,
}

impl History {
    pub(crate) fn new(store: &Store) -> Self {
        Self { writer: store.writer(), gap: false }
    }

    pub(crate) fn keep(&mut self, sample: &Telemetry, position: Position, counters: &Counters) {
        match self.writer.append(sample, position) {
            Ok(appended) => count_many(&counters.points_refused, appended.refused),
            Err(error) => {
                count_many(&counters.points_refused, sample.values.len());
                if !self.gap {
                    tracing::error!(%error, "samples are not kept; the log holds them");
                }
                self.gap = true;
            }
        }
    }

    pub(crate) fn decided_up_to(&mut self, position: Position) {
        if !self.gap {
            self.writer.applied(position);
        }
    }

    pub(crate) fn retire(self) {
        if !self.gap {
            self.writer.retire();
        }
    }
}
