//! Opening: what is on the disk becomes a log again.
//!
//! Owns the order of checks and of repairs. Must never change a file before it is certain that the
//! log will open, nor let an epoch be used twice.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use flux_types::Position;
use parking_lot::{Condvar, Mutex, RwLock};

use crate::active::Active;
use crate::clock::Stamp;
use crate::commit::{Committer, install, segment_header};
use crate::disk::{DirLock, Disk, LockFailure};
use crate::error::{Damage, DamageCause, DamageReport, LogError};
use crate::format::{SegmentKey, align_up};
use crate::hot::Hot;
use crate::inspect::{Chores, End, Known, Listing, chain, check_records, read_headers, sort};
use crate::listen::Listeners;
use crate::options::LogOptions;
use crate::segment::{Segment, SegmentList};
use crate::shared::{Shared, Spare};
use crate::snapshot::{SnapshotStore, check_name};
use crate::stats::Counters;
use crate::upkeep;
use crate::view::{View, ViewClass, ViewState};

/// The unit in which the operating system writes back, bytes.
const PAGE_BYTES: u64 = 4096;

/// What opening found and did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct OpenReport {
    /// The epoch of positions handed out from now on.
    pub epoch: u32,
    /// The last record found; START in a log without records.
    pub end: Position,
    /// The oldest record still there, if there is any.
    pub oldest: Option<Position>,
    /// A torn tail was cut off: written, never acknowledged. No fault.
    pub torn_tail: bool,
    /// Whole frames dropped with it.
    pub torn_frames: u64,
    /// Damaged acknowledged records; empty unless opened with `repair`.
    pub damage: DamageReport,
    /// Files set aside by `repair`, under their new names.
    pub set_aside: Vec<PathBuf>,
    /// Names in the directory that are not ours and were left alone.
    pub unknown_files: Vec<String>,
}

pub(crate) struct Opened {
    pub(crate) shared: Arc<Shared>,
    pub(crate) committer: Committer,
    pub(crate) report: OpenReport,
    pub(crate) lock: DirLock,
}

pub(crate) fn open(options: LogOptions) -> Result<Opened, LogError> {
    options.check()?;
    for view in &options.views {
        check_name(&view.name)?;
    }
    let disk = Arc::clone(&options.disk);
    let dir = options.dir.clone();
    disk.create_dir(&dir).map_err(LogError::io("create", &dir))?;
    let lock = take_lock(&*disk, &dir)?;
    // What is seen now will be built on: after the end of the process alone, names may be in memory
    // only, and a segment renamed for another use could have its old name back after a power cut.
    disk.sync_dir(&dir).map_err(LogError::io("sync", &dir))?;
    let entries = disk.list(&dir).map_err(LogError::io("list", &dir))?;
    let listing = sort(&dir, &entries);
    let snapshots =
        SnapshotStore::open(Arc::clone(&disk), &dir, options.snapshot_bytes_max, &entries)?;

    let mut report = OpenReport { unknown_files: listing.unknown.clone(), ..Default::default() };
    let mut chores = Chores::default();
    let mut known = read_headers(&options, &listing, &mut report, &mut chores)?;
    chain(&dir, &mut known, &mut report, &mut chores);
    let end = check_records(&options, &mut known, &snapshots, &mut report)?;
    if let Some((furthest, path)) = snapshots.furthest().filter(|(p, _)| *p > end.position) {
        let from = Position { epoch: end.position.epoch, offset: end.position.offset + 1 };
        let cause = DamageCause::EndsBeforeSnapshot;
        report.damage.push(Damage { from, to: furthest, cause, path });
    }
    report.damage.ranges.sort_by_key(|d| d.from);
    if !report.damage.is_empty() && !options.repair {
        return Err(LogError::Damaged(Box::new(report.damage)));
    }
    for damage in &report.damage.ranges {
        tracing::error!(%damage, "acknowledged records are damaged; going on without them");
    }

    let names = listing.segments.iter().map(|((epoch, _), ..)| *epoch);
    let seen = names.chain(snapshots.furthest().map(|(p, _)| p.epoch));
    let epoch = seen.chain([listing.epochs_seen]).max().unwrap_or(0).checked_add(1);
    let epoch = epoch.ok_or_else(|| LogError::Options {
        name: "dir",
        problem: "the log has been opened 2^32 times, no epoch is left".to_owned(),
    })?;
    let found = Found { listing, snapshots, known, end, report, chores };
    begin(options, lock, found, epoch)
}

/// What was found, once it is certain that the log opens.
struct Found {
    listing: Listing,
    snapshots: SnapshotStore,
    known: Vec<Known>,
    end: End,
    report: OpenReport,
    chores: Chores,
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<DirLock, LogError> {
    let path = dir.join("LOCK");
    disk.lock(&path).map_err(|failure| match failure {
        LockFailure::Held(pid) => LogError::Locked { path: path.clone(), pid },
        LockFailure::Io(source) => LogError::Io { operation: "lock", path: path.clone(), source },
    })
}

/// Begins a new epoch after what was found.
fn begin(options: LogOptions, lock: DirLock, found: Found, epoch: u32) -> Result<Opened, LogError> {
    let Found { listing, snapshots, mut known, end, mut report, mut chores } = found;
    let disk = Arc::clone(&options.disk);
    for path in &listing.temporary {
        disk.remove(path).map_err(LogError::io("remove", path))?;
    }
    set_aside(&*disk, &chores.set_aside, &mut report)?;
    let log_id = known.last().map_or_else(
        || u128::from(disk.entropy()) << 64 | u128::from(disk.entropy()),
        |segment| segment.header.log_id,
    );
    let mut floor = known.first().map_or(end.position, |oldest| oldest.header.previous);
    settle_tail(&options, &mut known, &mut chores)?;
    let list = segment_list(known, end);
    if list.is_empty() {
        floor = end.position;
    }

    let now = options.clock.now();
    let base = end.position.offset.max(report_furthest(&report)) + 1;
    let shared = Arc::new(assemble(options, log_id, epoch, end.position, base, snapshots));
    report.epoch = epoch;
    report.end = end.position;
    report.oldest = list.iter().find(|s| s.last() >= s.first()).map(|s| s.first());
    *shared.segments.write() = SegmentList { list, floor };
    count(&shared.counters, &report);

    let spare = first_spare(&shared, &listing)?;
    let header = segment_header(&shared, base, now, end.position, end.segment, end.stamp);
    let (segment, file) = install(&shared, spare, header)?;
    shared.segments.write().list.push_back(Arc::clone(&segment));
    // Only now that the new epoch is durable may the file go that kept the old one from being used
    // again.
    for path in &chores.remove {
        disk.remove(path).map_err(LogError::io("remove", path))?;
    }
    let dir = shared.dir();
    if !chores.remove.is_empty() {
        disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
    }
    for path in chores.reuse {
        let number = shared.spare_number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let spare = dir.join(format!("spare-{epoch}-{number}.flog"));
        disk.rename(&path, &spare).map_err(LogError::io("rename", &path))?;
        disk.sync_dir(dir).map_err(LogError::io("sync", dir))?;
        shared.worn.lock().push(spare);
    }
    let committer = Committer::new(Arc::clone(&shared), segment, file, base - 1);
    Ok(Opened { shared, committer, report, lock })
}

/// New offsets begin above any that a damaged stretch or a snapshot mentions.
fn report_furthest(report: &OpenReport) -> u64 {
    let ends = report.damage.ranges.iter().map(|d| d.to.offset);
    ends.filter(|offset| *offset < u64::MAX).max().unwrap_or(0)
}

fn set_aside(disk: &dyn Disk, paths: &[PathBuf], report: &mut OpenReport) -> Result<(), LogError> {
    for path in paths {
        let mut name = path.clone().into_os_string();
        name.push(".damaged");
        let aside = PathBuf::from(name);
        disk.rename(path, &aside).map_err(LogError::io("rename", path))?;
        report.set_aside.push(aside);
    }
    Ok(())
}

/// Cuts off what was reserved and not used. Ends at a whole page: cutting within one would write a
/// page that holds acknowledged records.
fn settle_tail(
    options: &LogOptions,
    known: &mut Vec<Known>,
    chores: &mut Chores,
) -> Result<(), LogError> {
    let Some(segment) = known.last_mut() else { return Ok(()) };
    let Some(found) = &segment.scan else { return Ok(()) };
    let path = segment.path.clone();
    if found.is_empty(&segment.header) {
        if segment.bytes == options.segment_bytes && chores.reuse.is_empty() {
            chores.reuse.push(path);
        } else {
            chores.remove.push(path);
        }
        known.pop();
        return Ok(());
    }
    let used = align_up(found.used, PAGE_BYTES);
    if segment.bytes > used {
        let file = options.disk.open(&path, true).map_err(LogError::io("open", &path))?;
        file.set_len(used).map_err(LogError::io("truncate", &path))?;
        file.sync_all().map_err(LogError::io("sync", &path))?;
        segment.bytes = used;
    }
    Ok(())
}

fn segment_list(known: Vec<Known>, end: End) -> VecDeque<Arc<Segment>> {
    let mut list: VecDeque<Arc<Segment>> = VecDeque::with_capacity(known.len());
    let ended = |segment: &Segment, key: SegmentKey, last: Position, stamp: Stamp| {
        segment.set_end(stamp);
        if segment.header.key() == key {
            segment.extend(last.offset, segment.bytes);
        }
    };
    for Known { header, path, bytes, scan } in known {
        if let Some(before) = list.back() {
            ended(before, header.previous_segment, header.previous, header.previous_end);
        }
        let segment = Segment::new(header, path, bytes);
        if let Some(found) = scan {
            segment.extend(found.last, found.used.max(bytes));
            segment.set_end(found.end);
        }
        list.push_back(Arc::new(segment));
    }
    // An empty segment may have followed and is not in the list any more.
    if let Some(last) = list.back() {
        ended(last, end.segment, end.position, end.stamp);
    }
    list
}

fn count(counters: &Counters, report: &OpenReport) {
    Counters::add(&counters.torn_tails, u64::from(report.torn_tail));
    Counters::add(&counters.torn_frames, report.torn_frames);
    let damage = &report.damage;
    Counters::add(&counters.damaged_ranges, damage.ranges.len() as u64 + damage.more);
    for range in damage.ranges.iter().filter(|d| d.to.offset < u64::MAX) {
        let records = range.to.offset.saturating_sub(range.from.offset) + 1;
        Counters::add(&counters.damaged_records, records);
    }
}

/// A spare left by the last run, or a new one; superfluous ones go.
fn first_spare(shared: &Arc<Shared>, listing: &Listing) -> Result<Spare, LogError> {
    let disk = &shared.options.disk;
    let mut first = None;
    for (path, bytes) in &listing.spares {
        let whole = *bytes == shared.options.segment_bytes;
        let room = shared.spares.lock().len() < shared.options.spare_segments;
        if whole && (first.is_none() || room) {
            let file = disk.open(path, true).map_err(LogError::io("open", path))?;
            let spare = Spare { file, path: path.clone() };
            if first.is_none() {
                first = Some(spare);
            } else {
                upkeep::add_spare(shared, spare);
            }
        } else {
            disk.remove(path).map_err(LogError::io("remove", path))?;
        }
    }
    match first {
        Some(spare) => Ok(spare),
        None => upkeep::prepare(shared).map_err(|error| {
            if error.kind() == std::io::ErrorKind::StorageFull {
                return LogError::Full { cause: Arc::from(error.to_string()) };
            }
            LogError::io("prepare a segment in", shared.dir())(error)
        }),
    }
}

fn assemble(
    options: LogOptions,
    log_id: u128,
    epoch: u32,
    previous_end: Position,
    base: u64,
    snapshots: SnapshotStore,
) -> Shared {
    let views = views(&options, &snapshots);
    Shared {
        log_id,
        epoch,
        previous_end,
        active: Mutex::new(Active::new(base, options.segment_bytes, options.commit_align_bytes)),
        work: Condvar::new(),
        room: Condvar::new(),
        committed: AtomicU64::new(0),
        waiters: AtomicUsize::new(0),
        commit_lock: Mutex::new(()),
        commit_done: Condvar::new(),
        stopped: OnceLock::new(),
        on_commit: Listeners::default(),
        on_room: Listeners::default(),
        on_stop: Listeners::default(),
        on_view: Listeners::default(),
        segments: RwLock::default(),
        hot: Mutex::new(Hot::new(epoch, options.hot_bytes_max)),
        spares: Mutex::default(),
        worn: Mutex::default(),
        spare_number: AtomicU64::new(0),
        snapshots,
        views: Mutex::new(views),
        upkeep_wanted: Mutex::new(false),
        upkeep: Condvar::new(),
        closing: AtomicBool::new(false),
        counters: Counters::default(),
        options,
    }
}

/// The views registered at opening, and those whose snapshots are there.
fn views(options: &LogOptions, snapshots: &SnapshotStore) -> BTreeMap<String, ViewState> {
    let mut views = BTreeMap::new();
    for name in snapshots.names() {
        let class = ViewClass::Pinning { bytes_max: options.retention.bytes_max };
        let view = View { name: name.clone(), class, start: Position::START };
        let state = ViewState { view, registered: false, over_budget: false, evicted: None };
        views.insert(name, state);
    }
    for view in &options.views {
        let state =
            ViewState { view: view.clone(), registered: true, over_budget: false, evicted: None };
        views.insert(view.name.clone(), state);
    }
    views
}
