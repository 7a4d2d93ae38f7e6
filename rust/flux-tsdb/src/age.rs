//! How old the store is, by clocks that may jump.
//!
//! Owns the sum that ages of blocks are differences of. Must never let a wall clock that jumped
//! make anything older than it is.

use std::time::Duration;

use flux_log::Stamp;

/// A clock that shows how long the store has existed, as far as time could be trusted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoreClock {
    base_ns: u64,
    at: Stamp,
    downtime_max: Duration,
}

impl StoreClock {
    /// Goes on from what it showed at `at`.
    pub(crate) fn resume(base_ns: u64, at: Stamp, downtime_max: Duration) -> Self {
        Self { base_ns, at, downtime_max }
    }

    /// What it shows: monotonic within a boot; between boots by the wall clock, if that went
    /// forward by no more than `downtime_max`.
    pub(crate) fn age_ns(&self, now: Stamp) -> u64 {
        let passed = if self.at.boot_id == now.boot_id {
            u128::from(now.mono_ns.saturating_sub(self.at.mono_ns))
        } else {
            let gap = i128::from(now.wall_ns) - i128::from(self.at.wall_ns);
            let counted = u128::try_from(gap).ok();
            counted.filter(|gap| *gap <= self.downtime_max.as_nanos()).unwrap_or(0)
        };
        self.base_ns.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3600 * 1_000_000_000;

    fn stamp(boot_id: u128, wall_hours: i64, mono_hours: u64) -> Stamp {
        let wall_ns = wall_hours * HOUR.cast_signed();
        Stamp { boot_id, wall_ns, mono_ns: mono_hours * HOUR }
    }

    #[test]
    fn wall_clock_counts_only_between_boots_and_only_so_far() {
        let clock =
            StoreClock::resume(10 * HOUR, stamp(1, 1000, 5), Duration::from_secs(24 * 3600));
        for (now, age) in [
            (stamp(1, 90_000, 7), 12), // the wall clock jumped while the machine ran
            (stamp(2, 1003, 0), 13),
            (stamp(2, 1025, 0), 10), // longer off than it may be: or the clock jumped
            (stamp(2, 900, 0), 10),  // back in time
        ] {
            assert_eq!(clock.age_ns(now), age * HOUR);
        }
    }
}
