//! How fast records are appended and committed on this machine's disk.
//!
//! ```text
//! cargo run --release -p flux-log --example append_rate -- [dir] [seconds] [body_bytes] [batch] [window] [appenders]
//! ```
//! Each appender appends batches of `batch` records and keeps at most `window` of its records
//! uncommitted. Commit latency is measured from before appending a batch to when its commit is
//! heard of on the commit thread. Beside it, in the same run, what the disk does at best: one thread
//! that writes `window` records' bytes into a prepared file and syncs, again and again.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flux_log::disk::{Disk, RealDisk};
use flux_log::{Append, Log, LogError, LogOptions};
use flux_types::{Position, TenantId};
use parking_lot::Mutex;

struct Settings {
    dir: PathBuf,
    seconds: u64,
    body_bytes: usize,
    batch: usize,
    window: u64,
    appenders: usize,
}

fn settings() -> Settings {
    let mut args = std::env::args().skip(1);
    let dir = args.next().map_or_else(|| std::env::temp_dir().join("flux-log-rate"), PathBuf::from);
    let mut number = |default: u64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    Settings {
        dir,
        seconds: number(5),
        body_bytes: number(128) as usize,
        batch: number(64) as usize,
        window: number(256),
        appenders: number(1) as usize,
    }
}

/// Batches waiting for their commit: last position and when they were begun.
type Waiting = Mutex<VecDeque<(Position, Instant)>>;

#[derive(Default)]
struct Results {
    latencies_us: Mutex<Vec<u32>>,
    append_ns: AtomicU64,
    appended: AtomicU64,
    busy: AtomicU64,
}

fn appender(
    log: &Log,
    settings: &Settings,
    waiting: &Waiting,
    results: &Results,
    end: &AtomicBool,
) {
    let body = vec![0x5A; settings.body_bytes];
    let batch = vec![Append::new(1, TenantId(1), &body); settings.batch];
    let mut outstanding: VecDeque<Position> = VecDeque::new();
    let limit = (settings.window / settings.batch as u64).max(1) as usize;
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match log.append_batch(&batch) {
            Ok(appended) => {
                let took = begun.elapsed().as_nanos() as u64;
                results.append_ns.fetch_add(took, Ordering::Relaxed);
                results.appended.fetch_add(batch.len() as u64, Ordering::Relaxed);
                waiting.lock().push_back((appended.last, begun));
                outstanding.push_back(appended.last);
            }
            Err(LogError::Busy { .. }) => {
                results.busy.fetch_add(1, Ordering::Relaxed);
                log.wait_room(Duration::from_secs(1));
            }
            Err(other) => {
                eprintln!("{other}");
                return;
            }
        }
        while outstanding.len() >= limit {
            if let Some(oldest) = outstanding.front()
                && !matches!(log.wait_committed(*oldest, Duration::from_secs(5)), Ok(true))
            {
                eprintln!("no commit within 5 s");
                return;
            }
            let committed = log.committed();
            while outstanding.front().is_some_and(|p| *p <= committed) {
                outstanding.pop_front();
            }
        }
    }
}

fn main() -> Result<(), LogError> {
    let settings = Arc::new(settings());
    let log = Log::open(LogOptions::new(&settings.dir))?;
    let results = Arc::new(Results::default());
    let end = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let threads: Vec<_> = (0..settings.appenders)
        .map(|_| {
            let waiting = Arc::new(Waiting::default());
            let (waits, hears) = (Arc::clone(&waiting), Arc::clone(&results));
            log.on_commit(move |committed| {
                let mut waiting = waits.lock();
                let mut latencies = hears.latencies_us.lock();
                while waiting.front().is_some_and(|(position, _)| *position <= committed) {
                    if let Some((_, begun)) = waiting.pop_front() {
                        latencies.push(begun.elapsed().as_micros() as u32);
                    }
                }
            })
            .keep();
            let (log, settings) = (log.clone(), Arc::clone(&settings));
            let (results, end) = (Arc::clone(&results), Arc::clone(&end));
            std::thread::spawn(move || appender(&log, &settings, &waiting, &results, &end))
        })
        .collect();
    std::thread::sleep(Duration::from_secs(settings.seconds));
    end.store(true, Ordering::Relaxed);
    for thread in threads {
        drop(thread.join());
    }
    let took = begun.elapsed();
    log.close()?;
    report(&settings, &log, &results, took);
    let raw = raw_rate(&settings);
    if let Err(error) = raw {
        eprintln!("the raw run failed: {error}");
    }
    Ok(())
}

/// Writes and syncs without a log: the bound the disk sets for one commit after the other.
fn raw_rate(settings: &Settings) -> std::io::Result<()> {
    const FILE_BYTES: u64 = 32 << 20;
    let path = settings.dir.join("raw.bin");
    let file = RealDisk.create(&path)?;
    file.allocate(FILE_BYTES)?;
    for mebibyte in 0..FILE_BYTES >> 20 {
        file.write_at(mebibyte << 20, &vec![0; 1 << 20])?;
    }
    file.sync_all()?;
    let records = settings.window * settings.appenders as u64;
    let bytes = (records as usize * (settings.body_bytes + 28)).next_multiple_of(4096);
    let block = vec![0x5A; bytes];
    let (mut at, mut latencies) = (0, Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(settings.seconds) {
        if at + bytes as u64 > FILE_BYTES {
            at = 0;
        }
        let one = Instant::now();
        file.write_at(at, &block)?;
        file.sync_data()?;
        latencies.push(one.elapsed().as_micros() as u32);
        at += bytes as u64;
    }
    let took = begun.elapsed();
    latencies.sort_unstable();
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize];
    println!(
        "  raw write and fdatasync of {records}: {:.0} records/s, p50 {} µs, p99 {} µs",
        (latencies.len() as u64 * records) as f64 / took.as_secs_f64(),
        at(0.5),
        at(0.99)
    );
    RealDisk.remove(&path)
}

fn report(settings: &Settings, log: &Log, results: &Results, took: Duration) {
    let appended = results.appended.load(Ordering::Relaxed);
    let mut latencies = std::mem::take(&mut *results.latencies_us.lock());
    latencies.sort_unstable();
    let at = |share: f64| {
        let index = (latencies.len() as f64 * share) as usize;
        latencies.get(index.min(latencies.len().saturating_sub(1))).copied().unwrap_or(0)
    };
    let stats = log.stats();
    println!(
        "{} B, batches of {}, window {}, {} appender(s): {:.0} records/s",
        settings.body_bytes,
        settings.batch,
        settings.window,
        settings.appenders,
        appended as f64 / took.as_secs_f64()
    );
    println!(
        "  commit latency p50 {} µs, p90 {} µs, p99 {} µs, p99.9 {} µs, max {} µs",
        at(0.5),
        at(0.9),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    println!(
        "  append {} ns a record; {:.0} records a commit, {:.0} commits/s, sync {} µs mean, \
         {:.0} MB/s, {} rollovers, {} busy",
        results.append_ns.load(Ordering::Relaxed) / appended.max(1),
        stats.records as f64 / stats.commits.max(1) as f64,
        stats.commits as f64 / took.as_secs_f64(),
        stats.sync_us / stats.syncs.max(1),
        stats.written_bytes as f64 / took.as_secs_f64() / 1e6,
        stats.rollovers,
        results.busy.load(Ordering::Relaxed)
    );
}
