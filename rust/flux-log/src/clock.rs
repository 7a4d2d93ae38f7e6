//! The clocks the log itself reads, to know how old a segment is.
//!
//! Owns stamps of boot, wall and monotonic time. Must never be used for the receive times inside
//! records: those belong to whoever received.

use std::time::{SystemTime, UNIX_EPOCH};

/// One reading of all clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Which boot of the machine the monotonic reading belongs to.
    pub boot_id: u128,
    /// Nanoseconds since 1970-01-01T00:00:00Z by the wall clock.
    pub wall_ns: i64,
    /// Nanoseconds since the machine booted, time asleep included.
    pub mono_ns: u64,
}

/// Where the log reads the time.
pub trait LogClock: Send + Sync + 'static {
    /// All clocks, now.
    fn now(&self) -> Stamp;
}

/// The machine's clocks: `CLOCK_REALTIME`, `CLOCK_BOOTTIME` and the kernel's boot id.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    boot_id: u128,
}

impl SystemClock {
    /// Reads the boot id once. Where the system has none, each call counts as a boot of its own:
    /// ages then rest on the wall clock's checks alone.
    #[must_use]
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok())
            .unwrap_or_else(|| u128::from(crate::disk::random_u64()) << 64 | 1);
        Self { boot_id }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl LogClock for SystemClock {
    fn now(&self) -> Stamp {
        Stamp { boot_id: self.boot_id, wall_ns: wall_ns(), mono_ns: boottime_ns() }
    }
}

fn wall_ns() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |ns| -ns),
    }
}

#[cfg(target_os = "linux")]
fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(not(target_os = "linux"))]
fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// A clock that moves when it is told to. For tests.
#[cfg(feature = "sim")]
#[derive(Debug)]
pub struct ManualClock {
    now: parking_lot::Mutex<Stamp>,
}

#[cfg(feature = "sim")]
impl ManualClock {
    /// A clock that shows `start`.
    #[must_use]
    pub fn new(start: Stamp) -> Self {
        Self { now: parking_lot::Mutex::new(start) }
    }

    /// Moves wall and monotonic time on together.
    pub fn advance(&self, by: std::time::Duration) {
        let mut now = self.now.lock();
        let ns = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        now.mono_ns = now.mono_ns.saturating_add(ns);
        now.wall_ns = now.wall_ns.saturating_add(i64::try_from(ns).unwrap_or(i64::MAX));
    }

    /// Sets the wall clock alone: a clock jump.
    pub fn set_wall_ns(&self, wall_ns: i64) {
        self.now.lock().wall_ns = wall_ns;
    }

    /// Starts another boot: monotonic time begins again.
    pub fn reboot(&self) {
        let mut now = self.now.lock();
        now.boot_id = now.boot_id.wrapping_add(1);
        now.mono_ns = 1_000_000_000;
    }
}

#[cfg(feature = "sim")]
impl LogClock for ManualClock {
    fn now(&self) -> Stamp {
        *self.now.lock()
    }
}
