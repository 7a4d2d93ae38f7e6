//! Messages of edge nodes into values.
//!
//! Owns what each verb means (specification sections 4.3, 5 and 6.4): births define, data follow
//! them, deaths end them, and messages are counted. A payload is read as a whole before anything is
//! believed. Must never keep a name, an alias or a number anywhere but in the state.

use flux_plugin_sdk::{Context, Effect, Output, PluginError, debug};

use crate::datatype::{DataType, Value, time_ns, value};
use crate::definitions::Definitions;
use crate::encode::rebirth_request;
use crate::payload::{Metric, Payload, Raw};
use crate::report::{Mark, Problems, Report};
use crate::setup::Setup;
use crate::state::{self, NAME_BYTES_MAX, Node, STATE_BYTES_MAX, Scope, State, Table};
use crate::topic::{Topic, Verb};
use crate::wire::Malformed;

/// Bytes of a state that births may fill: the numbers beside them grow.
const TABLES_BYTES_MAX: usize = STATE_BYTES_MAX - 1024;
/// Devices of an edge node that are remembered.
const DEVICES_MAX: usize = 2000;

/// Quality codes (section 6.4.9.1).
const GOOD: i64 = 192;
const STALE: i64 = 500;
/// The property that tells a metric's quality.
const QUALITY: &str = "Quality";

/// Decodes one message.
///
/// # Errors
/// As the README lists them; values that could be read are written all the same.
pub(crate) fn decode(
    ctx: &Context<'_>,
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let setup = ctx.compiled(Setup::compile)?;
    let topic = Topic::parse(ctx.topic())?;
    if matches!(topic.verb, Verb::Command | Verb::State) {
        debug!("{} is not from an edge node", ctx.topic());
        return Ok(());
    }
    let payload = Payload::read(raw)?;
    let mut call = Call {
        setup: &setup,
        topic,
        key: setup.key_of(&topic)?,
        time_ns: payload.timestamp_ms.and_then(time_ns),
        now_ms: u64::try_from(ctx.received_ns() / 1_000_000).unwrap_or(0),
        state: State::read(ctx.state()),
        state_changed: false,
        problems: Problems::default(),
        out,
    };
    match topic.verb {
        Verb::NBirth | Verb::DBirth => call.birth(&payload),
        Verb::NData | Verb::DData => call.data(&payload),
        Verb::NDeath => call.node_death(&payload),
        _ => call.device_death(&payload),
    }
    call.finish()
}

/// One call.
struct Call<'c, 's, 'o> {
    setup: &'c Setup,
    topic: Topic<'c>,
    /// Of the device that reports.
    key: String,
    /// When the message was sent.
    time_ns: Option<i64>,
    now_ms: u64,
    state: State<'s>,
    state_changed: bool,
    problems: Problems,
    out: &'c mut Output<'o>,
}

impl<'s> Call<'_, 's, '_> {
    fn finish(mut self) -> Result<(), PluginError> {
        if self.state_changed {
            let mut bytes = self.state.write();
            if bytes.len() > STATE_BYTES_MAX {
                self.state.forget_unborn();
                bytes = self.state.write();
            }
            // numbers have grown into what was kept for them: the state before is still true of
            // everything but them
            if bytes.len() <= STATE_BYTES_MAX {
                self.out.set_state(&bytes);
            }
        }
        self.problems.finish()
    }

    /// The edge node's place in the state, which is made if there is none.
    fn node(&mut self) -> &mut Node<'s> {
        let place = self.state.place(self.topic.group, self.topic.edge);
        self.state_changed = true;
        &mut self.state.nodes[place]
    }

    fn known(&self) -> Option<&Node<'s>> {
        self.state.node(self.topic.group, self.topic.edge)
    }

    /// NBIRTH, DBIRTH: everything the device will ever report, with its present value.
    fn birth(&mut self, payload: &Payload<'_>) {
        let of_node = self.topic.device.is_empty();
        if of_node {
            self.begin_session(payload);
        } else {
            self.follow(payload.seq);
            if self.known().is_none_or(|node| node.scope("").is_none()) {
                self.ask("the birth of a device came before its edge node's");
            }
        }
        let before = self.known().and_then(|node| node.scope(self.topic.device)).cloned();
        let definitions = Definitions::of(before.as_ref().filter(|s| s.any_bad), &payload.metrics);
        let table = self.define(&payload.metrics);
        self.remember(Scope::new(self.topic.device, table));
        let mut report = Report::default();
        self.connected(true, self.time_ns, &mut report);
        self.values(&payload.metrics, &definitions, &mut report);
        self.problems.note(report.write(&self.key, self.out));
    }

    /// An NBIRTH begins to count. Of another session than the one before, it ends what was: the
    /// devices are stale until they are born again (section 4.3.1).
    fn begin_session(&mut self, payload: &Payload<'_>) {
        let (bd_seq, seq) = (payload.bd_seq(), payload.seq.and_then(|seq| u8::try_from(seq).ok()));
        let node = self.node();
        let another = node.bd_seq != bd_seq;
        node.bd_seq = bd_seq;
        node.seq = seq;
        if another {
            let ended = std::mem::take(&mut node.scopes);
            self.disconnect(ended.iter().filter(|s| !s.device.is_empty()), self.time_ns);
        }
    }

    /// What a birth defines, of metrics that can be defined.
    fn define(&mut self, metrics: &[Metric<'_>]) -> Table {
        let mut table = Table::default();
        let mut aliases: Vec<u64> = metrics.iter().filter_map(|metric| metric.alias).collect();
        aliases.sort_unstable();
        if let Some(twice) = aliases.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!("the birth has the alias {} twice; the first is taken", twice[0]);
            self.problems.push(PluginError::new("sparkplug.alias", text));
        }
        for metric in metrics {
            let Some(name) = metric.name else {
                let text = "a metric of the birth has no name";
                self.problems.push(PluginError::new("sparkplug.name", text));
                continue;
            };
            // one without a datatype, or with an unknown one, can still be named by its alias
            let datatype = metric.datatype.and_then(DataType::of).unwrap_or(DataType::Unknown);
            if name.len() <= NAME_BYTES_MAX {
                let bad = quality(metric).is_ok_and(|quality| quality != GOOD);
                table.push(name, metric.alias, datatype as u8, bad);
            }
        }
        table
    }

    /// Keeps a birth, as far as there is room.
    fn remember(&mut self, scope: Scope<'s>) {
        let (device, bytes) = (self.topic.device, scope.table_bytes());
        let before = self.node().remove_scope(device);
        if self.node().scopes.len() >= DEVICES_MAX {
            let text =
                format!("{DEVICES_MAX} devices of an edge node are remembered, not one more");
            self.problems.push(PluginError::new("sparkplug.limit", text));
            return;
        }
        let node = self.node();
        node.set_scope(scope);
        if self.state.write().len() <= TABLES_BYTES_MAX {
            return;
        }
        let text = format!(
            "the names of this birth take {bytes} bytes, and with the others of this source they \
             are more than the {STATE_BYTES_MAX} that are kept: data have to name their metrics. \
             Let the edge node send names instead of aliases, shorten them, or spread its devices \
             over several edge nodes"
        );
        self.problems.push(PluginError::new("sparkplug.state_full", text));
        self.node().set_scope(Scope::without_table(device));
        if self.state.write().len() > TABLES_BYTES_MAX {
            self.node().remove_scope(device);
            if let Some(before) = before.filter(|scope| scope.names_needed) {
                self.node().set_scope(before);
            }
        }
    }

    /// NDATA, DDATA: what changed.
    fn data(&mut self, payload: &Payload<'_>) {
        self.follow(payload.seq);
        let device = self.topic.device;
        let scope = self.known().and_then(|node| node.scope(device)).cloned();
        if scope.is_none() {
            self.ask("data came before its birth");
        }
        let definitions = Definitions::of(scope.as_ref(), &payload.metrics);
        let mut report = Report::default();
        self.values(&payload.metrics, &definitions, &mut report);
        self.problems.note(report.write(&self.key, self.out));
    }

    /// NDEATH: the connection is gone, and with it everything that came by it. Broker and node can
    /// both send it, late as well: one of another session is not about this one.
    fn node_death(&mut self, payload: &Payload<'_>) {
        let bd_seq = payload.bd_seq();
        let current = self.known().and_then(|node| node.bd_seq);
        if let (Some(current), Some(ended)) = (current, bd_seq) {
            if current != ended {
                debug!("the death of session {ended} came in session {current}");
                return;
            }
        }
        // its own time is that of the connection's beginning: what counts is when it came
        self.time_ns = None;
        let mut report = Report::default();
        self.connected(false, None, &mut report);
        self.problems.note(report.write(&self.key, self.out));
        if let Some(node) = self.state.remove(self.topic.group, self.topic.edge) {
            self.state_changed = true;
            self.disconnect(node.scopes.iter().filter(|s| !s.device.is_empty()), None);
        }
    }

    /// DDEATH: the edge node has lost the device.
    fn device_death(&mut self, payload: &Payload<'_>) {
        self.follow(payload.seq);
        if self.known().is_none_or(|node| node.scope("").is_none()) {
            self.ask("the death of a device came before its edge node's birth");
        }
        if self.known().is_some_and(|node| node.scope(self.topic.device).is_some()) {
            let device = self.topic.device;
            self.node().remove_scope(device);
        }
        let mut report = Report::default();
        self.connected(false, self.time_ns, &mut report);
        self.problems.note(report.write(&self.key, self.out));
    }

    /// Says whether the device is connected, and that its values are good or stale.
    fn connected(&mut self, yes: bool, time_ns: Option<i64>, report: &mut Report<'_>) {
        let settings = &self.setup.settings;
        let quality = Value::Int(if yes { GOOD } else { STALE });
        for (name, value) in [(&settings.online, Value::Bool(yes)), (&settings.quality, quality)] {
            if !name.is_empty() {
                self.problems.note(report.push(name.clone(), value, time_ns, Mark::default()));
            }
        }
    }

    /// Says of devices that they are not connected any more.
    fn disconnect<'d>(&mut self, devices: impl Iterator<Item = &'d Scope<'s>>, time_ns: Option<i64>)
    where
        's: 'd,
    {
        for scope in devices {
            let mut report = Report::default();
            self.connected(false, time_ns, &mut report);
            let key = self.setup.key(self.topic.group, self.topic.edge, &scope.device);
            self.problems.note(report.write(&key, self.out));
        }
    }

    /// Checks that a message is the next one (section 6.4.5: one more each time, 0 behind 255).
    fn follow(&mut self, seq: Option<u64>) {
        if !self.setup.settings.sequence {
            return;
        }
        let Some(seq) = seq else { return };
        let Ok(seq) = u8::try_from(seq) else {
            let text = format!("the sequence number {seq} is beyond 255");
            self.problems.push(PluginError::new("sparkplug.sequence", text));
            return;
        };
        let Some(before) = self.known().and_then(|node| node.seq) else {
            if self.known().is_some() {
                self.node().seq = Some(seq);
            }
            return;
        };
        self.node().seq = Some(seq);
        let expected = before.wrapping_add(1);
        if seq != expected {
            let text = format!(
                "message {seq} of {} came where {expected} was expected: messages are lost, or \
                 come out of order",
                self.topic.edge
            );
            self.problems.push(PluginError::new("sparkplug.sequence", text));
            self.request_rebirth();
        }
    }

    /// Something is not known that a birth would tell.
    fn ask(&mut self, why: &str) {
        let (edge, device) = (self.topic.edge, self.topic.device);
        let who = if device.is_empty() { edge.to_owned() } else { format!("{edge}/{device}") };
        self.problems.push(PluginError::new("sparkplug.birth", format!("{why} ({who})")));
        self.request_rebirth();
    }

    /// Asks the edge node for its births (section 5.8), but not all the time.
    fn request_rebirth(&mut self) {
        let settings = &self.setup.settings;
        if !settings.rebirth {
            return;
        }
        let asked_ms = self.known().map_or(0, |node| node.asked_ms);
        let interval_ms = u64::from(settings.rebirth_interval_ms);
        if asked_ms != 0 && self.now_ms.saturating_sub(asked_ms) < interval_ms {
            return;
        }
        let now_ms = self.now_ms;
        self.node().asked_ms = now_ms.max(1);
        let request = rebirth_request(now_ms);
        let effect = Effect::publish_bytes(&self.topic.node_command(), &request);
        self.out.effect(&effect.with("qos", 0).with("retain", false));
    }

    /// Puts the values of metrics into the report.
    fn values<'a>(
        &mut self,
        metrics: &[Metric<'a>],
        definitions: &'a Definitions,
        report: &mut Report<'a>,
    ) {
        let mut unknown = None;
        for (index, metric) in metrics.iter().enumerate() {
            let definition = definitions.get(index);
            let name = metric.name.or_else(|| definition.map(|found| definitions.name(found)));
            let Some(name) = name else {
                unknown = unknown.or(Some(metric.alias));
                continue;
            };
            let datatype = metric.datatype.filter(|number| *number != 0);
            let datatype = datatype.or(definition.map(|found| found.metric.datatype.into()));
            if let Err(error) = self.value(metric, name, datatype, report) {
                let text = format!("metric {name:?}: {}", error.text);
                self.problems.push(PluginError::new(error.code, text));
            }
            if let Err(error) = self.properties(metric, name, definition.map(|d| d.metric), report)
            {
                self.problems.push(error);
            }
        }
        if let Some(alias) = unknown {
            self.unnamed(alias);
        }
    }

    /// A metric came that nothing names. A birth would help, unless it had no room, or there was
    /// none: that was said already.
    fn unnamed(&mut self, alias: Option<u64>) {
        let Some(alias) = alias else {
            let text = "a metric has neither name nor alias";
            return self.problems.push(PluginError::new("sparkplug.name", text));
        };
        match self.known().and_then(|node| node.scope(self.topic.device)) {
            None => {}
            Some(scope) if scope.names_needed => {
                let text = format!(
                    "the alias {alias} cannot be told: the names of its birth had no room in the \
                     {STATE_BYTES_MAX} bytes that are kept, so that data have to name their metrics"
                );
                self.problems.push(PluginError::new("sparkplug.names_needed", text));
            }
            Some(_) => {
                let text = format!("the alias {alias} is in no birth");
                self.problems.push(PluginError::new("sparkplug.alias", text));
                self.request_rebirth();
            }
        }
    }

    fn value<'a>(
        &self,
        metric: &Metric<'a>,
        name: &'a str,
        datatype: Option<u32>,
        report: &mut Report<'a>,
    ) -> Result<(), PluginError> {
        let Some(raw) = metric.value.filter(|_| !metric.null) else { return Ok(()) };
        match value(datatype, raw)? {
            Some(value) => report.push(name, value, self.time_of(metric)?, mark(metric)),
            None => Ok(()),
        }
    }

    /// A metric's own time, or the message's.
    fn time_of(&self, metric: &Metric<'_>) -> Result<Option<i64>, PluginError> {
        let Some(ms) = metric.timestamp_ms else { return Ok(self.time_ns) };
        let beyond =
            || crate::datatype::refused(format!("its time {ms} ms lies beyond the year 2262"));
        time_ns(ms).map(Some).ok_or_else(beyond)
    }

    /// What is kept of a metric's properties, and its quality: told where it is not good, and where
    /// it is good again.
    fn properties<'a>(
        &mut self,
        metric: &Metric<'a>,
        name: &str,
        defined: Option<state::Metric>,
        report: &mut Report<'a>,
    ) -> Result<(), PluginError> {
        let wanted = &self.setup.settings.properties;
        let (mut kept, mut problems) = (Vec::new(), Problems::default());
        metric.properties(|key, datatype, raw| {
            if wanted.iter().any(|wanted| wanted == key) {
                match value(datatype, raw) {
                    Ok(Some(value)) => kept.push((key, value)),
                    Ok(None) => {}
                    Err(error) => problems.push(error),
                }
            }
        })?;
        let time_ns = self.time_of(metric)?;
        for (key, value) in kept {
            report.push(format!("{name}.{key}"), value, time_ns, mark(metric))?;
        }
        let quality = quality(metric)?;
        let was_bad = defined.is_some_and(|defined| defined.bad);
        if (quality != GOOD || was_bad) && !metric.historical {
            self.remember_quality(defined, quality != GOOD);
            let word = &self.setup.settings.quality;
            if !word.is_empty() {
                let name = format!("{name}.{word}");
                report.push(name, Value::Int(quality), time_ns, mark(metric))?;
            }
        }
        problems.finish()
    }

    /// In the table the definition was found in: a birth has made a new one, and said it there.
    fn remember_quality(&mut self, defined: Option<state::Metric>, bad: bool) {
        let is_birth = matches!(self.topic.verb, Verb::NBirth | Verb::DBirth);
        let (Some(defined), false) = (defined, is_birth) else { return };
        let device = self.topic.device;
        if let Some(scope) = self.node().scope_mut(device) {
            scope.set_bad(defined, bad);
        }
    }
}

/// What a metric says of its quality; good where it says nothing (section 6.4.9.1).
fn quality(metric: &Metric<'_>) -> Result<i64, Malformed> {
    let mut quality = GOOD;
    metric.properties(|key, _, raw| {
        quality = match raw {
            Raw::Int(code) if key == QUALITY => code.into(),
            Raw::Long(code) if key == QUALITY => i64::try_from(code).unwrap_or(GOOD),
            _ => quality,
        };
    })?;
    Ok(quality)
}

fn mark(metric: &Metric<'_>) -> Mark {
    Mark { historical: metric.historical, transient: metric.transient }
}
