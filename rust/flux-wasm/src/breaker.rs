//! The breaker of one plugin: sets a plugin aside that keeps failing, or that takes too much of a
//! core with slow calls, before it starves its neighbours.
//!
//! Owns counts and a state, shared by all workers; while it is closed it costs a call two loads.
//! Must never read a clock: milliseconds of any monotonic clock come in as an argument. What a
//! plugin reports itself (a bad checksum, say) is its senders' fault and does not come here.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// When a breaker opens and for how long.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerLimits {
    /// Calls in a row stopped at their deadline that open it. Such calls are dear.
    pub deadlines_max: u32,
    /// Calls in a row that failed for any reason that open it. Failing is cheaper, and may be one
    /// sender's doing, so this is larger.
    pub failures_max: u32,
    /// Share of one core over a window that opens it, 0 to 1, where calls are slow as well: many
    /// fast calls are only much work.
    pub busy_share_max: f64,
    /// What makes calls slow: their mean time over the window, in microseconds.
    pub slow_call_us: u64,
    /// Length of that window, in milliseconds.
    pub window_ms: u64,
    /// How long it stays open at first before one call is tried, in milliseconds. Doubles with each
    /// opening in a row.
    pub cool_down_ms: u64,
    /// Where that doubling ends, and how long it has to stay closed to begin anew.
    pub cool_down_max_ms: u64,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            deadlines_max: 3,
            failures_max: 100,
            busy_share_max: 0.5,
            slow_call_us: 250,
            window_ms: 1_000,
            cool_down_ms: 1_000,
            cool_down_max_ms: 60_000,
        }
    }
}

/// Why a breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TripCause {
    /// [`BreakerLimits::deadlines_max`]
    DeadlinesMax,
    /// [`BreakerLimits::failures_max`]
    FailuresMax,
    /// [`BreakerLimits::busy_share_max`]
    BusyShareMax,
}

impl TripCause {
    /// The name of the limit that was reached.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadlinesMax => "deadlines_max",
            Self::FailuresMax => "failures_max",
            Self::BusyShareMax => "busy_share_max",
        }
    }
}

/// Whether a plugin is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum BreakerState {
    /// It is.
    Closed,
    /// It is set aside.
    Open {
        /// Milliseconds until one call is tried.
        wait_ms: u64,
        /// Why.
        cause: TripCause,
    },
    /// One call is being tried: well closes it, badly opens it again.
    HalfOpen,
}

/// What came of one call, as far as a breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallEnd {
    Finished,
    Failed,
    Deadline,
}

#[derive(Debug)]
struct Guarded {
    cause: TripCause,
    until_ms: u64,
    probing: bool,
    /// Openings in a row, for the doubling.
    streak: u32,
    window_from_ms: u64,
    window_busy_ms: u64,
    /// Calls there had been when the window began.
    window_calls_from: u64,
}

/// Counts failures and time of one plugin.
#[derive(Debug)]
pub(crate) struct Breaker {
    /// Whether it is anything but closed. The one word a call looks at.
    open: std::sync::atomic::AtomicBool,
    failures: AtomicU32,
    deadlines: AtomicU32,
    trips: AtomicU64,
    guarded: Mutex<Guarded>,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            open: std::sync::atomic::AtomicBool::new(false),
            failures: AtomicU32::new(0),
            deadlines: AtomicU32::new(0),
            trips: AtomicU64::new(0),
            guarded: Mutex::new(Guarded {
                cause: TripCause::FailuresMax,
                until_ms: 0,
                probing: false,
                streak: 0,
                window_from_ms: 0,
                window_busy_ms: 0,
                window_calls_from: 0,
            }),
        }
    }
}

impl Breaker {
    /// Whether it is closed. If not, ask [`Breaker::admits`].
    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        !self.open.load(Ordering::Relaxed)
    }

    /// Whether a call may be made. After the cool-down this lets one call try.
    ///
    /// # Errors
    /// Why not, and for how many milliseconds.
    pub(crate) fn admits(&self, now_ms: u64) -> Result<(), (TripCause, u64)> {
        if self.is_closed() {
            return Ok(());
        }
        let mut guarded = self.guarded.lock();
        if guarded.probing || now_ms < guarded.until_ms {
            return Err((guarded.cause, guarded.until_ms.saturating_sub(now_ms)));
        }
        guarded.probing = true;
        Ok(())
    }

    /// Its state, for people.
    pub(crate) fn state(&self, now_ms: u64) -> BreakerState {
        if self.is_closed() {
            return BreakerState::Closed;
        }
        let guarded = self.guarded.lock();
        if guarded.probing {
            return BreakerState::HalfOpen;
        }
        let wait_ms = guarded.until_ms.saturating_sub(now_ms);
        BreakerState::Open { wait_ms, cause: guarded.cause }
    }

    /// How often it has opened.
    pub(crate) fn trips(&self) -> u64 {
        self.trips.load(Ordering::Relaxed)
    }

    /// A new version begins with a clean record; how often it opened stays.
    pub(crate) fn reset(&self) {
        let mut guarded = self.guarded.lock();
        guarded.probing = false;
        guarded.streak = 0;
        guarded.until_ms = 0;
        guarded.window_busy_ms = 0;
        self.failures.store(0, Ordering::Relaxed);
        self.deadlines.store(0, Ordering::Relaxed);
        self.open.store(false, Ordering::Relaxed);
    }

    /// Takes in a call that ended well.
    #[inline]
    pub(crate) fn finished(&self, limits: &BreakerLimits, now_ms: u64) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
            self.deadlines.store(0, Ordering::Relaxed);
        }
        if !self.is_closed() {
            self.settle_probe(limits, now_ms, CallEnd::Finished);
        }
    }

    /// Takes in a call that failed. Says why, where this opened the breaker.
    #[cold]
    pub(crate) fn failed(
        &self,
        limits: &BreakerLimits,
        now_ms: u64,
        end: CallEnd,
    ) -> Option<TripCause> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let deadlines = if end == CallEnd::Deadline {
            self.deadlines.fetch_add(1, Ordering::Relaxed).saturating_add(1)
        } else {
            self.deadlines.store(0, Ordering::Relaxed);
            0
        };
        if !self.is_closed() {
            return self.settle_probe(limits, now_ms, end);
        }
        let cause = if deadlines >= limits.deadlines_max {
            TripCause::DeadlinesMax
        } else if failures >= limits.failures_max {
            TripCause::FailuresMax
        } else {
            return None;
        };
        let mut guarded = self.guarded.lock();
        self.is_closed().then(|| self.trip(&mut guarded, limits, now_ms, cause))
    }

    /// A call that was admitted as the one to try did not take place after all.
    pub(crate) fn withdraw_probe(&self) {
        if !self.is_closed() {
            self.guarded.lock().probing = false;
        }
    }

    /// Adds what calls took to the window, and how many there have been by now. Says why, where this
    /// opened the breaker.
    pub(crate) fn spent(
        &self,
        limits: &BreakerLimits,
        now_ms: u64,
        busy_ms: u64,
        calls_total: u64,
    ) -> Option<TripCause> {
        let mut guarded = self.guarded.lock();
        if now_ms.saturating_sub(guarded.window_from_ms) >= limits.window_ms {
            guarded.window_from_ms = now_ms;
            guarded.window_busy_ms = 0;
            guarded.window_calls_from = calls_total;
        }
        guarded.window_busy_ms += busy_ms;
        let calls = calls_total.saturating_sub(guarded.window_calls_from);
        #[allow(clippy::cast_precision_loss)] // windows are far below 2^53 ms
        let (busy, window) = (guarded.window_busy_ms as f64, limits.window_ms as f64);
        let slow = guarded.window_busy_ms.saturating_mul(1000)
            >= calls.saturating_mul(limits.slow_call_us);
        let over = busy > window * limits.busy_share_max && slow;
        (over && self.is_closed())
            .then(|| self.trip(&mut guarded, limits, now_ms, TripCause::BusyShareMax))
    }

    /// Closes or opens again by the call that was tried.
    fn settle_probe(&self, limits: &BreakerLimits, now_ms: u64, end: CallEnd) -> Option<TripCause> {
        let mut guarded = self.guarded.lock();
        if !guarded.probing {
            return None;
        }
        guarded.probing = false;
        if end == CallEnd::Finished {
            guarded.until_ms = now_ms;
            self.open.store(false, Ordering::Relaxed);
            return None;
        }
        let cause = guarded.cause;
        Some(self.trip(&mut guarded, limits, now_ms, cause))
    }

    fn trip(
        &self,
        guarded: &mut Guarded,
        limits: &BreakerLimits,
        now_ms: u64,
        cause: TripCause,
    ) -> TripCause {
        let rested = now_ms.saturating_sub(guarded.until_ms) >= limits.cool_down_max_ms;
        guarded.streak = if rested { 0 } else { guarded.streak };
        let cool_down = limits.cool_down_ms.saturating_mul(1 << guarded.streak.min(32));
        guarded.until_ms = now_ms.saturating_add(cool_down.min(limits.cool_down_max_ms));
        guarded.streak = guarded.streak.saturating_add(1);
        guarded.cause = cause;
        guarded.window_busy_ms = 0;
        self.failures.store(0, Ordering::Relaxed);
        self.deadlines.store(0, Ordering::Relaxed);
        self.trips.fetch_add(1, Ordering::Relaxed);
        self.open.store(true, Ordering::Relaxed);
        cause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> BreakerLimits {
        BreakerLimits { failures_max: 5, ..BreakerLimits::default() }
    }

    fn opened(now_ms: u64) -> Breaker {
        let breaker = Breaker::default();
        for _ in 0..2 {
            assert_eq!(breaker.failed(&limits(), now_ms, CallEnd::Deadline), None);
        }
        let cause = breaker.failed(&limits(), now_ms, CallEnd::Deadline);
        assert_eq!(cause, Some(TripCause::DeadlinesMax));
        breaker
    }

    #[test]
    fn deadlines_in_a_row_open_it_and_a_good_call_between_them_does_not() {
        let breaker = Breaker::default();
        for _ in 0..10 {
            assert_eq!(breaker.failed(&limits(), 1, CallEnd::Deadline), None);
            assert_eq!(breaker.failed(&limits(), 1, CallEnd::Deadline), None);
            breaker.finished(&limits(), 1);
        }
        assert!(breaker.is_closed());
        assert!(!opened(1).is_closed());
    }

    #[test]
    fn cheap_failures_open_it_later() {
        let breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.failed(&limits(), 1, CallEnd::Failed), None);
        }
        let cause = breaker.failed(&limits(), 1, CallEnd::Failed);
        assert_eq!(cause, Some(TripCause::FailuresMax));
    }

    #[test]
    fn after_the_cool_down_exactly_one_call_is_tried_and_closes_it() {
        let breaker = opened(100);
        assert_eq!(breaker.admits(1_099), Err((TripCause::DeadlinesMax, 1)));
        assert_eq!(breaker.admits(1_100), Ok(()));
        assert_eq!(breaker.state(1_100), BreakerState::HalfOpen);
        assert!(breaker.admits(1_100).is_err(), "one is enough");
        breaker.finished(&limits(), 1_101);
        assert_eq!(breaker.state(1_101), BreakerState::Closed);
    }

    #[test]
    fn each_opening_in_a_row_lasts_twice_as_long_up_to_the_most() {
        let breaker = opened(0);
        let mut now = 0;
        for expected in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            let BreakerState::Open { wait_ms, .. } = breaker.state(now) else { panic!() };
            assert_eq!(wait_ms, expected);
            now += wait_ms;
            breaker.admits(now).unwrap();
            assert!(breaker.failed(&limits(), now, CallEnd::Deadline).is_some());
        }
        assert_eq!(breaker.trips(), 9);
        now += 60_000;
        breaker.admits(now).unwrap();
        breaker.finished(&limits(), now);
        now += 60_000;
        for _ in 0..3 {
            breaker.failed(&limits(), now, CallEnd::Deadline);
        }
        let BreakerState::Open { wait_ms, .. } = breaker.state(now) else { panic!() };
        assert_eq!(wait_ms, 1_000, "a good while begins anew");
    }

    #[test]
    fn a_probe_that_was_withdrawn_leaves_the_next_one_to_try() {
        let breaker = opened(0);
        breaker.admits(1_000).unwrap();
        breaker.withdraw_probe();
        assert_eq!(breaker.admits(1_000), Ok(()));
    }

    #[test]
    fn slow_calls_over_their_share_open_it_and_many_fast_ones_do_not() {
        let breaker = Breaker::default();
        for step in 0..100 {
            // 9 ms of every 10, in 900 calls of 10 us
            assert_eq!(breaker.spent(&limits(), step * 10, 9, step * 900), None);
        }
        let breaker = Breaker::default();
        let opened = (0..100).find_map(|step| breaker.spent(&limits(), step * 10, 9, step * 3));
        assert_eq!(opened, Some(TripCause::BusyShareMax));
    }
}
