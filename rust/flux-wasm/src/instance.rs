//! One live instance of a plugin.
//!
//! Owns a store, its memory and the buffers inputs are put in. Every address a guest hands out is
//! checked against the memory it has at that moment; every call runs under the deadline. Must never
//! be used again once a call has spoilt it.

use flux_plugin_abi::{Context, Packed};
use wasmtime::{
    InstancePre, Memory, ModuleExport, Store, Trap, TypedFunc, WasmParams, WasmResults,
};

use crate::interface::{Abi, Function, INITIALIZE, Interface};
use crate::sandbox::log::{LogGate, LogPointer};
use crate::sandbox::{Guest, Sandbox, chain, new_store};
use crate::{Limits, PluginError};

/// Room asked of `alloc` at least, so that small inputs of differing sizes share one buffer.
const BUFFER_BYTES_MIN: usize = 512;

type Call = TypedFunc<(i32, i32, i32, i32), i64>;

/// What can be instantiated: a compiled module with its imports, and where its exports are.
pub(crate) struct Blueprint {
    pre: InstancePre<Guest>,
    pub(crate) interface: Interface,
    memory: ModuleExport,
    alloc: ModuleExport,
    dealloc: ModuleExport,
    /// By number of the function: [`Function::CALLABLE`] come first.
    callable: [Option<ModuleExport>; Function::CALLABLE.len()],
    initialize: Option<ModuleExport>,
}

impl Blueprint {
    pub(crate) fn new(sandbox: &Sandbox, module: &wasmtime::Module) -> Result<Self, PluginError> {
        let interface = Interface::inspect(module, &sandbox.limits)?;
        let failed = |error: &wasmtime::Error| PluginError::Start { reason: chain(error) };
        let pre = sandbox.linker().instantiate_pre(module).map_err(|error| failed(&error))?;
        let export = |name: &str| module.get_export_index(name);
        let required = |name: &str| {
            export(name).ok_or_else(|| PluginError::Start { reason: format!("{name} is missing") })
        };
        let callable = Function::CALLABLE
            .map(|function| interface.has(function).then(|| export(function.as_str())).flatten());
        Ok(Self {
            pre,
            memory: required(flux_plugin_abi::exports::MEMORY)?,
            alloc: required(Function::Alloc.as_str())?,
            dealloc: required(Function::Dealloc.as_str())?,
            callable,
            initialize: interface.initialize.then(|| export(INITIALIZE)).flatten(),
            interface,
        })
    }
}

/// What is handed to a call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Input<'i> {
    One(&'i [u8]),
    /// Laid out as `decode_batch` wants it.
    Batch(&'i [&'i [u8]]),
}

impl Input<'_> {
    fn len(&self) -> usize {
        match self {
            Self::One(bytes) => bytes.len(),
            Self::Batch(inputs) => 4 + inputs.iter().map(|input| 4 + input.len()).sum::<usize>(),
        }
    }

    /// Writes exactly [`Input::len`] bytes, which are below 2^32: `input_bytes_max` is checked.
    fn write(&self, mut room: &mut [u8]) {
        match self {
            Self::One(bytes) => put(&mut room, bytes),
            Self::Batch(inputs) => {
                put(&mut room, &len32(inputs.len()));
                for input in *inputs {
                    put(&mut room, &len32(input.len()));
                    put(&mut room, input);
                }
            }
        }
    }
}

#[inline]
fn put(room: &mut &mut [u8], bytes: &[u8]) {
    if let Some((place, rest)) = std::mem::take(room).split_at_mut_checked(bytes.len()) {
        place.copy_from_slice(bytes);
        *room = rest;
    }
}

fn len32(len: usize) -> [u8; 4] {
    u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes()
}

/// A piece of the guest's memory that its `alloc` gave us.
#[derive(Debug, Clone, Copy, Default)]
struct Buffer {
    ptr: u32,
    capacity: usize,
}

impl Buffer {
    fn overlaps(&self, start: usize, end: usize) -> bool {
        let own = self.ptr as usize;
        start < own + self.capacity && own < end
    }
}

/// Bytes of the settings that stand at the beginning of the context buffer, and whose they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeptSettings {
    id: u64,
    json_len: usize,
    bytes: usize,
}

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
    scratch: Vec<u8>,
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
            scratch: Vec::new(),
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

    // --- inputs ---

    /// Puts context and input into the guest's memory; their addresses and lengths.
    #[inline]
    fn place(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        context: &Context<'_>,
        input: Input<'_>,
    ) -> Result<(u32, usize, u32, usize), PluginError> {
        let input_len = within("input", input.len(), "input_bytes_max", limits.input_bytes_max)?;
        let is_v0 = blueprint.interface.abi == Abi::V0;
        self.scratch.clear();
        let settings = settings_bytes(context);
        let mut context_len = 0;
        if !is_v0 {
            let too_long = |_| PluginError::Input {
                what: "context",
                len: usize::MAX,
                limit: "context_bytes_max",
                max: limits.context_bytes_max,
            };
            context.write_call(&mut self.scratch).map_err(too_long)?;
            context_len = settings.bytes + self.scratch.len();
            within("context", context_len, "context_bytes_max", limits.context_bytes_max)?;
        }
        if context_len > self.context.capacity {
            self.settings = None;
            self.context = self.renew(blueprint, limits, self.context, context_len)?;
        }
        if input_len > self.input.capacity || self.input.capacity == 0 {
            self.input = self.renew(blueprint, limits, self.input, input_len)?;
        }
        let fresh_settings = self.settings != Some(settings);
        let memory = self.memory.data_mut(&mut self.store);
        let room = piece(memory, self.context, context_len)?;
        if let Some((place, rest)) = room.split_at_mut_checked(settings.bytes) {
            if fresh_settings {
                let mut bytes = Vec::with_capacity(settings.bytes);
                if context.write_settings(&mut bytes).is_ok() && bytes.len() == place.len() {
                    place.copy_from_slice(&bytes);
                }
                self.settings = Some(settings);
            }
            rest.copy_from_slice(&self.scratch);
        }
        input.write(piece(memory, self.input, input_len)?);
        Ok((self.context.ptr, context_len, self.input.ptr, input_len))
    }

    /// A buffer of at least `len` bytes in place of `old`.
    #[cold]
    fn renew(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        old: Buffer,
        len: usize,
    ) -> Result<Buffer, PluginError> {
        if old.capacity > 0 {
            self.give_back_buffer(blueprint, limits, old)?;
        }
        let capacity = len.max(BUFFER_BYTES_MIN).next_power_of_two();
        let alloc = self.alloc.clone();
        let asked = i32::try_from(capacity).map_err(|_| PluginError::Memory { len: capacity })?;
        let ptr = self
            .run(Function::Alloc, limits.deadline_ms, |store| alloc.call(store, asked))?
            .cast_unsigned();
        if ptr == 0 {
            return Err(PluginError::Memory { len: capacity });
        }
        let memory = self.memory.data_size(&self.store);
        if (ptr as usize).saturating_add(capacity) > memory {
            let len = asked.cast_unsigned();
            return Err(PluginError::Pointer { what: "what alloc returned", ptr, len, memory });
        }
        Ok(Buffer { ptr, capacity })
    }

    fn give_back(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        ptr: u32,
        len: u32,
    ) -> Result<(), PluginError> {
        if self.fleeting {
            return Ok(());
        }
        let dealloc = match &self.dealloc {
            Some(dealloc) => dealloc.clone(),
            None => {
                let export = &blueprint.dealloc;
                let dealloc = typed(&mut self.store, &self.instance, export, Function::Dealloc)?;
                self.dealloc.insert(dealloc).clone()
            }
        };
        let params = (ptr.cast_signed(), len.cast_signed());
        self.run(Function::Dealloc, limits.deadline_ms, |store| dealloc.call(store, params))
    }

    /// Gives back buffers that one large input made, so that they do not stay.
    #[inline]
    fn release_large(&mut self, blueprint: &Blueprint, limits: &Limits) -> Result<(), PluginError> {
        let kept_max = limits.buffer_kept_bytes_max;
        if self.context.capacity <= kept_max && self.input.capacity <= kept_max {
            return Ok(());
        }
        if self.input.capacity > kept_max {
            let buffer = std::mem::take(&mut self.input);
            self.give_back_buffer(blueprint, limits, buffer)?;
        }
        if self.context.capacity > kept_max {
            let buffer = std::mem::take(&mut self.context);
            self.settings = None;
            self.give_back_buffer(blueprint, limits, buffer)?;
        }
        Ok(())
    }

    fn give_back_buffer(
        &mut self,
        blueprint: &Blueprint,
        limits: &Limits,
        buffer: Buffer,
    ) -> Result<(), PluginError> {
        let capacity = u32::try_from(buffer.capacity).unwrap_or(u32::MAX);
        self.give_back(blueprint, limits, buffer.ptr, capacity)
    }
}

/// The section of settings, without its bytes.
fn settings_bytes(context: &Context<'_>) -> KeptSettings {
    let (id, json_len) = (context.settings.id, context.settings.json.as_bytes().len());
    let bytes = if id == 0 && json_len == 0 { 0 } else { 1 + 4 + 8 + json_len };
    KeptSettings { id, json_len, bytes }
}

/// The beginning of a buffer. The memory may have been replaced since it was checked.
#[inline]
fn piece(memory: &mut [u8], buffer: Buffer, len: usize) -> Result<&mut [u8], PluginError> {
    let (start, size) = (buffer.ptr as usize, memory.len());
    memory.get_mut(start..start.saturating_add(len)).ok_or(PluginError::Pointer {
        what: "an input buffer",
        ptr: buffer.ptr,
        len: u32::try_from(len).unwrap_or(u32::MAX),
        memory: size,
    })
}

#[inline]
fn within(
    what: &'static str,
    len: usize,
    limit: &'static str,
    max: usize,
) -> Result<usize, PluginError> {
    if len > max { Err(PluginError::Input { what, len, limit, max }) } else { Ok(len) }
}

/// A number as WebAssembly takes it.
#[inline]
fn word(number: impl TryInto<u32>) -> i32 {
    // lengths and addresses are checked to be below 2^32 where they come from
    number.try_into().unwrap_or(u32::MAX).cast_signed()
}

fn missing(function: Function) -> PluginError {
    PluginError::Start { reason: format!("{function} is missing") }
}

fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guest>,
    instance: &wasmtime::Instance,
    export: &ModuleExport,
    function: Function,
) -> Result<TypedFunc<P, R>, PluginError> {
    let found = instance.get_module_export(&mut *store, export);
    let found = found.and_then(wasmtime::Extern::into_func).ok_or_else(|| missing(function))?;
    found.typed(&*store).map_err(|error| PluginError::Start { reason: chain(&error) })
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
        _ => {
            let reason = match store.data().refused {
                Some(limit) => format!("{}; it had been refused more than {limit}", chain(error)),
                None => chain(error),
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
