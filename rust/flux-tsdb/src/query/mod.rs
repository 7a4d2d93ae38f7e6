//! Questions to the store: the last value, a range, a range by buckets.
//!
//! Owns the answers' forms and their limits. A query looks at the heads for the time it takes to
//! copy a run, and at blocks that nobody changes: it never makes an appender wait for the disk. What
//! is appended or merged while an answer is read does not change it.
//!
//! All ranges are half open: a sample at `from_ns` belongs to it, one at `to_ns` does not. So
//! ranges that follow one another share no sample and miss none.

mod aggregate;
mod buckets;
mod last;
mod range;

use std::fmt;
use std::str::FromStr;

pub use aggregate::{AggregatePage, AggregateQuery, SeriesBuckets};
pub use buckets::{Aggregation, Bucket, Buckets, Fill};
pub use range::{RangePage, RangeQuery, Samples, SeriesSamples};

use crate::error::TsdbError;
use crate::options::QueryLimits;
use crate::series::SeriesId;
use flux_types::Value;

/// One sample of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its time, ns since 1970.
    pub ts_ns: i64,
    /// Its value, of the kind it was told with.
    pub value: Value,
}

/// Where an answer that was too long goes on: give it to the same query again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// Which of the query's series is next, from 0.
    pub series: usize,
    /// The time of its next sample, or the start of its next bucket.
    pub ts_ns: i64,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.series, self.ts_ns)
    }
}

impl FromStr for Cursor {
    type Err = TsdbError;

    fn from_str(text: &str) -> Result<Self, TsdbError> {
        let parse = || {
            let (series, ts_ns) = text.split_once('.')?;
            Some(Self { series: series.parse().ok()?, ts_ns: ts_ns.parse().ok()? })
        };
        parse().ok_or_else(|| TsdbError::query("after", "is not a cursor of an earlier answer"))
    }
}

fn check_series(series: &[SeriesId], limits: &QueryLimits) -> Result<(), TsdbError> {
    let most = limits.series_max;
    match series.len() {
        0 => Err(TsdbError::query("series", "none was named")),
        len if len > most => {
            Err(TsdbError::query("series", format!("{len} were named, at most {most} may be")))
        }
        _ => Ok(()),
    }
}

fn check_range(from_ns: i64, to_ns: i64) -> Result<(), TsdbError> {
    if from_ns > to_ns {
        return Err(TsdbError::query("from", "is after `to`"));
    }
    Ok(())
}

fn check_limit(limit: usize) -> Result<(), TsdbError> {
    if limit == 0 { Err(TsdbError::query("limit", "must be at least 1")) } else { Ok(()) }
}

/// Where an answer begins: the first series, and its own range.
fn begin(
    after: Option<Cursor>,
    series: usize,
    from_ns: i64,
    to_ns: i64,
) -> Result<usize, TsdbError> {
    let Some(cursor) = after else { return Ok(0) };
    if cursor.series < series && (from_ns..to_ns).contains(&cursor.ts_ns) {
        return Ok(cursor.series);
    }
    Err(TsdbError::query("after", "belongs to another query"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_survives_its_text() {
        let cursor = Cursor { series: 3, ts_ns: -7 };
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        for wrong in ["", "3", "3.", ".5", "3.x", "-1.5"] {
            assert!(wrong.parse::<Cursor>().is_err(), "{wrong}");
        }
    }
}
