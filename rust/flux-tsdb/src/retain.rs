//! What goes: blocks by age and bytes, data of deleted devices.
//!
//! Owns both decisions. Only the oldest blocks go, whole ones, and never the newest, which says how
//! far everything is durable. Must never trust a wall clock for an age.

use std::sync::Arc;

use flux_types::{DeviceId, Position, TenantId};

use crate::block::Block;
use crate::error::TsdbError;
use crate::options::Retention;
use crate::series::PARTS;
use crate::state::{Deletion, Deletions, State};
use crate::stats::Counters;
use crate::store::{Inner, Store};

/// How many of the oldest blocks go, given each one's age and bytes.
fn expired(blocks: &[(u64, u64)], retention: &Retention) -> usize {
    let mut left: u64 = blocks.iter().map(|(_, bytes)| bytes).sum();
    let age_max = retention.age_max.map(|age| u64::try_from(age.as_nanos()).unwrap_or(u64::MAX));
    let mut gone = 0;
    for (age_ns, bytes) in blocks.iter().take(blocks.len().saturating_sub(1)) {
        let too_old = age_max.is_some_and(|max| *age_ns > max);
        if left <= retention.bytes_max && !too_old {
            break;
        }
        left -= bytes;
        gone += 1;
    }
    gone
}

impl Store {
    /// Removes blocks that have to go by age or bytes; tells how many. Series that have no points
    /// left are forgotten.
    ///
    /// # Errors
    /// [`TsdbError::Io`]; nothing went then.
    pub fn retain(&self) -> Result<usize, TsdbError> {
        let inner = &self.inner;
        let _one = inner.merge.lock();
        let now_ns = inner.clock.age_ns(inner.options.clock.now());
        let set = inner.set();
        let facts =
            |block: &Arc<Block>| (now_ns.saturating_sub(block.info.store_age_ns), block.bytes);
        let facts: Vec<(u64, u64)> = set.blocks.iter().map(facts).collect();
        let gone = expired(&facts, &inner.options.retention);
        let Some(last) = gone.checked_sub(1).and_then(|at| set.blocks.get(at)) else {
            return Ok(0);
        };
        // first that they are to go: a file that is gone without that is one that is missing
        inner.change_state(|state| {
            state.retired = last.id.last;
            Ok(())
        })?;
        inner.publish(|set| {
            set.blocks.drain(..gone);
            set.retired = last.id.last;
        });
        inner.discard(set.blocks.get(..gone).unwrap_or_default());
        Counters::add(&inner.counters.expired_blocks, gone as u64);
        inner.forget_empty_series();
        Ok(gone)
    }

    /// Deletes what there is of a device, durably: it is gone from every answer when this returns,
    /// and from the disk after the next merges. What is told again of messages up to `up_to` is not
    /// taken; what came later is kept unless it was flushed already. Tells how many series there
    /// were.
    ///
    /// # Errors
    /// [`TsdbError::TooManyDeletions`] while too many are not yet erased, [`TsdbError::Io`].
    /// Nothing was deleted then.
    pub fn delete_device(
        &self,
        tenant: TenantId,
        device: DeviceId,
        up_to: Position,
    ) -> Result<usize, TsdbError> {
        let inner = &self.inner;
        let owner = (tenant, device);
        // no flush is under way: what is in blocks is of the flushes before the next
        let flush = inner.flush.lock();
        inner.change_deletions(|deletions| {
            let len = deletions.len();
            if len >= inner.options.deletions_len_max && !deletions.contains_key(&owner) {
                return Err(TsdbError::TooManyDeletions { len });
            }
            let before = deletions.get(&owner).map_or(Position::START, |known| known.up_to);
            let deletion = Deletion { up_to: up_to.max(before), before_flush: flush.next };
            deletions.insert(owner, deletion);
            Ok(())
        })?;
        let mut catalogue = inner.catalogue.write();
        let series = catalogue.of(owner);
        let set = inner.set();
        for info in &series {
            let mut part = inner.part(info.id.part());
            let key = part.slot(info.id.local()).map(|slot| Arc::clone(slot.key()));
            if !part.delete(info.id.local(), up_to) {
                part.remove(info.id.local());
                key.iter().for_each(|key| catalogue.remove(key));
            }
            let of_series = set.blocks.iter().filter(|block| block.holds(info.id));
            of_series.for_each(|block| block.erase());
        }
        drop(catalogue);
        drop(flush);
        inner.wake();
        Ok(series.len())
    }
}

impl Inner {
    /// Changes the state, durably.
    pub(crate) fn change_state(
        &self,
        change: impl FnOnce(&mut State) -> Result<(), TsdbError>,
    ) -> Result<(), TsdbError> {
        let mut guard = self.state.lock();
        let (file, state) = &mut *guard;
        let mut changed = state.clone();
        change(&mut changed)?;
        file.save(&changed)?;
        *state = changed;
        Ok(())
    }

    /// Changes the deletions, durably, and lets readers see it.
    fn change_deletions(
        &self,
        change: impl FnOnce(&mut Deletions) -> Result<(), TsdbError>,
    ) -> Result<(), TsdbError> {
        let mut seen = Arc::default();
        self.change_state(|state| {
            change(Arc::make_mut(&mut state.deletions))?;
            seen = Arc::clone(&state.deletions);
            Ok(())
        })?;
        self.publish(|set| set.deletions = seen);
        Ok(())
    }

    /// Forgets deletions that neither a block nor the log's replay needs any more.
    pub(crate) fn forget_deletions(&self) -> Result<(), TsdbError> {
        // no deletion is under way: all blocks that it concerns are marked
        let _flush = self.flush.lock();
        let set = self.set();
        let durable = *self.durable.lock();
        let oldest_to_erase = set
            .blocks
            .iter()
            .filter(|block| block.is_to_be_erased())
            .map(|block| block.id.last)
            .min()
            .unwrap_or(u64::MAX);
        let needed = |deletion: &Deletion| {
            deletion.up_to > durable || oldest_to_erase < deletion.before_flush
        };
        if set.deletions.values().all(needed) {
            return Ok(());
        }
        self.change_deletions(|deletions| {
            deletions.retain(|_, deletion| needed(deletion));
            Ok(())
        })
    }

    /// Forgets series that have no points, neither in a block nor in memory.
    fn forget_empty_series(&self) {
        let set = self.set();
        for index in 0..PARTS {
            let mut catalogue = self.catalogue.write();
            let mut part = self.part(index);
            let empty = part.places().filter(|(local, _)| part.is_empty_at(*local));
            let numbered = empty.filter_map(|(local, slot)| {
                let id = crate::series::SeriesId::new(index, local)?;
                Some((local, id, Arc::clone(slot.key())))
            });
            let gone: Vec<_> =
                numbered.filter(|(_, id, _)| !set.blocks.iter().any(|b| b.holds(*id))).collect();
            for (local, _, key) in gone {
                part.remove(local);
                catalogue.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn oldest_blocks_go_by_bytes_and_age_and_the_newest_stays() {
        let by_bytes = Retention { bytes_max: 100, ..Retention::default() };
        assert_eq!(expired(&[(9, 50), (8, 50), (7, 50)], &by_bytes), 1);
        assert_eq!(expired(&[(9, 50), (8, 50)], &by_bytes), 0);
        assert_eq!(expired(&[(9, 500)], &by_bytes), 0);
        let by_age = Retention { age_max: Some(Duration::from_nanos(7)), ..Retention::default() };
        assert_eq!(expired(&[(9, 1), (8, 1), (7, 1), (1, 1)], &by_age), 2);
        assert_eq!(expired(&[(9, 1), (8, 1)], &by_age), 1);
        assert_eq!(expired(&[], &by_age), 0);
    }
}
