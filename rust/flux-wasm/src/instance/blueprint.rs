//! What can be instantiated.

use wasmtime::{InstancePre, ModuleExport, Store, TypedFunc, WasmParams, WasmResults};

use crate::PluginError;
use crate::interface::{Function, INITIALIZE, Interface};
use crate::sandbox::{Guest, Sandbox, chain};

/// A compiled module with its imports, and where its exports are.
pub(crate) struct Blueprint {
    pub(super) pre: InstancePre<Guest>,
    pub(crate) interface: Interface,
    pub(super) memory: ModuleExport,
    pub(super) alloc: ModuleExport,
    pub(super) dealloc: ModuleExport,
    /// By number of the function: [`Function::CALLABLE`] come first.
    pub(super) callable: [Option<ModuleExport>; Function::CALLABLE.len()],
    pub(super) initialize: Option<ModuleExport>,
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

/// An export that was there when the module was inspected.
pub(super) fn missing(function: Function) -> PluginError {
    PluginError::Start { reason: format!("{function} is missing") }
}

/// An export as a function of that type.
pub(super) fn typed<P: WasmParams, R: WasmResults>(
    store: &mut Store<Guest>,
    instance: &wasmtime::Instance,
    export: &ModuleExport,
    function: Function,
) -> Result<TypedFunc<P, R>, PluginError> {
    let found = instance.get_module_export(&mut *store, export);
    let found = found.and_then(wasmtime::Extern::into_func).ok_or_else(|| missing(function))?;
    found.typed(&*store).map_err(|error| PluginError::Start { reason: chain(&error) })
}
