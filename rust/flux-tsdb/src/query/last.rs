//! The last sample of a series.

use super::Sample;
use crate::error::TsdbError;
use crate::merge::{Merge, Order};
use crate::point::RawPoint;
use crate::series::SeriesId;
use crate::stats::Counters;
use crate::store::{Inner, Store};

impl Store {
    /// The sample with the latest time, from memory. Only the first question after opening reads a
    /// block, if nothing later was appended.
    ///
    /// # Errors
    /// [`TsdbError::UnknownSeries`]; [`TsdbError::Io`] where a block has to be read.
    pub fn last(&self, series: SeriesId) -> Result<Option<Sample>, TsdbError> {
        Counters::add(&self.inner.counters.queries, 1);
        let sample = |point: &RawPoint| Sample { ts_ns: point.ts, value: point.value() };
        {
            let part = self.inner.part(series.part());
            let last = part.last(series.local()).ok_or(TsdbError::UnknownSeries(series))?;
            if let (last, true) = last {
                return Ok(last.as_ref().map(sample));
            }
        }
        Ok(self.inner.find_last(series)?.as_ref().map(sample))
    }
}

impl Inner {
    /// Looks through heads and blocks, and remembers what it finds.
    fn find_last(&self, series: SeriesId) -> Result<Option<RawPoint>, TsdbError> {
        let sources = self.sources(series, i64::MIN, i64::MAX)?;
        let mut merge = Merge::new(sources, Order::Descending, i64::MIN, i64::MAX);
        let found = merge.next()?;
        Counters::add(&self.counters.damaged_chunks, merge.damaged());
        Counters::add(&self.counters.scanned_points, merge.scanned());
        let mut part = self.part(series.part());
        if let Some(slot) = part.slot_mut(series.local()) {
            slot.learn_last(found);
        }
        Ok(part.last(series.local()).and_then(|(last, _)| last))
    }
}
