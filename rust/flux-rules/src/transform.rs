//! A product's script that cleans telemetry: after decoding, before storage and rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use flux_types::Value;
use rhai::{Dynamic, Map, Scope};

use crate::inspect::ScriptFacts;
use crate::language::{self, Language, Purpose};
use crate::message_scope::MessageScope;
use crate::script::Script;
use crate::{Environment, Evaluation, Input, Limits, LogLine, Place, RuleError, dynamic};

/// Values by name, in order; a name stands once.
type Values = Vec<(Arc<str>, Value)>;

/// A compiled transform with an engine of its own. `Send`: made anywhere, owned by one thread.
pub struct Transform {
    language: Arc<Language>,
    script: Script,
    message: MessageScope,
    evaluation: Evaluation,
}

/// What came of transforming one message.
#[derive(Debug, Clone, PartialEq)]
pub enum TransformOutcome {
    /// These are the values now. Those that stood there keep their places, new ones follow in
    /// order of the alphabet.
    Values(Vec<(Arc<str>, Value)>),
    /// The script said `false`: the whole message is to be dropped.
    Dropped,
    /// The script failed, or needed a value the message lacks (`None`): the values stay as they
    /// were decoded.
    Unchanged(Option<RuleError>),
}

impl Transform {
    /// Longest name of a value, in bytes.
    pub const VALUE_NAME_BYTES_MAX: usize = 256;

    /// Compiles a transform.
    ///
    /// # Errors
    /// [`RuleError::Compile`] or [`RuleError::TooLong`]; also for functions that act, which a
    /// transform has none of.
    pub fn compile(source: &str, limits: &Limits, env: &Environment) -> Result<Self, RuleError> {
        let language = Arc::new(Language::new(Purpose::Transform, limits));
        Self::with(language, source, env)
    }

    /// Compiles several transforms for one thread, which share an engine.
    pub fn compile_all<'s>(
        sources: impl IntoIterator<Item = &'s str>,
        limits: &Limits,
        env: &Environment,
    ) -> Vec<Result<Self, RuleError>> {
        let language = Arc::new(Language::new(Purpose::Transform, limits));
        sources.into_iter().map(|source| Self::with(Arc::clone(&language), source, env)).collect()
    }

    fn with(language: Arc<Language>, source: &str, env: &Environment) -> Result<Self, RuleError> {
        let script = Script::compile(&language, source)?;
        let message = MessageScope::new(env);
        Ok(Self { language, script, message, evaluation: Evaluation::default() })
    }

    /// What the script uses.
    #[must_use]
    pub fn facts(&self) -> &ScriptFacts {
        self.script.facts()
    }

    /// What the last run said.
    #[must_use]
    pub fn logs(&self) -> &[LogLine] {
        &self.evaluation.logs
    }

    /// Runs the script over a message.
    pub fn apply(&mut self, input: &Input<'_>) -> TransformOutcome {
        let with_payload = self.script.facts().reads_payload;
        self.message.set(input, with_payload, self.language.limits());
        let edited = self.script.edit(&self.language, &mut self.message, &mut self.evaluation);
        let Some((result, scope)) = edited else {
            return TransformOutcome::Unchanged(self.evaluation.error.clone());
        };
        if result.as_bool() == Ok(false) {
            return TransformOutcome::Dropped;
        }
        match values_of(&scope, input, self.language.limits()) {
            Ok(values) => TransformOutcome::Values(values),
            Err(error) => {
                self.evaluation.error = Some(error.clone());
                TransformOutcome::Unchanged(Some(error))
            }
        }
    }
}

fn mistyped(message: String) -> RuleError {
    RuleError::Type { message, place: Place::default(), hint: None }
}

/// `msg.values` as the script left it.
fn values_of(
    scope: &Scope<'static>,
    input: &Input<'_>,
    limits: &Limits,
) -> Result<Values, RuleError> {
    let not_a_map = || mistyped("the script left no map in `msg.values`".to_owned());
    let message = language::given_message(scope);
    let message = message.and_then(Dynamic::read_lock::<Map>).ok_or_else(not_a_map)?;
    let values = message.get("values").and_then(Dynamic::read_lock::<Map>).ok_or_else(not_a_map)?;
    let mut left: BTreeMap<&str, &Dynamic> =
        values.iter().map(|(name, value)| (name.as_str(), value)).collect();
    let mut found: Values = Vec::with_capacity(left.len());
    for (name, before) in input.values {
        let Some(value) = left.remove(&**name) else { continue };
        if is_withheld(before, value, limits) {
            found.push((Arc::clone(name), before.clone()));
        } else if let Some(value) = taken(name, value, Some(before))? {
            found.push((Arc::clone(name), value));
        }
    }
    for (name, value) in left {
        if name.is_empty() || name.len() > Transform::VALUE_NAME_BYTES_MAX {
            let max = Transform::VALUE_NAME_BYTES_MAX;
            return Err(mistyped(format!("{name:?} is no value's name: it has 1 to {max} bytes")));
        }
        if let Some(value) = taken(name, value, None)? {
            found.push((name.into(), value));
        }
    }
    if found.len() > limits.map_len_max {
        return Err(mistyped(format!("more than {} values are left", limits.map_len_max)));
    }
    Ok(found)
}

/// A value too large to show, or a JSON null, is `()` to the script from the beginning; leaving
/// it alone does not remove it.
fn is_withheld(before: &Value, now: &Dynamic, limits: &Limits) -> bool {
    now.is_unit() && dynamic::from_value(before, limits).is_unit()
}

fn taken(name: &str, value: &Dynamic, before: Option<&Value>) -> Result<Option<Value>, RuleError> {
    dynamic::to_value(value, before).map_err(|error| mistyped(format!("value `{name}`: {error}")))
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transform").field("script", &self.script).finish_non_exhaustive()
    }
}
