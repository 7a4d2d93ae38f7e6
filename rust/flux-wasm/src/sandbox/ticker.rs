//! The clock of the sandbox: one thread that ticks every millisecond while somebody calls.
//!
//! Owns the engine's epoch. Each tick moves it, and guest code looks at it at every loop and
//! function entry: that is how deadlines work. While nobody holds a lease the thread sleeps.
//! The ticks a caller sees go by inside calls are also what plugins' shares of a core are
//! estimated from: a sample every millisecond, for the price of two loads a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use wasmtime::Engine;

use crate::PluginError;

const TICK: Duration = Duration::from_millis(1);

/// How long ticking goes on after the last lease, so that steady traffic does not wake the thread
/// for each batch.
const LINGER_MS: u64 = 20;

/// Milliseconds the clock may be behind and still make up for tick by tick.
const CATCH_UP_MAX: u64 = 1_000;

#[derive(Debug)]
struct Shared {
    origin: Instant,
    now_ms: AtomicU64,
    leases: AtomicUsize,
    /// Whether the thread waits to be woken.
    asleep: AtomicBool,
    stop: AtomicBool,
    gate: Mutex<()>,
    wake: Condvar,
}

/// Counts milliseconds while somebody calls. Stops with its last owner.
#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// While one of these lives the clock ticks.
#[derive(Debug)]
pub(crate) struct Ticking {
    shared: Arc<Shared>,
}

impl Ticker {
    pub(crate) fn start(engine: Engine) -> Result<Self, PluginError> {
        let shared = Arc::new(Shared {
            origin: Instant::now(),
            now_ms: AtomicU64::new(0),
            leases: AtomicUsize::new(0),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            gate: Mutex::new(()),
            wake: Condvar::new(),
        });
        let ours = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("plugin-clock".to_owned())
            .spawn(move || ours.run(&engine))
            .map_err(|error| PluginError::Host { reason: format!("no thread: {error}") })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Lets the clock tick until the answer is dropped.
    pub(crate) fn begin(&self) -> Ticking {
        let shared = Arc::clone(&self.shared);
        // Sequentially consistent with `Shared::sleep`: either it sees this lease, or this sees
        // it asleep.
        shared.leases.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.load(Ordering::SeqCst) {
            // Before the thread does: what a call sees go by must not be what went by before it.
            shared.now_ms.fetch_max(shared.elapsed_ms(), Ordering::Relaxed);
            let _gate = shared.gate.lock();
            shared.wake.notify_one();
        }
        Ticking { shared }
    }

    /// Milliseconds since the start, exactly.
    pub(crate) fn read_ms(&self) -> u64 {
        self.shared.elapsed_ms()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        {
            let _gate = self.shared.gate.lock();
            self.shared.wake.notify_one();
        }
        if let Some(thread) = self.thread.take() {
            // a clock that panicked has nothing more to say
            let _ = thread.join();
        }
    }
}

impl Ticking {
    /// Milliseconds since the start, as of the last tick.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.shared.now_ms.load(Ordering::Relaxed)
    }
}

impl Drop for Ticking {
    fn drop(&mut self) {
        self.shared.leases.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Shared {
    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn run(&self, engine: &Engine) {
        let mut idle_since = self.elapsed_ms();
        while !self.stop.load(Ordering::SeqCst) {
            std::thread::sleep(TICK);
            self.advance(engine);
            let now = self.now_ms.load(Ordering::Relaxed);
            if self.leases.load(Ordering::SeqCst) > 0 {
                idle_since = now;
            } else if now.saturating_sub(idle_since) >= LINGER_MS {
                self.sleep();
                // Nobody's deadline ran while we slept: the epoch does not make up for it.
                self.now_ms.fetch_max(self.elapsed_ms(), Ordering::Relaxed);
                idle_since = self.elapsed_ms();
            }
        }
    }

    /// Moves the epoch by every millisecond that went by: the thread may have been held up.
    fn advance(&self, engine: &Engine) {
        let now = self.elapsed_ms();
        let behind = now.saturating_sub(self.now_ms.load(Ordering::Relaxed));
        for _ in 0..behind.min(CATCH_UP_MAX) {
            engine.increment_epoch();
        }
        self.now_ms.store(now, Ordering::Relaxed);
    }

    fn sleep(&self) {
        let mut gate = self.gate.lock();
        self.asleep.store(true, Ordering::SeqCst);
        while self.leases.load(Ordering::SeqCst) == 0 && !self.stop.load(Ordering::SeqCst) {
            self.wake.wait(&mut gate);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use wasmtime::Engine;

    use super::Ticker;

    #[test]
    fn what_went_by_while_nobody_called_is_not_seen_go_by() {
        let ticker = Ticker::start(Engine::default()).unwrap();
        let start = Instant::now();
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            assert!(start.elapsed().as_secs() < 20, "it never sleeps");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(50));
        let before = ticker.read_ms();
        assert!(ticker.begin().now_ms() >= before);
    }
}
