//! Samples of a range of time.

use flux_types::Value;

use super::{Cursor, Sample, begin, check_limit, check_range, check_series};
use crate::error::TsdbError;
use crate::merge::{Merge, Order};
use crate::series::SeriesId;
use crate::stats::Counters;
use crate::store::{Inner, Store};

/// A question for samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeQuery {
    /// Of these series, one after the other.
    pub series: Vec<SeriesId>,
    /// From this time on, ns since 1970.
    pub from_ns: i64,
    /// Before this time.
    pub to_ns: i64,
    /// In this order of time.
    pub order: Order,
    /// At most so many samples altogether; never more than `points_max`.
    pub limit: usize,
    /// Where an earlier answer to the same query ended.
    pub after: Option<Cursor>,
}

impl RangeQuery {
    /// All samples of one series from `from_ns` to before `to_ns`, oldest first.
    #[must_use]
    pub fn of(series: SeriesId, from_ns: i64, to_ns: i64) -> Self {
        let (order, limit) = (Order::Ascending, usize::MAX);
        Self { series: vec![series], from_ns, to_ns, order, limit, after: None }
    }
}

/// Samples of one series in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSamples {
    /// The series.
    pub series: SeriesId,
    /// In the order that was asked for; each time once.
    pub samples: Vec<Sample>,
}

/// An answer, or the part of it that the limit allows.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RangePage {
    /// By series, those without samples included as far as they were looked at.
    pub series: Vec<SeriesSamples>,
    /// Where the answer goes on, if it does.
    pub next: Option<Cursor>,
    /// Chunks that could not be read: that many samples may be missing, none is wrong.
    pub damaged_chunks: u64,
}

/// Samples of one series, read as they are asked for. Memory is bounded by the chunks that overlap
/// at one time.
pub struct Samples<'a> {
    merge: Merge,
    inner: &'a Inner,
}

impl std::fmt::Debug for Samples<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Samples").field("merge", &self.merge).finish_non_exhaustive()
    }
}

impl Samples<'_> {
    /// Chunks passed over so far because they are damaged.
    #[must_use]
    pub fn damaged_chunks(&self) -> u64 {
        self.merge.damaged()
    }
}

impl Iterator for Samples<'_> {
    type Item = Result<Sample, TsdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        let point = self.merge.next().transpose()?;
        Some(point.map(|point| Sample { ts_ns: point.ts, value: point.value() }))
    }
}

impl Drop for Samples<'_> {
    fn drop(&mut self) {
        Counters::add(&self.inner.counters.damaged_chunks, self.merge.damaged());
        Counters::add(&self.inner.counters.scanned_points, self.merge.scanned());
    }
}

impl Store {
    /// The samples of one series from `from_ns` to before `to_ns`, as a stream without a limit.
    ///
    /// # Errors
    /// [`TsdbError::UnknownSeries`], [`TsdbError::Query`]; from the stream [`TsdbError::Io`].
    pub fn samples(
        &self,
        series: SeriesId,
        from_ns: i64,
        to_ns: i64,
        order: Order,
    ) -> Result<Samples<'_>, TsdbError> {
        check_range(from_ns, to_ns)?;
        let sources = self.inner.sources(series, from_ns, to_ns)?;
        let merge = Merge::new(sources, order, from_ns, to_ns);
        Ok(Samples { merge, inner: &self.inner })
    }

    /// The samples of one or several series, as many as the limit allows.
    ///
    /// # Errors
    /// [`TsdbError::UnknownSeries`], [`TsdbError::Query`], [`TsdbError::Io`].
    pub fn range(&self, query: &RangeQuery) -> Result<RangePage, TsdbError> {
        Counters::add(&self.inner.counters.queries, 1);
        let limits = &self.inner.options.query;
        let RangeQuery { from_ns, to_ns, order, after, .. } = *query;
        check_series(&query.series, limits)?;
        check_range(from_ns, to_ns)?;
        check_limit(query.limit)?;
        let first = begin(after, query.series.len(), from_ns, to_ns)?;
        let mut room = query.limit.min(limits.points_max);
        let mut page = RangePage::default();
        for (index, series) in query.series.iter().enumerate().skip(first) {
            let (from, to) = match after.filter(|_| index == first) {
                None => (from_ns, to_ns),
                Some(cursor) if order == Order::Ascending => (cursor.ts_ns, to_ns),
                Some(cursor) => (from_ns, cursor.ts_ns + 1),
            };
            let mut stream = self.samples(*series, from, to, order)?;
            let mut samples = Vec::new();
            for sample in &mut stream {
                let sample = sample?;
                if room == 0 {
                    page.next = Some(Cursor { series: index, ts_ns: sample.ts_ns });
                    break;
                }
                samples.push(sample);
                room -= 1;
            }
            page.damaged_chunks += stream.damaged_chunks();
            if page.next.is_none() || !samples.is_empty() {
                page.series.push(SeriesSamples { series: *series, samples });
            }
            if page.next.is_some() {
                break;
            }
        }
        Ok(page)
    }
}

impl SeriesSamples {
    /// The values alone.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.samples.iter().map(|sample| &sample.value)
    }
}
