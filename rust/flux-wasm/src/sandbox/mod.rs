//! The engine that runs guests, and what it may and may not do.
//!
//! Owns the wasmtime configuration, the imports, the clock and the cache of compiled code. Must
//! never give a guest anything but the log.

pub(crate) mod cache;
mod guest;
pub(crate) mod log;
mod ticker;

use std::sync::Arc;

use flux_plugin_abi::{Level, imports};
use sha2::{Digest, Sha256};
use wasmtime::{Config, Engine, Linker, Module, OptLevel};

use crate::interface::abi0_log_imports;
use crate::{Limits, PluginError};
use cache::Cache;
pub(crate) use guest::{Guest, new_store};
pub(crate) use ticker::{Ticker, Ticking};

/// SHA-256 of a module's bytes.
pub(crate) type ContentHash = [u8; 32];

/// The engine, shared by all plugins.
pub(crate) struct Sandbox {
    engine: Engine,
    linker: Linker<Guest>,
    ticker: Ticker,
    cache: Option<Cache>,
    pub(crate) limits: Limits,
}

impl Sandbox {
    pub(crate) fn new(limits: Limits, cache: Option<Cache>) -> Result<Arc<Self>, PluginError> {
        let engine = Engine::new(&configuration(&limits)).map_err(host)?;
        let linker = imports(&engine).map_err(host)?;
        let ticker = Ticker::start(engine.clone())?;
        Ok(Arc::new(Self { engine, linker, ticker, cache, limits }))
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn linker(&self) -> &Linker<Guest> {
        &self.linker
    }

    pub(crate) fn ticker(&self) -> &Ticker {
        &self.ticker
    }

    pub(crate) fn cache(&self) -> Option<&Cache> {
        self.cache.as_ref()
    }

    /// Compiles a module, or takes what an earlier compilation left.
    pub(crate) fn compile(&self, wasm: &[u8]) -> Result<(Module, ContentHash), PluginError> {
        let max = self.limits.module_bytes_max;
        if wasm.len() > max {
            return Err(PluginError::TooLarge { bytes: wasm.len(), max });
        }
        if !wasm.starts_with(b"\0asm") {
            let message = "it does not begin as WebAssembly does (00 61 73 6d)".to_owned();
            return Err(PluginError::Compile { message });
        }
        let hash: ContentHash = Sha256::digest(wasm).into();
        let compile = || {
            Module::from_binary(&self.engine, wasm)
                .map_err(|error| PluginError::Compile { message: chain(&error) })
        };
        let module = match &self.cache {
            Some(cache) => cache.get_or_compile(&self.engine, &hash, compile)?,
            None => compile()?,
        };
        Ok((module, hash))
    }
}

/// An error and all its causes.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[allow(clippy::needless_pass_by_value)] // as `map_err` hands it
fn host(error: wasmtime::Error) -> PluginError {
    PluginError::Host { reason: chain(&error) }
}

/// What guests may be made of.
///
/// On: what toolchains emit without being asked (bulk memory, SIMD, multiple values, sign
/// extension, reference types for their wider encodings, constant expressions). Off: whatever
/// widens the sandbox or makes results differ from machine to machine.
fn configuration(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_bulk_memory(true)
        .wasm_simd(true)
        .wasm_multi_value(true)
        .wasm_extended_const(true)
        .wasm_relaxed_simd(false)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_wide_arithmetic(false)
        .wasm_custom_page_sizes(false);
    config
        // A guest's fault must never be a signal: an embedder's handler (Python's faulthandler,
        // which pytest switches on) would end the process.
        .signals_based_traps(false)
        .memory_guard_size(0)
        .memory_reservation(limits.max_memory_bytes as u64)
        .memory_reservation_for_growth(0)
        .epoch_interruption(true)
        .consume_fuel(false)
        .max_wasm_stack(limits.stack_bytes_max)
        .cranelift_opt_level(OptLevel::Speed)
        .native_unwind_info(false)
        .generate_address_map(false);
    config
}

/// Everything a guest may import.
fn imports(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    linker.func_wrap(
        imports::MODULE,
        imports::LOG,
        |caller: wasmtime::Caller<'_, Guest>, level, ptr, len| {
            log::host_log(caller, Level::from_i32(level), ptr, len)
        },
    )?;
    for (name, level) in abi0_log_imports() {
        linker.func_wrap("env", name, move |caller: wasmtime::Caller<'_, Guest>, ptr, len| {
            log::host_log(caller, Some(level), ptr, len)
        })?;
    }
    Ok(linker)
}
