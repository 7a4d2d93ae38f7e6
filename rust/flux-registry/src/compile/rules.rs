//! Rules: sources and actions.

use std::sync::Arc;

use flux_types::{Key, Qos, RuleId, Severity, Topic, TopicFilter};
use http::{HeaderName, HeaderValue, Uri};

use super::{Candidate, Place};
use crate::document::{
    ActionEntry, AlarmEntry, CommandEntry, PublishEntry, RuleEntry, WebhookEntry,
};
use crate::ports::ScriptKind;
use crate::rule::{ActionSpec, RuleSources, RuleSpec};

/// Headers that say how the message is carried, which is not the rule's to say.
const HEADERS_RESERVED: [&str; 5] =
    ["connection", "content-length", "te", "transfer-encoding", "upgrade"];

impl Candidate<'_> {
    pub(super) fn delete_rules(&mut self, ids: &[RuleId]) {
        for (index, id) in ids.iter().enumerate() {
            match self.next.rules.remove(id) {
                Some(_) => self.changes.rules_removed.push(*id),
                None => self.nothing_to_delete("rules", index, id),
            }
        }
    }

    pub(super) fn rules(&mut self, entries: Vec<RuleEntry>) {
        for (index, entry) in entries.into_iter().enumerate() {
            let (id, place) = (entry.id, self.place("rules", index));
            let Some(rule) = self.rule(place, entry) else { continue };
            if self.base.rules.get(&id).is_some_and(|before| **before == rule) {
                continue;
            }
            self.changes.rules.push(id);
            self.next.rules.insert(id, Arc::new(rule));
        }
    }

    fn rule(&mut self, place: Place, entry: RuleEntry) -> Option<RuleSpec> {
        let base = self.base;
        let before = base.rules.get(&entry.id);
        let tenant = self.tenant(place, entry.tenant, before.map(|rule| rule.tenant));
        let name = self.text_size(|| place.at("/name"), &entry.name, self.limits.name_bytes_max);
        let version = entry.version > 0;
        if !version {
            self.wrong(place.at("/version"), "rule.version", "versions are counted from 1");
        }
        let pointer = || place.at("/trigger_script");
        let before = before.map(|rule| &*rule.trigger_script);
        let script = self.script(pointer, ScriptKind::Trigger, &entry.trigger_script, before);
        let sources = self.sources(place, &entry);
        let actions = self.actions(place, entry.actions);
        let chain = self.plugin_chain(place, &entry.plugin_chain);
        (tenant && name && version && script && chain).then_some(())?;
        Some(RuleSpec {
            id: entry.id,
            tenant: entry.tenant,
            version: entry.version,
            name: entry.name,
            enabled: entry.enabled,
            trigger_script: entry.trigger_script.into(),
            plugin_chain: entry.plugin_chain,
            sources: sources?,
            actions: actions?,
        })
    }

    fn sources(&mut self, place: Place, entry: &RuleEntry) -> Option<RuleSources> {
        let sources = &entry.sources;
        let count = sources.topics.len() + sources.products.len() + sources.devices.len();
        if count > self.limits.rule_sources_max {
            let message = format!("{count} sources are more than {}", self.limits.rule_sources_max);
            self.wrong(place.at("/sources"), "config.too_many", message);
            return None;
        }
        let mut hold = true;
        let mut topics = Vec::with_capacity(sources.topics.len());
        for (index, text) in sources.topics.iter().enumerate() {
            let message = match TopicFilter::new(text) {
                Ok(_) if text.starts_with('$') => {
                    "topics that begin with `$` are the server's: no rule sees them".to_owned()
                }
                Ok(filter) => {
                    topics.push(filter);
                    continue;
                }
                Err(error) => error.to_string(),
            };
            hold = false;
            let pointer = place.at(format_args!("/sources/topics/{index}"));
            self.wrong(pointer, "rule.source", message);
        }
        hold &= self.sources_are_known(place, entry);
        let (products, devices) = (sources.products.clone(), sources.devices.clone());
        hold.then_some(RuleSources { topics, products, devices })
    }

    fn sources_are_known(&mut self, place: Place, entry: &RuleEntry) -> bool {
        let mut unknown = Vec::new();
        for (index, id) in entry.sources.products.iter().enumerate() {
            let tenant = self.next.products.get(id).map(|product| product.tenant);
            if tenant != Some(entry.tenant) && !self.failed.contains(&id.0) {
                unknown.push(("products", index, format!("there is no product {id}")));
            }
        }
        for (index, id) in entry.sources.devices.iter().enumerate() {
            let tenant = self.next.devices.get(id).map(|device| device.tenant);
            if tenant != Some(entry.tenant) && !self.failed.contains(&id.0) {
                unknown.push(("devices", index, format!("there is no device {id}")));
            }
        }
        let hold = unknown.is_empty();
        for (list, index, message) in unknown {
            let pointer = place.at(format_args!("/sources/{list}/{index}"));
            self.wrong(pointer, "rule.source_unknown", format!("{message} in the rule's tenant"));
        }
        hold
    }

    fn actions(&mut self, place: Place, entries: Vec<ActionEntry>) -> Option<Vec<ActionSpec>> {
        let max = self.limits.actions_max;
        if entries.len() > max {
            let message = format!("{} actions are more than {max}", entries.len());
            self.wrong(place.at("/actions"), "config.too_many", message);
            return None;
        }
        let action = |(index, entry)| {
            let at = move |field: &str| place.at(format_args!("/actions/{index}{field}"));
            match entry {
                ActionEntry::Command(entry) => self.command(at, entry),
                ActionEntry::Publish(entry) => self.publish(at, entry),
                ActionEntry::RaiseAlarm(entry) => self.raise_alarm(at, entry),
                ActionEntry::ClearAlarm(entry) => {
                    let named = self.action_name(|| at("/alarm"), &entry.alarm);
                    named.then_some(ActionSpec::ClearAlarm { alarm: entry.alarm })
                }
                ActionEntry::Webhook(entry) => self.webhook(at, entry),
            }
        };
        let actions: Vec<_> = entries.into_iter().enumerate().map(action).collect();
        actions.into_iter().collect()
    }

    fn command(&mut self, at: impl Fn(&str) -> String, entry: CommandEntry) -> Option<ActionSpec> {
        let CommandEntry { device, command, params, max_age_ms } = entry;
        let key = Key::new(&device);
        if let Err(error) = &key {
            self.wrong(at("/device"), "rule.action", error.to_string());
        }
        let named = self.action_name(|| at("/command"), &command);
        let params = serde_json::Value::Object(params);
        let sized = self.json_size(|| at("/params"), &params);
        let aged = self.max_age(&at, max_age_ms);
        let serde_json::Value::Object(params) = params else { return None };
        (named && sized && aged).then_some(())?;
        Some(ActionSpec::Command { device: key.ok()?, command, params, max_age_ms })
    }

    fn publish(&mut self, at: impl Fn(&str) -> String, entry: PublishEntry) -> Option<ActionSpec> {
        let topic = match Topic::new(&entry.topic) {
            Ok(topic) if topic.is_reserved() => {
                let message = "topics that begin with `$` are the server's";
                self.wrong(at("/topic"), "rule.action", message);
                None
            }
            Ok(topic) => Some(topic),
            Err(error) => {
                self.wrong(at("/topic"), "rule.action", error.to_string());
                None
            }
        };
        let qos = match Qos::try_from(entry.qos) {
            Ok(Qos::ExactlyOnce) => {
                let message = "rules publish with quality of service 0 or 1, not 2";
                self.wrong_hint(at("/qos"), "rule.action", message, "use 1");
                None
            }
            Ok(qos) => Some(qos),
            Err(error) => {
                self.wrong(at("/qos"), "rule.action", error.to_string());
                None
            }
        };
        let sized = self.json_size(|| at("/payload"), &entry.payload);
        sized.then_some(())?;
        let (payload, retain) = (entry.payload, entry.retain);
        Some(ActionSpec::Publish { topic: topic?, payload, qos: qos?, retain })
    }

    fn raise_alarm(
        &mut self,
        at: impl Fn(&str) -> String,
        entry: AlarmEntry,
    ) -> Option<ActionSpec> {
        let named = self.action_name(|| at("/alarm"), &entry.alarm);
        let sized = self.text_size(|| at("/text"), &entry.text, self.limits.text_bytes_max);
        let severity = entry.severity.to_ascii_lowercase().parse::<Severity>();
        if let Err(error) = severity {
            self.wrong(at("/severity"), "rule.action", error.to_string());
        }
        (named && sized).then_some(())?;
        let AlarmEntry { alarm, text, .. } = entry;
        Some(ActionSpec::RaiseAlarm { alarm, severity: severity.ok()?, text })
    }

    fn webhook(&mut self, at: impl Fn(&str) -> String, entry: WebhookEntry) -> Option<ActionSpec> {
        let wrong_url = if entry.url.len() > self.limits.url_bytes_max {
            Some(format!("{} bytes are more than {}", entry.url.len(), self.limits.url_bytes_max))
        } else {
            url_problem(&entry.url).map(str::to_owned)
        };
        let url = wrong_url.is_none();
        if let Some(message) = wrong_url {
            let hint = "write it like `https://example.org/path`";
            self.wrong_hint(at("/url"), "rule.action", message, hint);
        }
        let mut headers = entry.headers.len() <= self.limits.headers_max;
        if !headers {
            let message = format!("more than {} headers", self.limits.headers_max);
            self.wrong(at("/headers"), "config.too_many", message);
        }
        for (name, value) in &entry.headers {
            if let Some(message) = header_problem(name, value) {
                self.wrong(at("/headers"), "rule.action", format!("header {name:?}: {message}"));
                headers = false;
            }
        }
        let aged = self.max_age(&at, entry.max_age_ms);
        let WebhookEntry { url: text, headers: fields, max_age_ms } = entry;
        (url && headers && aged).then_some(ActionSpec::Webhook {
            url: text,
            headers: fields,
            max_age_ms,
        })
    }

    fn action_name(&mut self, pointer: impl Fn() -> String, name: &str) -> bool {
        if name.is_empty() {
            self.wrong(pointer(), "rule.action", "it has to have a name");
            return false;
        }
        self.text_size(pointer, name, self.limits.name_bytes_max)
    }

    fn max_age(&mut self, at: impl Fn(&str) -> String, max_age_ms: u64) -> bool {
        let max = self.limits.action_max_age_ms_max;
        let holds = (1..=max).contains(&max_age_ms);
        if !holds {
            let message = format!("max_age_ms is between 1 and {max}, not {max_age_ms}");
            self.wrong(at("/max_age_ms"), "rule.action", message);
        }
        holds
    }
}

fn url_problem(url: &str) -> Option<&'static str> {
    let Ok(uri) = url.parse::<Uri>() else { return Some("it is no URL") };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Some("a webhook's URL begins with `http://` or `https://`");
    }
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return Some("user and password do not belong in a URL; use the header `authorization`");
    }
    let has_port = authority.as_str().len() > authority.host().len();
    if authority.host().is_empty() || (has_port && authority.port_u16().is_none_or(|p| p == 0)) {
        return Some("the URL's host or port is wrong");
    }
    None
}

fn header_problem(name: &str, value: &str) -> Option<&'static str> {
    if HeaderName::from_bytes(name.as_bytes()).is_err() {
        return Some("the name is no header's");
    }
    if HEADERS_RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
        return Some("how the request is carried is not the rule's to say");
    }
    HeaderValue::from_str(value).err().map(|_| "the value has characters a header cannot have")
}
