//! Samples summed up by buckets of time.
//!
//! Owns what an aggregation is. Buckets begin at multiples of the step counted from 1970, whatever
//! the range: the same bucket of two queries is the same stretch of time. Of the first and the last
//! one only what lies in the range counts.

use std::str::FromStr;

use flux_types::Value;

use crate::error::TsdbError;
use crate::merge::Merge;
use crate::point::RawPoint;

/// What is told of a bucket.
///
/// Numbers and booleans (as 0 and 1) can be reckoned with; NaN and all other values cannot, and
/// only count for `Count`, `First` and `Last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// The least number.
    Min,
    /// The greatest number.
    Max,
    /// The mean of the numbers, each counting alike however long it held.
    Avg,
    /// The sum of the numbers.
    Sum,
    /// How many samples, of any kind.
    Count,
    /// The value of the earliest sample, of its kind.
    First,
    /// The value of the latest sample, of its kind.
    Last,
}

impl Aggregation {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Min, Self::Max, Self::Avg, Self::Sum, Self::Count, Self::First, Self::Last];

    /// Its word: `min`, `max`, `avg`, `sum`, `count`, `first`, `last`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Min => "min",
            Self::Max => "max",
            Self::Avg => "avg",
            Self::Sum => "sum",
            Self::Count => "count",
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

impl FromStr for Aggregation {
    type Err = TsdbError;

    fn from_str(word: &str) -> Result<Self, TsdbError> {
        Self::ALL.into_iter().find(|known| known.as_str() == word).ok_or_else(|| {
            let problem = format!("{word:?} is none of min, max, avg, sum, count, first, last");
            TsdbError::query("agg", problem)
        })
    }
}

/// What becomes of buckets without samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fill {
    /// They are left out.
    #[default]
    Skip,
    /// They are told, with a count of 0 and no other value.
    Null,
}

/// One bucket of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Bucket {
    /// When it begins, ns since 1970: a multiple of the step.
    pub start_ns: i64,
    /// The aggregations in the order asked for; `None` where there is nothing to tell.
    pub values: Vec<Option<Value>>,
}

/// What was seen of a bucket so far.
#[derive(Debug, Clone, Default)]
struct Tally {
    samples: i64,
    numbers: u64,
    sum: f64,
    /// What the sum has lost to rounding (Neumaier 1974).
    lost: f64,
    min: f64,
    max: f64,
    first: Option<RawPoint>,
    last: Option<RawPoint>,
}

impl Tally {
    fn add(&mut self, point: RawPoint) {
        self.samples += 1;
        if let Some(number) = point.number() {
            if self.numbers == 0 {
                (self.min, self.max) = (number, number);
            }
            (self.min, self.max) = (self.min.min(number), self.max.max(number));
            self.numbers += 1;
            self.add_number(number);
        }
        if self.first.is_none() {
            self.first = Some(point.clone());
        }
        self.last = Some(point);
    }

    fn add_number(&mut self, number: f64) {
        let sum = self.sum + number;
        if self.sum.abs() >= number.abs() {
            self.lost += (self.sum - sum) + number;
        } else {
            self.lost += (number - sum) + self.sum;
        }
        self.sum = sum;
    }

    /// An infinite sum has lost everything to rounding, which says nothing.
    fn total(&self) -> f64 {
        if self.sum.is_finite() { self.sum + self.lost } else { self.sum }
    }

    #[allow(clippy::cast_precision_loss)] // nobody has 2^53 samples in a bucket
    fn tell(&self, what: Aggregation) -> Option<Value> {
        let number = |number: f64| (self.numbers > 0).then_some(Value::F64(number));
        match what {
            Aggregation::Min => number(self.min),
            Aggregation::Max => number(self.max),
            Aggregation::Avg => number(self.total() / self.numbers as f64),
            Aggregation::Sum => number(self.total()),
            Aggregation::Count => Some(Value::I64(self.samples)),
            Aggregation::First => self.first.as_ref().map(RawPoint::value),
            Aggregation::Last => self.last.as_ref().map(RawPoint::value),
        }
    }
}

/// Buckets of one series, reckoned as they are asked for.
#[derive(Debug)]
pub struct Buckets {
    merge: Merge,
    step_ns: i64,
    aggregations: Vec<Aggregation>,
    /// The bucket to be told next, with [`Fill::Null`]; `None` at the end.
    due: Option<i64>,
    fill: Fill,
    /// Where the range ends.
    to_ns: i64,
    /// The first point of the next bucket.
    ahead: Option<RawPoint>,
    begun: bool,
}

/// The start of the bucket a time lies in. Where that would lie before all time, all time.
fn start_of(ts_ns: i64, step_ns: i64) -> i64 {
    let start = i128::from(ts_ns).div_euclid(i128::from(step_ns)) * i128::from(step_ns);
    i64::try_from(start).unwrap_or(i64::MIN)
}

/// The start of the next bucket; none after all time.
fn after(start_ns: i64, step_ns: i64) -> Option<i64> {
    let step = i128::from(step_ns);
    i64::try_from((i128::from(start_ns).div_euclid(step) + 1) * step).ok()
}

impl Buckets {
    pub(super) fn new(
        merge: Merge,
        step_ns: i64,
        aggregations: &[Aggregation],
        fill: Fill,
        from_ns: i64,
        to_ns: i64,
    ) -> Self {
        let due = (from_ns < to_ns).then(|| start_of(from_ns, step_ns));
        let aggregations = aggregations.to_vec();
        Self { merge, step_ns, aggregations, due, fill, to_ns, ahead: None, begun: false }
    }

    pub(super) fn merge(&self) -> &Merge {
        &self.merge
    }

    /// When the bucket begins that is next, if there is one.
    pub(super) fn peek(&mut self) -> Result<Option<i64>, TsdbError> {
        if !self.begun {
            self.begun = true;
            self.ahead = self.merge.next()?;
        }
        let with_samples = self.ahead.as_ref().map(|point| start_of(point.ts, self.step_ns));
        Ok(match self.fill {
            Fill::Skip => with_samples,
            Fill::Null => self.due,
        })
    }

    /// The next bucket; `None` at the end, and when more than `scan_max` points would be read for
    /// it, which `merge().scanned()` tells apart.
    pub(super) fn next_within(&mut self, scan_max: u64) -> Result<Option<Bucket>, TsdbError> {
        let Some(start_ns) = self.peek()? else { return Ok(None) };
        let mut tally = Tally::default();
        while let Some(point) = self.ahead.take() {
            if start_of(point.ts, self.step_ns) != start_ns {
                self.ahead = Some(point);
                break;
            }
            tally.add(point);
            self.ahead = self.merge.next()?;
            if self.merge.scanned() > scan_max {
                return Ok(None);
            }
        }
        self.due = after(start_ns, self.step_ns).filter(|due| *due < self.to_ns);
        let values = self.aggregations.iter().map(|what| tally.tell(*what)).collect();
        Ok(Some(Bucket { start_ns, values }))
    }
}

impl Iterator for Buckets {
    type Item = Result<Bucket, TsdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_within(u64::MAX).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::point::Kind;
    use flux_types::Position;

    fn number(value: f64) -> RawPoint {
        let (kind, bits) = (Kind::F64, value.to_bits());
        RawPoint { ts: 0, position: Position::START, exact: false, kind, bits, text: None }
    }

    fn tally(values: &[f64]) -> Tally {
        let mut tally = Tally::default();
        values.iter().for_each(|value| tally.add(number(*value)));
        tally
    }

    #[test]
    fn sums_do_not_lose_small_numbers_beside_large_ones() {
        let tally = tally(&[1e16, 1.0, 1.0, -1e16]);
        assert_eq!(tally.tell(Aggregation::Sum), Some(Value::F64(2.0)));
        assert_eq!(tally.tell(Aggregation::Avg), Some(Value::F64(0.5)));
    }

    #[test]
    fn infinities_stay_infinite_and_nan_only_counts() {
        let with_infinity = tally(&[1.0, f64::INFINITY]);
        assert_eq!(with_infinity.tell(Aggregation::Sum), Some(Value::F64(f64::INFINITY)));
        let nan = tally(&[f64::NAN]);
        assert_eq!(nan.tell(Aggregation::Max), None);
        assert_eq!(nan.tell(Aggregation::Count), Some(Value::I64(1)));
    }

    #[test]
    fn buckets_begin_at_multiples_of_the_step_on_both_sides_of_1970() {
        assert_eq!(start_of(59, 60), 0);
        assert_eq!(start_of(60, 60), 60);
        assert_eq!(start_of(-1, 60), -60);
        assert_eq!(start_of(i64::MIN, 60), i64::MIN);
        assert_eq!(start_of(i64::MAX, i64::MAX), i64::MAX);
        // the first of all buckets begins before all time
        let second = after(start_of(i64::MIN, 60), 60);
        assert_eq!(second, Some(start_of(second.unwrap(), 60)));
        assert_eq!(after(i64::MAX - 1, 60), None);
    }

    #[test]
    fn words_name_aggregations() {
        for what in Aggregation::ALL {
            assert_eq!(what.as_str().parse::<Aggregation>().unwrap(), what);
        }
        assert!("median".parse::<Aggregation>().is_err());
    }
}
