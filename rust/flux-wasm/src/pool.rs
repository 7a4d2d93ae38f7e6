//! The instances of one version of a plugin.
//!
//! Owns those that wait for work and the count of those at work. Shared by all workers: an instance
//! is taken for a batch and comes back after it. Instances are made when they are wanted, never
//! ahead; what comes back beyond `pool_size`, spoilt or worn, is dropped.

use std::time::Instant as Moment;

use parking_lot::{Condvar, Mutex};

use crate::instance::Instance;
use crate::{Limits, PluginError};

#[derive(Default)]
struct Held {
    #[allow(clippy::vec_box)] // an instance is large and moves with every batch
    idle: Vec<Box<Instance>>,
    /// Instances at work.
    busy: usize,
    /// Workers that wait for one of them.
    waiting: usize,
    closed: bool,
}

/// The pool.
#[derive(Default)]
pub(crate) struct Pool {
    held: Mutex<Held>,
    returned: Condvar,
}

/// What a worker gets.
pub(crate) enum Taken {
    /// An instance that waited.
    Kept(Box<Instance>),
    /// The right to make one.
    New,
}

impl Pool {
    /// Takes an instance, or the right to make one; waits up to `lease_wait_ms` when all
    /// `max_instances` are at work.
    ///
    /// # Errors
    /// [`PluginError::Busy`].
    pub(crate) fn take(&self, limits: &Limits) -> Result<Taken, PluginError> {
        let mut held = self.held.lock();
        if let Some(instance) = held.idle.pop() {
            held.busy += 1;
            return Ok(Taken::Kept(instance));
        }
        if held.busy >= limits.max_instances {
            return self.wait(held, limits);
        }
        held.busy += 1;
        Ok(Taken::New)
    }

    #[cold]
    fn wait(
        &self,
        mut held: parking_lot::MutexGuard<'_, Held>,
        limits: &Limits,
    ) -> Result<Taken, PluginError> {
        let until = Moment::now() + limits.lease_wait();
        held.waiting += 1;
        loop {
            let timed_out = self.returned.wait_until(&mut held, until).timed_out();
            if let Some(instance) = held.idle.pop() {
                held.waiting -= 1;
                held.busy += 1;
                return Ok(Taken::Kept(instance));
            }
            if held.busy < limits.max_instances {
                held.waiting -= 1;
                held.busy += 1;
                return Ok(Taken::New);
            }
            if timed_out {
                held.waiting -= 1;
                return Err(PluginError::Busy { max: limits.max_instances });
            }
        }
    }

    /// Gives back what was taken: the instance, or `None` where it is no more. True if it is kept.
    pub(crate) fn put(&self, instance: Option<Box<Instance>>, limits: &Limits) -> bool {
        let surplus;
        let kept;
        {
            let mut held = self.held.lock();
            held.busy = held.busy.saturating_sub(1);
            kept = instance.is_some() && !held.closed && held.idle.len() < limits.pool_size;
            surplus = match instance {
                Some(instance) if kept => {
                    held.idle.push(instance);
                    None
                }
                other => other,
            };
            if held.waiting > 0 {
                self.returned.notify_one();
            }
        }
        // unmapping its memory takes a while: not under the lock
        drop(surplus);
        kept
    }

    /// Adds an instance that was made before anybody asked.
    pub(crate) fn stock(&self, instance: Instance, limits: &Limits) {
        let mut held = self.held.lock();
        if held.idle.len() < limits.pool_size {
            held.idle.push(Box::new(instance));
        }
    }

    /// Keeps nothing any more: another version took over.
    pub(crate) fn close(&self) {
        let idle = {
            let mut held = self.held.lock();
            held.closed = true;
            std::mem::take(&mut held.idle)
        };
        drop(idle);
    }

    /// Instances that wait, and those at work.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let held = self.held.lock();
        (held.idle.len(), held.busy)
    }

    /// Bytes of linear memory of the instances that wait.
    pub(crate) fn idle_bytes(&self) -> usize {
        self.held.lock().idle.iter().map(|instance| instance.memory_bytes()).sum()
    }
}
