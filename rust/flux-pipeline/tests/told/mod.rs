//! What the log and the views of a pipeline say, read independently of the pipeline, and whether
//! they say the same.

use std::collections::{BTreeMap, BTreeSet};

use flux_log::Record;
use flux_pipeline::firing::{Action, Firing};
use flux_pipeline::journal::{
    AlarmEvent, Cause, CommandEvent, DecodedMessage, RecordKind, WebhookEvent, read_event,
};
use flux_pipeline::views::{AlarmQuery, CommandStatus, FiringQuery};
use flux_tsdb::{RangeQuery, Sample};
use flux_types::Position;

use crate::plant::{COUNTERS, ECHO, PROMISING, Plant, SEVENTH, TENANT, THIRD, counter_id};

/// A message in the log.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    /// The counter that sent it, if one did.
    pub(crate) device: Option<usize>,
    pub(crate) number: u64,
    /// It was decided without waiting, and is not again after a crash.
    pub(crate) at_once: bool,
    pub(crate) topic: String,
    /// When it was received, which is its sample's time.
    pub(crate) ts_ns: i64,
}

#[derive(Default)]
pub(crate) struct Told {
    pub(crate) messages: BTreeMap<Position, Known>,
    /// By rule and message.
    pub(crate) fired: BTreeMap<(String, Position), Firing>,
    /// The firing's record by the id of the command it calls for.
    pub(crate) commands: BTreeMap<String, Position>,
    /// The message's record by counter and number.
    pub(crate) publications: BTreeMap<(usize, u64), Position>,
    firing_records: BTreeMap<Position, Firing>,
    alarms: Vec<(Position, AlarmEvent)>,
    command_events: Vec<CommandEvent>,
    webhooks_ended: Vec<String>,
    twice: Vec<String>,
}

impl Told {
    pub(crate) fn read(plant: &Plant) -> Self {
        let mut told = Self::default();
        let mut reader = plant.log.reader(plant.log.oldest().unwrap_or(Position::START));
        while let Some(batch) = reader.next_batch().unwrap() {
            for record in &batch {
                if record.kind == RecordKind::Message as u8 {
                    told.message(&record, &DecodedMessage::read(&batch, &record).unwrap());
                } else {
                    told.event(&record);
                }
            }
        }
        told
    }

    fn message(&mut self, record: &Record<'_>, decoded: &DecodedMessage) {
        let topic = decoded.message.topic.as_str();
        let payload: serde_json::Value = serde_json::from_slice(&decoded.message.payload).unwrap();
        let number = payload["seq"].as_u64().unwrap_or(0);
        let device = topic.strip_prefix("v1/devices/c").and_then(|rest| rest.split('/').next());
        if let Some(device) = topic.strip_prefix("plant/third/c") {
            let of = (device.parse().unwrap(), number);
            if self.publications.insert(of, record.position).is_some() {
                self.twice.push(format!("c{} #{number} was published twice", of.0));
            }
        }
        let known = Known {
            device: device.map(|device| device.parse().unwrap()),
            number,
            at_once: decoded.flags.at_once,
            topic: topic.to_owned(),
            ts_ns: decoded.message.received.wall_ns,
        };
        self.messages.insert(record.position, known);
    }

    fn event(&mut self, record: &Record<'_>) {
        let kind = RecordKind::from_number(record.kind).unwrap();
        match kind {
            RecordKind::Firing => {
                self.firing(record.position, read_event(kind, record.body).unwrap())
            }
            RecordKind::Alarm => {
                self.alarms.push((record.position, read_event(kind, record.body).unwrap()));
            }
            RecordKind::Command => self.command_events.push(read_event(kind, record.body).unwrap()),
            RecordKind::Webhook => {
                let event: WebhookEvent = read_event(kind, record.body).unwrap();
                self.webhooks_ended.push(event.id.to_string());
            }
            _ => {}
        }
    }

    fn firing(&mut self, position: Position, firing: Firing) {
        for action in &firing.actions {
            if let Action::Command { id, .. } = action {
                self.commands.insert(id.to_string(), position);
            }
        }
        let key = (firing.rule.to_string(), firing.position);
        if let Some(before) = self.fired.insert(key, firing.clone()) {
            self.twice.push(format!("{} and {} decide the same", before.id, firing.id));
        }
        self.firing_records.insert(position, firing);
    }

    /// A sample that was promised and is not in the history, or is another.
    pub(crate) fn missing_in_history(&self, plant: &Plant) -> Option<String> {
        for device in 0..COUNTERS {
            let of_device = self.messages.values().filter(|known| known.device == Some(device));
            // of several of one time the last wins; those without promise may be missing
            let expected: BTreeMap<i64, (u64, bool)> =
                of_device.map(|known| (known.ts_ns, (known.number, known.at_once))).collect();
            let kept = history(plant, device);
            for (ts_ns, (number, at_once)) in expected {
                let found = kept.get(&ts_ns).copied();
                if found != Some(number) && !at_once {
                    return Some(format!("c{device} #{number} is kept as {found:?}"));
                }
            }
        }
        None
    }

    /// What is there and must not be.
    pub(crate) fn wrong(&self) -> Option<String> {
        if let Some(twice) = self.twice.first() {
            return Some(twice.clone());
        }
        for (rule, position) in self.fired.keys() {
            let Some(message) = self.messages.get(position) else {
                return Some(format!("{rule} fired for {position}, which is not there"));
            };
            if !fires(rule, message) {
                return Some(format!("{rule} fired for {message:?}"));
            }
        }
        let mut causes = BTreeSet::new();
        for (_, event) in &self.alarms {
            let (AlarmEvent::Raised { cause, .. } | AlarmEvent::Cleared { cause, .. }) = event
            else {
                continue;
            };
            if !causes.insert(cause.clone()) {
                return Some(format!("{cause:?} was carried out twice"));
            }
        }
        let mut ended = BTreeSet::new();
        for event in &self.command_events {
            if let CommandEvent::Finished { id, .. } = event
                && !ended.insert(id.to_string())
            {
                return Some(format!("the command {id} ended twice"));
            }
        }
        None
    }

    /// The first thing that follows from what is on disk and is not there, or is not seen yet.
    pub(crate) fn undone(&self, plant: &Plant) -> Option<String> {
        self.undecided()
            .or_else(|| self.latest_differs(plant))
            .or_else(|| self.firings_differ(plant))
            .or_else(|| self.alarms_differ(plant))
            .or_else(|| self.webhooks_differ(plant))
            .or_else(|| self.commands_differ(plant))
    }

    fn undecided(&self) -> Option<String> {
        for (position, message) in &self.messages {
            for rule in [THIRD, SEVENTH, ECHO] {
                let owed = !message.at_once && fires(rule, message);
                if owed && !self.fired.contains_key(&(rule.to_owned(), *position)) {
                    return Some(format!("{rule} has not fired for {position} {message:?}"));
                }
            }
        }
        for (_, firing) in self.fired.iter().filter(|((rule, _), _)| rule == THIRD) {
            let message = self.messages.get(&firing.position)?;
            let published = (message.device.unwrap_or(COUNTERS), message.number);
            if !self.publications.contains_key(&published) {
                return Some(format!("{published:?} fired and was not published"));
            }
        }
        None
    }

    /// The last value is that of the last message. Where that went at once it may be missing: it
    /// carried no promise, and its shard may have passed its record before it had the message.
    fn latest_differs(&self, plant: &Plant) -> Option<String> {
        for device in 0..COUNTERS {
            let of = |message: &&Known| message.device == Some(device);
            let last = self.messages.values().rev().find(of).map(|message| message.number);
            let kept = |message: &&Known| of(message) && !message.at_once;
            let promised = self.messages.values().rev().find(kept).map(|message| message.number);
            let id = counter_id(device).parse().unwrap();
            let latest = plant.pipeline.views().latest.device(id);
            let latest = latest.and_then(|device| device.values["seq"].value.to_json().as_u64());
            if latest < promised || latest > last {
                return Some(format!(
                    "c{device}: the last is {last:?}, promised {promised:?}, shown {latest:?}"
                ));
            }
        }
        None
    }

    fn firings_differ(&self, plant: &Plant) -> Option<String> {
        let all = FiringQuery { limit: usize::MAX, ..FiringQuery::default() };
        let shown = plant.pipeline.views().firings.lock().list(TENANT, &all);
        let shown: BTreeMap<_, _> = shown.into_iter().map(|(at, f)| (at, f.id.clone())).collect();
        let told: BTreeMap<_, _> =
            self.firing_records.iter().map(|(at, firing)| (*at, firing.id.clone())).collect();
        (shown != told).then(|| format!("{} firings, shown {}", told.len(), shown.len()))
    }

    /// Each action was carried out, in the order of the firings where those were promised, and
    /// what is shown is what the log adds up to.
    fn alarms_differ(&self, plant: &Plant) -> Option<String> {
        let mut done: BTreeSet<Cause> = BTreeSet::new();
        let mut active: BTreeMap<String, u64> = BTreeMap::new();
        for (_, event) in &self.alarms {
            match event {
                AlarmEvent::Raised { device: Some(device), cause: Some(cause), .. } => {
                    *active.entry(device.clone()).or_default() += 1;
                    done.insert(cause.clone());
                }
                AlarmEvent::Cleared { id, cause: Some(cause), .. } => {
                    if id.is_some() {
                        let device = &self.firing_of(cause)?.device;
                        active.remove(device.as_deref().unwrap_or_default());
                    }
                    done.insert(cause.clone());
                }
                other => return Some(format!("{other:?}")),
            }
        }
        let mut due: BTreeMap<String, u64> = BTreeMap::new();
        for firing in self.firing_records.values() {
            let device = firing.device.as_deref().unwrap_or_default().to_owned();
            for (index, action) in firing.actions.iter().enumerate() {
                let cause =
                    Cause { firing: firing.id.clone(), action: u32::try_from(index).unwrap() };
                match action {
                    Action::RaiseAlarm { .. } => *due.entry(device.clone()).or_default() += 1,
                    Action::ClearAlarm { .. } => drop(due.remove(&device)),
                    _ => continue,
                }
                if !done.contains(&cause) {
                    return Some(format!("{cause:?} was not carried out"));
                }
            }
        }
        for device in (0..PROMISING).map(|device| format!("c{device}")) {
            let (is, should) = (active.get(&device), due.get(&device));
            if is != should {
                return Some(format!("{device}: raised {is:?} times, should be {should:?}"));
            }
        }
        let state = Some(flux_pipeline::views::AlarmState::Active);
        let query = AlarmQuery { state, limit: usize::MAX, ..AlarmQuery::default() };
        let shown = plant.pipeline.views().alarms.lock().list(TENANT, &query);
        let shown: BTreeMap<String, u64> = shown
            .iter()
            .map(|alarm| (alarm.device.clone().unwrap_or_default(), alarm.count))
            .collect();
        (shown != active).then(|| format!("alarms shown {shown:?}, told {active:?}"))
    }

    fn firing_of(&self, cause: &Cause) -> Option<&Firing> {
        self.firing_records.values().find(|firing| firing.id == cause.firing)
    }

    fn webhooks_differ(&self, plant: &Plant) -> Option<String> {
        let actions = self.firing_records.values().flat_map(|firing| &firing.actions);
        let mut due: BTreeSet<String> = actions
            .filter_map(|action| match action {
                Action::Webhook { id, .. } => Some(id.to_string()),
                _ => None,
            })
            .collect();
        for ended in &self.webhooks_ended {
            due.remove(ended);
        }
        let shown = plant.pipeline.views().webhooks.lock();
        let shown: BTreeSet<String> = shown.iter().map(|webhook| webhook.id.to_string()).collect();
        (shown != due).then(|| format!("{} webhooks wait, shown {}", due.len(), shown.len()))
    }

    fn commands_differ(&self, plant: &Plant) -> Option<String> {
        let mut due: BTreeMap<String, CommandStatus> =
            self.commands.keys().map(|id| (id.clone(), CommandStatus::Pending)).collect();
        for event in &self.command_events {
            let (id, status) = match event {
                CommandEvent::Sent { id, .. } => (id, CommandStatus::Sent),
                CommandEvent::Finished { id, status, .. } => (id, *status),
                CommandEvent::Requested { .. } => continue,
            };
            let known = due.entry(id.to_string()).or_insert(status);
            if !known.is_final() {
                *known = status;
            }
        }
        let shown = plant.pipeline.views().commands.lock();
        let shown: BTreeMap<String, CommandStatus> =
            shown.iter().map(|command| (command.id.to_string(), command.status)).collect();
        (shown != due).then(|| format!("commands {due:?}, shown {shown:?}"))
    }
}

/// Whether a rule of the plant fires for a message.
fn fires(rule: &str, message: &Known) -> bool {
    match (rule, message.device) {
        (THIRD, Some(_)) => message.number.is_multiple_of(3),
        (SEVENTH, Some(device)) => device < PROMISING && message.number.is_multiple_of(7),
        (ECHO, None) => message.topic.starts_with("plant/"),
        _ => false,
    }
}

/// The numbers that are kept of a counter, by time.
fn history(plant: &Plant, device: usize) -> BTreeMap<i64, u64> {
    let Some(series) = plant.series.find(TENANT, counter_id(device).parse().unwrap(), "seq") else {
        return BTreeMap::new();
    };
    let page = plant.series.range(&RangeQuery::of(series, i64::MIN, i64::MAX)).unwrap();
    assert_eq!((page.next, page.damaged_chunks), (None, 0));
    let number = |sample: &Sample| (sample.ts_ns, sample.value.as_f64().unwrap() as u64);
    page.series.iter().flat_map(|series| &series.samples).map(number).collect()
}
