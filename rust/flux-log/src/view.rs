//! Views of the log: who still needs which records, and what may go.
//!
//! Owns the two classes of view and the decision what retention removes. Must never remove what a
//! pinning view has not covered, nor trust the wall clock for an age.

use std::time::Duration;

use flux_types::Position;

use crate::clock::Stamp;
use crate::options::Retention;

/// What happens when a view falls behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewClass {
    /// Its records always stay. Beyond its budget it is the fault to report.
    Pinning {
        /// Most bytes of log it should hold back.
        bytes_max: u64,
    },
    /// Its records stay within its budget; beyond it the oldest go when retention wants their
    /// space, counted, and it is told.
    Evictable {
        /// Most bytes of log it may hold back.
        bytes_max: u64,
        /// Records older than this are no longer held back for it.
        age_max: Option<Duration>,
    },
}

impl ViewClass {
    pub(crate) fn bytes_max(self) -> u64 {
        match self {
            Self::Pinning { bytes_max } | Self::Evictable { bytes_max, .. } => bytes_max,
        }
    }
}

/// A view to register.
///
/// Its cursor is the position of its durable snapshot. Retention holds back what follows the
/// *older* of the two kept generations, so that falling back to it can still be replayed; until
/// there are two, everything from `start` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Its name, the same as its snapshot's: 1 to 64 of `a-z 0-9 _ . -`.
    pub name: String,
    /// What happens when it falls behind.
    pub class: ViewClass,
    /// The last position it does not need.
    pub start: Position,
}

impl View {
    /// A pinning view that needs everything there is.
    #[must_use]
    pub fn pinning(name: impl Into<String>, bytes_max: u64) -> Self {
        let class = ViewClass::Pinning { bytes_max };
        Self { name: name.into(), class, start: Position::START }
    }

    /// An evictable view that would like everything there is.
    #[must_use]
    pub fn evictable(name: impl Into<String>, bytes_max: u64, age_max: Option<Duration>) -> Self {
        let class = ViewClass::Evictable { bytes_max, age_max };
        Self { name: name.into(), class, start: Position::START }
    }
}

/// How a view stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ViewStatus {
    /// Its name.
    pub name: String,
    /// Its class; a snapshot found on disk that nobody registered pins.
    pub class: ViewClass,
    /// Somebody registered it since the log was opened. If not, `Log::forget_view` lets its
    /// records go.
    pub registered: bool,
    /// Position of its newest durable snapshot.
    pub cursor: Position,
    /// The last position retention need not keep for it.
    pub held_after: Position,
    /// Bytes of the segments it holds back, counted in whole segments.
    pub behind_bytes: u64,
    /// It holds back more than its budget: for a pinning view a fault.
    pub over_budget: bool,
    /// The last records it lost to its budget, first and last.
    pub evicted: Option<(Position, Position)>,
}

/// Something happened to a view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ViewEvent {
    /// A pinning view holds back more than its budget.
    OverBudget {
        /// Its name.
        name: String,
        /// What it holds back, bytes.
        behind_bytes: u64,
        /// Its budget, bytes.
        bytes_max: u64,
    },
    /// It is within its budget again.
    WithinBudget {
        /// Its name.
        name: String,
    },
    /// An evictable view lost records it had not covered.
    Evicted {
        /// Its name.
        name: String,
        /// First position lost.
        from: Position,
        /// Last position lost.
        to: Position,
    },
}

/// A registered view, or one found on disk.
#[derive(Debug, Clone)]
pub(crate) struct ViewState {
    pub(crate) view: View,
    pub(crate) registered: bool,
    pub(crate) over_budget: bool,
    pub(crate) evicted: Option<(Position, Position)>,
}

/// What the decision needs of a segment, oldest first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SegmentFacts {
    pub(crate) first: Position,
    pub(crate) last: Position,
    pub(crate) bytes: u64,
    pub(crate) started: Stamp,
    pub(crate) end: Stamp,
}

/// What the decision needs of a view.
#[derive(Debug, Clone)]
pub(crate) struct ViewFacts {
    pub(crate) name: String,
    pub(crate) class: ViewClass,
    pub(crate) held_after: Position,
}

/// What is to be done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How many of the oldest segments go.
    pub(crate) retire: usize,
    /// Views that lose records by it, each with the range.
    pub(crate) evict: Vec<(String, Position, Position)>,
}

/// Time from one stamp to a later one, by the monotonic clock within a boot; between boots by the
/// wall clock, if it went forward by no more than `downtime_max`.
fn elapsed_ns(from: Stamp, to: Stamp, downtime_max: Duration) -> u128 {
    if from.boot_id == to.boot_id {
        return u128::from(to.mono_ns.saturating_sub(from.mono_ns));
    }
    let gap = i128::from(to.wall_ns) - i128::from(from.wall_ns);
    match u128::try_from(gap) {
        Ok(gap) if gap <= downtime_max.as_nanos() => gap,
        _ => 0,
    }
}

/// Age of each segment's newest record.
///
/// Summed along the chain of segments rather than taken from two readings of the wall clock: a
/// clock that jumps while the machine runs changes nothing, and a jump while it was off counts at
/// most `downtime_max`.
fn ages(segments: &[SegmentFacts], now: Stamp, downtime_max: Duration) -> Vec<Duration> {
    let mut ages = Vec::with_capacity(segments.len());
    let (mut later, mut sum) = (now, 0_u128);
    for segment in segments.iter().rev() {
        sum += elapsed_ns(segment.end, later, downtime_max);
        ages.push(Duration::from_nanos(u64::try_from(sum).unwrap_or(u64::MAX)));
        sum += elapsed_ns(segment.started, segment.end, downtime_max);
        later = segment.started;
    }
    ages.reverse();
    ages
}

/// What may go. The last segment never does: it is being written.
pub(crate) fn plan(
    segments: &[SegmentFacts],
    views: &[ViewFacts],
    retention: &Retention,
    now: Stamp,
) -> Plan {
    let mut plan = Plan::default();
    let ages = ages(segments, now, retention.downtime_max);
    let mut left: u64 = segments.iter().map(|s| s.bytes).sum();
    let sealed = segments.len().saturating_sub(1);
    for (at, (segment, age)) in segments.iter().zip(ages).take(sealed).enumerate() {
        let too_many = segments.len() - at > retention.segments_max;
        let too_old = retention.age_max.is_some_and(|max| age > max);
        if left <= retention.bytes_max && !too_old && !too_many {
            break;
        }
        let mut losers = Vec::new();
        for view in views.iter().filter(|view| view.held_after < segment.last) {
            match view.class {
                ViewClass::Pinning { .. } => return plan,
                ViewClass::Evictable { bytes_max, age_max } => {
                    if left <= bytes_max && age_max.is_none_or(|max| age <= max) {
                        return plan;
                    }
                    losers.push(view);
                }
            }
        }
        for view in losers {
            let after = Position { offset: view.held_after.offset + 1, ..view.held_after };
            let from = after.max(segment.first);
            match plan.evict.iter_mut().find(|(name, ..)| *name == view.name) {
                Some(known) => known.2 = segment.last,
                None => plan.evict.push((view.name.clone(), from, segment.last)),
            }
        }
        plan.retire += 1;
        left -= segment.bytes;
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn stamp(boot_id: u128, wall_hours: i64, mono_hours: u64) -> Stamp {
        let hour = 3_600_000_000_000;
        Stamp { boot_id, wall_ns: wall_hours * hour, mono_ns: mono_hours * hour as u64 }
    }

    fn segment(first: u64, started: Stamp, end: Stamp) -> SegmentFacts {
        let at = |offset| Position { epoch: 1, offset };
        SegmentFacts { first: at(first), last: at(first + 9), bytes: 100, started, end }
    }

    #[test]
    fn age_within_a_boot_is_monotonic_time() {
        let old = segment(1, stamp(1, 500, 0), stamp(1, 500, 2));
        // The wall clock went back 400 hours and forward a thousand; 10 hours passed.
        let new = segment(11, stamp(1, 100, 2), stamp(1, 1100, 7));
        let ages = ages(&[old, new], stamp(1, 900, 12), 24 * HOUR);
        assert_eq!(ages, [10 * HOUR, 5 * HOUR]);
    }

    #[test]
    fn downtime_counts_only_while_it_is_plausible() {
        for (wall_after, counted) in [(110, 10), (90, 0), (100 + 25, 0), (100 + 24, 24)] {
            let old = segment(1, stamp(1, 99, 0), stamp(1, 100, 1));
            let new = segment(11, stamp(2, wall_after, 0), stamp(2, wall_after + 3, 3));
            let ages = ages(&[old, new], stamp(2, wall_after + 5, 5), 24 * HOUR);
            assert_eq!(ages, [(5 + counted) * HOUR, 2 * HOUR], "{wall_after}");
        }
    }

    #[test]
    fn the_last_segment_and_what_is_pinned_stay() {
        let at = stamp(1, 0, 0);
        let segments = [segment(1, at, at), segment(11, at, at), segment(21, at, at)];
        let all = Retention { bytes_max: 0, ..Retention::default() };
        assert_eq!(plan(&segments, &[], &all, at).retire, 2);
        let pinned = |offset| ViewFacts {
            name: "v".to_owned(),
            class: ViewClass::Pinning { bytes_max: 1 },
            held_after: Position { epoch: 1, offset },
        };
        assert_eq!(plan(&segments, &[pinned(9)], &all, at).retire, 0);
        assert_eq!(plan(&segments, &[pinned(10)], &all, at).retire, 1);
        assert_eq!(plan(&segments, &[pinned(20), pinned(30)], &all, at).retire, 2);
    }

    #[test]
    fn segments_are_limited_in_number() {
        let at = stamp(1, 0, 0);
        let segments = [segment(1, at, at), segment(11, at, at), segment(21, at, at)];
        let two = Retention { segments_max: 2, ..Retention::default() };
        assert_eq!(plan(&segments, &[], &two, at).retire, 1);
    }

    #[test]
    fn an_evictable_view_loses_what_is_beyond_its_budget_alone() {
        let at = stamp(1, 0, 0);
        let segments = [segment(1, at, at), segment(11, at, at), segment(21, at, at)];
        let all = Retention { bytes_max: 0, ..Retention::default() };
        let view = |bytes_max| ViewFacts {
            name: "v".to_owned(),
            class: ViewClass::Evictable { bytes_max, age_max: None },
            held_after: Position { epoch: 1, offset: 4 },
        };
        let lost = |from, to| {
            let at = |offset| Position { epoch: 1, offset };
            vec![("v".to_owned(), at(from), at(to))]
        };
        assert_eq!(plan(&segments, &[view(300)], &all, at), Plan::default());
        let one = plan(&segments, &[view(200)], &all, at);
        assert_eq!(one, Plan { retire: 1, evict: lost(5, 10) });
        let two = plan(&segments, &[view(100)], &all, at);
        assert_eq!(two, Plan { retire: 2, evict: lost(5, 20) });
    }
}
