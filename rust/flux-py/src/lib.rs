//! The extension module `fluxhybrid._native`: convert, detach, delegate.
//!
//! Owns the one door between Rust and Python. Must never decide anything, and never let a thread of
//! the engine touch the interpreter: what happens there is taken in batches by whoever wants it.

#![forbid(unsafe_code)]

mod bus;
mod convert;
mod door;
mod engine;
mod events;
mod failure;
mod feed;
mod logs;
mod plugins;
mod scripts;

/// The data plane of fluxhybrid. Use it through `fluxhybrid.engine`.
#[pyo3::pymodule]
mod _native {
    #[pymodule_export]
    use crate::bus::{EventBus, Message, MessageBatch, MessageIterator, Subscription};
    #[pymodule_export]
    use crate::engine::Engine;
    #[pymodule_export]
    use crate::events::{EventBatch, EventIterator, EventStream};
    #[pymodule_export]
    use crate::logs::init_logging;
    #[pymodule_export]
    use crate::plugins::PluginManager;
    #[pymodule_export]
    use crate::scripts::{Evaluation, ScriptEngine};

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        crate::door::register(module)
    }
}
