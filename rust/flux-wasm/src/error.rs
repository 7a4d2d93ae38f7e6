//! What can go wrong with a plugin: when it is loaded, kept, or called.

use std::path::PathBuf;

use flux_plugin_abi::Malformed;
use flux_types::{Coded, ErrorKind, Problem};

use crate::breaker::TripCause;
use crate::interface::Function;

/// Why a plugin cannot be loaded, or a call failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PluginError {
    /// More bytes than `module_bytes_max`.
    #[error("the module has {bytes} bytes, more than module_bytes_max = {max}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// Not WebAssembly, or WebAssembly of a proposal that plugins do not have.
    #[error("the module cannot be compiled: {message}")]
    Compile {
        /// What the compiler says, with the place in the file.
        message: String,
    },
    /// It imports, exports or needs what a plugin does not.
    #[error("the module is no plugin: {}", sentences(problems))]
    Interface {
        /// Everything that is wrong.
        problems: Vec<Problem>,
    },
    /// Its own vectors do not hold.
    #[error("{} of {total} vectors fail: {}", failed.len(), failed.join("; "))]
    SelfTest {
        /// A sentence for each that failed.
        failed: Vec<String>,
        /// How many there are.
        total: usize,
    },
    /// The file of vectors or of metadata cannot be read as such.
    #[error("{what}: {message}")]
    Document {
        /// Which document.
        what: &'static str,
        /// What is wrong with it, and where.
        message: String,
    },
    /// A new instance cannot be made: the start function fails, or there is no memory.
    #[error("no instance can be made: {reason}")]
    Start {
        /// Why.
        reason: String,
    },
    /// The name cannot name a plugin.
    #[error(
        "{id:?} cannot name a plugin: 1 to 64 letters, digits, '-', '_' and '.', not first '.'"
    )]
    Id {
        /// The name.
        id: String,
    },
    /// No plugin of that name is loaded.
    #[error("there is no plugin {id:?}")]
    Unknown {
        /// The name.
        id: String,
    },
    /// Two files give one name.
    #[error("two files name the plugin {id:?}: {first} and {second}")]
    Duplicate {
        /// The name.
        id: String,
        /// A file.
        first: String,
        /// Another.
        second: String,
    },
    /// More plugins than `plugins_max`.
    #[error("there are plugins_max = {max} plugins already")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// There is no version to go back to.
    #[error("there is no previous version of the plugin {id:?}")]
    NoPrevious {
        /// The plugin.
        id: String,
    },
    /// A file or directory cannot be read or written.
    #[error("{action} {}", path.display())]
    Store {
        /// What was tried, as a verb.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A thread cannot be started, or the compiler be set up.
    #[error("the plugin host cannot be set up: {reason}")]
    Host {
        /// Why.
        reason: String,
    },

    /// The plugin does not have that function.
    #[error("the plugin does not export {0}")]
    NotExported(Function),
    /// The breaker is open.
    #[error("the plugin is set aside for {wait_ms} ms: it reached {}", cause.as_str())]
    Tripped {
        /// Why it opened.
        cause: TripCause,
        /// Milliseconds until a call is tried.
        wait_ms: u64,
    },
    /// All instances were at work for `lease_wait_ms`.
    #[error("all {max} instances of the plugin are at work")]
    Busy {
        /// `max_instances`.
        max: usize,
    },
    /// The input or the context is longer than its limit.
    #[error("the {what} has {len} bytes, more than {limit} = {max}")]
    Input {
        /// Input or context.
        what: &'static str,
        /// Its length.
        len: usize,
        /// Name of the limit.
        limit: &'static str,
        /// The limit.
        max: usize,
    },
    /// The guest trapped.
    #[error("{function} trapped: {reason}")]
    Trap {
        /// Where the host was.
        function: Function,
        /// Which trap.
        reason: String,
    },
    /// The guest did not end in time.
    #[error("{function} took longer than deadline_ms = {deadline_ms}")]
    Deadline {
        /// Where the host was.
        function: Function,
        /// The limit.
        deadline_ms: u64,
    },
    /// The guest's calls went too deep.
    #[error("{function} used up its stack (stack_bytes_max)")]
    Stack {
        /// Where the host was.
        function: Function,
    },
    /// The guest's `alloc` has no room for an input.
    #[error("alloc({len}) found no room: max_memory_bytes, or the plugin leaks")]
    Memory {
        /// Bytes asked for.
        len: usize,
    },
    /// The guest handed out an address that is not its own.
    #[error("{what} at {ptr} of {len} bytes is no place in the guest's memory of {memory} bytes")]
    Pointer {
        /// What should lie there.
        what: &'static str,
        /// The address.
        ptr: u32,
        /// The length.
        len: u32,
        /// Bytes of memory there are.
        memory: usize,
    },
    /// The guest gave back a piece of an input as if it were its own.
    #[error("the output lies in an input buffer and is not marked as borrowed")]
    Overlap,
    /// The output keeps no layout.
    #[error("the output is malformed: {0}")]
    Output(#[from] OutputFault),
    /// ABI 0's `on_msg` returned 0.
    #[error("on_msg returned {0}; 1 is success")]
    Failed(i32),
}

/// What is wrong with an output.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OutputFault {
    /// It breaks the compact layout.
    #[error("{0}")]
    Layout(#[from] Malformed),
    /// It is no JSON, or not of the form expected.
    #[error("{0}")]
    Json(String),
    /// It breaks a limit.
    #[error("{found} {what}, more than {limit} = {max}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        found: usize,
        /// Name of the limit.
        limit: &'static str,
        /// The limit.
        max: usize,
    },
    /// Sections stand where they make no sense.
    #[error("{0}")]
    Order(&'static str),
}

impl OutputFault {
    /// Too much of something.
    pub(crate) fn limit(what: &'static str, found: usize, limit: &'static str, max: usize) -> Self {
        Self::Limit { what, found, limit, max }
    }
}

fn sentences(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why calls failed, as counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureReason {
    /// A trap, a stack too deep, or an instance that cannot be made.
    Trap,
    /// The deadline.
    Deadline,
    /// No room for an input.
    Memory,
    /// A forged address.
    Pointer,
    /// An output that keeps no layout or breaks a limit.
    Output,
    /// The plugin's own reason, or ABI 0's 0.
    Reported,
    /// Not called: set aside, busy, too long an input, or no such function.
    Refused,
}

impl FailureReason {
    /// All of them, as they are numbered.
    pub const ALL: [Self; 7] = [
        Self::Trap,
        Self::Deadline,
        Self::Memory,
        Self::Pointer,
        Self::Output,
        Self::Reported,
        Self::Refused,
    ];

    /// Its name in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::Pointer => "pointer",
            Self::Output => "output",
            Self::Reported => "reported",
            Self::Refused => "refused",
        }
    }
}

impl PluginError {
    /// Under which reason a failed call is counted.
    #[must_use]
    pub fn reason(&self) -> FailureReason {
        match self {
            Self::Deadline { .. } => FailureReason::Deadline,
            Self::Memory { .. } => FailureReason::Memory,
            Self::Pointer { .. } | Self::Overlap => FailureReason::Pointer,
            Self::Output(_) => FailureReason::Output,
            Self::Failed(_) => FailureReason::Reported,
            Self::NotExported(_)
            | Self::Tripped { .. }
            | Self::Busy { .. }
            | Self::Input { .. }
            | Self::Unknown { .. } => FailureReason::Refused,
            _ => FailureReason::Trap,
        }
    }

    /// Whether the instance may have come to harm and has to be thrown away.
    pub(crate) fn spoils_instance(&self) -> bool {
        !matches!(self.reason(), FailureReason::Reported | FailureReason::Refused)
    }

    /// The error as problems of a document.
    #[must_use]
    pub fn to_problems(&self) -> Vec<Problem> {
        match self {
            Self::Interface { problems } => problems.clone(),
            Self::SelfTest { failed, .. } => {
                failed.iter().map(|sentence| Problem::new(self.code(), sentence)).collect()
            }
            other => vec![Problem::new(other.code(), other.to_string())],
        }
    }
}

impl Coded for PluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "plugin.too_large",
            Self::Compile { .. } => "plugin.compile",
            Self::Interface { .. } => "plugin.interface",
            Self::SelfTest { .. } => "plugin.self_test",
            Self::Document { .. } => "plugin.document",
            Self::Start { .. } => "plugin.start",
            Self::Id { .. } => "plugin.id",
            Self::Unknown { .. } => "plugin.unknown",
            Self::Duplicate { .. } => "plugin.duplicate",
            Self::TooMany { .. } => "plugin.too_many",
            Self::NoPrevious { .. } => "plugin.no_previous",
            Self::Store { .. } => "plugin.store",
            Self::Host { .. } => "plugin.host",
            Self::NotExported(_) => "plugin.not_exported",
            Self::Tripped { .. } => "plugin.tripped",
            Self::Busy { .. } => "plugin.busy",
            Self::Input { .. } => "plugin.input",
            Self::Trap { .. } => "plugin.trap",
            Self::Deadline { .. } => "plugin.deadline",
            Self::Stack { .. } => "plugin.stack",
            Self::Memory { .. } => "plugin.memory",
            Self::Pointer { .. } | Self::Overlap => "plugin.pointer",
            Self::Output(_) => "plugin.output",
            Self::Failed(_) => "plugin.failed",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::Unknown { .. } | Self::NoPrevious { .. } => ErrorKind::NotFound,
            Self::Duplicate { .. } | Self::TooMany { .. } => ErrorKind::Conflict,
            Self::Tripped { .. } | Self::Busy { .. } | Self::Store { .. } => ErrorKind::Unavailable,
            Self::Host { .. } => ErrorKind::Internal,
            _ => ErrorKind::Invalid,
        }
    }
}
