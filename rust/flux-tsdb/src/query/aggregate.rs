//! Buckets of a range of time, for one or several series.

use super::{
    Aggregation, Bucket, Buckets, Cursor, Fill, begin, check_limit, check_range, check_series,
};
use crate::error::TsdbError;
use crate::merge::{Merge, Order};
use crate::series::SeriesId;
use crate::stats::Counters;
use crate::store::Store;

/// A question for buckets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AggregateQuery {
    /// Of these series, one after the other.
    pub series: Vec<SeriesId>,
    /// From this time on, ns since 1970.
    pub from_ns: i64,
    /// Before this time.
    pub to_ns: i64,
    /// Length of a bucket, ns.
    pub step_ns: i64,
    /// What is told of each bucket, in this order.
    pub aggregations: Vec<Aggregation>,
    /// What becomes of buckets without samples.
    pub fill: Fill,
    /// At most so many buckets altogether; never more than `points_max`.
    pub limit: usize,
    /// Where an earlier answer to the same query ended.
    pub after: Option<Cursor>,
}

/// Buckets of one series in an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesBuckets {
    /// The series.
    pub series: SeriesId,
    /// Oldest first.
    pub buckets: Vec<Bucket>,
}

/// An answer, or the part of it that the limits allow.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AggregatePage {
    /// By series, those without buckets included as far as they were looked at.
    pub series: Vec<SeriesBuckets>,
    /// Where the answer goes on, if it does.
    pub next: Option<Cursor>,
    /// Chunks that could not be read: their samples are missing from the buckets.
    pub damaged_chunks: u64,
}

/// What is left of the limits of one answer.
struct Room {
    buckets: usize,
    scan: u64,
    scan_max: u64,
    /// Something was answered: it may end here.
    any: bool,
}

impl Store {
    /// The buckets of one series, as a stream without a limit.
    ///
    /// # Errors
    /// [`TsdbError::UnknownSeries`], [`TsdbError::Query`]; from the stream [`TsdbError::Io`].
    pub fn buckets(&self, series: SeriesId, query: &AggregateQuery) -> Result<Buckets, TsdbError> {
        check(query)?;
        self.buckets_between(series, query, query.from_ns, query.to_ns)
    }

    fn buckets_between(
        &self,
        series: SeriesId,
        query: &AggregateQuery,
        from_ns: i64,
        to_ns: i64,
    ) -> Result<Buckets, TsdbError> {
        let sources = self.inner.sources(series, from_ns, to_ns)?;
        let merge = Merge::new(sources, Order::Ascending, from_ns, to_ns);
        let AggregateQuery { step_ns, aggregations, fill, .. } = query;
        Ok(Buckets::new(merge, *step_ns, aggregations, *fill, from_ns, to_ns))
    }

    /// The buckets of one or several series, as many as the limits allow.
    ///
    /// # Errors
    /// [`TsdbError::UnknownSeries`], [`TsdbError::Query`], [`TsdbError::TooMuchToScan`],
    /// [`TsdbError::Io`].
    pub fn aggregate(&self, query: &AggregateQuery) -> Result<AggregatePage, TsdbError> {
        let counters = &self.inner.counters;
        Counters::add(&counters.queries, 1);
        let limits = &self.inner.options.query;
        let AggregateQuery { from_ns, to_ns, after, .. } = *query;
        check_series(&query.series, limits)?;
        check(query)?;
        check_limit(query.limit)?;
        let first = begin(after, query.series.len(), from_ns, to_ns)?;
        let mut room = Room {
            buckets: query.limit.min(limits.points_max),
            scan: limits.scan_points_max,
            scan_max: limits.scan_points_max,
            any: false,
        };
        let mut page = AggregatePage::default();
        for (index, series) in query.series.iter().enumerate().skip(first) {
            let from = after.filter(|_| index == first).map_or(from_ns, |cursor| cursor.ts_ns);
            let mut stream = self.buckets_between(*series, query, from, to_ns)?;
            let outcome = fill_page(&mut stream, &mut room);
            page.damaged_chunks += stream.merge().damaged();
            Counters::add(&counters.damaged_chunks, stream.merge().damaged());
            Counters::add(&counters.scanned_points, stream.merge().scanned());
            let (buckets, next) = outcome?;
            page.series.push(SeriesBuckets { series: *series, buckets });
            if let Some(next) = next {
                // the first bucket may begin before the range does
                page.next = Some(Cursor { series: index, ts_ns: next.max(from) });
                break;
            }
        }
        Ok(page)
    }
}

/// As many buckets as there is room for, and where the next begins if there is one.
fn fill_page(
    stream: &mut Buckets,
    room: &mut Room,
) -> Result<(Vec<Bucket>, Option<i64>), TsdbError> {
    let mut buckets = Vec::new();
    while let Some(start_ns) = stream.peek()? {
        if room.buckets == 0 {
            return Ok((buckets, Some(start_ns)));
        }
        match stream.next_within(room.scan)? {
            Some(bucket) => buckets.push(bucket),
            None if room.any => return Ok((buckets, Some(start_ns))),
            None => return Err(TsdbError::TooMuchToScan { scan_points_max: room.scan_max }),
        }
        room.buckets -= 1;
        room.any = true;
    }
    room.scan = room.scan.saturating_sub(stream.merge().scanned());
    Ok((buckets, None))
}

fn check(query: &AggregateQuery) -> Result<(), TsdbError> {
    check_range(query.from_ns, query.to_ns)?;
    if query.step_ns < 1 {
        return Err(TsdbError::query("step", "must be at least a nanosecond"));
    }
    if query.aggregations.is_empty() {
        return Err(TsdbError::query("agg", "none was named"));
    }
    Ok(())
}
