//! The two clocks every record carries: wall time for people, monotonic time for durations.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// When a message reached us.
///
/// The wall clock may jump; the monotonic one never does but means nothing after a reboot. Both
/// are kept so that ages can be told apart from clock corrections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Received {
    /// Nanoseconds since 1970-01-01T00:00:00Z by the wall clock.
    pub wall_ns: i64,
    /// Nanoseconds since this process took its first reading.
    pub mono_ns: u64,
}

/// Wall-clock time between messages that were read at once, ns: less than it takes to take one in, so
/// that the clock is not outrun, and room for the samples of one message.
const STEP_NS: i64 = 256;

impl Received {
    /// When the message at that place was received, of those that one look at the clock is for.
    ///
    /// No two are the same: what a device says without a time of its own is kept under this one, and
    /// history keeps one value of a series at a time.
    #[must_use]
    pub fn nth(self, place: usize) -> Self {
        let steps = i64::try_from(place).unwrap_or(i64::MAX);
        let wall_ns = self.wall_ns.saturating_add(steps.saturating_mul(STEP_NS));
        Self { wall_ns, ..self }
    }
}

/// Reads both clocks, counting monotonic time from the moment it was made.
#[derive(Debug, Clone, Copy)]
pub struct Instants {
    origin: Instant,
}

impl Instants {
    /// A clock whose monotonic zero is now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Both clocks, read one after the other.
    #[must_use]
    pub fn now(&self) -> Received {
        Received { wall_ns: wall_ns(), mono_ns: saturating_ns(self.origin.elapsed()) }
    }
}

fn wall_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

fn saturating_ns(elapsed: std::time::Duration) -> u64 {
    u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_does_not_go_back() {
        let clock = Instants::start();
        let first = clock.now();
        let second = clock.now();
        assert!(second.mono_ns >= first.mono_ns);
        assert!(first.wall_ns > 1_600_000_000_000_000_000, "wall time is since 1970, in ns");
    }
}
