//! What people see of the engine's tables, as JSON: the one place where those shapes are made.

use flux_pipeline::LiveEvent;
use flux_pipeline::firing::Firing;
use flux_pipeline::refusals::Refused;
use flux_pipeline::views::{Alarm, Command, DeviceLatest, Presence};
use flux_registry::Snapshot;
use flux_types::Telemetry;
use serde_json::{Map, Value as Json, json};

const NS_PER_MS: i64 = 1_000_000;

/// A device's last values.
pub(crate) fn latest(device: &DeviceLatest) -> Json {
    let values: Map<String, Json> = device
        .values
        .iter()
        .map(|(name, value)| {
            let shown = json!({"value": value.value.to_json(), "ts": value.ts_ns / NS_PER_MS});
            (name.to_string(), shown)
        })
        .collect();
    let ts = device.values.values().map(|value| value.ts_ns).max();
    json!({
        "device_id": device.device_key,
        "ts": ts.map(|ns| ns / NS_PER_MS),
        "received": device.received_ns / NS_PER_MS,
        "values": values,
    })
}

/// Whether a device is there.
pub(crate) fn presence(presence: Option<Presence>) -> Json {
    let online = presence.is_some_and(|known| known.online);
    json!({
        "status": if online { "online" } else { "offline" },
        "last_online": presence.map(|known| known.last_ms),
    })
}

/// A firing.
pub(crate) fn firing(firing: &Firing) -> Json {
    json!({
        "id": firing.id,
        "rule_id": firing.rule,
        "rule_version": firing.version,
        "rule_name": firing.rule_name,
        "device_id": firing.device,
        "topic": firing.topic,
        "ts": firing.ts_ms,
        "at": firing.at_ms,
        "triggered": firing.triggered,
        "values": firing.values,
        "actions": firing.actions,
    })
}

/// An alarm.
pub(crate) fn alarm(alarm: &Alarm) -> Json {
    json!({
        "id": alarm.id,
        "alarm": alarm.alarm,
        "device_id": alarm.device,
        "severity": alarm.severity,
        "text": alarm.text,
        "state": alarm.state,
        "raised": alarm.raised_ms,
        "last_raised": alarm.last_raised_ms,
        "count": alarm.count,
        "acknowledged_by": alarm.acknowledged_by,
        "acknowledged": alarm.acknowledged_ms,
        "cleared_by": alarm.cleared_by,
        "cleared": alarm.cleared_ms,
        "firing_id": alarm.firing,
    })
}

/// A command.
pub(crate) fn command(command: &Command) -> Json {
    json!({
        "id": command.id,
        "device_id": command.device,
        "command": command.command,
        "params": command.params,
        "status": command.status,
        "requested": command.requested_ms,
        "max_age_ms": command.max_age_ms,
        "sent": command.sent_ms,
        "finished": command.finished_ms,
        "result": command.result,
        "firing_id": command.cause.as_ref().map(|cause| &cause.firing),
    })
}

fn telemetry(telemetry: &Telemetry) -> Json {
    let values: Map<String, Json> =
        telemetry.values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
    json!({
        "device_id": telemetry.device_key,
        "ts": telemetry.ts_ns / NS_PER_MS,
        "values": values,
    })
}

/// A refusal, or the same one several times.
pub(crate) fn refused(refused: &Refused, snapshot: &Snapshot) -> Json {
    let known = refused.source.as_deref().and_then(|source| known_as(source, snapshot));
    json!({
        // JSON's numbers are too small for it
        "id": format!("{:016x}", refused.id),
        "attempt": refused.attempt.as_str(),
        "source": refused.source,
        "username": known.or(refused.username.as_deref()),
        "client_id": refused.client_id,
        "address": refused.address.map(|address| address.to_string()),
        "topic": refused.topic,
        "code": refused.code,
        "reason": refused.reason,
        "count": refused.count,
        "first": refused.first_ms,
        "at": refused.last_ms,
    })
}

/// What people call a source: the key of a device, the user name of an account.
fn known_as<'s>(source: &str, snapshot: &'s Snapshot) -> Option<&'s str> {
    let principal = source.split_once('/').map_or(source, |(principal, _)| principal);
    let (kind, id) = principal.split_once(':')?;
    match kind {
        "device" => snapshot.device(id.parse().ok()?).map(|device| device.key.as_str()),
        "account" => snapshot.account(id.parse().ok()?).map(|account| account.username.as_str()),
        _ => None,
    }
}

/// A live event: its kind beside what it tells. Names are as in `snapshot`.
#[must_use]
pub fn live_event(event: &LiveEvent, snapshot: &Snapshot) -> Json {
    let mut record = match event {
        LiveEvent::Telemetry(told) => telemetry(told),
        LiveEvent::Firing(told) => firing(told),
        LiveEvent::Alarm(told) => alarm(told),
        LiveEvent::Command(told) => command(told),
        LiveEvent::Presence { device, online, at_ms } => json!({
            "device_id": snapshot.device(*device).map(|device| &device.key),
            "status": if *online { "online" } else { "offline" },
            "at": at_ms,
        }),
        LiveEvent::RuleLog { rule, level, text, at_ms } => {
            json!({"rule_id": rule, "level": level, "text": text, "at": at_ms})
        }
        LiveEvent::Refused(told) => refused(told, snapshot),
    };
    if let Some(record) = record.as_object_mut() {
        let kind = if event.kind() == "presence" { "device_status" } else { event.kind() };
        record.insert("kind".to_owned(), kind.into());
    }
    record
}
