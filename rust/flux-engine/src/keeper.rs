//! Writes the configuration in force to the data directory, away from whoever changes it.
//!
//! Writing takes time in proportion to the whole configuration (a second for 100 000 devices), a
//! change does not: of several changes in a row the last is written. A crash in between leaves an
//! older generation on disk, which is whole, and which the next start is given again from where
//! the configuration lives.

use std::sync::Arc;
use std::thread::JoinHandle;

use flux_registry::{ConfigurationFile, Snapshot};
use parking_lot::{Condvar, Mutex};

use crate::error::EngineError;

/// Keeps the file in step with the configuration in force.
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    file: ConfigurationFile,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    next: Option<Arc<Snapshot>>,
    stopping: bool,
}

impl Keeper {
    pub(crate) fn new(file: ConfigurationFile) -> Self {
        let shared = Shared { file, state: Mutex::default(), changed: Condvar::new() };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    pub(crate) fn file(&self) -> &ConfigurationFile {
        &self.shared.file
    }

    /// Has a configuration written soon.
    ///
    /// # Errors
    /// No thread can be had.
    pub(crate) fn keep(&self, snapshot: Arc<Snapshot>) -> Result<(), EngineError> {
        let mut thread = self.thread.lock();
        {
            let mut state = self.shared.state.lock();
            state.next = Some(snapshot);
            state.stopping = false;
        }
        if thread.is_none() {
            let shared = Arc::clone(&self.shared);
            let spawned = std::thread::Builder::new()
                .name("configuration".to_owned())
                .spawn(move || shared.run())
                .map_err(EngineError::thread)?;
            *thread = Some(spawned);
        }
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Writes what is still to be written, and ends the thread. Doing it twice does nothing.
    pub(crate) fn stop(&self) {
        let Some(thread) = self.thread.lock().take() else { return };
        self.shared.state.lock().stopping = true;
        self.shared.changed.notify_one();
        if thread.join().is_err() {
            tracing::error!("the thread configuration had panicked");
        }
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let next = {
                let mut state = self.state.lock();
                while state.next.is_none() && !state.stopping {
                    self.changed.wait(&mut state);
                }
                state.next.take()
            };
            let Some(snapshot) = next else { return };
            let generation = snapshot.generation();
            if let Err(error) = self.file.save(&snapshot) {
                tracing::error!(%generation, ?error, "the configuration was not written down");
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}
