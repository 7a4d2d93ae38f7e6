//! One live instance of a plugin.
//!
//! Owns a store, its memory and the buffers inputs are put in. Every address a guest hands out is
//! checked against the memory it has at that moment; every call runs under the deadline. Must never
//! be used again once a call has spoilt it.

mod blueprint;
mod inputs;

use flux_plugin_abi::{Context, Packed};
use wasmtime::{Memory, Store, Trap, TypedFunc};

pub(crate) use blueprint::Blueprint;
use blueprint::{missing, typed};
pub(crate) use inputs::Input;
use inputs::{Buffer, KeptSettings, word};

use crate::interface::{Abi, Function};
use crate::sandbox::log::{LogGate, LogPointer};
use crate::sandbox::{Guest, Sandbox, chain, new_store};
use crate::{Limits, PluginError};

type Call = TypedFunc<(i32, i32, i32, i32), i64>;

/// A live instance.
pub(crate) struct Instance {
    store: Store<Guest>,
    instance: wasmtime::Instance,
    memory: Memory,
    alloc: TypedFunc<i32, i32>,
    dealloc: Option<TypedFunc<(i32, i32), ()>>,
    callable: [Option<Call>; Function::CALLABLE.len()],
    context: Buffer,
    input: Buffer,
    settings: Option<KeptSettings>,
    pub(crate) calls: u64,
    bytes_at_first: usize,
    /// It lives for one call: what it allocates dies with it.
    fleeting: bool,
}

impl Instance {
    /// Makes an instance and runs what it does at first, under the deadline.
    pub(crate) fn new(
        sandbox: &Sandbox,
        blueprint: &Blueprint,
        log: std::sync::Arc<LogGate>,
        fleeting: bool,
    ) -> Result<Self, PluginError> {
        let limits = &sandbox.limits;
        let guest = Guest::new(limits, log);
        let mut store = new_store(sandbox.engine(), guest, limits.deadline_ticks());
        let instance = blueprint
            .pre
            .instantiate(&mut store)
            .map_err(|error| start_failure(&store, &error, limits))?;
        if let Some(initialize) = &blueprint.initialize {
            let run: TypedFunc<(), ()> = typed(&mut store, &instance, initialize, Function::Start)?;
            run.call(&mut store, ()).map_err(|error| start_failure(&store, &error, limits))?;
        }
        let memory = instance
            .get_module_export(&mut store, &blueprint.memory)
            .and_then(wasmtime::Extern::into_memory)
            .ok_or_else(|| missing(Function::Start))?;
        let alloc = typed(&mut store, &instance, &blueprint.alloc, Function::Alloc)?;
        let bytes_at_first = memory.data_size(&store);
        Ok(Self {
            store,
            instance,
            memory,
            alloc,
            dealloc: None,
            callable: [const { None }; Function::CALLABLE.len()],
            context: Buffer::default(),
            input: Buffer::default(),
            settings: None,
            calls: 0,
            bytes_at_first,
            fleeting,
        })
    }

    /// Bytes of linear memory it has.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.memory.data_size(&self.store)
    }

    /// Whether it has served or grown enough to be replaced.
    pub(crate) fn is_worn(&self, limits: &Limits) -> bool {
        let grown = self.memory_bytes().saturating_sub(self.bytes_at_first);
        self.calls >= limits.instance_calls_max || grown > limits.instance_growth_bytes_max
    }

    /// What the module says its ABI is.
    pub(crate) fn abi_version(&mut self, limits: &Limits) -> Result<i32, PluginError> {
        let name = Function::AbiVersion.as_str();
        let version: TypedFunc<(), i32> = self
            .instance
            .get_typed_func(&mut self.store, name)
            .map_err(|_| missing(Function::AbiVersion))?;
        self.begin(limits);
        self.run(Function::AbiVersion, limits.deadline_ms, |store| version.call(store, ()))
    }

    /// Calls a function and lets `read` look at its output: no bytes where it has none.
    #[inline]
    pub(crate) fn call<R>(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        function: Function,
        context: &Context<'_>,
        input: Input<'_>,
        read: impl FnOnce(&[u8], &Limits) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        self.begin(limits);
        if blueprint.interface.abi == Abi::V0 {
            self.call_v0(blueprint, limits, function, input)?;
            return read(&[], limits);
        }
        self.prepare(blueprint, function)?;
        let (context, context_len, input_ptr, input_len) =
            self.place(blueprint, limits, context, input)?;
        let params = (word(context), word(context_len), word(input_ptr), word(input_len));
        // not through `run`: cloning the function would cost as much as calling it
        let Some(Some(call)) = self.callable.get(function as usize) else {
            return Err(PluginError::NotExported(function));
        };
        let result = match call.call(&mut self.store, params) {
            Ok(result) => result,
            Err(error) => return Err(failure(&self.store, &error, function, limits.deadline_ms)),
        };
        let Some(output) = Packed::unpack(result) else {
            self.release_large(blueprint, limits)?;
            return read(&[], limits);
        };
        let answer = self.output(limits, output, read);
        // What the guest allocated goes back on every path, unless its address is a lie.
        if !output.borrowed
            && !matches!(answer, Err(PluginError::Pointer { .. } | PluginError::Overlap))
        {
            self.give_back(blueprint, limits, output.ptr, output.len)?;
        }
        self.release_large(blueprint, limits)?;
        answer
    }

    #[inline]
    fn begin(&mut self, limits: &Limits) {
        self.calls += 1;
        self.store.set_epoch_deadline(limits.deadline_ticks());
        self.store.data_mut().begin_call();
    }

    /// Reads an output that lies where it should.
    #[inline]
    fn output<R>(
        &self,
        limits: &Limits,
        output: Packed,
        read: impl FnOnce(&[u8], &Limits) -> Result<R, PluginError>,
    ) -> Result<R, PluginError> {
        let memory = self.memory.data(&self.store);
        let (start, len) = (output.ptr as usize, output.len as usize);
        let bytes = memory.get(start..start.saturating_add(len)).ok_or(PluginError::Pointer {
            what: "the output",
            ptr: output.ptr,
            len: output.len,
            memory: memory.len(),
        })?;
        let end = start + len;
        if !output.borrowed
            && (self.context.overlaps(start, end) || self.input.overlaps(start, end))
        {
            return Err(PluginError::Overlap);
        }
        let max = limits.output_bytes_max;
        if len > max {
            let fault = crate::OutputFault::limit("bytes of output", len, "output_bytes_max", max);
            return Err(fault.into());
        }
        read(bytes, limits)
    }

    fn call_v0(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        function: Function,
        input: Input<'_>,
    ) -> Result<(), PluginError> {
        if function != Function::OnMsg {
            return Err(PluginError::NotExported(function));
        }
        let on_msg: TypedFunc<(i32, i32), i32> = self
            .instance
            .get_typed_func(&mut self.store, function.as_str())
            .map_err(|_| missing(function))?;
        let (_, _, ptr, len) = self.place(blueprint, limits, &Context::default(), input)?;
        let params = (word(ptr), word(len));
        let result = self.run(function, limits.deadline_ms, |store| on_msg.call(store, params))?;
        self.release_large(blueprint, limits)?;
        if result == 1 { Ok(()) } else { Err(PluginError::Failed(result)) }
    }

    /// Runs guest code and says what became of it.
    #[inline]
    fn run<R>(
        &mut self,
        function: Function,
        deadline_ms: u64,
        call: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<R>,
    ) -> Result<R, PluginError> {
        match call(&mut self.store) {
            Ok(result) => Ok(result),
            Err(error) => Err(failure(&self.store, &error, function, deadline_ms)),
        }
    }

    /// Looks a function up the first time it is called.
    #[inline]
    fn prepare(&mut self, blueprint: &Blueprint, function: Function) -> Result<(), PluginError> {
        match self.callable.get(function as usize) {
            Some(Some(_)) => Ok(()),
            _ => self.look_up(blueprint, function),
        }
    }

    #[cold]
    fn look_up(&mut self, blueprint: &Blueprint, function: Function) -> Result<(), PluginError> {
        let export = blueprint.callable.get(function as usize).and_then(Option::as_ref);
        let export = export.ok_or(PluginError::NotExported(function))?;
        let call: Call = typed(&mut self.store, &self.instance, export, function)?;
        if let Some(slot) = self.callable.get_mut(function as usize) {
            *slot = Some(call);
        }
        Ok(())
    }
}

/// What a failed call means.
#[cold]
fn failure(
    store: &Store<Guest>,
    error: &wasmtime::Error,
    function: Function,
    deadline_ms: u64,
) -> PluginError {
    if let Some(pointer) = error.downcast_ref::<LogPointer>() {
        let LogPointer { ptr, len, memory } = *pointer;
        return PluginError::Pointer { what: "a line of log", ptr, len, memory };
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => PluginError::Deadline { function, deadline_ms },
        Some(Trap::StackOverflow) => PluginError::Stack { function },
        trap => {
            let reason = trap.map_or_else(|| chain(error), ToString::to_string);
            let reason = match store.data().refused {
                Some(limit) => format!("{reason}; it had been refused more than {limit}"),
                None => reason,
            };
            PluginError::Trap { function, reason }
        }
    }
}

fn start_failure(store: &Store<Guest>, error: &wasmtime::Error, limits: &Limits) -> PluginError {
    match failure(store, error, Function::Start, limits.deadline_ms) {
        PluginError::Trap { reason, .. } => PluginError::Start { reason },
        other => other,
    }
}
