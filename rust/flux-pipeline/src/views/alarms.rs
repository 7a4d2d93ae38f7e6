//! Alarms: at most one active of a name for each device.

use std::collections::HashMap;
use std::sync::Arc;

use flux_types::{AlarmId, Position, Severity, TenantId};
use foldhash::fast::RandomState;
use serde::{Deserialize, Serialize};

use super::{Ended, ViewLimits, after};
use crate::journal::AlarmEvent;

/// Where an alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// Nobody has seen it yet.
    Active,
    /// Somebody has, and it goes on.
    Acknowledged,
    /// It is over.
    Cleared,
}

/// One alarm, from raised to cleared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The alarm.
    pub id: AlarmId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name.
    pub alarm: String,
    /// Key of the device it is about.
    pub device: Option<String>,
    /// How bad; the worst it was raised with.
    pub severity: Severity,
    /// For people; the last given.
    pub text: String,
    /// Where it stands.
    pub state: AlarmState,
    /// When first raised, ms since 1970.
    pub raised_ms: i64,
    /// When last raised, ms since 1970.
    pub last_raised_ms: i64,
    /// How often raised while active.
    pub count: u64,
    /// Who has seen it.
    pub acknowledged_by: Option<String>,
    /// When, ms since 1970.
    pub acknowledged_ms: Option<i64>,
    /// Who cleared it, when a person did.
    pub cleared_by: Option<String>,
    /// When it ended, ms since 1970.
    pub cleared_ms: Option<i64>,
    /// The firing that raised it first.
    pub firing: Option<String>,
    /// The last record that changed it.
    pub position: Position,
}

type Name = (TenantId, Option<String>, String);

/// All alarms that are active, and the last that ended.
#[derive(Debug)]
pub struct Alarms {
    active: HashMap<AlarmId, Arc<Alarm>, RandomState>,
    by_name: HashMap<Name, AlarmId, RandomState>,
    ended: Ended<AlarmId, Alarm>,
    active_len_max: usize,
}

/// Which alarms are wanted.
#[derive(Debug, Clone, Default)]
pub struct AlarmQuery {
    /// In that state only.
    pub state: Option<AlarmState>,
    /// Of the device with that key only.
    pub device: Option<String>,
    /// Behind the one of that id only; none if there is no such one any more.
    pub before: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Alarms {
    /// No alarms.
    #[must_use]
    pub fn new(limits: &ViewLimits) -> Self {
        Self {
            active: HashMap::default(),
            by_name: HashMap::default(),
            ended: Ended::new(limits.alarms_ended_len_max),
            active_len_max: limits.alarms_active_len_max,
        }
    }

    /// The active alarm of that name.
    #[must_use]
    pub fn active(
        &self,
        tenant: TenantId,
        device: Option<&str>,
        alarm: &str,
    ) -> Option<&Arc<Alarm>> {
        let name = (tenant, device.map(str::to_owned), alarm.to_owned());
        self.by_name.get(&name).and_then(|id| self.active.get(id))
    }

    /// The alarm of that id, active or among the last that ended.
    #[must_use]
    pub fn get(&self, id: AlarmId) -> Option<&Arc<Alarm>> {
        self.active.get(&id).or_else(|| self.ended.get(id))
    }

    /// Whether one more can be raised.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.active.len() < self.active_len_max
    }

    /// How many are active, seen or not.
    #[must_use]
    pub fn active_len(&self) -> usize {
        self.active.len()
    }

    /// Takes an event recorded at `position`; one that was taken already changes nothing. Gives
    /// the alarm as it is now, if it changed.
    pub fn apply(
        &mut self,
        tenant: TenantId,
        position: Position,
        event: &AlarmEvent,
    ) -> Option<Arc<Alarm>> {
        let id = match event {
            AlarmEvent::Raised { id, .. } | AlarmEvent::Acknowledged { id, .. } => *id,
            AlarmEvent::Cleared { id, .. } => (*id)?,
        };
        if self.get(id).is_some_and(|known| known.position >= position) {
            return None;
        }
        match event {
            AlarmEvent::Raised { alarm, device, severity, text, cause, at_ms, .. } => {
                let firing = cause.as_ref().map(|cause| cause.firing.clone());
                Some(match self.active.get_mut(&id) {
                    Some(entry) => {
                        let known = Arc::make_mut(entry);
                        known.severity = known.severity.max(*severity);
                        known.text.clone_from(text);
                        known.last_raised_ms = *at_ms;
                        known.count += 1;
                        known.position = position;
                        Arc::clone(entry)
                    }
                    None => self.raise(Alarm {
                        id,
                        tenant,
                        alarm: alarm.clone(),
                        device: device.clone(),
                        severity: *severity,
                        text: text.clone(),
                        state: AlarmState::Active,
                        raised_ms: *at_ms,
                        last_raised_ms: *at_ms,
                        count: 1,
                        acknowledged_by: None,
                        acknowledged_ms: None,
                        cleared_by: None,
                        cleared_ms: None,
                        firing,
                        position,
                    }),
                })
            }
            AlarmEvent::Acknowledged { by, at_ms, .. } => {
                let entry = self.active.get_mut(&id)?;
                let known = Arc::make_mut(entry);
                known.state = AlarmState::Acknowledged;
                known.acknowledged_by = Some(by.clone());
                known.acknowledged_ms = Some(*at_ms);
                known.position = position;
                Some(Arc::clone(entry))
            }
            AlarmEvent::Cleared { by, at_ms, .. } => {
                let mut alarm = Arc::unwrap_or_clone(self.active.remove(&id)?);
                self.by_name.remove(&(alarm.tenant, alarm.device.clone(), alarm.alarm.clone()));
                alarm.state = AlarmState::Cleared;
                alarm.cleared_by.clone_from(by);
                alarm.cleared_ms = Some(*at_ms);
                alarm.position = position;
                let alarm = Arc::new(alarm);
                self.ended.push(id, Arc::clone(&alarm));
                Some(alarm)
            }
        }
    }

    fn raise(&mut self, alarm: Alarm) -> Arc<Alarm> {
        let name = (alarm.tenant, alarm.device.clone(), alarm.alarm.clone());
        let alarm = Arc::new(alarm);
        self.by_name.insert(name, alarm.id);
        self.active.insert(alarm.id, Arc::clone(&alarm));
        alarm
    }

    /// Puts back what a snapshot kept.
    pub fn restore(&mut self, alarm: Alarm) {
        if alarm.state == AlarmState::Cleared {
            self.ended.push(alarm.id, Arc::new(alarm));
        } else {
            self.raise(alarm);
        }
    }

    /// The last raised first.
    #[must_use]
    pub fn list(&self, tenant: TenantId, query: &AlarmQuery) -> Vec<Arc<Alarm>> {
        let wanted = |alarm: &&Arc<Alarm>| {
            alarm.tenant == tenant
                && query.state.is_none_or(|state| alarm.state == state)
                && (query.device.is_none() || alarm.device == query.device)
        };
        let mut found: Vec<_> = self.iter().filter(wanted).cloned().collect();
        found.sort_unstable_by_key(|alarm| {
            std::cmp::Reverse((alarm.last_raised_ms, alarm.position))
        });
        let before = query.before.as_deref();
        let known = after(found.into_iter(), before, |alarm, id| alarm.id.to_string() == id);
        known.take(query.limit).collect()
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Alarm>> {
        self.ended.iter().chain(self.active.values())
    }
}
