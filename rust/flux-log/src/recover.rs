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
use crate::disk::{DirLock, Disk, Entry, LockFailure};
use crate::error::{Damage, DamageCause, DamageReport, LogError};
use crate::format::{
    HEADER_BYTES, HeaderFault, SEGMENT_VERSION, SegmentHeader, SegmentKey, align_up,
    parse_segment_name, segment_name,
};
use crate::hot::Hot;
use crate::listen::Listeners;
use crate::options::{LogOptions, Verify};
use crate::scan::{Scan, scan};
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

/// A segment found on disk.
struct Known {
    header: SegmentHeader,
    path: PathBuf,
    bytes: u64,
    scan: Option<Scan>,
}

/// The directory's files by what their names say.
#[derive(Default)]
struct Listing {
    segments: Vec<(SegmentKey, String, u64)>,
    /// Epochs in names of files set aside earlier.
    epochs_seen: u32,
    spares: Vec<(PathBuf, u64)>,
    temporary: Vec<PathBuf>,
    unknown: Vec<String>,
}

/// What is to be done to files once it is certain that the log opens.
#[derive(Default)]
struct Chores {
    set_aside: Vec<PathBuf>,
    remove: Vec<PathBuf>,
    /// Emptied segments of full size: the next spares.
    reuse: Vec<PathBuf>,
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
    begin(options, lock, listing, snapshots, known, end, epoch, report, chores)
}

fn take_lock(disk: &dyn Disk, dir: &Path) -> Result<DirLock, LogError> {
    let path = dir.join("LOCK");
    disk.lock(&path).map_err(|failure| match failure {
        LockFailure::Held(pid) => LogError::Locked { path: path.clone(), pid },
        LockFailure::Io(source) => LogError::Io { operation: "lock", path: path.clone(), source },
    })
}

fn sort(dir: &Path, entries: &[Entry]) -> Listing {
    let mut listing = Listing::default();
    for Entry { name, bytes } in entries {
        let path = dir.join(name);
        if let Some(key) = parse_segment_name(name) {
            listing.segments.push((key, name.clone(), *bytes));
        } else if let Some(old) = name.strip_suffix(".damaged") {
            let epoch = parse_segment_name(old).map_or(0, |key| key.0);
            listing.epochs_seen = listing.epochs_seen.max(epoch);
        } else if name.starts_with("spare-") && name.ends_with(".flog") {
            listing.spares.push((path, *bytes));
        } else if (name.starts_with("spare-") || name.starts_with("snapshot-"))
            && name.ends_with(".tmp")
        {
            listing.temporary.push(path);
        } else if name != "LOCK" && !(name.starts_with("snapshot-") && name.ends_with(".snap")) {
            listing.unknown.push(name.clone());
        }
    }
    listing.segments.sort_unstable();
    listing
}

/// Reads the header of every segment, oldest first.
fn read_headers(
    options: &LogOptions,
    listing: &Listing,
    report: &mut OpenReport,
    chores: &mut Chores,
) -> Result<Vec<Known>, LogError> {
    let mut known: Vec<Known> = Vec::new();
    for (key, name, bytes) in &listing.segments {
        let path = options.dir.join(name);
        let file = options.disk.open(&path, false).map_err(LogError::io("open", &path))?;
        let mut block = vec![0; HEADER_BYTES];
        let read = file.read_at(0, &mut block).map_err(LogError::io("read", &path))?;
        block.truncate(read);
        let header = match SegmentHeader::decode(&block) {
            Ok(header) if header.key() == *key => header,
            Ok(_) => {
                let what = "its header names another segment than its name does";
                return Err(LogError::Foreign { path, what });
            }
            Err(HeaderFault::Foreign) => {
                return Err(LogError::Foreign { path, what: "it does not begin as segments do" });
            }
            Err(HeaderFault::Newer(found)) => {
                return Err(LogError::NewerVersion { path, found, supported: SEGMENT_VERSION });
            }
            Err(HeaderFault::Damaged) => {
                chores.set_aside.push(path.clone());
                let from = Position { epoch: key.0, offset: key.1 };
                // How far it went is known only from what follows it, if anything does.
                let to = Position { epoch: key.0, offset: u64::MAX };
                report.damage.push(Damage { from, to, cause: DamageCause::SegmentHeader, path });
                continue;
            }
        };
        if known.last().is_some_and(|other| other.header.log_id != header.log_id) {
            return Err(LogError::Foreign { path, what: "it belongs to another log" });
        }
        known.push(Known { header, path, bytes: *bytes, scan: None });
    }
    Ok(known)
}

/// Follows the chain of headers from the newest segment back. What no header refers to held
/// nothing acknowledged; what a header refers to and is not there is missing.
fn chain(dir: &Path, known: &mut Vec<Known>, report: &mut OpenReport, chores: &mut Chores) {
    let mut kept: VecDeque<Known> = VecDeque::new();
    while let Some(segment) = known.pop() {
        let Some(next) = kept.front() else {
            kept.push_front(segment);
            continue;
        };
        let expected = next.header.previous_segment;
        if segment.header.key() > expected {
            chores.remove.push(segment.path);
            continue;
        }
        if segment.header.key() < expected {
            missing(dir, expected, next.header.previous, report);
        }
        kept.push_front(segment);
    }
    // What followed a segment that was set aside says how far it went.
    let unreadable = |damage: &&mut Damage| damage.cause == DamageCause::SegmentHeader;
    for damage in report.damage.ranges.iter_mut().filter(unreadable) {
        if let Some(next) = kept.iter().find(|k| k.header.previous >= damage.from) {
            damage.to = next.header.previous;
        }
    }
    *known = kept.into();
}

/// A segment between two that are there is not. If it was set aside for its header, that is known
/// already.
fn missing(dir: &Path, key: SegmentKey, to: Position, report: &mut OpenReport) {
    let from = Position { epoch: key.0, offset: key.1 };
    if report.damage.ranges.iter().any(|d| d.from == from) {
        return;
    }
    let path = dir.join(segment_name(key));
    report.damage.push(Damage { from, to, cause: DamageCause::MissingSegment, path });
}

/// Where the log ends.
#[derive(Debug, Clone, Copy, Default)]
struct End {
    position: Position,
    stamp: Stamp,
    segment: SegmentKey,
}

/// Reads the segments that are to be checked, and finds the end of the log.
fn check_records(
    options: &LogOptions,
    known: &mut [Known],
    snapshots: &SnapshotStore,
    report: &mut OpenReport,
) -> Result<End, LogError> {
    let replayed = replayed_after(options, snapshots);
    let mut follower: Option<(SegmentKey, Position)> = None;
    for segment in known.iter_mut().rev() {
        let key = segment.header.key();
        let sealed = follower.filter(|(previous, _)| *previous == key).map(|(_, last)| last);
        follower = Some((segment.header.previous_segment, segment.header.previous));
        let wanted = match options.verify {
            Verify::Tail => false,
            Verify::Replayed => sealed.is_none_or(|last| last > replayed),
            Verify::All => true,
        };
        if sealed.is_some() && !wanted {
            continue;
        }
        let path = &segment.path;
        let file = options.disk.open(path, sealed.is_none()).map_err(LogError::io("open", path))?;
        if sealed.is_none() {
            // What is found here will be acted upon, so it has to be on the device: frames of the
            // last commits may have been in memory alone when the process ended.
            file.sync_all().map_err(LogError::io("sync", path))?;
            file.drop_cache().map_err(LogError::io("drop the cache of", path))?;
        }
        let found = scan(file, &segment.header, sealed.map(|p| p.offset), options.read_bytes)
            .map_err(LogError::io("read", path))?;
        for (from, to) in &found.damage {
            let at = |offset| Position { epoch: key.0, offset };
            let (from, to) = (at(*from), at(*to));
            let cause = DamageCause::Checksum;
            report.damage.push(Damage { from, to, cause, path: path.clone() });
        }
        if sealed.is_none() {
            report.torn_tail |= found.torn;
            report.torn_frames += found.torn_frames;
        }
        segment.scan = Some(found);
    }
    Ok(known.last().map_or_else(End::default, Known::end))
}

impl Known {
    /// Where the log ends if this is its newest segment. An empty one only says where the one
    /// before it ended: it was begun, and then nothing more was committed.
    fn end(&self) -> End {
        let header = &self.header;
        match &self.scan {
            Some(found) if !found.is_empty(header) => End {
                position: Position { epoch: header.epoch, offset: found.last },
                stamp: found.end,
                segment: header.key(),
            },
            _ => End {
                position: header.previous,
                stamp: header.previous_end,
                segment: header.previous_segment,
            },
        }
    }
}

/// The position after which some view will replay.
fn replayed_after(options: &LogOptions, snapshots: &SnapshotStore) -> Position {
    let of_views = options.views.iter().map(|view| {
        let cursor = snapshots.cursor(&view.name);
        cursor.map_or(view.start, |cursor| cursor.max(view.start))
    });
    let on_disk = snapshots.names().into_iter().filter_map(|name| snapshots.cursor(&name));
    of_views.chain(on_disk).min().unwrap_or(Position::START)
}

/// Begins a new epoch after what was found.
#[expect(clippy::too_many_arguments, reason = "each is one result of one step of opening")]
fn begin(
    options: LogOptions,
    lock: DirLock,
    listing: Listing,
    snapshots: SnapshotStore,
    known: Vec<Known>,
    end: End,
    epoch: u32,
    mut report: OpenReport,
    mut chores: Chores,
) -> Result<Opened, LogError> {
    let disk = Arc::clone(&options.disk);
    for path in &listing.temporary {
        disk.remove(path).map_err(LogError::io("remove", path))?;
    }
    set_aside(&*disk, &chores.set_aside, &mut report)?;
    let mut known = known;
    let log_id = known.last().map_or_else(
        || u128::from(disk.entropy()) << 64 | u128::from(disk.entropy()),
        |segment| segment.header.log_id,
    );
    let mut floor = known.first().map_or(end.position, |oldest| oldest.header.previous);
    settle_tail(&options, &mut known, &mut chores)?;
    let list = segment_list(known);
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

fn segment_list(known: Vec<Known>) -> VecDeque<Arc<Segment>> {
    let mut list: VecDeque<Arc<Segment>> = VecDeque::with_capacity(known.len());
    for Known { header, path, bytes, scan } in known {
        if let Some(before) = list.back() {
            before.set_end(header.previous_end);
            if header.previous_segment == before.header.key() {
                before.extend(header.previous.offset, before.bytes);
            }
        }
        let segment = Segment::new(header, path, bytes);
        if let Some(found) = scan {
            segment.extend(found.last, found.used.max(bytes));
            segment.set_end(found.end);
        }
        list.push_back(Arc::new(segment));
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
