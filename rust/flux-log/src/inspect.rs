//! Looking at a directory before opening it: which files are there, whether they are ours, whether
//! they hang together, where the log ends.
//!
//! Owns all checks of what was found. Must never change a file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use flux_types::Position;

use crate::clock::Stamp;
use crate::disk::Entry;
use crate::error::{Damage, DamageCause, LogError};
use crate::format::{
    HEADER_BYTES, HeaderFault, SEGMENT_VERSION, SegmentHeader, SegmentKey, parse_segment_name,
    segment_name,
};
use crate::options::{LogOptions, Verify};
use crate::recover::OpenReport;
use crate::scan::{Scan, scan};
use crate::snapshot::SnapshotStore;

/// A segment found on disk.
pub(crate) struct Known {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) scan: Option<Scan>,
}

/// The directory's files by what their names say.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) segments: Vec<(SegmentKey, String, u64)>,
    /// Epochs in names of files set aside earlier.
    pub(crate) epochs_seen: u32,
    pub(crate) spares: Vec<(PathBuf, u64)>,
    pub(crate) temporary: Vec<PathBuf>,
    pub(crate) unknown: Vec<String>,
}

/// What is to be done to files once it is certain that the log opens.
#[derive(Default)]
pub(crate) struct Chores {
    pub(crate) set_aside: Vec<PathBuf>,
    pub(crate) remove: Vec<PathBuf>,
    /// Emptied segments of full size: the next spares.
    pub(crate) reuse: Vec<PathBuf>,
}

pub(crate) fn sort(dir: &Path, entries: &[Entry]) -> Listing {
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
pub(crate) fn read_headers(
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
pub(crate) fn chain(
    dir: &Path,
    known: &mut Vec<Known>,
    report: &mut OpenReport,
    chores: &mut Chores,
) {
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
pub(crate) struct End {
    pub(crate) position: Position,
    pub(crate) stamp: Stamp,
    pub(crate) segment: SegmentKey,
}

/// Reads the segments that are to be checked, and finds the end of the log.
pub(crate) fn check_records(
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
            // Advice alone: a system that does not take it is none the worse.
            if let Err(error) = file.drop_cache() {
                tracing::debug!(%error, "the page cache was not dropped");
            }
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
