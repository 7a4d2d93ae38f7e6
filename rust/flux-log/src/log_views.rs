//! Snapshots and views through the log's handle.
//!
//! Owns the rules between the two: a snapshot is never ahead of the log, and every snapshot has a
//! view. Must never touch what is being appended.

use flux_types::Position;

use crate::error::LogError;
use crate::listen::Subscription;
use crate::log::Log;
use crate::options::Durability;
use crate::snapshot::{Snapshot, check_name};
use crate::stats::Counters;
use crate::upkeep;
use crate::view::{View, ViewEvent, ViewState, ViewStatus};

impl Log {
    /// Saves what a view is at `position`, durably, and so moves its cursor. The generation before
    /// is kept, older ones go. Takes as long as the disk does.
    ///
    /// # Errors
    /// [`LogError::SnapshotAhead`] when `position` is not committed yet,
    /// [`LogError::SnapshotBehind`] when a later one is durable, [`LogError::SnapshotName`],
    /// [`LogError::SnapshotTooLarge`], [`LogError::Io`]. The one before stays as it was.
    pub fn save_snapshot(
        &self,
        name: &str,
        position: Position,
        bytes: &[u8],
    ) -> Result<(), LogError> {
        let shared = self.shared();
        check_name(name)?;
        let committed = shared.committed();
        if position > committed {
            return Err(LogError::SnapshotAhead { name: name.to_owned(), position, committed });
        }
        if shared.options.durability == Durability::None {
            self.sync_segment()?;
        }
        self.view_for_snapshot(name)?;
        let wall_ns = shared.options.clock.now().wall_ns;
        shared.snapshots.save(name, position, bytes, wall_ns)?;
        Counters::add(&shared.counters.snapshots, 1);
        shared.want_upkeep();
        Ok(())
    }

    /// A snapshot is durable and must not be ahead of the records on disk. Earlier segments were
    /// synced when the last one was begun.
    fn sync_segment(&self) -> Result<(), LogError> {
        let shared = self.shared();
        let Some(segment) = shared.segments.read().list.back().cloned() else { return Ok(()) };
        let file = shared.options.disk.open(&segment.path, true);
        let file = file.map_err(LogError::io("open", &segment.path))?;
        file.sync_data().map_err(LogError::io("sync", &segment.path))
    }

    /// The newest sound snapshot of a view, if it ever saved one. Says when that is not the newest
    /// saved.
    ///
    /// # Errors
    /// [`LogError::SnapshotDamaged`] when no kept generation can be read, [`LogError::Io`].
    pub fn load_snapshot(&self, name: &str) -> Result<Option<Snapshot>, LogError> {
        let shared = self.shared();
        let loaded = shared.snapshots.load(name)?;
        if loaded.as_ref().is_some_and(|snapshot| snapshot.fell_back) {
            Counters::add(&shared.counters.snapshot_fallbacks, 1);
        }
        Ok(loaded)
    }

    /// Registers a view, or changes its class.
    ///
    /// # Errors
    /// [`LogError::SnapshotName`], [`LogError::TooManyViews`].
    pub fn register_view(&self, view: View) -> Result<(), LogError> {
        check_name(&view.name)?;
        self.put_view(view, true)
    }

    fn view_for_snapshot(&self, name: &str) -> Result<(), LogError> {
        if self.shared().views.lock().contains_key(name) {
            return Ok(());
        }
        let bytes_max = self.shared().options.retention.bytes_max;
        self.put_view(View::pinning(name, bytes_max), false)
    }

    fn put_view(&self, view: View, registered: bool) -> Result<(), LogError> {
        let shared = self.shared();
        let views_max = shared.options.views_max;
        let mut views = shared.views.lock();
        if !views.contains_key(&view.name) && views.len() >= views_max {
            return Err(LogError::TooManyViews { views_max });
        }
        let state = ViewState { view, registered, over_budget: false, evicted: None };
        views.insert(state.view.name.clone(), state);
        Ok(())
    }

    /// Ends a view: its snapshots are removed and nothing is held back for it any more.
    ///
    /// # Errors
    /// [`LogError::UnknownView`], [`LogError::Io`].
    pub fn forget_view(&self, name: &str) -> Result<(), LogError> {
        let shared = self.shared();
        check_name(name)?;
        let had_snapshots = shared.snapshots.forget(name)?;
        let was_view = shared.views.lock().remove(name).is_some();
        if !had_snapshots && !was_view {
            return Err(LogError::UnknownView { name: name.to_owned() });
        }
        shared.want_upkeep();
        Ok(())
    }

    /// How every view stands.
    #[must_use]
    pub fn views(&self) -> Vec<ViewStatus> {
        let shared = self.shared();
        let segments = upkeep::segment_facts(shared);
        let states: Vec<ViewState> = shared.views.lock().values().cloned().collect();
        let status = |state: ViewState| {
            let View { name, class, start } = state.view;
            let held_after = upkeep::held_after(shared, &name, start);
            let behind_bytes = upkeep::behind_bytes(&segments, held_after);
            ViewStatus {
                cursor: shared.snapshots.cursor(&name).unwrap_or(start),
                registered: state.registered,
                over_budget: behind_bytes > class.bytes_max(),
                evicted: state.evicted,
                held_after,
                behind_bytes,
                class,
                name,
            }
        };
        states.into_iter().map(status).collect()
    }

    /// Calls `listener` on the upkeep thread when a view goes over its budget, comes back, or
    /// loses records.
    pub fn on_view(&self, listener: impl Fn(&ViewEvent) + Send + Sync + 'static) -> Subscription {
        self.shared().on_view.add(listener)
    }
}
