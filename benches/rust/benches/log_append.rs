//! Appending to the log and waiting for the disk: 128 B records in groups of 256.
//!
//! `FLUX_BENCH_DIR` names a directory on the disk that is to be measured.

mod fixture;

use std::time::Duration;

use criterion::{Criterion, Throughput};
use fixture::Outcome;
use flux_log::{Append, Durability, Log, LogOptions};
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
        let mut failed = None;
        group.bench_function(format!("256 records, until {name}"), |bencher| {
            bencher.iter(|| {
                let committed = log
                    .append_batch(&records)
                    .and_then(|appended| log.wait_committed(appended.last, WAIT));
                if let Err(error) = committed {
                    failed.get_or_insert(error);
                }
            });
        });
        log.close()?;
        if let Some(error) = failed {
            return Err(error.into());
        }
    }
    group.finish();
    Ok(())
}

fn main() {
    fixture::run(&[appending]);
}
