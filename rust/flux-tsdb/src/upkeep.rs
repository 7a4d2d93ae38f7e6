//! Upkeep: flush, merge, retain, when they are due.
//!
//! Owns the thread, and what is due. Must never stop for a failure: what failed is tried again with
//! the next round.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::error::TsdbError;
use crate::store::{Inner, Store};

/// How often is looked whether something is due.
const ROUND: Duration = Duration::from_secs(1);
/// How long after a failure, if nobody asks before.
const PAUSE: Duration = Duration::from_secs(10);

impl Store {
    /// One round: flushes if it is time or half of the room is used, retains, merges. For callers
    /// that have a thread of their own for it; [`Upkeep`] is one otherwise.
    ///
    /// # Errors
    /// The first failure; the next round tries again.
    pub fn upkeep(&self) -> Result<(), TsdbError> {
        let flushed = if self.inner.is_flush_due() { self.flush().map(drop) } else { Ok(()) };
        // what goes makes room for what is merged
        let retained = self.retain().map(drop);
        let merged = self.merge().map(drop);
        flushed.and(retained).and(merged)
    }
}

impl Inner {
    fn is_flush_due(&self) -> bool {
        let options = &self.options;
        if self.head_bytes() >= options.head_bytes_max / 2 {
            return true;
        }
        let since_ns = {
            let now_ns = self.clock.age_ns(options.clock.now());
            now_ns.saturating_sub(self.flush.lock().at_age_ns)
        };
        u128::from(since_ns) >= options.flush_interval.as_nanos()
    }
}

/// The thread that does [`Store::upkeep`]. Dropping it ends the thread; it does not close the
/// store.
#[derive(Debug)]
pub struct Upkeep {
    store: Store,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts the thread, named `series-upkeep`.
    ///
    /// # Errors
    /// The operating system has no thread for it.
    pub fn start(store: &Store) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, ends) = (store.clone(), Arc::clone(&stop));
        let thread = thread::Builder::new().name("series-upkeep".to_owned()).spawn(move || {
            while !ends.load(Ordering::Acquire) && !theirs.inner.is_closed() {
                let pause = match theirs.upkeep() {
                    Ok(()) => ROUND,
                    Err(error) => {
                        tracing::error!(error = ?error, "upkeep of series failed; trying again");
                        PAUSE
                    }
                };
                theirs.inner.wait_wanted(pause);
            }
        })?;
        Ok(Self { store: store.clone(), stop, thread: Some(thread) })
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.store.inner.wake();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the upkeep thread of series panicked");
        }
    }
}
