//! From an answer to a firing: what was decided, put into words and written down.
//!
//! Owns the making of firings and their actions. Must never carry one out.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use flux_registry::{ActionSpec, RuleSpec, Snapshot};
use flux_rules::{Effect, Evaluation};
use flux_types::{CommandId, FiringId, Message, Qos, RuleId, SourceId, Telemetry, Topic};
use uuid::Uuid;

use super::decide::{DeciderPorts, Fired, decision};
use super::draft::Decided;
use crate::counters::{count, count_many};
use crate::firing::{Action, Firing, action_id};
use crate::live::LiveEvent;

/// The largest payload a rule may publish, bytes.
const PUBLICATION_BYTES_MAX: usize = 128 << 10;

/// What plugins ask for is recorded as firings too: each plugin counts as a rule of this name.
const PLUGIN_RULES: Uuid = Uuid::from_u128(0x9d1c_52f6_71d8_4c5e_9a58_5b7d_0f24_5b0e);

/// A message with what is known of it, as rules look at it.
pub(super) struct Subject<'a> {
    pub(super) position: flux_types::Position,
    pub(super) message: &'a Message,
    pub(super) telemetry: Option<&'a Telemetry>,
    pub(super) product_key: Option<&'a str>,
    pub(super) sample: u32,
}

/// Turns an evaluation into a firing.
pub(super) struct Judge<'a> {
    pub(super) ports: &'a DeciderPorts,
    pub(super) snapshot: &'a Snapshot,
    pub(super) fired: &'a Fired,
    pub(super) fired_end: flux_types::Position,
}

impl Judge<'_> {
    /// Records what a rule's answer calls for; the firing, if it calls for anything.
    pub(super) fn weigh(
        &self,
        subject: &Subject<'_>,
        rule: RuleId,
        evaluation: &mut Evaluation,
        out: &mut Decided,
    ) -> Option<Firing> {
        let spec = self.snapshot.rule(rule)?;
        self.log(spec, evaluation);
        if let Some(error) = &evaluation.error {
            tracing::debug!(target: "rule", rule = %rule, %error, "a rule failed");
        }
        if !evaluation.acts() {
            return None;
        }
        let id = FiringId {
            rule,
            version: spec.version,
            position: subject.position,
            sample: subject.sample,
        };
        if self.has_fired(&id) {
            return None;
        }
        let actions = self.actions(&id, spec, subject, evaluation, out);
        let firing = self.firing(&id, &spec.name, subject, evaluation.triggered, actions);
        self.record(firing.clone(), out);
        Some(firing)
    }

    /// Records what a plugin asks for: a firing of the plugin.
    pub(super) fn ask(
        &self,
        subject: &Subject<'_>,
        plugin: &str,
        effects: Vec<Effect>,
        out: &mut Decided,
    ) {
        let rule = RuleId(Uuid::new_v5(&PLUGIN_RULES, plugin.as_bytes()));
        let id = FiringId { rule, version: 1, position: subject.position, sample: subject.sample };
        if effects.is_empty() || self.has_fired(&id) {
            return;
        }
        let mut actions = Vec::with_capacity(effects.len());
        for effect in effects {
            let place = actions.len();
            actions.push(self.asked(&id, place, effect, subject, out));
        }
        let name = format!("plugin {plugin}");
        self.record(self.firing(&id, &name, subject, false, actions), out);
    }

    fn has_fired(&self, id: &FiringId) -> bool {
        id.position <= self.fired_end && self.fired.contains(&decision(id))
    }

    fn firing(
        &self,
        id: &FiringId,
        rule_name: &str,
        subject: &Subject<'_>,
        triggered: bool,
        actions: Vec<Action>,
    ) -> Firing {
        let Subject { message, telemetry, position, .. } = *subject;
        let ts_ns = telemetry.map_or(message.received.wall_ns, |sample| sample.ts_ns);
        Firing {
            id: id.to_string(),
            rule: id.rule,
            version: id.version,
            rule_name: rule_name.into(),
            tenant: message.tenant,
            device_id: telemetry.map(|telemetry| telemetry.device),
            device: telemetry.map(|telemetry| telemetry.device_key.shared()),
            topic: message.topic.shared(),
            position,
            ts_ms: ts_ns / 1_000_000,
            at_ms: self.ports.clock.now().wall_ns / 1_000_000,
            triggered,
            values: telemetry.map(values_json).unwrap_or_default(),
            actions,
        }
    }

    /// Records a firing; if what it calls for is too large, without that.
    fn record(&self, mut firing: Firing, out: &mut Decided) {
        let now_ns = self.ports.clock.now().wall_ns;
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
                self.publish(id, place, subject, (topic.clone(), payload, *qos, *retain), out)
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
                self.publish(id, place, subject, (topic, payload, qos, retain), out)
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

    /// Warns of a publication that was refused, once a second: in a storm every one is.
    fn complain(&self, rule: RuleId, topic: &Topic, reason: &str) {
        let now_s = self.ports.clock.now().mono_ns / 1_000_000_000;
        if self.ports.complained_s.swap(now_s, Ordering::Relaxed) != now_s {
            tracing::warn!(target: "rule", %rule, %topic, reason, "not published");
        }
    }

    /// Publishes beside the firing, unless that would never end.
    fn publish(
        &self,
        id: &FiringId,
        place: usize,
        subject: &Subject<'_>,
        (topic, payload, qos, retain): (Topic, Bytes, Qos, bool),
        out: &mut Decided,
    ) -> Action {
        let refused = |reason: &str| {
            count(&self.ports.counters.rule_publications_refused);
            self.complain(id.rule, &topic, reason);
            Action::Refused { action: "publish".to_owned(), reason: reason.to_owned() }
        };
        if payload.len() > PUBLICATION_BYTES_MAX {
            return refused("the payload has over 128 KiB");
        }
        let hops = hops_of(subject.message.hops, place);
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

/// The hops of the message a firing publishes as its action of that place.
///
/// Of a rule's message, those behind the first cost more, 2 for each doubling: so that not only the
/// way from a device's message is bounded, but how many follow from it. From one with `n` hops left
/// a rule makes f(n) = Σ 2^j f(n - 1 - 2j) messages, which is 2^n at most.
fn hops_of(before: u8, place: usize) -> u8 {
    let wide = if before == 0 { 0 } else { place.saturating_add(1).ilog2().saturating_mul(2) };
    before.saturating_add(1).saturating_add(u8::try_from(wide).unwrap_or(u8::MAX))
}

/// Whether a message of so many hops is what a rule made of a rule's message.
pub(crate) fn is_cascade(hops: u8) -> bool {
    hops > 1
}

fn values_json(telemetry: &Telemetry) -> serde_json::Map<String, serde_json::Value> {
    let pair = |(name, value): &(Arc<str>, flux_types::Value)| (name.to_string(), value.to_json());
    telemetry.values.iter().map(pair).collect()
}

/// Text is sent as it stands, nothing as nothing, anything else as JSON.
pub(crate) fn payload_bytes(payload: &serde_json::Value) -> Bytes {
    match payload {
        serde_json::Value::Null => Bytes::new(),
        serde_json::Value::String(text) => Bytes::from(text.clone()),
        other => Bytes::from(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::hops_of;

    /// Messages that follow from one with so many hops, every rule publishing as much as it may.
    fn descendants(hops: u8, max: u8) -> u64 {
        let made = (0..64).map(|place| hops_of(hops, place)).filter(|hops| *hops <= max);
        made.map(|hops| 1 + descendants(hops, max)).sum()
    }

    #[test]
    fn what_rules_make_of_one_message_is_bounded() {
        assert_eq!(hops_of(0, 63), 1);
        assert_eq!((hops_of(1, 0), hops_of(1, 1), hops_of(1, 3), hops_of(3, 7)), (2, 4, 6, 10));
        assert!(descendants(0, 8) < 20_000, "{}", descendants(0, 8));
    }
}
