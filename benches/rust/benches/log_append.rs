//! Appending to the log and waiting for the disk: 128 B records in groups of 256.
//!
//! `FLUX_BENCH_DIR` names a directory on the disk that is to be measured.

mod fixture;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use fixture::Outcome;
use flux_log::{Append, Durability, Log, LogError, LogOptions};
use flux_types::TenantId;

const GROUP: usize = 256;
/// With the record's header of 28 bytes: 128.
const BODY: [u8; 100] = [b'x'; 100];
const WAIT: Duration = Duration::from_secs(10);

fn directory() -> std::io::Result<tempfile::TempDir> {
    match std::env::var_os("FLUX_BENCH_DIR") {
        Some(parent) => tempfile::tempdir_in(parent),
        None => tempfile::tempdir(),
    }
}

/// Appends and waits; a log that is busy preparing its next file is waited for as well.
fn append(log: &Log, records: &[Append<'_>]) -> Result<(), LogError> {
    loop {
        match log.append_batch(records) {
            Ok(appended) => return log.wait_committed(appended.last, WAIT).map(drop),
            Err(LogError::Busy { .. }) => {
                log.wait_room(WAIT);
            }
            Err(error) => return Err(error),
        }
    }
}

fn appending(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("log_append");
    group.throughput(Throughput::Elements(GROUP as u64));
    let records = [Append::new(1, TenantId::DEFAULT, &BODY); GROUP];
    for (name, durability) in
        [("on disk", Durability::Sync), ("given to the system", Durability::None)]
    {
        let directory = directory()?;
        let mut options = LogOptions::new(directory.path().join("log"));
        options.durability = durability;
        options.retention.bytes_max = 256 << 20;
        let log = Log::open(options)?;
        group.bench_function(format!("256 records, until {name}"), |bencher| {
            bencher.iter(|| {
                // the time of an append that failed would be a lie
                if let Err(error) = append(&log, &records) {
                    panic!("the log refused: {error}");
                }
            });
        });
        log.close()?;
    }
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[appending]);
}
