//! From one message to what follows from it: decode, transform, last values, rules, firings.
//!
//! Owns a shard's compiled configuration. Must never touch the log, a lock that people hold for
//! long, or the network: what follows is put into [`Decided`] and done by others.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use flux_registry::{Resolved, Snapshot, TopicKind, Unmatched};
use flux_rules::{Decision, Input, Limits, Origin, RuleSet};
use flux_tsdb::Store;
use flux_types::{FiringId, Instants, Message, Position, Problem, RuleId, Telemetry, hex};
use flux_wasm::Plugins;

use super::chained::Chained;
use super::decoders::{Aside, Decoders, Surroundings};
use super::draft::Decided;
use super::history::History;
use super::judge::{Judge, Subject};
use super::plugins::principal;
use super::unmatched::UnmatchedSample;
use crate::counters::{Counters, count, count_many};
use crate::journal::PluginStateEvent;
use crate::live::{Live, LiveEvent};
use crate::refusals::{Attempt, Refusals, Refusing};
use crate::views::{Latest, PluginStates};

/// What the deciders of all shards have in common.
#[derive(Debug, Clone)]
pub(crate) struct DeciderPorts {
    pub(crate) latest: Arc<Latest>,
    pub(crate) plugins: Plugins,
    pub(crate) plugin_states: Arc<PluginStates>,
    /// Where samples are kept; `None`: nowhere.
    pub(crate) series: Option<Store>,
    pub(crate) live: Live,
    pub(crate) refusals: Refusals,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Instants,
    /// Messages that rules made of rules' messages, not yet decided.
    pub(crate) publications: Arc<AtomicUsize>,
    pub(crate) publications_max: usize,
    pub(crate) hops_max: u8,
    /// The second, by the monotonic clock, in which a refused publication was last warned of.
    pub(crate) complained_s: Arc<AtomicU64>,
    pub(crate) command_max_age_ms: u64,
    pub(crate) webhook_max_age_ms: u64,
}

/// A change of configuration, as one shard takes it.
pub(crate) struct Change {
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) changes: Arc<flux_registry::Changes>,
}

/// One shard's compiled configuration, and what it does with a message.
pub(crate) struct Decider {
    ports: DeciderPorts,
    snapshot: Arc<Snapshot>,
    rules: RuleSet,
    /// Rules with plugins before and after them.
    chained: Chained,
    limits: Limits,
    decoders: Decoders,
    samples: Vec<Telemetry>,
    aside: Aside,
    history: Option<History>,
    /// What was decided and recorded before a crash for messages decided again now.
    fired: Fired,
    fired_end: Position,
    unmatched: UnmatchedSample,
}

/// Firings by what they decided: a rule has spoken on a sample whatever version it was.
pub(crate) type Fired = HashSet<(RuleId, Position, u32)>;

/// What a firing decided.
pub(crate) fn decision(id: &FiringId) -> (RuleId, Position, u32) {
    (id.rule, id.position, id.sample)
}

impl Decider {
    pub(crate) fn new(ports: DeciderPorts, limits: &Limits, snapshot: Arc<Snapshot>) -> Self {
        let env = super::scripts::environment(&snapshot);
        let history = ports.series.as_ref().map(History::new);
        let rules = || RuleSet::new(limits, flux_rules::BreakerLimits::default(), &env);
        Self {
            ports,
            snapshot,
            rules: rules(),
            chained: Chained::new(rules()),
            limits: limits.clone(),
            decoders: Decoders::default(),
            samples: Vec::new(),
            aside: Aside::default(),
            history,
            fired: HashSet::new(),
            fired_end: Position::START,
            unmatched: UnmatchedSample::default(),
        }
    }

    /// These firings are on disk already: messages up to `end` may be decided again, and must not
    /// fire them twice.
    pub(crate) fn already_fired(&mut self, fired: Fired, end: Position) {
        self.fired = fired;
        self.fired_end = end;
    }

    /// Takes a change of configuration; tells what of it does not work, which is left out.
    pub(crate) fn configure(&mut self, change: Change) -> Vec<Problem> {
        let Change { snapshot, changes } = change;
        let mut problems = Vec::new();
        let env = super::scripts::environment(&snapshot);
        if changes.env {
            self.rules.set_environment(&env);
            self.chained.set_environment(&env);
        }
        for id in &changes.rules_removed {
            self.rules.remove(*id);
            self.chained.remove(*id);
        }
        for rule in changes.rules.iter().filter_map(|id| snapshot.rule(*id)) {
            let definition = super::scripts::definition(rule);
            let compiled = if rule.plugin_chain.is_empty() {
                self.chained.remove(rule.id);
                self.rules.compile(&definition)
            } else {
                self.rules.remove(rule.id);
                self.chained.compile(&definition, &rule.plugin_chain)
            };
            problems.extend(compiled.err().map(|error| error.to_problem()));
        }
        for id in &changes.products_removed {
            self.decoders.remove(*id);
        }
        for product in changed_products(&snapshot, &changes) {
            problems.extend(self.decoders.insert(product, &self.limits, &env));
        }
        self.snapshot = snapshot;
        problems
    }

    /// Last values only: for messages that were decided before.
    pub(crate) fn review(&mut self, position: Position, message: &Message) {
        let snapshot = Arc::clone(&self.snapshot);
        if let Ok(resolved) = snapshot.resolve(message.tenant, &message.topic)
            && resolved.kind == TopicKind::Telemetry
        {
            self.take_samples(position, message, &resolved);
            self.samples.clear();
            self.aside.effects.clear();
            if let Some((plugin, state)) = self.aside.state.take() {
                let source = principal(&message.source);
                self.ports.plugin_states.set(message.tenant, source, &plugin, state.into());
            }
        }
    }

    /// What plugins keep of sources.
    pub(crate) fn plugin_states(&self) -> &PluginStates {
        &self.ports.plugin_states
    }

    /// Every message up to there was decided on.
    pub(crate) fn decided_up_to(&mut self, position: Position) {
        if let Some(history) = &mut self.history {
            history.decided_up_to(position);
        }
    }

    /// Ends a decider whose place others take.
    pub(crate) fn retire(self) {
        if let Some(history) = self.history {
            history.retire();
        }
    }

    /// Gives back what was held for the batch.
    pub(crate) fn end_batch(&mut self) {
        self.decoders.end_batch();
        self.chained.end_batch();
    }

    /// Everything that follows from a message.
    pub(crate) fn decide(&mut self, position: Position, message: &Message, out: &mut Decided) {
        count(&self.ports.counters.messages_decided);
        let snapshot = Arc::clone(&self.snapshot);
        let resolved = snapshot.resolve(message.tenant, &message.topic);
        match &resolved {
            Ok(found) if found.kind == TopicKind::Telemetry => {
                self.take_samples(position, message, found);
                self.take_aside(position, message, found, out);
                let samples = std::mem::take(&mut self.samples);
                for (index, telemetry) in samples.iter().enumerate() {
                    let subject = Subject {
                        position,
                        message,
                        telemetry: Some(telemetry),
                        product_key: Some(found.product.key.as_str()),
                        sample: u32::try_from(index).unwrap_or(u32::MAX),
                    };
                    self.evaluate(&subject, out);
                }
                let any = !samples.is_empty();
                self.samples = samples;
                self.samples.clear();
                if any {
                    return;
                }
            }
            Ok(found) if found.kind == TopicKind::Reply => {
                let key = found.device.key.clone();
                out.reply(message.tenant, key, message.payload.clone());
            }
            Ok(_) => {}
            Err(unmatched) => self.count_unmatched(message, *unmatched),
        }
        let subject = Subject { position, message, telemetry: None, product_key: None, sample: 0 };
        self.evaluate(&subject, out);
    }

    fn count_unmatched(&mut self, message: &Message, unmatched: Unmatched) {
        let code = match unmatched {
            Unmatched::NoTemplate => "topic.unmatched",
            Unmatched::UnknownDevice => "topic.unknown_device",
            Unmatched::DisabledDevice => "topic.disabled_device",
        };
        if unmatched != Unmatched::NoTemplate {
            count(&self.ports.counters.messages_unknown_device);
            return self.refuse(message, code, &unmatched);
        }
        count(&self.ports.counters.messages_unmatched);
        // what rules publish is meant for subscribers
        if message.hops == 0 && self.unmatched.takes(message) {
            self.refuse(message, code, &unmatched);
        }
    }

    fn refuse(&self, message: &Message, code: &'static str, reason: &dyn std::fmt::Display) {
        self.ports.refusals.note(&Refusing {
            attempt: Attempt::Message,
            tenant: message.tenant,
            source: Some(message.source.as_str()),
            username: None,
            client_id: None,
            address: None,
            topic: Some(message.topic.as_str()),
            code,
            reason,
        });
    }

    /// Decodes and transforms into `self.samples`, and tells the last values.
    fn take_samples(&mut self, position: Position, message: &Message, found: &Resolved<'_>) {
        self.samples.clear();
        let counters = &self.ports.counters;
        let around = Surroundings {
            snapshot: &self.snapshot,
            counters,
            plugins: &self.ports.plugins,
            states: &self.ports.plugin_states,
        };
        let (samples, aside) = (&mut self.samples, &mut self.aside);
        let outcome = self.decoders.decode(message, found, &around, samples, aside);
        if let Err(reason) = outcome {
            count(&counters.decode_failures);
            tracing::debug!(topic = %message.topic, reason, "a payload was not decoded");
            self.refuse(message, "payload.undecodable", &reason);
            return;
        }
        count_many(&counters.samples_decoded, self.samples.len());
        for telemetry in &self.samples {
            let received_ns = message.received.wall_ns;
            let refused = self.ports.latest.apply(telemetry, position, received_ns);
            count_many(&counters.values_refused, refused);
            if let Some(history) = &mut self.history {
                history.keep(telemetry, position, counters);
            }
            if self.ports.live.is_heard() {
                let event = LiveEvent::Telemetry(Arc::new(telemetry.clone()));
                self.ports.live.tell(message.tenant, event);
            }
        }
    }

    /// What the product's plugins keep and ask for.
    fn take_aside(
        &mut self,
        position: Position,
        message: &Message,
        found: &Resolved<'_>,
        out: &mut Decided,
    ) {
        let Aside { effects, state } = std::mem::take(&mut self.aside);
        if let Some((plugin, state)) = state {
            self.keep(message, &plugin, state, out);
        }
        if effects.is_empty() {
            return;
        }
        let product_key = Some(found.product.key.as_str());
        let telemetry = self.samples.first();
        let subject = Subject { position, message, telemetry, product_key, sample: 0 };
        self.judge().ask(&subject, found.product.key.as_str(), effects, out);
    }

    fn keep(&self, message: &Message, plugin: &Arc<str>, state: Vec<u8>, out: &mut Decided) {
        let (tenant, source) = (message.tenant, principal(&message.source));
        let event = PluginStateEvent {
            plugin: plugin.to_string(),
            source: source.to_owned(),
            state: hex::encode(&state),
        };
        let kept = self.ports.plugin_states.set(tenant, source, plugin, state.into())
            && out.keep(tenant, &event, self.ports.clock.now().wall_ns).is_ok();
        if !kept {
            count(&self.ports.counters.plugin_states_refused);
            let reason = format!("there is no room for what plugin {plugin} keeps");
            self.refuse(message, "plugin.state_refused", &reason);
        }
    }

    fn judge(&self) -> Judge<'_> {
        Judge {
            ports: &self.ports,
            snapshot: &self.snapshot,
            fired: &self.fired,
            fired_end: self.fired_end,
        }
    }

    fn evaluate(&mut self, subject: &Subject<'_>, out: &mut Decided) {
        let Subject { message, telemetry, .. } = *subject;
        let origin = Origin {
            tenant: message.tenant,
            topic: &message.topic,
            product: telemetry.map(|telemetry| telemetry.product),
            device: telemetry.map(|telemetry| telemetry.device),
        };
        let input = Input {
            device_id: telemetry.map(|telemetry| telemetry.device_key.as_str()),
            product: subject.product_key,
            topic: message.topic.as_str(),
            ts_ns: telemetry.map_or(message.received.wall_ns, |telemetry| telemetry.ts_ns),
            values: telemetry.map_or(&[], |telemetry| &telemetry.values),
            payload: Some(&message.payload),
        };
        let now = self.ports.clock.now();
        let Self { ports, snapshot, rules, chained, .. } = self;
        let judge = Judge { ports, snapshot, fired: &self.fired, fired_end: self.fired_end };
        let mut summary = rules.evaluate(&origin, &input, now.mono_ns, |decision| {
            let Decision { rule, evaluation, .. } = decision;
            judge.weigh(subject, rule.id, evaluation, out);
        });
        if !chained.is_empty() {
            summary += chained.evaluate(&judge, subject, &origin, &input, out);
        }
        let counters = &self.ports.counters;
        count_many(&counters.rules_executed, summary.evaluated as usize);
        count_many(&counters.rules_triggered, summary.triggered as usize);
        count_many(&counters.rules_failed, summary.failed as usize);
        count_many(&counters.rules_passed_over, summary.tripped as usize);
    }
}

/// The products to compile again: transforms see `env`, so a change of that concerns all.
fn changed_products<'s>(
    snapshot: &'s Snapshot,
    changes: &'s flux_registry::Changes,
) -> impl Iterator<Item = &'s Arc<flux_registry::Product>> {
    snapshot.products().filter(|product| changes.env || changes.products.contains(&product.id))
}
