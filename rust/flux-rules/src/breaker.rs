//! The breaker of one rule: stops a rule that keeps running away before it starves its neighbours.
//!
//! Owns counts and a state. Must never read a clock: time comes in as an argument, in nanoseconds
//! of any monotonic clock.

/// When a breaker opens and for how long.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerLimits {
    /// Evaluations in a row stopped at a limit that open it. Such evaluations are dear.
    pub limit_hits_max: u32,
    /// Evaluations in a row that failed for any reason that open it. Failing is cheap and may be
    /// one device's fault, so this is larger.
    pub failures_max: u32,
    /// Share of one core over a window that opens it, 0 to 1.
    pub busy_share_max: f64,
    /// Length of that window, in milliseconds.
    pub window_ms: u64,
    /// How long it stays open before one evaluation is tried, in milliseconds.
    pub cool_down_ms: u64,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self {
            limit_hits_max: 3,
            failures_max: 1_000,
            busy_share_max: 0.5,
            window_ms: 1_000,
            cool_down_ms: 30_000,
        }
    }
}

/// What came of one evaluation, as far as a breaker cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Finished,
    /// It failed, but cheaply.
    Failed,
    /// A limit stopped it.
    LimitHit,
}

/// Why a breaker opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TripCause {
    /// `limit_hits_max`
    LimitHits,
    /// `failures_max`
    Failures,
    /// `busy_share_max`
    BusyShare,
}

impl TripCause {
    /// The name of the limit that was reached.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LimitHits => "limit_hits_max",
            Self::Failures => "failures_max",
            Self::BusyShare => "busy_share_max",
        }
    }
}

/// Whether a rule may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// It runs.
    Closed,
    /// It is tripped: it does not run before `until_ns`.
    Open {
        /// Monotonic time at which one evaluation is tried.
        until_ns: u64,
        /// Why.
        cause: TripCause,
    },
    /// The next evaluation decides: well closes it, badly opens it again.
    HalfOpen,
}

/// Counts failures and time of one rule and decides whether it may run.
#[derive(Debug, Clone)]
pub struct Breaker {
    state: BreakerState,
    limit_hits: u32,
    failures: u32,
    window_from_ns: u64,
    window_busy_ns: u64,
    trips: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: BreakerState::Closed,
            limit_hits: 0,
            failures: 0,
            window_from_ns: 0,
            window_busy_ns: 0,
            trips: 0,
        }
    }
}

impl Breaker {
    /// Its state.
    #[must_use]
    pub fn state(&self) -> BreakerState {
        self.state
    }

    /// How often it has opened.
    #[must_use]
    pub fn trips(&self) -> u64 {
        self.trips
    }

    /// Whether the rule may run now. After the cool-down this lets evaluations try.
    pub fn admits(&mut self, now_ns: u64) -> bool {
        match self.state {
            BreakerState::Open { until_ns, .. } if now_ns < until_ns => false,
            BreakerState::Open { .. } => {
                self.state = BreakerState::HalfOpen;
                true
            }
            BreakerState::Closed | BreakerState::HalfOpen => true,
        }
    }

    /// Takes in what came of an evaluation. Says why, where this opened the breaker.
    pub fn record(
        &mut self,
        limits: &BreakerLimits,
        now_ns: u64,
        outcome: Outcome,
        busy_ns: u64,
    ) -> Option<TripCause> {
        let probing = self.state == BreakerState::HalfOpen;
        match outcome {
            Outcome::Finished => {
                self.limit_hits = 0;
                self.failures = 0;
            }
            Outcome::Failed => {
                self.limit_hits = 0;
                self.failures = self.failures.saturating_add(1);
            }
            Outcome::LimitHit => {
                self.limit_hits = self.limit_hits.saturating_add(1);
                self.failures = self.failures.saturating_add(1);
            }
        }
        let over_share = self.spend(limits, now_ns, busy_ns);
        let cause = if self.limit_hits >= limits.limit_hits_max
            || (probing && outcome == Outcome::LimitHit)
        {
            Some(TripCause::LimitHits)
        } else if self.failures >= limits.failures_max {
            Some(TripCause::Failures)
        } else if over_share {
            Some(TripCause::BusyShare)
        } else {
            None
        };
        match cause {
            Some(cause) => self.open(limits, now_ns, cause),
            None if probing => self.state = BreakerState::Closed,
            None => {}
        }
        cause
    }

    /// Adds time to the window; says whether the window's share is used up.
    fn spend(&mut self, limits: &BreakerLimits, now_ns: u64, busy_ns: u64) -> bool {
        let window_ns = limits.window_ms.saturating_mul(1_000_000);
        if now_ns.saturating_sub(self.window_from_ns) >= window_ns {
            self.window_from_ns = now_ns;
            self.window_busy_ns = 0;
        }
        self.window_busy_ns = self.window_busy_ns.saturating_add(busy_ns);
        #[allow(clippy::cast_precision_loss)] // windows are far below 2^53 ns
        let (busy, window) = (self.window_busy_ns as f64, window_ns as f64);
        busy > window * limits.busy_share_max
    }

    fn open(&mut self, limits: &BreakerLimits, now_ns: u64, cause: TripCause) {
        let cool_down_ns = limits.cool_down_ms.saturating_mul(1_000_000);
        self.state = BreakerState::Open { until_ns: now_ns.saturating_add(cool_down_ns), cause };
        self.trips += 1;
        self.limit_hits = 0;
        self.failures = 0;
        self.window_from_ns = now_ns;
        self.window_busy_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn limits() -> BreakerLimits {
        BreakerLimits { limit_hits_max: 3, failures_max: 5, ..BreakerLimits::default() }
    }

    fn open_by_limit_hits(breaker: &mut Breaker, now_ns: u64) {
        for _ in 0..3 {
            breaker.record(&limits(), now_ns, Outcome::LimitHit, 0);
        }
        assert!(!breaker.admits(now_ns));
    }

    #[test]
    fn limit_hits_in_a_row_open_it() {
        let mut breaker = Breaker::default();
        assert_eq!(breaker.record(&limits(), 1, Outcome::LimitHit, 0), None);
        assert_eq!(breaker.record(&limits(), 2, Outcome::LimitHit, 0), None);
        assert_eq!(breaker.record(&limits(), 3, Outcome::Finished, 0), None);
        assert_eq!(breaker.record(&limits(), 4, Outcome::LimitHit, 0), None);
        assert_eq!(breaker.record(&limits(), 5, Outcome::LimitHit, 0), None);
        assert!(breaker.admits(5));
        let cause = breaker.record(&limits(), 6, Outcome::LimitHit, 0);
        assert_eq!(cause, Some(TripCause::LimitHits));
        assert!(!breaker.admits(7));
        assert_eq!(breaker.trips(), 1);
    }

    #[test]
    fn cheap_failures_open_it_later() {
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            assert_eq!(breaker.record(&limits(), 1, Outcome::Failed, 0), None);
        }
        assert_eq!(breaker.record(&limits(), 1, Outcome::Failed, 0), Some(TripCause::Failures));
    }

    #[test]
    fn after_the_cool_down_one_good_evaluation_closes_it() {
        let mut breaker = Breaker::default();
        open_by_limit_hits(&mut breaker, 100);
        let end = 100 + limits().cool_down_ms * MS;
        assert!(!breaker.admits(end - 1));
        assert!(breaker.admits(end));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.record(&limits(), end, Outcome::Finished, 0), None);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn after_the_cool_down_one_limit_hit_opens_it_again() {
        let mut breaker = Breaker::default();
        open_by_limit_hits(&mut breaker, 100);
        let end = 100 + limits().cool_down_ms * MS;
        assert!(breaker.admits(end));
        let cause = breaker.record(&limits(), end, Outcome::LimitHit, 0);
        assert_eq!(cause, Some(TripCause::LimitHits));
        assert!(!breaker.admits(end + 1));
        assert_eq!(breaker.trips(), 2);
    }

    #[test]
    fn more_than_its_share_of_a_core_opens_it() {
        let mut breaker = Breaker::default();
        for step in 0..50_u64 {
            // 5 ms of every 10 ms: exactly half of the window so far
            let cause = breaker.record(&limits(), step * 10 * MS, Outcome::Finished, 5 * MS);
            assert_eq!(cause, None, "step {step}");
        }
        for step in 50..100_u64 {
            let cause = breaker.record(&limits(), step * 10 * MS, Outcome::Finished, 5 * MS);
            assert_eq!(cause, None, "step {step}");
        }
        let mut breaker = Breaker::default();
        let causes: Vec<_> = (0..100_u64)
            .filter_map(|step| breaker.record(&limits(), step * 7 * MS, Outcome::Finished, 6 * MS))
            .collect();
        assert_eq!(causes, [TripCause::BusyShare]);
    }
}
