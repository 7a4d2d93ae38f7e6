//! The shard face: many rules, each message evaluated only by those that look at it.
//!
//! Owns compiled rules, their index and their breakers. A set belongs to one thread at a time; it
//! and [`CompiledRule`]s may be made elsewhere and moved in. Must never be shared between threads
//! that evaluate.

use std::collections::HashMap;

use flux_types::{RuleId, TenantId};
use foldhash::fast::RandomState;

use crate::index::{Index, Origin};
use crate::inspect::ScriptFacts;
use crate::language::{Language, Purpose};
use crate::message_scope::MessageScope;
use crate::script::Script;
use crate::{
    Breaker, BreakerLimits, BreakerState, Environment, Evaluation, Input, Limits, Outcome,
    RuleDefinition, RuleError,
};

/// Compiles rules away from the threads that evaluate them.
///
/// Scripts it compiled run in any [`RuleSet`] made with the same limits.
pub struct Compiler {
    language: Language,
}

impl Compiler {
    /// A compiler for rules under these limits.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self { language: Language::new(Purpose::Rule, limits) }
    }

    /// Compiles one rule. Compile once for each set: a compiled script shared by two threads makes
    /// them wait for one another.
    ///
    /// # Errors
    /// [`RuleError::Rule`] with the cause.
    pub fn compile(&self, definition: &RuleDefinition) -> Result<CompiledRule, RuleError> {
        match Script::compile(&self.language, &definition.script) {
            Ok(script) => Ok(CompiledRule { definition: definition.clone(), script }),
            Err(source) => Err(RuleError::Rule { rule: definition.id, source: Box::new(source) }),
        }
    }
}

impl std::fmt::Debug for Compiler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiler").finish_non_exhaustive()
    }
}

/// A rule ready to go into a [`RuleSet`].
#[derive(Debug)]
pub struct CompiledRule {
    definition: RuleDefinition,
    script: Script,
}

impl CompiledRule {
    /// The rule as configured.
    #[must_use]
    pub fn definition(&self) -> &RuleDefinition {
        &self.definition
    }

    /// What its script uses.
    #[must_use]
    pub fn facts(&self) -> &ScriptFacts {
        self.script.facts()
    }
}

#[derive(Debug)]
struct Rule {
    definition: RuleDefinition,
    script: Script,
    breaker: Breaker,
    evaluated: u64,
    triggered: u64,
    failed: u64,
}

/// One rule's answer to one message.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The rule that answered.
    pub rule: &'a RuleDefinition,
    /// Its answer. The caller may take effects and log lines out; the buffers are used again.
    pub evaluation: &'a mut Evaluation,
    /// This evaluation opened the rule's breaker.
    pub tripped: bool,
}

/// How a message fared with all rules that look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageSummary {
    /// Rules that ran.
    pub evaluated: u32,
    /// Of them, those that said `true`.
    pub triggered: u32,
    /// Of them, those that failed.
    pub failed: u32,
    /// Rules passed over because their breaker is open.
    pub tripped: u32,
}

impl std::ops::AddAssign for MessageSummary {
    fn add_assign(&mut self, other: Self) {
        self.evaluated += other.evaluated;
        self.triggered += other.triggered;
        self.failed += other.failed;
        self.tripped += other.tripped;
    }
}

/// How one rule fares.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// The rule.
    pub id: RuleId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its version.
    pub version: u32,
    /// Whether it may run.
    pub breaker: BreakerState,
    /// How often its breaker opened since the version came in.
    pub trips: u64,
    /// Evaluations since the version came in.
    pub evaluated: u64,
    /// Of them, those that said `true`.
    pub triggered: u64,
    /// Of them, those that failed.
    pub failed: u64,
}

/// Compiled rules with an index from messages to them.
pub struct RuleSet {
    language: Language,
    breaker_limits: BreakerLimits,
    rules: Vec<Option<Rule>>,
    free: Vec<u32>,
    slots: HashMap<RuleId, u32, RandomState>,
    index: Index,
    message: MessageScope,
    /// Buffers used again for each message and evaluation.
    found: Vec<u32>,
    evaluation: Evaluation,
}

impl RuleSet {
    /// Most rules in one set.
    pub const RULES_MAX: usize = 1_000_000;

    /// A set without rules.
    #[must_use]
    pub fn new(limits: &Limits, breaker_limits: BreakerLimits, env: &Environment) -> Self {
        Self {
            language: Language::new(Purpose::Rule, limits),
            breaker_limits,
            rules: Vec::new(),
            free: Vec::new(),
            slots: HashMap::default(),
            index: Index::default(),
            message: MessageScope::new(env),
            found: Vec::new(),
            evaluation: Evaluation::default(),
        }
    }

    /// A set of all the rules that compile, and the errors of those that do not.
    #[must_use]
    pub fn of<'d>(
        definitions: impl IntoIterator<Item = &'d RuleDefinition>,
        limits: &Limits,
        breaker_limits: BreakerLimits,
        env: &Environment,
    ) -> (Self, Vec<RuleError>) {
        let mut set = Self::new(limits, breaker_limits, env);
        let mut errors = Vec::new();
        for definition in definitions {
            if let Err(error) = set.compile(definition) {
                errors.push(error);
            }
        }
        (set, errors)
    }

    /// Puts other constants behind `env`.
    pub fn set_environment(&mut self, env: &Environment) {
        self.message = MessageScope::new(env);
    }

    /// Compiles a rule and takes it in, in place of one with its id.
    ///
    /// # Errors
    /// [`RuleError::Rule`] with the cause; the rule that was there stays.
    pub fn compile(&mut self, definition: &RuleDefinition) -> Result<(), RuleError> {
        match Script::compile(&self.language, &definition.script) {
            Ok(script) => {
                self.upsert(CompiledRule { definition: definition.clone(), script });
                Ok(())
            }
            Err(source) => Err(RuleError::Rule { rule: definition.id, source: Box::new(source) }),
        }
    }

    /// Takes a compiled rule in, in place of one with its id. Counts and breaker begin anew, so a
    /// rule that was mended runs at once. Beyond [`Self::RULES_MAX`] rules it is left out and
    /// logged.
    pub fn upsert(&mut self, compiled: CompiledRule) {
        let CompiledRule { definition, script } = compiled;
        self.remove(definition.id);
        if self.slots.len() >= Self::RULES_MAX {
            tracing::error!(rule = %definition.id, "the set is full: the rule is left out");
            return;
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.rules.push(None);
            u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX)
        });
        if definition.enabled {
            self.index.insert(definition.tenant, &definition.sources, slot);
        }
        self.slots.insert(definition.id, slot);
        if let Some(place) = self.rules.get_mut(slot as usize) {
            *place = Some(Rule {
                definition,
                script,
                breaker: Breaker::default(),
                evaluated: 0,
                triggered: 0,
                failed: 0,
            });
        }
    }

    /// Takes a rule out; says whether it was there.
    pub fn remove(&mut self, id: RuleId) -> bool {
        let Some(slot) = self.slots.remove(&id) else { return false };
        if let Some(rule) = self.rules.get_mut(slot as usize).and_then(Option::take) {
            self.index.remove(rule.definition.tenant, &rule.definition.sources, slot);
        }
        self.free.push(slot);
        true
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// How many rules are switched on and not tripped.
    #[must_use]
    pub fn active(&self) -> usize {
        self.rules
            .iter()
            .flatten()
            .filter(|rule| rule.definition.enabled)
            .filter(|rule| !matches!(rule.breaker.state(), BreakerState::Open { .. }))
            .count()
    }

    /// The rule of that id.
    #[must_use]
    pub fn definition(&self, id: RuleId) -> Option<&RuleDefinition> {
        let slot = *self.slots.get(&id)?;
        self.rules.get(slot as usize)?.as_ref().map(|rule| &rule.definition)
    }

    /// How every rule fares, in no order.
    pub fn statuses(&self) -> impl Iterator<Item = RuleStatus> + '_ {
        self.rules.iter().flatten().map(|rule| RuleStatus {
            id: rule.definition.id,
            tenant: rule.definition.tenant,
            version: rule.definition.version,
            breaker: rule.breaker.state(),
            trips: rule.breaker.trips(),
            evaluated: rule.evaluated,
            triggered: rule.triggered,
            failed: rule.failed,
        })
    }

    /// The rules that look at messages of this origin, each once, in no promised order.
    pub fn select(&mut self, origin: &Origin<'_>) -> impl Iterator<Item = &RuleDefinition> {
        self.index.select(origin, &mut self.found);
        self.found
            .iter()
            .filter_map(|slot| self.rules.get(*slot as usize)?.as_ref())
            .map(|rule| &rule.definition)
    }

    /// Evaluates every rule that looks at the message, and hands each answer to `decide`.
    ///
    /// `now_ns` is any monotonic clock, for breakers. Rules see the same message, whatever those
    /// before them did to theirs.
    pub fn evaluate(
        &mut self,
        origin: &Origin<'_>,
        input: &Input<'_>,
        now_ns: u64,
        decide: impl FnMut(Decision<'_>),
    ) -> MessageSummary {
        self.index.select(origin, &mut self.found);
        self.evaluate_found(input, now_ns, decide)
    }

    /// Evaluates one rule, wherever the message comes from.
    pub fn evaluate_rule(
        &mut self,
        id: RuleId,
        input: &Input<'_>,
        now_ns: u64,
        decide: impl FnMut(Decision<'_>),
    ) -> MessageSummary {
        self.found.clear();
        self.found.extend(self.slots.get(&id));
        self.evaluate_found(input, now_ns, decide)
    }

    fn evaluate_found(
        &mut self,
        input: &Input<'_>,
        now_ns: u64,
        mut decide: impl FnMut(Decision<'_>),
    ) -> MessageSummary {
        let mut summary = MessageSummary::default();
        if self.found.is_empty() {
            return summary;
        }
        let rule_at = |slot: &u32| self.rules.get(*slot as usize)?.as_ref();
        let with_payload =
            self.found.iter().filter_map(rule_at).any(|rule| rule.script.facts().reads_payload);
        self.message.set(input, with_payload, self.language.limits());
        for slot in &self.found {
            let Some(rule) = self.rules.get_mut(*slot as usize).and_then(Option::as_mut) else {
                continue;
            };
            if !rule.breaker.admits(now_ns) {
                summary.tripped += 1;
                continue;
            }
            rule.script.evaluate(&self.language, &mut self.message, &mut self.evaluation);
            let tripped = rule.take_in(&self.evaluation, &self.breaker_limits, now_ns);
            summary.evaluated += 1;
            summary.triggered += u32::from(self.evaluation.triggered);
            summary.failed += u32::from(self.evaluation.error.is_some());
            decide(Decision { rule: &rule.definition, evaluation: &mut self.evaluation, tripped });
        }
        summary
    }
}

impl Rule {
    /// Counts an evaluation; says whether it opened the breaker.
    fn take_in(&mut self, evaluation: &Evaluation, limits: &BreakerLimits, now_ns: u64) -> bool {
        self.evaluated += 1;
        self.triggered += u64::from(evaluation.triggered);
        self.failed += u64::from(evaluation.error.is_some());
        let outcome = match &evaluation.error {
            None => Outcome::Finished,
            Some(error) if error.limit().is_some() => Outcome::LimitHit,
            Some(_) => Outcome::Failed,
        };
        let Some(cause) = self.breaker.record(limits, now_ns, outcome, evaluation.busy_ns) else {
            return false;
        };
        tracing::warn!(
            rule = %self.definition.id,
            version = self.definition.version,
            name = %self.definition.name,
            limit = cause.as_str(),
            cool_down_ms = limits.cool_down_ms,
            error = evaluation.error.as_ref().map(tracing::field::display),
            "rule tripped"
        );
        true
    }
}

impl std::fmt::Debug for RuleSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RuleSet").field("rules", &self.slots.len()).finish_non_exhaustive()
    }
}
