//! Who wants to be told of something.
//!
//! Owns lists of callbacks. Must never hold a lock while calling one, nor let one that panics end
//! the thread that calls it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

type Callback<T> = Arc<dyn Fn(&T) + Send + Sync>;
/// Replaced whole, so that telling needs the lock only to take a reference.
type List<T> = Mutex<Arc<[(u64, Callback<T>)]>>;

/// Callbacks that take a `T`.
pub(crate) struct Listeners<T> {
    list: Arc<List<T>>,
    next: AtomicU64,
}

impl<T> Default for Listeners<T> {
    fn default() -> Self {
        Self { list: Arc::new(Mutex::new(Arc::new([]))), next: AtomicU64::new(0) }
    }
}

impl<T: 'static> Listeners<T> {
    pub(crate) fn add(&self, callback: impl Fn(&T) + Send + Sync + 'static) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut list = self.list.lock();
        let added = (id, Arc::new(callback) as Callback<T>);
        *list = list.iter().cloned().chain([added]).collect();
        let weak: Weak<List<T>> = Arc::downgrade(&self.list);
        Subscription {
            end: Some(Box::new(move || {
                if let Some(list) = weak.upgrade() {
                    let mut list = list.lock();
                    *list = list.iter().filter(|(other, _)| *other != id).cloned().collect();
                }
            })),
        }
    }

    pub(crate) fn tell(&self, what: &T) {
        let list = self.list.lock().clone();
        for (_, callback) in list.iter() {
            if catch_unwind(AssertUnwindSafe(|| callback(what))).is_err() {
                tracing::error!("a listener of the log panicked; it stays subscribed");
            }
        }
    }

    pub(crate) fn clear(&self) {
        *self.list.lock() = Arc::new([]);
    }
}

/// Ends its listener's subscription when dropped. A call that has begun on another thread may
/// still finish after that.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    end: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Subscription {
    /// Leaves the listener subscribed for as long as the log is open.
    pub fn keep(mut self) {
        self.end = None;
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Subscription")
    }
}
