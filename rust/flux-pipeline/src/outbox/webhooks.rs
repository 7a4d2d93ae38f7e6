//! Lays webhooks out for Python to deliver, and records how each ended.

use std::sync::Arc;

use flux_bus::Notify;
use flux_types::Position;
use parking_lot::Mutex;
use uuid::Uuid;

use crate::counters::{Counters, count};
use crate::firing::{Action, Firing};
use crate::journal::{RecordKind, WebhookEvent};
use crate::recorder::{PATIENCE, RecordError, Recorder};
use crate::views::{PendingWebhook, Webhooks};

/// Where webhooks wait. Cheap to clone.
#[derive(Clone)]
pub struct WebhookDesk {
    pub(crate) recorder: Recorder,
    pub(crate) webhooks: Arc<Mutex<Webhooks>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) waiting: Arc<Mutex<Option<Arc<dyn Notify>>>>,
}

impl std::fmt::Debug for WebhookDesk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookDesk").field("webhooks", &self.webhooks).finish_non_exhaustive()
    }
}

/// The webhook that a firing's action asks for, if it is one.
#[must_use]
pub(crate) fn pending(
    position: Position,
    firing: &Firing,
    action: &Action,
) -> Option<PendingWebhook> {
    let Action::Webhook { id, url, headers, payload, max_age_ms } = action else { return None };
    let body = serde_json::json!({
        "firing": firing.id,
        "rule": { "id": firing.rule, "name": firing.rule_name, "version": firing.version },
        "device": firing.device,
        "topic": firing.topic,
        "ts": firing.ts_ms,
        "values": firing.values,
        "payload": payload,
    });
    Some(PendingWebhook {
        id: *id,
        tenant: firing.tenant,
        url: url.clone(),
        headers: headers.clone(),
        body,
        firing: firing.id.clone(),
        requested_ms: firing.at_ms,
        max_age_ms: *max_age_ms,
        position,
    })
}

impl WebhookDesk {
    pub(crate) fn begin(&self, position: Position, firing: &Firing, action: &Action) {
        let Some(webhook) = pending(position, firing, action) else { return };
        let crowded_out = self.webhooks.lock().add(webhook);
        if let Some(oldest) = crowded_out {
            tracing::warn!(webhook = %oldest.id, url = oldest.url, "given up: too many wait");
            self.record_end(&oldest, false, "given up: too many webhooks waited", 0);
        }
        self.announce();
    }

    /// Has somebody told whenever a webhook waits.
    pub fn on_waiting(&self, notify: Arc<dyn Notify>) {
        *self.waiting.lock() = Some(notify);
        if !self.webhooks.lock().is_empty() {
            self.announce();
        }
    }

    fn announce(&self) {
        if let Some(notify) = &*self.waiting.lock() {
            notify.notify();
        }
    }

    /// Up to `max` webhooks to deliver now; each is handed out once.
    #[must_use]
    pub fn take(&self, max: usize) -> Vec<Arc<PendingWebhook>> {
        self.webhooks.lock().take(max)
    }

    /// One that was taken is not delivered after all, and waits again.
    pub fn give_back(&self, id: Uuid) {
        self.webhooks.lock().give_back(id);
        self.announce();
    }

    /// One was delivered, or is given up; false if it does not wait any more.
    ///
    /// # Errors
    /// It could not be recorded, and will be delivered again after a restart.
    pub fn complete(
        &self,
        id: Uuid,
        delivered: bool,
        detail: &str,
        attempts: u32,
    ) -> Result<bool, RecordError> {
        self.recorder.until_room(Some(PATIENCE), || {
            let mut webhooks = self.webhooks.lock();
            let Some(webhook) = webhooks.get(id).cloned() else { return Ok(false) };
            let position = self.record(&webhook, delivered, detail, attempts)?;
            webhooks.finish(id);
            webhooks.note_end(position);
            Ok(true)
        })
    }

    fn record_end(&self, webhook: &PendingWebhook, delivered: bool, detail: &str, attempts: u32) {
        let attempt = || self.record(webhook, delivered, detail, attempts);
        if let Err(error) = self.recorder.until_room(None, attempt) {
            tracing::error!(webhook = %webhook.id, error = ?error, "its end was not recorded");
        }
    }

    fn record(
        &self,
        webhook: &PendingWebhook,
        delivered: bool,
        detail: &str,
        attempts: u32,
    ) -> Result<Position, RecordError> {
        let event = WebhookEvent {
            id: webhook.id,
            delivered,
            detail: detail.to_owned(),
            attempts,
            at_ms: self.recorder.now_ms(),
        };
        let position = self.recorder.append_event(RecordKind::Webhook, webhook.tenant, &event)?;
        let counter = if delivered {
            &self.counters.webhooks_delivered
        } else {
            &self.counters.webhooks_failed
        };
        count(counter);
        Ok(position)
    }
}
