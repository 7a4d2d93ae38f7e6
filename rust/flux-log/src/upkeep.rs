//! The upkeep thread: segments prepared ahead, segments retired.
//!
//! Owns all slow work on whole files, so that the commit thread has none. Must never remove a
//! segment out of order: the chain of headers would look broken.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use flux_types::Position;

use crate::disk::DiskFile;
use crate::segment::Segment;
use crate::shared::{Shared, Spare};
use crate::stats::Counters;
use crate::view::{Plan, SegmentFacts, ViewClass, ViewEvent, ViewFacts, plan};

/// Zeros written between two syncs while a segment is prepared, at first: a larger burst would
/// delay the commits that share the disk.
const BURST_BYTES_MIN: usize = 1 << 20;
/// And at most.
const BURST_BYTES_MAX: usize = 16 << 20;

/// How much is written between two syncs.
///
/// Where a sync takes its time whatever there is to write (flash behind a slow bus), bursts of a
/// fixed size would bound the whole log to that size a sync. With a latency of `l` and `c` a byte,
/// doubling a burst makes each byte cheaper by a quarter or more as long as the burst is smaller
/// than `l / c`: so it grows until writing takes about as long as the sync does anyway.
#[derive(Debug)]
struct Burst {
    bytes: usize,
    ns_per_byte: f64,
}

impl Burst {
    const fn new() -> Self {
        Self { bytes: BURST_BYTES_MIN, ns_per_byte: f64::INFINITY }
    }

    /// Learns from a burst that took so long.
    fn done(&mut self, bytes: usize, took: Duration) {
        let ns_per_byte = took.as_nanos() as f64 / bytes.max(1) as f64;
        let change = ns_per_byte / self.ns_per_byte;
        if change < 0.75 {
            self.bytes = (self.bytes * 2).min(BURST_BYTES_MAX);
        } else if change > 1.25 {
            self.bytes = (self.bytes / 2).max(BURST_BYTES_MIN);
        }
        self.ns_per_byte = ns_per_byte;
    }
}

pub(crate) fn run(shared: &Shared) {
    let interval = Duration::from_millis(shared.options.upkeep_interval_ms);
    while !shared.closing.load(Ordering::Acquire) {
        step(shared);
        let mut wanted = shared.upkeep_wanted.lock();
        if !*wanted && !shared.closing.load(Ordering::Acquire) {
            shared.upkeep.wait_for(&mut wanted, interval);
        }
        *wanted = false;
    }
}

/// One round: spares first, since appenders may be waiting for them.
pub(crate) fn step(shared: &Shared) {
    refill(shared);
    if retire(shared) > 0 {
        refill(shared);
    }
}

/// Prepares segments until there are as many as wanted, or the disk is full.
pub(crate) fn refill(shared: &Shared) {
    while !shared.closing.load(Ordering::Acquire)
        && shared.stopped.get().is_none()
        && shared.spares.lock().len() < shared.options.spare_segments
    {
        match prepare(shared) {
            Ok(spare) => add_spare(shared, spare),
            Err(_) if shared.closing.load(Ordering::Acquire) => return,
            Err(error) => {
                tracing::warn!(%error, "no segment could be prepared; trying again");
                shared.active.lock().space_fault = Some(Arc::from(error.to_string()));
                return;
            }
        }
    }
}

pub(crate) fn add_spare(shared: &Shared, spare: Spare) {
    shared.spares.lock().push_back(spare);
    let starved = {
        let mut active = shared.active.lock();
        active.spares += 1;
        active.space_fault = None;
        std::mem::take(&mut active.starved)
    };
    if starved {
        shared.tell_room();
    }
}

fn spare_path(shared: &Shared, ending: &str) -> PathBuf {
    let number = shared.spare_number.fetch_add(1, Ordering::Relaxed);
    shared.dir().join(format!("spare-{}-{number}.{ending}", shared.epoch))
}

/// A file of full size whose blocks are all written, so that later writes change no metadata.
pub(crate) fn prepare(shared: &Shared) -> io::Result<Spare> {
    let worn = shared.worn.lock().pop();
    if let Some(path) = worn {
        let file = shared.options.disk.open(&path, true)?;
        Counters::add(&shared.counters.recycled_segments, 1);
        return Ok(Spare { file, path });
    }
    let temporary = spare_path(shared, "tmp");
    let made = fill(shared, &temporary).and_then(|file| {
        let path = temporary.with_extension("flog");
        shared.options.disk.rename(&temporary, &path)?;
        Ok(Spare { file, path })
    });
    if made.is_err() {
        // Best effort: opening removes what is left of it.
        let _ = shared.options.disk.remove(&temporary);
    }
    made
}

fn fill(shared: &Shared, path: &std::path::Path) -> io::Result<Arc<dyn DiskFile>> {
    let bytes = shared.options.segment_bytes;
    let file = shared.options.disk.create(path)?;
    file.allocate(bytes)?;
    let zeros = vec![0; BURST_BYTES_MIN.min(usize::try_from(bytes).unwrap_or(BURST_BYTES_MIN))];
    let mut burst = Burst::new();
    let mut at = 0;
    while at < bytes {
        if shared.closing.load(Ordering::Acquire) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let begun = Instant::now();
        let end = bytes.min(at + burst.bytes as u64);
        let from = at;
        while at < end {
            let part = zeros.len().min(usize::try_from(end - at).unwrap_or(zeros.len()));
            file.write_at(at, zeros.get(..part).unwrap_or_default())?;
            at += part as u64;
        }
        file.sync_data()?;
        burst.done(usize::try_from(end - from).unwrap_or(BURST_BYTES_MAX), begun.elapsed());
    }
    file.sync_all()?;
    Ok(file)
}

/// What views hold back, for the decision and for their status.
pub(crate) fn view_facts(shared: &Shared) -> Vec<ViewFacts> {
    let views = shared.views.lock();
    views
        .values()
        .map(|state| ViewFacts {
            name: state.view.name.clone(),
            class: state.view.class,
            held_after: held_after(shared, &state.view.name, state.view.start),
        })
        .collect()
}

pub(crate) fn held_after(shared: &Shared, name: &str, start: Position) -> Position {
    shared.snapshots.fallback_position(name).map_or(start, |p| p.max(start))
}

/// Bytes of the segments that hold anything after `held_after`.
pub(crate) fn behind_bytes(segments: &[SegmentFacts], held_after: Position) -> u64 {
    segments.iter().filter(|s| s.last > held_after).map(|s| s.bytes).sum()
}

pub(crate) fn segment_facts(shared: &Shared) -> Vec<SegmentFacts> {
    let segments = shared.segments.read();
    let facts = |s: &Arc<Segment>| SegmentFacts {
        first: s.first(),
        last: s.last(),
        bytes: s.bytes,
        started: s.header.started,
        end: s.end(),
    };
    segments.list.iter().map(facts).collect()
}

/// Removes what retention wants gone; how many segments went.
fn retire(shared: &Shared) -> usize {
    if shared.stopped.get().is_some() {
        return 0;
    }
    let segments = segment_facts(shared);
    let views = view_facts(shared);
    let now = shared.options.clock.now();
    let Plan { retire, evict } = plan(&segments, &views, &shared.options.retention, now);
    let mut retired = 0;
    let mut floor = Position::START;
    for _ in 0..retire {
        match retire_oldest(shared) {
            Ok(Some(last)) => floor = last,
            Ok(None) => break,
            Err(error) => {
                tracing::warn!(%error, "a retired segment was not removed; trying again");
                break;
            }
        }
        retired += 1;
    }
    tell_evicted(shared, evict, floor);
    tell_budgets(shared, &segment_facts(shared), &view_facts(shared));
    retired
}

/// Takes the oldest segment out; its last position.
fn retire_oldest(shared: &Shared) -> io::Result<Option<Position>> {
    let segment = {
        let mut segments = shared.segments.write();
        if segments.list.len() < 2 {
            return Ok(None);
        }
        let Some(segment) = segments.list.pop_front() else { return Ok(None) };
        segments.floor = segments.list.front().map_or(segment.last(), |s| s.header.previous);
        segment
    };
    // Nobody can find it any more; without readers inside, the file may be written again.
    let unread = Arc::strong_count(&segment) == 1;
    let whole = segment.bytes == shared.options.segment_bytes;
    let again = unread && whole && shared.worn.lock().len() < shared.options.spare_segments;
    let disk = &shared.options.disk;
    let path = spare_path(shared, "flog");
    let gone = if again { disk.rename(&segment.path, &path) } else { disk.remove(&segment.path) };
    if let Err(error) = gone {
        // Back to its place: the next one must not go before it.
        let mut segments = shared.segments.write();
        segments.floor = segment.header.previous;
        segments.list.push_front(segment);
        return Err(error);
    }
    if let Err(error) = disk.sync_dir(shared.dir()) {
        // Which names are durable is unknown from here on: no later one may go.
        shared.stop("sync", shared.dir(), &error);
        return Err(error);
    }
    if again {
        shared.worn.lock().push(path);
    }
    Counters::add(&shared.counters.retired_segments, 1);
    Counters::add(&shared.counters.retired_bytes, segment.bytes);
    Ok(Some(segment.last()))
}

fn tell_evicted(shared: &Shared, evict: Vec<(String, Position, Position)>, floor: Position) {
    for (name, from, to) in evict {
        let to = to.min(floor);
        if to < from {
            continue;
        }
        if let Some(state) = shared.views.lock().get_mut(&name) {
            if state.evicted.is_some_and(|(_, known)| known >= to) {
                continue;
            }
            state.evicted = Some((from, to));
        }
        Counters::add(&shared.counters.evictions, 1);
        tracing::warn!(view = %name, %from, %to, "view lost records to its budget");
        shared.on_view.tell(&ViewEvent::Evicted { name, from, to });
    }
}

fn tell_budgets(shared: &Shared, segments: &[SegmentFacts], views: &[ViewFacts]) {
    for view in views {
        let ViewClass::Pinning { bytes_max } = view.class else { continue };
        let behind = behind_bytes(segments, view.held_after);
        let over = behind > bytes_max;
        let changed = shared
            .views
            .lock()
            .get_mut(&view.name)
            .is_some_and(|state| std::mem::replace(&mut state.over_budget, over) != over);
        if !changed {
            continue;
        }
        let name = view.name.clone();
        if over {
            tracing::warn!(view = %name, behind_bytes = behind, bytes_max,
                "view holds back more of the log than its budget");
            shared.on_view.tell(&ViewEvent::OverBudget { name, behind_bytes: behind, bytes_max });
        } else {
            shared.on_view.tell(&ViewEvent::WithinBudget { name });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The burst after a whole segment, with a sync that takes `latency` and `per_mib` a MiB.
    fn settled(latency: Duration, per_mib: Duration) -> usize {
        let mut burst = Burst::new();
        for _ in 0..16 {
            let mib = u32::try_from(burst.bytes >> 20).unwrap();
            burst.done(burst.bytes, latency + per_mib * mib);
        }
        burst.bytes >> 20
    }

    #[test]
    fn bursts_grow_until_the_bytes_take_as_long_as_the_sync() {
        let ms = Duration::from_millis;
        assert_eq!(settled(ms(0), ms(2)), 2, "bytes are all that counts: small bursts");
        assert_eq!(settled(ms(20), ms(2)), 16, "a slow sync: few of them");
        assert_eq!(settled(ms(200), ms(1)), 16, "and never more than so much at once");
    }

    #[test]
    fn a_burst_that_became_slower_is_halved() {
        let mut burst = Burst::new();
        burst.done(1 << 20, Duration::from_millis(20));
        burst.done(2 << 20, Duration::from_millis(21));
        assert_eq!(burst.bytes, 4 << 20);
        burst.done(4 << 20, Duration::from_millis(90));
        assert_eq!(burst.bytes, 2 << 20);
    }
}
