//! The door between the two worlds: what holds for every call.
//!
//! Owns three promises: a panic becomes `RuntimeError`, an object from before a fork is refused, and
//! nothing that may wait is done while the interpreter is held.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How often this process is the child of a fork of one that had the module loaded.
static FORKS: AtomicU64 = AtomicU64::new(0);

/// Has the interpreter tell of forks and of its end.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let hooks = pyo3::types::PyDict::new(py);
    hooks.set_item("after_in_child", wrap_pyfunction!(_forked, module)?)?;
    py.import("os")?.call_method("register_at_fork", (), Some(&hooks))?;
    let stop = wrap_pyfunction!(crate::engine::_stop_engines, module)?;
    py.import("atexit")?.call_method1("register", (stop,))?;
    #[cfg(debug_assertions)]
    // not in __all__: it is no word of the module's
    module.setattr("_panic", wrap_pyfunction!(_panic, module)?)?;
    Ok(())
}

#[pyfunction]
fn _forked() {
    FORKS.fetch_add(1, Ordering::Relaxed);
}

/// Panics, so that a test sees what becomes of it. Only in builds for tests.
#[cfg(debug_assertions)]
#[pyfunction]
fn _panic(text: &str) -> PyResult<()> {
    guarded(|| panic!("{text}"))
}

/// Which side of which fork this is.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Does the work of a call; a panic in it becomes a `RuntimeError`.
pub(crate) fn guarded<R>(work: impl FnOnce() -> PyResult<R>) -> PyResult<R> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(PyRuntimeError::new_err(format!("the engine panicked: {}", said(&*panic))))
    })
}

fn said(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a word")
}

/// Something with threads or locks of its own behind it, which a fork does not take along.
///
/// In the child it is refused, and given up without being touched: its locks may be held by threads
/// that are not there.
pub(crate) struct Native<T: Send> {
    /// There until it is dropped.
    value: Option<T>,
    forks: u64,
}

impl<T: Send> Native<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Some(value), forks: forks() }
    }

    pub(crate) fn get(&self) -> PyResult<&T> {
        match &self.value {
            Some(value) if self.forks == forks() => Ok(value),
            _ => Err(PyRuntimeError::new_err(
                "this object was made before the process forked, and its threads stayed behind: \
                 make a new one in the child, or use the start method \"spawn\"",
            )),
        }
    }
}

impl<T: Send> Drop for Native<T> {
    fn drop(&mut self) {
        let Some(value) = self.value.take() else { return };
        if self.forks != forks() {
            std::mem::forget(value);
            return;
        }
        // dropping may join threads: others shall go on meanwhile
        let mut value = Some(value);
        let mut dispose = || drop(value.take());
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let attached = Python::try_attach(|py| py.detach(&mut dispose));
            if attached.is_none() {
                dispose();
            }
        }));
        if let Err(panic) = outcome {
            tracing::error!(panic = said(&*panic), "panicked while it was let go");
        }
    }
}
