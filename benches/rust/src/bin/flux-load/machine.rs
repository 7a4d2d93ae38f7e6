//! What the operating system tells: time, and CPU and memory of a process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::failure::Failure;

/// `USER_HZ` of every Linux we run on: what `/proc/<pid>/stat` counts CPU time in.
const TICKS_PER_SECOND: u64 = 100;

/// Monotonic nanoseconds, the same clock in every process of this machine.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    // seconds since boot and nanoseconds below a second: neither is negative
    (now.tv_sec as u64) * 1_000_000_000 + now.tv_nsec as u64
}

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Time on a processor, user and kernel, since the process began.
    pub(crate) cpu: Duration,
    /// Resident memory, bytes.
    pub(crate) rss_bytes: u64,
}

/// Reads `/proc/<pid>`; the process itself where `pid` is left out.
pub(crate) fn usage(pid: Option<u32>) -> Result<Usage, Failure> {
    let dir = pid.map_or_else(|| "/proc/self".to_owned(), |pid| format!("/proc/{pid}"));
    let gone = || Failure::NoProcess(pid.unwrap_or_else(std::process::id));
    let stat = std::fs::read_to_string(format!("{dir}/stat")).map_err(|_| gone())?;
    let status = std::fs::read_to_string(format!("{dir}/status")).map_err(|_| gone())?;
    let cpu = cpu(&stat).ok_or_else(gone)?;
    Ok(Usage { cpu, rss_bytes: rss_bytes(&status).ok_or_else(gone)? })
}

/// Fields 14 and 15 of stat, counted behind the name, which may hold blanks.
fn cpu(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(')')?;
    let field = |n: usize| fields.split_ascii_whitespace().nth(n)?.parse::<u64>().ok();
    let ticks = field(11)? + field(12)?;
    Some(Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND))
}

fn rss_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_ascii_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}

/// Lets this process have as many open files as the system allows it.
pub(crate) fn allow_open_files() -> Result<(), Failure> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).map_err(|error| Failure::System {
        what: "raise the limit of open files",
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_brackets_hides_nothing() {
        let stat = "12 (a) b (c)) S 1 12 12 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 1 0 100";
        assert_eq!(cpu(stat), Some(Duration::from_secs(3)));
    }

    #[test]
    fn this_process_has_memory_and_no_process_has_none() {
        assert!(usage(None).unwrap().rss_bytes > 100_000);
        assert!(matches!(usage(Some(u32::MAX)), Err(Failure::NoProcess(_))));
    }
}
