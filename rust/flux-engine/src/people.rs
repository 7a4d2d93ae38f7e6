//! What people ask of a running engine, answered as JSON.
//!
//! Devices are named by key or id, everything else by id. Times are milliseconds since 1970.

use std::time::Duration;

use flux_pipeline::AlarmError;
use flux_pipeline::views::{AlarmQuery, CommandQuery, FiringQuery};
use flux_types::{AlarmId, CommandId, DeviceId, TenantId};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::engine::Engine;
use crate::error::EngineError;
use crate::records;

/// Which part of a listing is wanted.
#[derive(Debug, Clone, Default)]
pub struct Paging {
    /// Behind the entry of that id.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

fn parse<T: std::str::FromStr>(what: &'static str, id: &str) -> Result<T, EngineError> {
    id.parse().map_err(|_| EngineError::NotFound { what, id: id.to_owned() })
}

/// A word of a closed list, as JSON spells it.
fn word<T: serde::de::DeserializeOwned>(
    what: &str,
    word: Option<&str>,
) -> Result<Option<T>, EngineError> {
    let Some(word) = word else { return Ok(None) };
    serde_json::from_value(Json::String(word.to_owned()))
        .map(Some)
        .map_err(|error| EngineError::Invalid(format!("{what}: {error}")))
}

impl Engine {
    /// The key of a device, given by key or id.
    fn device_key(&self, tenant: TenantId, device: &str) -> Result<String, EngineError> {
        let snapshot = self.registry().current();
        let by_id = || {
            let id: DeviceId = device.parse().ok()?;
            snapshot.device(id).filter(|found| found.tenant == tenant)
        };
        snapshot
            .device_by_key(tenant, device)
            .or_else(by_id)
            .map(|found| found.key.to_string())
            .ok_or_else(|| EngineError::NotFound { what: "device", id: device.to_owned() })
    }

    pub(crate) fn device_id(
        &self,
        tenant: TenantId,
        device: &str,
    ) -> Result<DeviceId, EngineError> {
        let key = self.device_key(tenant, device)?;
        let found = self.registry().current().device_by_key(tenant, &key).map(|found| found.id);
        found.ok_or_else(|| EngineError::NotFound { what: "device", id: device.to_owned() })
    }

    /// The last values of a device: `null` before it has sent any.
    ///
    /// # Errors
    /// There is no such device, or the engine does not run.
    pub fn latest(&self, tenant: TenantId, device: &str) -> Result<Json, EngineError> {
        let running = self.running()?;
        let id = self.device_id(tenant, device)?;
        let latest = running.pipeline.views().latest.device(id);
        Ok(latest.as_ref().map_or(Json::Null, records::latest))
    }

    /// By device as given: whether it is there. Unknown devices are left out.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn status(&self, tenant: TenantId, devices: &[String]) -> Result<Json, EngineError> {
        let running = self.running()?;
        let mut statuses = Map::new();
        for device in devices {
            let Ok(id) = self.device_id(tenant, device) else { continue };
            let presence = running.pipeline.views().presence.lock().get(id);
            statuses.insert(device.clone(), records::presence(presence));
        }
        Ok(statuses.into())
    }

    /// What was refused lately, the last one first, and how much more came too fast to be listed.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn refusals(&self, tenant: TenantId, limit: usize) -> Result<Json, EngineError> {
        let found = self.running()?.pipeline.refusals().list(tenant, limit);
        let snapshot = self.registry().snapshot();
        let items: Vec<Json> =
            found.refused.iter().map(|refused| records::refused(refused, &snapshot)).collect();
        Ok(serde_json::json!({"items": items, "unlisted": found.unlisted}))
    }

    /// Firings, the newest first.
    ///
    /// # Errors
    /// A rule's id that is none, or the engine does not run.
    pub fn firings(
        &self,
        tenant: TenantId,
        rule: Option<&str>,
        device: Option<&str>,
        paging: Paging,
    ) -> Result<Json, EngineError> {
        let rule = rule.map(|id| parse("rule", id)).transpose()?;
        let device = device.map(|device| self.device_key(tenant, device)).transpose()?;
        let query = FiringQuery { rule, device, before: paging.before, limit: paging.limit };
        let found = self.running()?.pipeline.views().firings.lock().list(tenant, &query);
        Ok(found.iter().map(|(_, firing)| records::firing(firing)).collect())
    }

    /// Alarms, the last raised first.
    ///
    /// # Errors
    /// A state that is none, or the engine does not run.
    pub fn alarms(
        &self,
        tenant: TenantId,
        state: Option<&str>,
        device: Option<&str>,
        paging: Paging,
    ) -> Result<Json, EngineError> {
        let state = word("state", state)?;
        let device = device.map(|device| self.device_key(tenant, device)).transpose()?;
        let query = AlarmQuery { state, device, before: paging.before, limit: paging.limit };
        let found = self.running()?.pipeline.views().alarms.lock().list(tenant, &query);
        Ok(found.iter().map(|alarm| records::alarm(alarm)).collect())
    }

    /// Somebody has seen an alarm.
    ///
    /// # Errors
    /// There is none, it is over, or it could not be recorded.
    pub fn acknowledge_alarm(
        &self,
        tenant: TenantId,
        id: &str,
        by: &str,
    ) -> Result<Json, EngineError> {
        let running = self.running()?;
        let id = self.alarm_id(tenant, id)?;
        Ok(records::alarm(&*running.pipeline.alarms().acknowledge(tenant, id, by)?))
    }

    /// Somebody ends an alarm; one that is over is shown as it is.
    ///
    /// # Errors
    /// There is none, or it could not be recorded.
    pub fn clear_alarm(&self, tenant: TenantId, id: &str, by: &str) -> Result<Json, EngineError> {
        let running = self.running()?;
        let id = self.alarm_id(tenant, id)?;
        let desk = running.pipeline.alarms();
        match desk.clear(tenant, id, by) {
            Ok(alarm) => Ok(records::alarm(&alarm)),
            Err(AlarmError::NotActive(_)) => {
                let alarms = running.pipeline.views().alarms.lock();
                alarms
                    .get(id)
                    .map(|alarm| records::alarm(alarm))
                    .ok_or_else(|| EngineError::NotFound { what: "alarm", id: id.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn alarm_id(&self, tenant: TenantId, id: &str) -> Result<AlarmId, EngineError> {
        let parsed: AlarmId = parse("alarm", id)?;
        let running = self.running()?;
        let alarms = running.pipeline.views().alarms.lock();
        let known = alarms.get(parsed).is_some_and(|alarm| alarm.tenant == tenant);
        let none = || EngineError::NotFound { what: "alarm", id: id.to_owned() };
        known.then_some(parsed).ok_or_else(none)
    }

    /// Commands, the last asked for first.
    ///
    /// # Errors
    /// A status that is none, or the engine does not run.
    pub fn commands(
        &self,
        tenant: TenantId,
        device: Option<&str>,
        status: Option<&str>,
        paging: Paging,
    ) -> Result<Json, EngineError> {
        let status = word("status", status)?;
        let device = device.map(|device| self.device_key(tenant, device)).transpose()?;
        let query = CommandQuery { status, device, before: paging.before, limit: paging.limit };
        let found = self.running()?.pipeline.views().commands.lock().list(tenant, &query);
        Ok(found.iter().map(|command| records::command(command)).collect())
    }

    /// One command: `null` when there is none, or none any more.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn command(&self, tenant: TenantId, id: &str) -> Result<Json, EngineError> {
        let running = self.running()?;
        let Ok(id) = id.parse::<CommandId>() else { return Ok(Json::Null) };
        let commands = running.pipeline.views().commands.lock();
        let found = commands.get(id).filter(|command| command.tenant == tenant);
        Ok(found.map_or(Json::Null, |command| records::command(command)))
    }

    /// Takes a command; it is on disk when this returns.
    ///
    /// # Errors
    /// There is no such device, too many commands are open, or it could not be recorded.
    pub fn send_command(
        &self,
        tenant: TenantId,
        device: &str,
        command: &str,
        params: Json,
        max_age: Option<Duration>,
    ) -> Result<CommandId, EngineError> {
        let running = self.running()?;
        let device = self.device_key(tenant, device)?;
        Ok(running.pipeline.send_command(tenant, &device, command, params, max_age)?)
    }

    /// Up to `max` webhooks to deliver; each is handed out once until it is completed or given
    /// back.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn take_webhooks(&self, max: usize) -> Result<Json, EngineError> {
        let running = self.running()?;
        let taken = running.pipeline.webhooks().take(max);
        let record = |webhook: &flux_pipeline::views::PendingWebhook| {
            serde_json::json!({
                "id": webhook.id,
                "tenant": webhook.tenant,
                "firing_id": webhook.firing,
                "action": {"type": "webhook", "url": webhook.url, "headers": webhook.headers},
                "body": webhook.body,
                "max_age_ms": webhook.max_age_ms,
                "ts": webhook.requested_ms,
            })
        };
        Ok(taken.iter().map(|webhook| record(webhook)).collect())
    }

    /// A webhook was delivered or is given up; false if it does not wait any more.
    ///
    /// # Errors
    /// It could not be recorded, or the engine does not run.
    pub fn complete_webhook(
        &self,
        id: &str,
        delivered: bool,
        detail: &str,
        attempts: u32,
    ) -> Result<bool, EngineError> {
        let id: Uuid = parse("webhook", id)?;
        let running = self.running()?;
        running
            .pipeline
            .webhooks()
            .complete(id, delivered, detail, attempts)
            .map_err(|error| EngineError::Command(error.into()))
    }

    /// A webhook that was taken is not delivered after all, and waits again.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn give_back_webhook(&self, id: &str) -> Result<(), EngineError> {
        let id: Uuid = parse("webhook", id)?;
        self.running()?.pipeline.webhooks().give_back(id);
        Ok(())
    }

    /// Has somebody told, until the engine stops, whenever a webhook waits.
    ///
    /// # Errors
    /// The engine does not run.
    pub fn on_webhook(
        &self,
        notify: std::sync::Arc<dyn flux_bus::Notify>,
    ) -> Result<(), EngineError> {
        self.running()?.pipeline.on_webhook(notify);
        Ok(())
    }
}
