//! What a module imports, exports and needs, held against the ABI.
//!
//! Owns the list of functions and their signatures. Everything wrong is told at once, each with its
//! name and a way to mend it; must never run anything.

use std::fmt;

use flux_plugin_abi::{Level, exports, imports};
use flux_types::Problem;
use wasmtime::{ExternType, FuncType, Module, ValType};

use crate::{Limits, PluginError};

/// Bytes of a page of linear memory.
const PAGE_BYTES: u64 = 65_536;

/// A function of the ABI. Those that take a context and an input come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Function {
    /// Bytes into messages.
    Decode,
    /// Several inputs under one context into messages.
    DecodeBatch,
    /// A command into frames.
    Encode,
    /// A message into another, before the rules.
    OnMsg,
    /// A message and a firing into effects, after a rule fired.
    OnAction,
    /// JSON about the plugin.
    Describe,
    /// Room for an input.
    Alloc,
    /// Gives room back.
    Dealloc,
    /// Which ABI it speaks.
    AbiVersion,
    /// What a module does before its first call: its start function and `_initialize`.
    Start,
}

impl Function {
    /// Those that take a context and an input.
    pub const CALLABLE: [Self; 6] = [
        Self::Decode,
        Self::DecodeBatch,
        Self::Encode,
        Self::OnMsg,
        Self::OnAction,
        Self::Describe,
    ];

    /// The name it is exported under.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => exports::DECODE,
            Self::DecodeBatch => exports::DECODE_BATCH,
            Self::Encode => exports::ENCODE,
            Self::OnMsg => exports::ON_MSG,
            Self::OnAction => exports::ON_ACTION,
            Self::Describe => exports::DESCRIBE,
            Self::Alloc => exports::ALLOC,
            Self::Dealloc => exports::DEALLOC,
            Self::AbiVersion => exports::ABI_VERSION,
            Self::Start => INITIALIZE,
        }
    }

    /// The callable function of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::CALLABLE.into_iter().find(|function| function.as_str() == name)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What some toolchains (TinyGo, clang's reactors) want called once, before anything else.
pub(crate) const INITIALIZE: &str = "_initialize";

/// Which ABI a module speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// `on_msg(ptr, len) -> i32` and nothing else; exports no `abi_version`.
    V0,
    /// The present one.
    V1,
}

impl Abi {
    /// Its number.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::V0 => 0,
            Self::V1 => flux_plugin_abi::ABI_VERSION,
        }
    }
}

/// What a module offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Which ABI it speaks.
    pub abi: Abi,
    /// What of [`Function::CALLABLE`] it exports.
    pub functions: Vec<Function>,
    /// Whether it wants `_initialize` called.
    pub initialize: bool,
}

impl Interface {
    /// Holds a module against the ABI.
    pub(crate) fn inspect(module: &Module, limits: &Limits) -> Result<Self, PluginError> {
        let mut found = Findings { module, problems: Vec::new() };
        let abi = if module.get_export(exports::ABI_VERSION).is_some() { Abi::V1 } else { Abi::V0 };
        found.imports(abi);
        found.memory();
        found.resources(limits);
        let interface = match abi {
            Abi::V1 => found.v1(),
            Abi::V0 => found.v0(),
        };
        if found.problems.is_empty() {
            Ok(interface)
        } else {
            Err(PluginError::Interface { problems: found.problems })
        }
    }

    /// Whether a function may be called.
    #[must_use]
    pub fn has(&self, function: Function) -> bool {
        self.functions.contains(&function)
    }
}

/// The names of ABI 0's log functions, each with its level.
pub(crate) fn abi0_log_imports() -> [(&'static str, Level); 5] {
    [
        ("log_trace", Level::Trace),
        ("log_debug", Level::Debug),
        ("log_info", Level::Info),
        ("log_warn", Level::Warn),
        ("log_error", Level::Error),
    ]
}

const CALL: (&[ValType], &[ValType]) =
    (&[ValType::I32, ValType::I32, ValType::I32, ValType::I32], &[ValType::I64]);
const ALLOC: (&[ValType], &[ValType]) = (&[ValType::I32], &[ValType::I32]);
const DEALLOC: (&[ValType], &[ValType]) = (&[ValType::I32, ValType::I32], &[]);
const ABI_VERSION: (&[ValType], &[ValType]) = (&[], &[ValType::I32]);
const ABI0_ON_MSG: (&[ValType], &[ValType]) = (&[ValType::I32, ValType::I32], &[ValType::I32]);
const LOG: (&[ValType], &[ValType]) = (&[ValType::I32, ValType::I32, ValType::I32], &[]);
const ABI0_LOG: (&[ValType], &[ValType]) = (&[ValType::I32, ValType::I32], &[]);
const INIT: (&[ValType], &[ValType]) = (&[], &[]);

type Signature = (&'static [ValType], &'static [ValType]);

struct Findings<'m> {
    module: &'m Module,
    problems: Vec<Problem>,
}

impl Findings<'_> {
    fn problem(&mut self, message: String, hint: &str) {
        self.problems.push(Problem::new("plugin.interface", message).hint(hint));
    }

    fn v1(&mut self) -> Interface {
        self.function(exports::ABI_VERSION, ABI_VERSION, true);
        self.function(exports::ALLOC, ALLOC, true);
        self.function(exports::DEALLOC, DEALLOC, true);
        let mut functions = Vec::new();
        for function in Function::CALLABLE {
            if self.function(function.as_str(), CALL, function == Function::Decode) {
                functions.push(function);
            }
        }
        let initialize = self.function(INITIALIZE, INIT, false);
        Interface { abi: Abi::V1, functions, initialize }
    }

    fn v0(&mut self) -> Interface {
        self.function(exports::ALLOC, ALLOC, true);
        self.function(exports::DEALLOC, DEALLOC, true);
        self.function(exports::ON_MSG, ABI0_ON_MSG, true);
        let initialize = self.function(INITIALIZE, INIT, false);
        Interface { abi: Abi::V0, functions: vec![Function::OnMsg], initialize }
    }

    /// Whether a function of that name is exported with that signature.
    fn function(&mut self, name: &str, signature: Signature, required: bool) -> bool {
        match self.module.get_export(name) {
            Some(ExternType::Func(found)) if matches(&found, signature) => return true,
            Some(found) => {
                let message =
                    format!("it exports {name} as {}, not as {}", of(&found), show(signature));
                self.problem(message, "give it exactly the signature of the ABI");
            }
            None if required => {
                let message = format!("it does not export {name}{}", show(signature));
                let hint = if self.module.get_export(exports::ABI_VERSION).is_some() {
                    "export it; with the Rust SDK `export_plugin!` does"
                } else {
                    "export it, or export abi_version to speak ABI 1"
                };
                self.problem(message, hint);
            }
            None => {}
        }
        false
    }

    fn memory(&mut self) {
        match self.module.get_export(exports::MEMORY) {
            Some(ExternType::Memory(memory)) if !memory.is_64() && !memory.is_shared() => {}
            Some(found) => {
                let message = format!("it exports memory as {}", of(&found));
                self.problem(message, "export one plain 32-bit memory as `memory`");
            }
            None => self.problem(
                "it does not export memory".to_owned(),
                "export its linear memory as `memory`; linkers do unless told otherwise",
            ),
        }
    }

    fn resources(&mut self, limits: &Limits) {
        let needs = self.module.resources_required();
        let bytes = needs.max_initial_memory_size.unwrap_or(0).saturating_mul(PAGE_BYTES);
        let counts = [
            ("memories", u64::from(needs.num_memories), "max_memories", limits.max_memories.into()),
            ("tables", u64::from(needs.num_tables), "max_tables", limits.max_tables.into()),
            ("bytes of memory", bytes, "max_memory_bytes", limits.max_memory_bytes as u64),
            (
                "table elements",
                needs.max_initial_table_size.unwrap_or(0),
                "max_table_elements",
                limits.max_table_elements as u64,
            ),
        ];
        for (what, needed, limit, max) in counts {
            if needed > max {
                let message = format!("it begins with {needed} {what}, more than {limit} = {max}");
                self.problem(message, "make it smaller, or raise the limit under [plugins]");
            }
        }
    }

    fn imports(&mut self, abi: Abi) {
        for import in self.module.imports() {
            let (module, name) = (import.module(), import.name());
            let Some(signature) = allowed_import(abi, module, name) else {
                self.problem(
                    format!("it imports {module}.{name}, which plugins are not given"),
                    import_hint(module, name),
                );
                continue;
            };
            let found = import.ty();
            let fits = matches!(&found, ExternType::Func(found) if matches(found, signature));
            if !fits {
                self.problem(
                    format!(
                        "it imports {module}.{name} as {}, not as {}",
                        of(&found),
                        show(signature)
                    ),
                    "declare it exactly as the ABI does",
                );
            }
        }
    }
}

fn allowed_import(abi: Abi, module: &str, name: &str) -> Option<Signature> {
    match (abi, module) {
        (_, imports::MODULE) if name == imports::LOG => Some(LOG),
        (Abi::V0, "env") => {
            abi0_log_imports().iter().any(|(known, _)| *known == name).then_some(ABI0_LOG)
        }
        _ => None,
    }
}

fn import_hint(module: &str, name: &str) -> &'static str {
    if module.starts_with("wasi") {
        "build for wasm32-unknown-unknown: plugins have no WASI, no files, clocks or sockets"
    } else if module.starts_with("__wbindgen") || module == "wbg" {
        "leave out crates that need a browser (wasm-bindgen, js-sys)"
    } else if module == "env" && name.starts_with("log_") {
        "ABI 1 logs by flux.log(level, ptr, len)"
    } else if module == "env" {
        "a symbol nobody defined: link what defines it, or leave out what uses it"
    } else {
        "the only import there is is flux.log(level: i32, ptr: i32, len: i32)"
    }
}

fn matches(found: &FuncType, (params, results): Signature) -> bool {
    same(found.params(), params) && same(found.results(), results)
}

fn same(found: impl ExactSizeIterator<Item = ValType>, expected: &[ValType]) -> bool {
    found.len() == expected.len()
        && found.zip(expected).all(|(found, expected)| ValType::eq(&found, expected))
}

fn show((params, results): Signature) -> String {
    words(params.iter().cloned(), results.iter().cloned())
}

fn of(found: &ExternType) -> String {
    match found {
        ExternType::Func(function) => words(function.params(), function.results()),
        ExternType::Global(_) => "a global".to_owned(),
        ExternType::Table(_) => "a table".to_owned(),
        ExternType::Memory(memory) if memory.is_64() => "a 64-bit memory".to_owned(),
        ExternType::Memory(memory) if memory.is_shared() => "a shared memory".to_owned(),
        ExternType::Memory(_) => "a memory".to_owned(),
        ExternType::Tag(_) => "a tag".to_owned(),
    }
}

fn words(params: impl Iterator<Item = ValType>, results: impl Iterator<Item = ValType>) -> String {
    let list = |types: &mut dyn Iterator<Item = ValType>| {
        types.map(|ty| ty.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (mut params, mut results) = (params, results);
    let (params, results) = (list(&mut params), list(&mut results));
    if results.is_empty() { format!("({params})") } else { format!("({params}) -> {results}") }
}
