//! Raises, acknowledges and clears alarms: each change is recorded and shown under one lock, so
//! that the log and the table tell the same order.

use std::sync::Arc;

use flux_types::{AlarmId, TenantId};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::counters::{Counters, count, count_many};
use crate::firing::Action;
use crate::journal::{AlarmEvent, Cause, RecordKind};
use crate::live::{Live, LiveEvent};
use crate::recorder::{PATIENCE, RecordError, Recorder};
use crate::views::{Alarm, Alarms};

/// Where alarms are changed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AlarmDesk {
    pub(crate) recorder: Recorder,
    pub(crate) alarms: Arc<Mutex<Alarms>>,
    pub(crate) live: Live,
    pub(crate) counters: Arc<Counters>,
}

/// Why an alarm was not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlarmError {
    /// There is none of that id, or it is over.
    #[error("no active alarm has the id {0}")]
    NotActive(AlarmId),
    /// It could not be recorded.
    #[error("the change could not be recorded")]
    Record(#[from] RecordError),
}

impl AlarmDesk {
    /// Does what a firing's action says. What cannot be recorded is left to recovery.
    pub(crate) fn carry_out(
        &self,
        tenant: TenantId,
        device: Option<&str>,
        cause: &Cause,
        action: &Action,
    ) {
        let outcome = self.recorder.until_room(None, || match action {
            Action::RaiseAlarm { alarm, severity, text } => {
                self.raise(tenant, device, cause, (alarm, *severity, text))
            }
            Action::ClearAlarm { alarm } => self.clear_by_name(tenant, device, cause, alarm),
            _ => Ok(()),
        });
        if let Err(error) = outcome {
            tracing::error!(firing = cause.firing, error = ?error, "an alarm was not recorded");
        }
    }

    fn raise(
        &self,
        tenant: TenantId,
        device: Option<&str>,
        cause: &Cause,
        (alarm, severity, text): (&str, flux_types::Severity, &str),
    ) -> Result<(), RecordError> {
        let mut alarms = self.alarms.lock();
        let known = alarms.active(tenant, device, alarm).map(|alarm| alarm.id);
        if known.is_none() && !alarms.has_room() {
            count(&self.counters.actions_refused);
            tracing::warn!(alarm, "not raised: too many alarms are active");
            return Ok(());
        }
        let id = known.unwrap_or_else(|| AlarmId(id_of(cause)));
        let event = AlarmEvent::Raised {
            id,
            alarm: alarm.to_owned(),
            device: device.map(str::to_owned),
            severity,
            text: text.to_owned(),
            cause: Some(cause.clone()),
            at_ms: self.recorder.now_ms(),
        };
        self.apply(&mut alarms, tenant, &event)?;
        if known.is_none() {
            count(&self.counters.alarms_raised);
        }
        Ok(())
    }

    fn clear_by_name(
        &self,
        tenant: TenantId,
        device: Option<&str>,
        cause: &Cause,
        alarm: &str,
    ) -> Result<(), RecordError> {
        let mut alarms = self.alarms.lock();
        // recorded although there is nothing to clear: done again after a crash it would clear what
        // was raised since
        let id = alarms.active(tenant, device, alarm).map(|alarm| alarm.id);
        let event = AlarmEvent::Cleared {
            id,
            by: None,
            cause: Some(cause.clone()),
            at_ms: self.recorder.now_ms(),
        };
        self.apply(&mut alarms, tenant, &event)?;
        count_many(&self.counters.alarms_cleared, usize::from(id.is_some()));
        Ok(())
    }

    /// A person has seen an alarm.
    ///
    /// # Errors
    /// [`AlarmError`] if it is not active or cannot be recorded.
    pub fn acknowledge(
        &self,
        tenant: TenantId,
        id: AlarmId,
        by: &str,
    ) -> Result<Arc<Alarm>, AlarmError> {
        let at_ms = self.recorder.now_ms();
        self.by_person(tenant, id, &AlarmEvent::Acknowledged { id, by: by.to_owned(), at_ms })
    }

    /// A person clears an alarm.
    ///
    /// # Errors
    /// [`AlarmError`] if it is not active or cannot be recorded.
    pub fn clear(&self, tenant: TenantId, id: AlarmId, by: &str) -> Result<Arc<Alarm>, AlarmError> {
        let at_ms = self.recorder.now_ms();
        let by = Some(by.to_owned());
        let alarm = self.by_person(
            tenant,
            id,
            &AlarmEvent::Cleared { id: Some(id), by, cause: None, at_ms },
        )?;
        count(&self.counters.alarms_cleared);
        Ok(alarm)
    }

    fn by_person(
        &self,
        tenant: TenantId,
        id: AlarmId,
        event: &AlarmEvent,
    ) -> Result<Arc<Alarm>, AlarmError> {
        let changed = self.recorder.until_room(Some(PATIENCE), || {
            let mut alarms = self.alarms.lock();
            let active = alarms
                .get(id)
                .is_some_and(|alarm| alarm.tenant == tenant && alarm.cleared_ms.is_none());
            if active { self.apply(&mut alarms, tenant, event) } else { Ok(None) }
        })?;
        changed.ok_or(AlarmError::NotActive(id))
    }

    fn apply(
        &self,
        alarms: &mut Alarms,
        tenant: TenantId,
        event: &AlarmEvent,
    ) -> Result<Option<Arc<Alarm>>, RecordError> {
        let position = self.recorder.append_event(RecordKind::Alarm, tenant, event)?;
        let changed = alarms.apply(tenant, position, event);
        if let Some(alarm) = &changed {
            self.live.tell(tenant, LiveEvent::Alarm(Arc::clone(alarm)));
        }
        Ok(changed)
    }
}

fn id_of(cause: &Cause) -> Uuid {
    let text = format!("{}/{}", cause.firing, cause.action);
    Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes())
}
