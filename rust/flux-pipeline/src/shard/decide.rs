//! From one message to what follows from it: decode, transform, last values, rules, firings.
//!
//! Owns a shard's compiled configuration. Must never touch the log, a lock that people hold for
//! long, or the network: what follows is put into [`Decided`] and done by others.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use flux_registry::{ActionSpec, Resolved, RuleSpec, Snapshot, TopicKind, Unmatched};
use flux_rules::{Decision, Effect, Evaluation, Input, Limits, Origin, RuleSet};
use flux_types::{
    CommandId, FiringId, Instants, Message, Position, Problem, Qos, RuleId, SourceId, Telemetry,
    Topic,
};

use super::decoders::Decoders;
use super::draft::Decided;
use super::unmatched::UnmatchedSample;
use crate::counters::{Counters, count, count_many};
use crate::firing::{Action, Firing, action_id};
use crate::live::{Live, LiveEvent};
use crate::refusals::{Attempt, Refusals, Refusing};
use crate::views::Latest;

/// The largest payload a rule may publish, bytes.
const PUBLICATION_BYTES_MAX: usize = 128 << 10;

/// What the deciders of all shards have in common.
#[derive(Debug, Clone)]
pub(crate) struct DeciderPorts {
    pub(crate) latest: Arc<Latest>,
    pub(crate) live: Live,
    pub(crate) refusals: Refusals,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Instants,
    /// Messages that rules made of rules' messages, not yet decided.
    pub(crate) publications: Arc<AtomicUsize>,
    pub(crate) publications_max: usize,
    pub(crate) hops_max: u8,
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
    limits: Limits,
    decoders: Decoders,
    samples: Vec<Telemetry>,
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

/// A message with what is known of it, as rules look at it.
struct Subject<'a> {
    position: Position,
    message: &'a Message,
    telemetry: Option<&'a Telemetry>,
    product_key: Option<&'a str>,
    sample: u32,
}

impl Decider {
    pub(crate) fn new(ports: DeciderPorts, limits: &Limits, snapshot: Arc<Snapshot>) -> Self {
        let env = super::scripts::environment(&snapshot);
        let rules = RuleSet::new(limits, flux_rules::BreakerLimits::default(), &env);
        Self {
            ports,
            snapshot,
            rules,
            limits: limits.clone(),
            decoders: Decoders::default(),
            samples: Vec::new(),
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
        }
        for id in &changes.rules_removed {
            self.rules.remove(*id);
        }
        for id in &changes.rules {
            let Some(rule) = snapshot.rule(*id) else { continue };
            if let Err(error) = self.rules.compile(&super::scripts::definition(rule)) {
                problems.push(error.to_problem());
            }
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
        }
    }

    /// Everything that follows from a message.
    pub(crate) fn decide(&mut self, position: Position, message: &Message, out: &mut Decided) {
        count(&self.ports.counters.messages_decided);
        let snapshot = Arc::clone(&self.snapshot);
        let resolved = snapshot.resolve(message.tenant, &message.topic);
        match &resolved {
            Ok(found) if found.kind == TopicKind::Telemetry => {
                self.take_samples(position, message, found);
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
        let outcome =
            self.decoders.decode(message, found, &self.snapshot, counters, &mut self.samples);
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
            if self.ports.live.is_heard() {
                let event = LiveEvent::Telemetry(Arc::new(telemetry.clone()));
                self.ports.live.tell(message.tenant, event);
            }
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
        let judge = Judge {
            ports: &self.ports,
            snapshot: &self.snapshot,
            fired: &self.fired,
            fired_end: self.fired_end,
        };
        let summary = self.rules.evaluate(&origin, &input, now.mono_ns, |decision| {
            let Decision { rule, evaluation, .. } = decision;
            judge.weigh(subject, rule.id, evaluation, out);
        });
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

/// Turns an evaluation into a firing.
struct Judge<'a> {
    ports: &'a DeciderPorts,
    snapshot: &'a Snapshot,
    fired: &'a Fired,
    fired_end: Position,
}

impl Judge<'_> {
    fn weigh(
        &self,
        subject: &Subject<'_>,
        rule: RuleId,
        evaluation: &mut Evaluation,
        out: &mut Decided,
    ) {
        let Some(spec) = self.snapshot.rule(rule) else { return };
        self.log(spec, evaluation);
        if let Some(error) = &evaluation.error {
            tracing::debug!(target: "rule", rule = %rule, %error, "a rule failed");
        }
        if !evaluation.acts() {
            return;
        }
        let id = FiringId {
            rule,
            version: spec.version,
            position: subject.position,
            sample: subject.sample,
        };
        if subject.position <= self.fired_end && self.fired.contains(&decision(&id)) {
            return;
        }
        let actions = self.actions(&id, spec, subject, evaluation, out);
        let telemetry = subject.telemetry;
        let now_ns = self.ports.clock.now().wall_ns;
        let ts_ns = telemetry.map_or(subject.message.received.wall_ns, |sample| sample.ts_ns);
        let firing = Firing {
            id: id.to_string(),
            rule,
            version: spec.version,
            rule_name: spec.name.as_str().into(),
            tenant: subject.message.tenant,
            device_id: telemetry.map(|telemetry| telemetry.device),
            device: telemetry.map(|telemetry| telemetry.device_key.shared()),
            topic: subject.message.topic.shared(),
            position: subject.position,
            ts_ms: ts_ns / 1_000_000,
            at_ms: now_ns / 1_000_000,
            triggered: evaluation.triggered,
            values: telemetry.map(values_json).unwrap_or_default(),
            actions,
        };
        self.record(firing, now_ns, out);
    }

    /// Records a firing; if what it calls for is too large, without that.
    fn record(&self, mut firing: Firing, now_ns: i64, out: &mut Decided) {
        let Err(error) = out.fire(&firing, now_ns) else {
            return count(&self.ports.counters.firings);
        };
        count_many(&self.ports.counters.actions_refused, firing.actions.len());
        tracing::error!(target: "rule", firing = firing.id, %error, "its actions are refused");
        let refused = Action::Refused { action: "all".to_owned(), reason: error.to_string() };
        firing.actions = vec![refused];
        firing.values.clear();
        match out.fire(&firing, now_ns) {
            Ok(()) => count(&self.ports.counters.firings),
            Err(error) => tracing::error!(firing = firing.id, %error, "a firing was not recorded"),
        }
    }

    fn log(&self, spec: &RuleSpec, evaluation: &Evaluation) {
        for line in &evaluation.logs {
            let level = line.level.as_str();
            tracing::info!(target: "rule", rule = %spec.id, name = spec.name, level, "{}", line.text);
            if self.ports.live.is_heard() {
                let event = LiveEvent::RuleLog {
                    rule: spec.id.to_string(),
                    level,
                    text: line.text.clone(),
                    at_ms: self.ports.clock.now().wall_ns / 1_000_000,
                };
                self.ports.live.tell(spec.tenant, event);
            }
        }
    }

    /// Declared actions if the script said `true`, then what its functions asked for.
    fn actions(
        &self,
        id: &FiringId,
        spec: &RuleSpec,
        subject: &Subject<'_>,
        evaluation: &mut Evaluation,
        out: &mut Decided,
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        if evaluation.triggered {
            for declared in &spec.actions {
                let place = actions.len();
                actions.push(self.declared(id, place, declared, subject, out));
            }
        }
        for effect in evaluation.effects.drain(..) {
            let place = actions.len();
            actions.push(self.asked(id, place, effect, subject, out));
        }
        actions
    }

    fn declared(
        &self,
        id: &FiringId,
        place: usize,
        action: &ActionSpec,
        subject: &Subject<'_>,
        out: &mut Decided,
    ) -> Action {
        match action {
            ActionSpec::Command { device, command, params, max_age_ms } => Action::Command {
                id: CommandId(action_id(id, place)),
                device: device.to_string(),
                command: command.clone(),
                params: params.clone().into(),
                max_age_ms: *max_age_ms,
            },
            ActionSpec::Publish { topic, payload, qos, retain } => {
                let payload = payload_bytes(payload);
                self.publish(id, subject, (topic.clone(), payload, *qos, *retain), out)
            }
            ActionSpec::RaiseAlarm { alarm, severity, text } => {
                Action::RaiseAlarm { alarm: alarm.clone(), severity: *severity, text: text.clone() }
            }
            ActionSpec::ClearAlarm { alarm } => Action::ClearAlarm { alarm: alarm.clone() },
            ActionSpec::Webhook { url, headers, max_age_ms } => Action::Webhook {
                id: action_id(id, place),
                url: url.clone(),
                headers: headers.clone(),
                payload: None,
                max_age_ms: *max_age_ms,
            },
        }
    }

    fn asked(
        &self,
        id: &FiringId,
        place: usize,
        effect: Effect,
        subject: &Subject<'_>,
        out: &mut Decided,
    ) -> Action {
        match effect {
            Effect::Command { device, command, params } => Action::Command {
                id: CommandId(action_id(id, place)),
                device: device.to_string(),
                command,
                params,
                max_age_ms: self.ports.command_max_age_ms,
            },
            Effect::Publish { topic, payload, qos, retain } => {
                self.publish(id, subject, (topic, payload, qos, retain), out)
            }
            Effect::RaiseAlarm { alarm, severity, text } => {
                Action::RaiseAlarm { alarm, severity, text }
            }
            Effect::ClearAlarm { alarm } => Action::ClearAlarm { alarm },
            Effect::Webhook { url, payload } => Action::Webhook {
                id: action_id(id, place),
                url,
                headers: std::collections::BTreeMap::new(),
                payload: Some(payload),
                max_age_ms: self.ports.webhook_max_age_ms,
            },
        }
    }

    /// Publishes beside the firing, unless that would never end.
    fn publish(
        &self,
        id: &FiringId,
        subject: &Subject<'_>,
        (topic, payload, qos, retain): (Topic, Bytes, Qos, bool),
        out: &mut Decided,
    ) -> Action {
        let refused = |reason: &str| {
            count(&self.ports.counters.rule_publications_refused);
            tracing::warn!(target: "rule", rule = %id.rule, %topic, reason, "not published");
            Action::Refused { action: "publish".to_owned(), reason: reason.to_owned() }
        };
        if payload.len() > PUBLICATION_BYTES_MAX {
            return refused("the payload has over 128 KiB");
        }
        let hops = subject.message.hops.saturating_add(1);
        if hops > self.ports.hops_max {
            return refused("rules have published this message on too often: do they form a loop?");
        }
        // what follows from a device's own message is held back by pausing the device; only what
        // rules make of what rules made could grow by itself
        if is_cascade(hops) {
            let pending = &self.ports.publications;
            if pending.load(Ordering::Relaxed) >= self.ports.publications_max {
                return refused("too many messages that rules made of rules' messages wait");
            }
            pending.fetch_add(1, Ordering::Relaxed);
        }
        count(&self.ports.counters.rule_publications);
        let action = Action::Publish { topic: topic.to_string(), qos: qos.into() };
        let message = Message {
            tenant: subject.message.tenant,
            source: SourceId::new(format!("rule:{}", id.rule)),
            topic,
            payload,
            qos,
            retain,
            received: self.ports.clock.now(),
            hops,
            properties: None,
        };
        // what came without promise acts at once
        let wait = subject.message.qos.is_promised();
        out.publish(message, wait);
        action
    }
}

/// Whether a message of so many hops is what a rule made of a rule's message.
pub(super) fn is_cascade(hops: u8) -> bool {
    hops > 1
}

fn values_json(telemetry: &Telemetry) -> serde_json::Map<String, serde_json::Value> {
    let pair = |(name, value): &(Arc<str>, flux_types::Value)| (name.to_string(), value.to_json());
    telemetry.values.iter().map(pair).collect()
}

/// Text is sent as it stands, nothing as nothing, anything else as JSON.
fn payload_bytes(payload: &serde_json::Value) -> Bytes {
    match payload {
        serde_json::Value::Null => Bytes::new(),
        serde_json::Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    }
}
