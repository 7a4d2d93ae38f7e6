//! Rules with plugins: some look at the message before the script does, and at the firing after it.
//!
//! Owns those rules, apart from the others, which they would slow down. A plugin that fails is
//! passed over: the rule sees the sample as it was.

use std::collections::HashMap;

use flux_registry::PluginUse;
use flux_rules::{
    Decision, Environment, Input, MessageSummary, Origin, RuleDefinition, RuleError, RuleSet,
};
use flux_types::{RuleId, Telemetry};
use foldhash::fast::RandomState;

use super::draft::Decided;
use super::judge::{Judge, Subject};
use super::plugins::{Chain, PluginPorts};

/// The rules and their plugins.
pub(crate) struct Chained {
    rules: RuleSet,
    chains: HashMap<RuleId, Chain, RandomState>,
    concerned: Vec<RuleId>,
}

impl Chained {
    pub(crate) fn new(rules: RuleSet) -> Self {
        Self { rules, chains: HashMap::default(), concerned: Vec::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chains.is_empty()
    }

    pub(crate) fn set_environment(&mut self, env: &Environment) {
        self.rules.set_environment(env);
    }

    pub(crate) fn compile(
        &mut self,
        definition: &RuleDefinition,
        chain: &[PluginUse],
    ) -> Result<(), RuleError> {
        self.chains.insert(definition.id, Chain::new(chain));
        self.rules.compile(definition)
    }

    pub(crate) fn remove(&mut self, id: RuleId) {
        self.rules.remove(id);
        self.chains.remove(&id);
    }

    pub(crate) fn end_batch(&mut self) {
        self.chains.values_mut().for_each(Chain::end_batch);
    }

    /// Evaluates every rule that looks at the message, each on the message as its plugins leave it.
    pub(super) fn evaluate(
        &mut self,
        judge: &Judge<'_>,
        subject: &Subject<'_>,
        origin: &Origin<'_>,
        input: &Input<'_>,
        out: &mut Decided,
    ) -> MessageSummary {
        let mut summary = MessageSummary::default();
        let mut concerned = std::mem::take(&mut self.concerned);
        concerned.extend(self.rules.select(origin).map(|rule| rule.id));
        for id in concerned.drain(..) {
            summary += self.rule(id, judge, subject, input, out);
        }
        self.concerned = concerned;
        summary
    }

    fn rule(
        &mut self,
        id: RuleId,
        judge: &Judge<'_>,
        subject: &Subject<'_>,
        input: &Input<'_>,
        out: &mut Decided,
    ) -> MessageSummary {
        let Some(chain) = self.chains.get_mut(&id) else { return MessageSummary::default() };
        let mut effects = Vec::new();
        let mut ports = PluginPorts {
            plugins: &judge.ports.plugins,
            states: &judge.ports.plugin_states,
            counters: &judge.ports.counters,
            named: &|_| None,
            effects: &mut effects,
        };
        let mut sample: Option<Telemetry> = subject.telemetry.cloned();
        if let Some(sample) = &mut sample {
            chain.on_msg(subject.message, sample, &mut ports);
        }
        let values = sample.as_ref().map_or(input.values, |sample| &sample.values);
        let input = Input { values, ..*input };
        let subject = Subject { telemetry: sample.as_ref(), ..*subject };
        let now = judge.ports.clock.now();
        let mut firing = None;
        let summary = self.rules.evaluate_rule(id, &input, now.mono_ns, |decision| {
            let Decision { rule, evaluation, .. } = decision;
            firing = judge.weigh(&subject, rule.id, evaluation, out);
        });
        if let Some(firing) = firing.and_then(|firing| serde_json::to_string(&firing).ok()) {
            chain.on_action(subject.message, subject.telemetry, &firing, &mut ports);
        }
        judge.ask(&subject, &format!("chain of rule {id}"), effects, out);
        summary
    }
}
