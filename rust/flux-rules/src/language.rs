//! The language: one engine with our functions, limits and scope rules.
//!
//! Owns how the interpreter is set up and how its errors become ours. An engine is made once for
//! each shard and never shared between threads: the counts within compiled scripts are atomic, and
//! sharing them would make cores wait for one another.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rhai::module_resolvers::DummyModuleResolver;
use rhai::{AST, Dynamic, Engine, EvalAltResult, EvalContext, Position, Scope};

use crate::error::{LimitKind, Place};
use crate::inspect::{self, ScriptFacts};
use crate::signatures::Signatures;
use crate::{Limits, RuleError, dynamic, frame, functions};

/// What a script is for, and thereby what it may call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Rule,
    Transform,
}

/// An engine with everything a script of one purpose may use.
pub(crate) struct Language {
    engine: Engine,
    limits: Limits,
    signatures: Signatures,
}

const NOT_ALLOWED: [(&str, &str); 2] =
    [("eval", "is not available: a script cannot run text"), ("sleep", "is not available")];
const NOT_IN_TRANSFORM: &str =
    "is not available in a transform: it only edits `msg.values`; act in a rule instead";

impl Language {
    pub(crate) fn new(purpose: Purpose, limits: &Limits) -> Self {
        let mut engine = Engine::new();
        engine
            .set_max_strings_interned(0) // a lock on the hot path
            .set_max_operations(0) // counted in `frame`, callbacks included
            .set_max_call_levels(limits.call_depth_max)
            .set_max_expr_depths(limits.expression_depth_max, limits.expression_depth_max)
            .set_max_functions(limits.functions_max)
            .set_max_variables(limits.variables_max)
            .set_max_modules(0)
            .set_max_string_size(limits.string_bytes_max)
            .set_max_array_size(limits.array_len_max)
            .set_max_map_size(limits.map_len_max)
            .set_module_resolver(DummyModuleResolver::new())
            .disable_symbol("import")
            .disable_symbol("export")
            .disable_symbol("curry") // doubles what it holds with each call, unmeasured
            .on_progress(|_| frame::on_operation().map(|limit| limit.as_str().into()));
        #[allow(deprecated)] // not deprecated but "volatile", as its note says
        engine.on_var(resolve);
        functions::register_speaking(&mut engine);
        functions::register_bounded(&mut engine, limits);
        if purpose == Purpose::Rule {
            functions::register_acting(&mut engine);
        }
        let registered = engine.collect_fn_metadata(
            None,
            |function| Some((function.metadata.name.to_string(), function.metadata.num_params)),
            true,
        );
        let not_acting = functions::ACTING.into_iter().map(|name| (name, NOT_IN_TRANSFORM));
        let refused =
            NOT_ALLOWED.into_iter().chain(not_acting.filter(|_| purpose == Purpose::Transform));
        let signatures = Signatures::new(registered, refused);
        Self { engine, limits: limits.clone(), signatures }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn compile(&self, source: &str) -> Result<(AST, ScriptFacts), RuleError> {
        if source.len() > self.limits.script_bytes_max {
            let (bytes, bytes_max) = (source.len(), self.limits.script_bytes_max);
            return Err(RuleError::TooLong { bytes, bytes_max });
        }
        let compiled = guarded(|| self.engine.compile(source))?;
        let ast = compiled.map_err(|error| compile_error(&error, source))?;
        let facts = inspect::read(&ast, &self.signatures)?;
        Ok((ast, facts))
    }

    /// Runs a script. The frame has begun; the caller ends it.
    pub(crate) fn run(
        &self,
        scope: &mut Scope<'static>,
        ast: &AST,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        match guarded(|| self.engine.eval_ast_with_scope::<Dynamic>(scope, ast)) {
            Ok(result) => result,
            Err(error) => Err(EvalAltResult::ErrorSystem(String::new(), Box::new(error)).into()),
        }
    }

    /// What a failure means in our words.
    pub(crate) fn failure(&self, error: &EvalAltResult, facts: &ScriptFacts) -> RuleError {
        runtime_error(error, &self.signatures, facts)
    }
}

/// Turns a panic of the interpreter into an error: one rule must never take its shard down.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, RuleError> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "it panicked".to_owned());
        RuleError::Engine { message, place: Place::default() }
    })
}

/// What a name means that the script did not define: a value of the message, else `()`.
#[allow(clippy::needless_pass_by_value, clippy::unnecessary_wraps)] // the language's signature
fn resolve(
    name: &str,
    index: usize,
    context: EvalContext<'_, '_, '_, '_, '_, '_>,
) -> Result<Option<Dynamic>, Box<EvalAltResult>> {
    if index > 0 {
        return Ok(None);
    }
    let scope = context.scope();
    if context.call_level() > 0 {
        if !scope.is_empty() && scope.contains(name) {
            return Ok(None);
        }
        return Ok(match frame::global(name) {
            None if frame::is_function(name) => None,
            found => Some(found.unwrap_or(Dynamic::UNIT)),
        });
    }
    if name == "msg" || name == "env" {
        let own = scope.len() > GIVEN
            && scope.iter_raw().take(scope.len() - GIVEN).any(|(n, ..)| n == name);
        return Ok(if frame::given_by_value() && !own { frame::global(name) } else { None });
    }
    if scope.len() > GIVEN && scope.contains(name) {
        return Ok(None);
    }
    Ok(match given_message(scope).and_then(|message| frame::message_value(message, name)) {
        None if frame::is_function(name) => None,
        found => Some(found.unwrap_or(Dynamic::UNIT)),
    })
}

/// The `msg` that was given, under whatever variables the script added. The language hands entries
/// out from the newest to the oldest.
pub(crate) fn given_message<'s>(scope: &'s Scope<'_>) -> Option<&'s Dynamic> {
    let newer = scope.len().checked_sub(GIVEN)?;
    scope.iter_raw().nth(newer).map(|(_, _, message)| message)
}

/// How many variables the scope holds before a script adds its own: `env`, then `msg`.
pub(crate) const GIVEN: usize = 2;

fn compile_error(error: &rhai::ParseError, source: &str) -> RuleError {
    let text = error.err_type().to_string();
    let not_available = |word: &str| {
        text.contains(&format!("'{word}'"))
            && (text.contains("disabled") || text.contains("reserved"))
    };
    let (message, hint) = if not_available("import") || not_available("export") {
        let message = "`import` and `export` are not available: a script stands alone".to_owned();
        (message, Some("define functions with `fn` in the script itself".to_owned()))
    } else if not_available("curry") || stands_at(source, "curry", error.position()) {
        let hint = "use a closure that captures the value, as in `|x| x > limit`".to_owned();
        ("`curry` is not available".to_owned(), Some(hint))
    } else {
        (text, None)
    };
    RuleError::Compile { message, place: error.position().into(), hint }
}

/// Whether a word stands at a place of the source.
fn stands_at(source: &str, word: &str, position: Position) -> bool {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return false };
    let text = source.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    text.chars().skip(column.saturating_sub(1)).take(word.len()).eq(word.chars())
}

/// The innermost cause, and the place nearest to it that is known.
fn innermost(error: &EvalAltResult) -> (&EvalAltResult, Position) {
    let mut cause = error;
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _)
    | EvalAltResult::ErrorInModule(_, inner, _) = cause
    {
        cause = inner;
        if !cause.position().is_none() {
            position = cause.position();
        }
    }
    (cause, position)
}

/// Whether the failure is an operation on `()`: what comes of a value the message does not have.
pub(crate) fn is_about_unit(error: &EvalAltResult) -> bool {
    match innermost(error).0 {
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            signature.contains("(()") || signature.contains(", ()")
        }
        EvalAltResult::ErrorMismatchDataType(_, actual, _)
        | EvalAltResult::ErrorMismatchOutputType(_, actual, _)
        | EvalAltResult::ErrorIndexingType(actual, _) => actual.starts_with("()"),
        EvalAltResult::ErrorDotExpr(message, _) => message.ends_with("'()'"),
        EvalAltResult::ErrorFor(_) => true,
        _ => false,
    }
}

/// Whether a script tried to change what it was given.
pub(crate) fn is_about_constant(error: &EvalAltResult) -> bool {
    matches!(
        innermost(error).0,
        EvalAltResult::ErrorAssignmentToConstant(..)
            | EvalAltResult::ErrorNonPureMethodCallOnConstant(..)
    )
}

fn runtime_error(error: &EvalAltResult, signatures: &Signatures, facts: &ScriptFacts) -> RuleError {
    use EvalAltResult as E;
    let (cause, position) = innermost(error);
    let place = Place::from(position);
    let limit = |limit| RuleError::Limit { limit, place };
    let mistyped = |message: String, hint| RuleError::Type { message, place, hint };
    match cause {
        E::ErrorStackOverflow(_) => limit(LimitKind::CallDepth),
        E::ErrorTooManyVariables(_) => limit(LimitKind::Variables),
        E::ErrorTooManyOperations(_) => limit(LimitKind::Operations),
        E::ErrorDataTooLarge(what, _) if what.contains("string") => limit(LimitKind::StringBytes),
        E::ErrorDataTooLarge(what, _) if what.contains("map") => limit(LimitKind::MapLen),
        E::ErrorDataTooLarge(..) => limit(LimitKind::ArrayLen),
        E::ErrorRuntime(thrown, _) => {
            RuleError::Throw { message: dynamic::thrown_text(thrown), place }
        }
        E::ErrorArithmetic(message, _) => RuleError::Throw { message: message.clone(), place },
        E::ErrorFunctionNotFound(signature, _) => {
            let name = signature.split([' ', '(']).next().unwrap_or_default();
            let own = facts.functions.iter().flat_map(|names| names.iter().map(|name| &**name));
            let hint = signatures.nearest(name, own).map(|near| format!("did you mean `{near}`?"));
            mistyped(format!("no function fits `{signature}`"), hint)
        }
        E::ErrorAssignmentToConstant(name, _) => mistyped(
            format!("`{name}` cannot be assigned to"),
            Some(format!("write `msg.values.{name} = …`, or `let {name} = …` first")),
        ),
        E::ErrorDataRace(..) => mistyped(
            "a captured variable is used while a method of it is at work".to_owned(),
            Some("let the closure use a copy of the variable".to_owned()),
        ),
        E::ErrorSystem(..) | E::ErrorCustomSyntax(..) => {
            RuleError::Engine { message: bare(cause), place }
        }
        _ => mistyped(bare(cause), None),
    }
}

/// The error's text without its place, which stands apart.
fn bare(error: &EvalAltResult) -> String {
    let text = error.to_string();
    match text.rfind(" (line ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}
