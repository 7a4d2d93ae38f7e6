//! A small site to change and break.

#![allow(dead_code)] // each test file uses its part

use std::sync::Arc;

use flux_registry::{
    Applied, ApplyError, Delta, Document, Limits, Registry, ScriptCheck, ScriptKind, Snapshot,
};
use flux_types::{Problem, TenantId, Topic, TopicFilter};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Refuses scripts that contain `broken`, in their first line.
pub(crate) struct Scripts;

impl ScriptCheck for Scripts {
    fn check(&self, kind: ScriptKind, source: &str) -> Vec<Problem> {
        let problem = Problem::new("rule.compile", format!("{kind:?} does not compile"));
        let problem = problem.on_line(Some(1), Some(2));
        if source.contains("broken") { vec![problem] } else { Vec::new() }
    }

    fn check_mapping(&self, mapping: &flux_registry::JsonMapping) -> Vec<Problem> {
        let wrong = mapping.device.as_deref() == Some("..");
        let problem = Problem::new("decode.path", "no path").at("/device");
        if wrong { vec![problem] } else { Vec::new() }
    }
}

pub(crate) fn id(number: u32) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

pub(crate) fn digest(secret: &str) -> String {
    Sha256::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Products 1 (default topics), 2 (`plant/{line}/{device}/...`) and 3 (tenant 2); devices 11 and
/// 12 of product 1, 13 of product 2, 14 of product 3; accounts 21 and 22; rules 31 and 32.
pub(crate) fn document() -> Value {
    json!({
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}, {"id": 2, "name": "acme"}],
        "principals": [
            {"id": id(21), "tenant": 1, "username": "dashboard", "secret_sha256": digest("d"),
             "enabled": true, "publish": ["plant/#", "v1/devices/+/telemetry"], "subscribe": ["#"]},
            {"id": id(22), "tenant": 2, "username": "nodered", "secret_sha256": digest("n"),
             "enabled": true, "publish": [], "subscribe": ["$SYS/#", "a/+"]}],
        "products": [
            {"id": id(1), "tenant": 1, "key": "thermometer",
             "topic_template": "v1/devices/{device}/telemetry",
             "command_topic_template": "v1/devices/{device}/commands",
             "reply_topic_template": "v1/devices/{device}/replies",
             "decode": {"type": "json", "device": null, "ts": null, "ts_unit": "ms",
                        "values": {"temperature": "data.t"}},
             "transform": "msg.values.t += 1", "metadata": {"properties": [{"name": "temperature"}]}},
            {"id": id(2), "tenant": 1, "key": "valve",
             "topic_template": "plant/{line}/{device}/telemetry",
             "command_topic_template": "plant/{line}/{device}/commands",
             "reply_topic_template": "plant/{line}/{device}/replies"},
            {"id": id(3), "tenant": 2, "key": "thermometer"}],
        "devices": [
            {"id": id(11), "tenant": 1, "product": id(1), "key": "thermo-1",
             "secret_sha256": digest("t1"), "enabled": true, "tags": {"line": "3"}},
            {"id": id(12), "tenant": 1, "product": id(1), "key": "thermo-2",
             "secret_sha256": null, "enabled": true},
            {"id": id(13), "tenant": 1, "product": id(2), "key": "valve-1",
             "secret_sha256": digest("v1"), "enabled": true, "tags": {"line": "3"}},
            {"id": id(14), "tenant": 2, "product": id(3), "key": "thermo-1",
             "secret_sha256": digest("acme"), "enabled": true}],
        "rules": [
            {"id": id(31), "tenant": 1, "version": 3, "name": "too hot", "enabled": true,
             "trigger_script": "temperature > 30",
             "sources": {"topics": ["plant/#"], "products": [id(1)], "devices": [id(11)]},
             "actions": [
                {"type": "command", "device": "valve-1", "command": "close", "params": {}, "max_age_ms": 30000},
                {"type": "publish", "topic": "a/b", "payload": {"x": 1}, "qos": 1, "retain": false},
                {"type": "RaiseAlarm", "alarm": "overheat", "severity": "Critical", "text": "hot"},
                {"type": "clear_alarm", "alarm": "overheat"},
                {"type": "Webhook", "url": "http://127.0.0.1:9/x", "headers": {"x-a": "b"}, "max_age_ms": 86400000}]},
            {"id": id(32), "trigger_script": "false"}],
        "env": {"site": "plant-7"}
    })
}

/// The site with one thing changed.
pub(crate) fn changed(pointer: &str, value: Value) -> Value {
    let mut document = document();
    set(&mut document, pointer, value);
    document
}

/// Sets what a JSON pointer names; its last field is made where it is missing.
pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Array(list) => match last.parse::<usize>() {
            Ok(index) if index < list.len() => list[index] = value,
            _ => list.push(value),
        },
        Value::Object(object) => drop(object.insert(last.to_owned(), value)),
        other => panic!("{other} has no {last}"),
    }
}

pub(crate) fn read(document: &Value) -> Result<Document, Vec<Problem>> {
    Document::from_json(document.to_string().as_bytes())
}

pub(crate) fn compile(document: &Value) -> Result<Snapshot, Vec<Problem>> {
    read(document).and_then(|document| flux_registry::compile(document, &Scripts))
}

pub(crate) fn site() -> Snapshot {
    compile(&document()).unwrap()
}

pub(crate) fn registry() -> Registry {
    let registry = Registry::new(Arc::new(Scripts), Limits::default());
    registry.replace(read(&document()).unwrap()).unwrap();
    registry
}

/// Applies a delta from the generation in force to the next.
pub(crate) fn apply(
    registry: &Registry,
    upsert: Value,
    delete: Value,
) -> Result<Applied, ApplyError> {
    let base = registry.current().generation().0;
    let delta = json!({"base_generation": base, "generation": base + 1, "upsert": upsert, "delete": delete});
    registry.apply(Delta::from_json(delta.to_string().as_bytes()).unwrap())
}

/// The problems' codes and pointers.
pub(crate) fn places(problems: &[Problem]) -> Vec<(&str, &str)> {
    problems.iter().map(|problem| (problem.code.as_str(), problem.pointer.as_str())).collect()
}

pub(crate) fn topic(text: &str) -> Topic {
    Topic::new(text).unwrap()
}

pub(crate) fn filter(text: &str) -> TopicFilter {
    TopicFilter::new(text).unwrap()
}

pub(crate) const DEFAULT: TenantId = TenantId::DEFAULT;
