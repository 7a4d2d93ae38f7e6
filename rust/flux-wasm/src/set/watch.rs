//! The thread that looks at the watched directory.
//!
//! Owns nothing but its rhythm. It polls: a look is a listing and three `stat` a plugin, works on
//! every file system, and a plugin is not replaced so often that a second would matter.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Inner;
use crate::PluginError;

#[derive(Debug, Default)]
struct Stop {
    stopped: Mutex<bool>,
    changed: Condvar,
}

/// Looks until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(super) fn start(inner: &Arc<Inner>, every: Duration) -> Result<Self, PluginError> {
        let stop = Arc::new(Stop::default());
        let (ours, inner) = (Arc::clone(&stop), Arc::downgrade(inner));
        let thread = std::thread::Builder::new()
            .name("plugin-watch".to_owned())
            .spawn(move || run(&inner, &ours, every))
            .map_err(|error| PluginError::Host { reason: format!("no thread: {error}") })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

fn run(inner: &Weak<Inner>, stop: &Stop, every: Duration) {
    let mut was_readable = true;
    loop {
        {
            let mut stopped = stop.stopped.lock();
            if !*stopped {
                stop.changed.wait_for(&mut stopped, every);
            }
            if *stopped {
                return;
            }
        }
        let Some(inner) = inner.upgrade() else { return };
        let looked = inner.look(false);
        if let (Err(error), true) = (&looked, was_readable) {
            tracing::warn!(target: "plugin", %error, "the plugin directory cannot be read");
        }
        was_readable = looked.is_ok();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        *self.stop.stopped.lock() = true;
        self.stop.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // what made it panic has been told already
            let _ = thread.join();
        }
    }
}
