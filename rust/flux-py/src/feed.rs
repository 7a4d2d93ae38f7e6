//! One consumer's end of a ring, read from Python: at once, waiting, or woken by an event loop.
//!
//! Owns the order of clearing, answering and looking, by which no wake is lost. Must never wait
//! while the interpreter is held, nor so long that a signal is not seen to.

use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use flux_bus::{Closed, Doorbell, Event, Notify, Tap, TapControl, WakeFd};
use flux_pipeline::{LiveEvent, LiveTap};
use flux_types::ErrorKind;
use parking_lot::Mutex;
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

/// A tap with the ways to wait for it.
pub(crate) struct Feed<P, T> {
    tap: Mutex<T>,
    control: TapControl<P>,
    bell: Doorbell,
    wake: Arc<LazyWake>,
    closed: AtomicBool,
    _carries: PhantomData<fn() -> P>,
}

/// A bell that also wakes an event loop, and the descriptor by which it does.
pub(crate) fn bell() -> (Doorbell, Arc<LazyWake>) {
    let wake = Arc::new(LazyWake::default());
    (Doorbell::with_listener(wake.clone()), wake)
}

impl<P: Send, T: Tapped<P>> Feed<P, T> {
    /// Over a tap that rings the bell.
    pub(crate) fn new(mut tap: T, bell: Doorbell, wake: Arc<LazyWake>) -> Self {
        let control = tap.tap().control();
        let closed = AtomicBool::new(false);
        Self { tap: Mutex::new(tap), control, bell, wake, closed, _carries: PhantomData }
    }

    /// Up to `max` of the messages that are there, as far as they are picked. `None`: there are none and will be
    /// none.
    pub(crate) fn take<I>(
        &self,
        py: Python<'_>,
        max: usize,
        pick: impl Fn(Event<P>) -> Option<I>,
    ) -> PyResult<Option<Vec<I>>> {
        some(max)?;
        self.bell.answer();
        let mut consumer = self.consumer(py)?;
        let mut taken = Vec::new();
        while !self.was_closed() {
            match consumer.tap().try_recv_batch(&mut taken, max) {
                Err(Closed) => break,
                Ok(count) => {
                    let kept: Vec<I> = taken.drain(..).filter_map(&pick).collect();
                    if count < max || !kept.is_empty() {
                        return Ok(Some(kept));
                    }
                }
            }
        }
        Ok(None)
    }

    /// As [`Feed::take`], waiting for the first one for at most `timeout_s` seconds.
    pub(crate) fn receive<I>(
        &self,
        py: Python<'_>,
        max: usize,
        timeout_s: Option<f64>,
        pick: impl Fn(Event<P>) -> Option<I>,
    ) -> PyResult<Option<Vec<I>>> {
        some(max)?;
        let timeout = timeout_s.map(duration).transpose()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut taken = Vec::new();
        while !self.was_closed() {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            let mut consumer = self.consumer(py)?;
            let tap = consumer.tap();
            let outcome = match tap.try_recv_batch(&mut taken, max) {
                // only an empty ring makes it worth letting the interpreter go
                Ok(0) if !slice.is_zero() => py.detach(|| tap.recv_batch(&mut taken, max, slice)),
                outcome => outcome,
            };
            drop(consumer);
            if outcome.is_err() {
                break;
            }
            let kept: Vec<I> = taken.drain(..).filter_map(&pick).collect();
            if !kept.is_empty() || left.is_some_and(|left| left <= slice) {
                return Ok(Some(kept));
            }
            py.check_signals()?;
        }
        Ok(None)
    }

    fn consumer(&self, py: Python<'_>) -> PyResult<parking_lot::MutexGuard<'_, T>> {
        // never waited for: whoever has it may be waiting itself
        self.tap.try_lock().ok_or_else(|| {
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

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.control.close();
    }

    pub(crate) fn was_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.control.is_closed()
    }

    pub(crate) fn stats(&self) -> flux_bus::TapStats {
        self.control.stats()
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
