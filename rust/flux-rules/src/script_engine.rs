//! The library face: a few scripts by name, evaluated one message at a time from any thread.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::Problem;
use foldhash::fast::RandomState;
use parking_lot::{Mutex, RwLock};

use crate::inspect::ScriptFacts;
use crate::language::{Language, Purpose};
use crate::message_scope::MessageScope;
use crate::script::Script;
use crate::{Environment, Evaluation, Input, Limits, RuleError};

/// Compiles rules once and evaluates them by id. `Send` and `Sync`.
///
/// Evaluations of different rules run side by side; those of one rule one after the other. A
/// pipeline that needs every nanosecond uses a [`crate::RuleSet`] for each thread instead.
pub struct ScriptEngine {
    language: Language,
    env: Environment,
    scripts: RwLock<HashMap<String, Arc<Mutex<Script>>, RandomState>>,
}

impl Default for ScriptEngine {
    fn default() -> Self {
        Self::new(&Limits::default(), Environment::default())
    }
}

impl ScriptEngine {
    /// Most scripts one engine keeps.
    pub const SCRIPTS_MAX: usize = 100_000;

    /// An engine without scripts.
    #[must_use]
    pub fn new(limits: &Limits, env: Environment) -> Self {
        Self { language: Language::new(Purpose::Rule, limits), env, scripts: RwLock::default() }
    }

    /// The limits it was made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.language.limits()
    }

    /// Compiles a script and keeps it under an id, in place of one compiled before.
    ///
    /// # Errors
    /// [`RuleError::Compile`] or [`RuleError::TooLong`]; the script kept before stays. Beyond
    /// [`Self::SCRIPTS_MAX`] ids, [`RuleError::Compile`] too.
    pub fn compile(&self, rule_id: &str, source: &str) -> Result<(), RuleError> {
        let script = Script::compile(&self.language, source)?;
        let mut scripts = self.scripts.write();
        if scripts.len() >= Self::SCRIPTS_MAX && !scripts.contains_key(rule_id) {
            return Err(RuleError::Compile {
                message: format!("the engine already keeps {} scripts", Self::SCRIPTS_MAX),
                place: crate::Place::default(),
                hint: Some("remove scripts that are no longer needed".to_owned()),
            });
        }
        scripts.insert(rule_id.to_owned(), Arc::new(Mutex::new(script)));
        Ok(())
    }

    /// Evaluates a compiled script over a message. What failed is in the evaluation.
    ///
    /// # Errors
    /// [`RuleError::Unknown`] where no script was compiled under that id.
    pub fn eval(&self, rule_id: &str, input: &Input<'_>) -> Result<Evaluation, RuleError> {
        let script = self
            .scripts
            .read()
            .get(rule_id)
            .cloned()
            .ok_or_else(|| RuleError::Unknown(rule_id.to_owned()))?;
        let mut message = MessageScope::new(&self.env);
        let mut evaluation = Evaluation::default();
        let mut script = script.lock();
        message.set(input, script.facts().reads_payload, self.language.limits());
        script.evaluate(&self.language, &mut message, &mut evaluation);
        Ok(evaluation)
    }

    /// Forgets a script; says whether there was one.
    pub fn remove(&self, rule_id: &str) -> bool {
        self.scripts.write().remove(rule_id).is_some()
    }

    /// Whether a script is kept under that id.
    #[must_use]
    pub fn contains(&self, rule_id: &str) -> bool {
        self.scripts.read().contains_key(rule_id)
    }

    /// The ids of all scripts, in no order.
    #[must_use]
    pub fn rule_ids(&self) -> Vec<String> {
        self.scripts.read().keys().cloned().collect()
    }

    /// What a script uses, without keeping it.
    ///
    /// # Errors
    /// As [`Self::compile`].
    pub fn facts(&self, source: &str) -> Result<ScriptFacts, RuleError> {
        Ok(self.language.compile(source)?.1)
    }

    /// All that is wrong or doubtful about a script, without keeping it.
    ///
    /// `known_values` are the names in the product's thing model; where given, a name the script
    /// reads that is not among them is doubtful. Problems whose code is `rule.doubtful` are
    /// warnings; any other means the script cannot be compiled.
    #[must_use]
    pub fn check(&self, source: &str, known_values: Option<&[&str]>) -> Vec<Problem> {
        let facts = match self.facts(source) {
            Ok(facts) => facts,
            Err(error) => return vec![error.to_problem()],
        };
        let doubtful = |message: &str, place: crate::Place| {
            Problem::new("rule.doubtful", message).on_line(place.line, place.column)
        };
        let mut problems: Vec<Problem> =
            facts.doubtful_calls.iter().map(|(message, place)| doubtful(message, *place)).collect();
        for (name, place) in known_values.iter().flat_map(|_| &facts.places) {
            if known_values.is_some_and(|known| !known.contains(&&**name)) {
                let near = known_values.and_then(|known| crate::signatures::nearest(name, known));
                let problem =
                    doubtful(&format!("no value of the product is called `{name}`"), *place);
                problems.push(match near {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem,
                });
            }
        }
        problems
    }
}

impl std::fmt::Debug for ScriptEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptEngine")
            .field("scripts", &self.scripts.read().len())
            .finish_non_exhaustive()
    }
}
