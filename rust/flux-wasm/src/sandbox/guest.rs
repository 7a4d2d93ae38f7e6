//! What the host keeps with every instance: its memory's limits, its deadline, its log.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Result, Store, StoreContextMut, UpdateDeadline};

use crate::Limits;
use crate::sandbox::log::LogGate;

/// Ticks a call may go on beyond its deadline before it is stopped. Whether it ran or merely waited
/// for a core is told by what it used of a core in them.
const GRACE_TICKS: u64 = 2;

/// What of a core a call has to have used in [`GRACE_TICKS`] to be taken as running.
const GRACE_BUSY_NS: u64 = 500_000;

/// How often a call that waits for a core is let go on.
const GRACES_MAX: u32 = 16;

/// Data of a wasmtime store.
#[derive(Debug)]
pub(crate) struct Guest {
    memory_bytes_max: usize,
    table_elements_max: usize,
    memories_max: usize,
    tables_max: usize,
    /// The limit that last refused it more room.
    pub(crate) refused: Option<&'static str>,
    overdue: Overdue,
    pub(crate) log: Arc<LogGate>,
}

/// A call beyond its deadline.
#[derive(Debug, Default)]
struct Overdue {
    /// What the thread had used of a core when the deadline passed.
    busy_ns: Option<u64>,
    graces: u32,
}

impl Guest {
    pub(crate) fn new(limits: &Limits, log: Arc<LogGate>) -> Self {
        Self {
            memory_bytes_max: limits.max_memory_bytes,
            table_elements_max: limits.max_table_elements,
            memories_max: limits.max_memories as usize,
            tables_max: limits.max_tables as usize,
            refused: None,
            overdue: Overdue::default(),
            log,
        }
    }

    /// Begins a call.
    #[inline]
    pub(crate) fn begin_call(&mut self) {
        if self.overdue.busy_ns.is_some() {
            self.overdue = Overdue::default();
        }
    }

    /// Decides about a call whose deadline has passed.
    ///
    /// The deadline is in wall time, which also passes while the thread waits for a core. A call
    /// is stopped once it has *run* beyond its deadline, at the latest two ticks after it; one that
    /// merely waited is let go on, up to `GRACES_MAX` times.
    fn overdue(&mut self) -> UpdateDeadline {
        let busy_ns = thread_busy_ns();
        let Some(before) = self.overdue.busy_ns.replace(busy_ns) else {
            return UpdateDeadline::Continue(GRACE_TICKS);
        };
        self.overdue.graces += 1;
        if busy_ns.saturating_sub(before) >= GRACE_BUSY_NS || self.overdue.graces > GRACES_MAX {
            return UpdateDeadline::Interrupt;
        }
        UpdateDeadline::Continue(GRACE_TICKS)
    }
}

/// What this thread has used of a core, in nanoseconds.
fn thread_busy_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

/// A store with all limits in force and its first deadline set.
pub(crate) fn new_store(engine: &wasmtime::Engine, guest: Guest, ticks: u64) -> Store<Guest> {
    let mut store = Store::new(engine, guest);
    store.limiter(|guest| guest);
    store.epoch_deadline_callback(|mut context: StoreContextMut<'_, Guest>| {
        Ok(context.data_mut().overdue())
    });
    store.set_epoch_deadline(ticks);
    store
}

impl ResourceLimiter for Guest {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let allowed = desired <= self.memory_bytes_max;
        if !allowed {
            self.refused = Some("max_memory_bytes");
        }
        Ok(allowed)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> Result<bool> {
        let allowed = desired <= self.table_elements_max;
        if !allowed {
            self.refused = Some("max_table_elements");
        }
        Ok(allowed)
    }

    fn instances(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        self.tables_max
    }

    fn memories(&self) -> usize {
        self.memories_max
    }
}
