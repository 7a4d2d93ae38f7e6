//! One consumer's end of some rings, read from Python: at once, waiting, or woken by an event loop.
//!
//! Owns the order of clearing, answering and looking, by which no wake is lost. Must never wait
//! while the interpreter is held, nor so long that a signal is not seen to.

use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flux_bus::{Closed, Doorbell, Event, Notify, Tap, TapControl, TapStats, WakeFd};
use flux_pipeline::{LiveEvent, LiveTap};
use flux_types::ErrorKind;
use parking_lot::{Mutex, MutexGuard};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;

use crate::failure::exception;

/// How long a call waits before it looks whether a signal came.
const SLICE: Duration = Duration::from_millis(100);

/// A descriptor for an event loop, opened when one asks for it: who waits in a thread has no need
/// of it, and saves a call into the kernel for each wake.
#[derive(Default)]
pub(crate) struct LazyWake(OnceLock<WakeFd>);

impl LazyWake {
    pub(crate) fn descriptor(&self) -> PyResult<RawFd> {
        let fd = match self.0.get() {
            Some(fd) => fd,
            None => {
                let opened = WakeFd::new().map_err(PyOSError::new_err)?;
                let fd = self.0.get_or_init(|| opened);
                // whatever came before has told nobody
                fd.notify();
                fd
            }
        };
        Ok(fd.as_fd().as_raw_fd())
    }

    pub(crate) fn clear(&self) {
        if let Some(fd) = self.0.get() {
            fd.clear();
        }
    }
}

impl Notify for LazyWake {
    fn notify(&self) {
        if let Some(fd) = self.0.get() {
            fd.notify();
        }
    }
}

/// What a tap is kept in.
pub(crate) trait Tapped<P>: Send {
    /// The tap.
    fn tap(&mut self) -> &mut Tap<P>;
}

impl<P: Send> Tapped<P> for Tap<P> {
    fn tap(&mut self) -> &mut Tap<P> {
        self
    }
}

impl Tapped<LiveEvent> for LiveTap {
    fn tap(&mut self) -> &mut Tap<LiveEvent> {
        &mut self.tap
    }
}

/// Taps of one bell, with the ways to wait for them.
pub(crate) struct Feed<P, T> {
    taps: Mutex<Taps<T>>,
    controls: Vec<TapControl<P>>,
    bell: Doorbell,
    wake: Arc<LazyWake>,
    /// What is left in the rings is not wanted either.
    discarded: AtomicBool,
}

struct Taps<T> {
    taps: Vec<T>,
    /// Where to begin, so that no ring makes the others wait.
    next: usize,
}

impl<T> Taps<T> {
    /// Takes up to `max` messages from all of them; whether any may still come.
    fn take<P>(&mut self, into: &mut Vec<Event<P>>, max: usize) -> Result<(), Closed>
    where
        T: Tapped<P>,
    {
        self.next = (self.next + 1).checked_rem(self.taps.len()).unwrap_or(0);
        let (before, from) = self.taps.split_at_mut(self.next);
        let mut open = false;
        for tap in from.iter_mut().chain(before) {
            let room = max - into.len();
            // a ring that is not looked at is not known to be at its end
            open |= room == 0 || tap.tap().try_recv_batch(into, room).is_ok();
        }
        if open { Ok(()) } else { Err(Closed) }
    }
}

/// A bell that also wakes an event loop, and the descriptor by which it does.
pub(crate) fn bell() -> (Doorbell, Arc<LazyWake>) {
    let wake = Arc::new(LazyWake::default());
    (Doorbell::with_listener(wake.clone()), wake)
}

impl<P: Send, T: Tapped<P>> Feed<P, T> {
    /// Over taps that ring the bell.
    pub(crate) fn new(mut taps: Vec<T>, bell: Doorbell, wake: Arc<LazyWake>) -> Self {
        let controls = taps.iter_mut().map(|tap| tap.tap().control()).collect();
        let taps = Mutex::new(Taps { taps, next: 0 });
        Self { taps, controls, bell, wake, discarded: AtomicBool::new(false) }
    }

    /// Up to `max` messages that are there. `None`: there are none and will be none.
    pub(crate) fn take(&self, py: Python<'_>, max: usize) -> PyResult<Option<Vec<Event<P>>>> {
        some(max)?;
        self.bell.answer();
        let mut taken = Vec::new();
        let outcome = self.consumer(py)?.take(&mut taken, max);
        Ok((outcome.is_ok() && !self.is_discarded()).then_some(taken))
    }

    /// As [`Feed::take`], waiting for the first one for at most `timeout_s` seconds.
    pub(crate) fn receive(
        &self,
        py: Python<'_>,
        max: usize,
        timeout_s: Option<f64>,
    ) -> PyResult<Option<Vec<Event<P>>>> {
        some(max)?;
        let timeout = timeout_s.map(duration).transpose()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut taken = Vec::new();
        loop {
            let mut consumer = self.consumer(py)?;
            if consumer.take(&mut taken, max).is_err() || self.is_discarded() {
                return Ok(None);
            }
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if !taken.is_empty() || left.is_some_and(|left| left.is_zero()) {
                return Ok(Some(taken));
            }
            // the guard is kept: whoever else comes is told that somebody waits here
            py.detach(|| self.bell.wait(left.map_or(SLICE, |left| left.min(SLICE))));
            drop(consumer);
            py.check_signals()?;
        }
    }

    fn consumer(&self, py: Python<'_>) -> PyResult<MutexGuard<'_, Taps<T>>> {
        // never waited for: whoever has it may be waiting itself
        self.taps.try_lock().ok_or_else(|| {
            let message = "another thread is receiving from this subscription";
            let hint = Some("subscribe once for each thread");
            exception(py, ErrorKind::Conflict, "bus.busy", message, hint, &[])
        })
    }

    pub(crate) fn descriptor(&self) -> PyResult<RawFd> {
        self.wake.descriptor()
    }

    pub(crate) fn clear(&self) {
        self.wake.clear();
    }

    /// Lets nothing more in; what is there can still be taken.
    pub(crate) fn close(&self) {
        for control in &self.controls {
            control.close();
        }
    }

    /// Closes it, and gives up what is there.
    pub(crate) fn discard(&self) {
        self.discarded.store(true, Ordering::Release);
        self.close();
    }

    fn is_discarded(&self) -> bool {
        self.discarded.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.controls.iter().all(TapControl::is_closed)
    }

    pub(crate) fn stats(&self) -> impl Iterator<Item = TapStats> {
        self.controls.iter().map(TapControl::stats)
    }
}

fn some(max: usize) -> PyResult<()> {
    // with none allowed, nothing could be told from an end
    if max > 0 { Ok(()) } else { Err(PyValueError::new_err("max is a number from 1 on")) }
}

fn duration(seconds: f64) -> PyResult<Duration> {
    // beyond what the clock can count is the same as for ever
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err("a timeout is a number of seconds from 0 on, or None"));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}
