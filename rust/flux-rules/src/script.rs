//! One compiled script and how it is run.

use rhai::{AST, Dynamic, EvalAltResult, Scope};

use crate::error::{LimitKind, Place};
use crate::frame::{self, Allowance};
use crate::inspect::ScriptFacts;
use crate::language::{self, Language};
use crate::message_scope::MessageScope;
use crate::{Evaluation, RuleError};

/// A script, compiled and read.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    ast: AST,
    facts: ScriptFacts,
}

impl Script {
    pub(crate) fn compile(language: &Language, source: &str) -> Result<Self, RuleError> {
        let (ast, facts) = language.compile(source)?;
        Ok(Self { ast, facts })
    }

    pub(crate) fn facts(&self) -> &ScriptFacts {
        &self.facts
    }

    fn allowance(&self, language: &Language, edits: bool) -> Allowance {
        let limits = language.limits();
        let kept = limits.kept_closure_operations_max;
        let (operations_max, operations_limit) =
            if self.facts.keeps_closures && kept < limits.operations_max {
                (kept, LimitKind::KeptClosureOperations)
            } else {
                (limits.operations_max, LimitKind::Operations)
            };
        Allowance {
            operations_max,
            operations_limit,
            timed: self.facts.timed,
            captures: self.facts.captures,
            given_by_value: self.facts.captures_given && !edits,
        }
    }

    /// Runs the script over copies of the message; hands back the scope it left behind.
    ///
    /// Answers `None` where it failed: `into` says why.
    pub(crate) fn edit(
        &self,
        language: &Language,
        message: &mut MessageScope,
        into: &mut Evaluation,
    ) -> Option<(Dynamic, Scope<'static>)> {
        into.clear();
        let mut scope = message.copies();
        let globals = self.facts.has_bodies.then(|| message.globals(self.facts.functions.clone()));
        frame::begin(language.limits(), &self.allowance(language, self.facts.edits), globals, into);
        let result = language.run(&mut scope, &self.ast);
        let stopped = frame::end(into);
        match self.verdict(language, message, stopped, result) {
            Verdict::Value(value) => return Some((value, scope)),
            Verdict::MissingValue => into.missing_value = true,
            Verdict::Failed(error) => into.error = Some(error),
        }
        None
    }

    /// Runs the script as a rule over the message the scope holds.
    pub(crate) fn evaluate(
        &mut self,
        language: &Language,
        message: &mut MessageScope,
        into: &mut Evaluation,
    ) {
        if self.attempt(language, message, into) == Attempt::NeedsCopies {
            // It changes `msg` in a way reading it did not show: once more, with its own copies.
            self.facts.edits = true;
            self.attempt(language, message, into);
        }
    }

    fn attempt(
        &self,
        language: &Language,
        message: &mut MessageScope,
        into: &mut Evaluation,
    ) -> Attempt {
        into.clear();
        let copies = self.facts.edits.then(|| message.copies());
        let globals = self.facts.has_bodies.then(|| message.globals(self.facts.functions.clone()));
        frame::begin(language.limits(), &self.allowance(language, self.facts.edits), globals, into);
        let result = match copies {
            Some(mut scope) => language.run(&mut scope, &self.ast),
            None => message.run(language, &self.ast),
        };
        let stopped = frame::end(into);
        if let (None, false, Err(error)) = (stopped, self.facts.edits, &result)
            && language::is_about_constant(error)
        {
            return Attempt::NeedsCopies;
        }
        match self.verdict(language, message, stopped, result) {
            Verdict::Value(value) => {
                into.triggered = value.as_bool() == Ok(true);
                return Attempt::Done;
            }
            Verdict::MissingValue => into.missing_value = true,
            Verdict::Failed(error) => into.error = Some(error),
        }
        into.effects.clear();
        Attempt::Done
    }

    fn verdict(
        &self,
        language: &Language,
        message: &MessageScope,
        stopped: Option<LimitKind>,
        result: Result<Dynamic, Box<EvalAltResult>>,
    ) -> Verdict {
        match (stopped, result) {
            (Some(limit), Err(error)) => {
                let place = language.failure(&error, &self.facts).place();
                Verdict::Failed(RuleError::Limit { limit, place })
            }
            // a function of the language swallowed the stop
            (Some(limit), Ok(_)) => {
                Verdict::Failed(RuleError::Limit { limit, place: Place::default() })
            }
            (None, Ok(value)) => Verdict::Value(value),
            (None, Err(error))
                if language::is_about_unit(&error) && message.lacks_any(&self.facts.reads) =>
            {
                Verdict::MissingValue
            }
            (None, Err(error)) => Verdict::Failed(language.failure(&error, &self.facts)),
        }
    }
}

/// What a run came to.
enum Verdict {
    Value(Dynamic),
    MissingValue,
    Failed(RuleError),
}

#[derive(Debug, PartialEq, Eq)]
enum Attempt {
    Done,
    NeedsCopies,
}
