//! Rules in Rhai: compiling, choosing, evaluating and bounding them.
//!
//! Owns the script language (what is in scope, which functions there are, every limit), the index
//! from a message to the rules that want it, and the breaker that trips a runaway rule. Must never
//! carry out an effect, keep state between evaluations, read a file, open a socket or wait: what a
//! script asks for comes out as [`Effect`]s, and carrying them out is the caller's affair.
//!
//! Two faces: [`ScriptEngine`] for a library user with a handful of scripts, [`RuleSet`] for a
//! pipeline shard with thousands. A [`Transform`] is the same language cleaning telemetry.

#![forbid(unsafe_code)]

mod breaker;
mod definition;
mod dynamic;
mod effect;
mod environment;
mod error;
mod evaluation;
mod frame;
mod functions;
mod index;
mod input;
mod inspect;
mod language;
mod limits;
mod message_scope;
mod rule_set;
mod script;
mod script_engine;
mod signatures;
mod transform;

pub use breaker::{Breaker, BreakerLimits, BreakerState, Outcome, TripCause};
pub use definition::{RuleDefinition, Sources};
pub use effect::{Effect, LogLevel, LogLine};
pub use environment::Environment;
pub use error::{LimitKind, Place, RuleError};
pub use evaluation::Evaluation;
pub use index::Origin;
pub use input::Input;
pub use inspect::ScriptFacts;
pub use limits::Limits;
pub use rule_set::{CompiledRule, Compiler, Decision, MessageSummary, RuleSet, RuleStatus};
pub use script_engine::ScriptEngine;
pub use transform::{Transform, TransformOutcome};
