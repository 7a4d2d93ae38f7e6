//! Commands into payloads.
//!
//! Owns `write` and `rebirth` (specification sections 5.8, 6.4.21 and 6.4.22). The host chooses the
//! topic: NCMD and DCMD carry the same payload. Must never write what the metric cannot hold.

use flux_plugin_sdk::{Command, Context, Json, Output, PluginError, settings};

use crate::datatype::DataType;
use crate::setup::Setup;
use crate::state::{Scope, State};
use crate::topic::Topic;
use crate::wire::{put_bytes, put_fixed32, put_fixed64, put_number};

/// The metric by which an edge node is asked for its births; it never has an alias.
const REBIRTH: &str = "Node Control/Rebirth";

settings! {
    /// Writes metrics: either `metric` and `value`, or `metrics`.
    pub(crate) struct WriteParams {
        /// Name of the metric, as its birth names it.
        metric: Option<String>,
        /// What to write; null writes a null.
        value: Option<Json>,
        /// Datatype, such as Int32: where no birth was seen, or another is meant.
        r#type: Option<String>,
        /// Values by the names of their metrics, where there are several.
        metrics: Option<Json>,
    }
}

/// Encodes a command.
///
/// # Errors
/// `command.unknown`, `command.params` with the place of what is wrong.
pub(crate) fn encode(
    ctx: &Context<'_>,
    command: &Command<'_>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let setup = ctx.compiled(Setup::compile)?;
    let now_ms = u64::try_from(ctx.received_ns() / 1_000_000).unwrap_or(0);
    match command.name {
        "write" => {
            let state = State::read(ctx.state());
            let target = Target { scope: scope(&state, &setup, ctx), now_ms, setup: &setup };
            out.frame(&target.write(command)?);
        }
        "rebirth" => {
            let state = State::read(ctx.state());
            if let Some(device) = scope(&state, &setup, ctx).filter(|s| !s.device.is_empty()) {
                let text = format!(
                    "{} is a device: births are asked for from its edge node",
                    device.device
                );
                return Err(PluginError::new("command.device", text));
            }
            out.frame(&rebirth_request(now_ms));
        }
        _ => return Err(command.unknown()),
    }
    Ok(())
}

/// What asks an edge node for its births, NCMD.
pub(crate) fn rebirth_request(now_ms: u64) -> Vec<u8> {
    let mut metric = Vec::new();
    put_bytes(&mut metric, 1, REBIRTH.as_bytes());
    put_time(&mut metric, 3, now_ms);
    put_number(&mut metric, 4, DataType::Boolean as u64);
    put_number(&mut metric, 14, 1);
    payload(now_ms, &[metric])
}

fn payload(now_ms: u64, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut payload = Vec::new();
    put_time(&mut payload, 1, now_ms);
    for metric in metrics {
        put_bytes(&mut payload, 2, metric);
    }
    payload
}

/// A time, where it is known.
fn put_time(out: &mut Vec<u8>, field: u32, ms: u64) {
    if ms != 0 {
        put_number(out, field, ms);
    }
}

/// What is known of the device a command is for: told by the topic, if it is one of Sparkplug B, or
/// else by its key.
fn scope<'s>(state: &'s State<'_>, setup: &Setup, ctx: &Context<'_>) -> Option<&'s Scope<'s>> {
    if let Ok(topic) = Topic::parse(ctx.topic()) {
        return state.node(topic.group, topic.edge)?.scope(topic.device);
    }
    let mut scopes = state.nodes.iter().flat_map(|node| node.scopes.iter().map(move |s| (node, s)));
    let is = |key: &str| key == ctx.device();
    scopes.find(|(node, s)| is(&setup.key(node.group(), node.edge(), &s.device))).map(|(_, s)| s)
}

/// The device a command is for.
struct Target<'t> {
    scope: Option<&'t Scope<'t>>,
    now_ms: u64,
    setup: &'t Setup,
}

/// A metric to write, and where it stands in the parameters.
struct Wanted<'w> {
    name: &'w str,
    value: &'w Json,
    place: String,
}

impl Target<'_> {
    fn write(&self, command: &Command<'_>) -> Result<Vec<u8>, PluginError> {
        let datatype = command.param::<Option<String>>("type")?;
        let datatype = datatype.map(|name| {
            DataType::named(&name)
                .ok_or_else(|| wrong("type", &format!("there is no datatype {name}")))
        });
        let datatype = datatype.transpose()?;
        let mut metrics = Vec::new();
        for wanted in wanted(command)? {
            metrics.push(self.metric(&wanted, datatype)?);
        }
        Ok(payload(self.now_ms, &metrics))
    }

    fn metric(&self, wanted: &Wanted<'_>, told: Option<DataType>) -> Result<Vec<u8>, PluginError> {
        let (alias, known) = self.find(wanted.name);
        let datatype = told.or(known).ok_or_else(|| {
            let text = format!(
                "the birth of this device has no metric {:?} with a datatype; name one as `type`",
                wanted.name
            );
            wrong(&wanted.place, &text)
        })?;
        let mut metric = Vec::new();
        match alias {
            Some(alias) => put_number(&mut metric, 2, alias),
            None => put_bytes(&mut metric, 1, wanted.name.as_bytes()),
        }
        put_time(&mut metric, 3, self.now_ms);
        if self.setup.settings.command_datatypes {
            put_number(&mut metric, 4, datatype as u64);
        }
        let text = |what: String| wrong(&wanted.place, &what);
        put_value(&mut metric, datatype, wanted.value).map_err(text)?;
        Ok(metric)
    }

    /// Alias and datatype of a metric. Nothing is found of what had no room: its name will do.
    fn find(&self, name: &str) -> (Option<u64>, Option<DataType>) {
        let mut found = (None, None);
        if let Some(scope) = self.scope {
            scope.each(|metric, known| {
                let is = known == name.as_bytes();
                if is {
                    let datatype = DataType::of(metric.datatype.into());
                    found = (metric.alias, datatype.filter(|known| *known != DataType::Unknown));
                }
                !is
            });
        }
        found
    }
}

fn wrong(place: &str, text: &str) -> PluginError {
    PluginError::new("command.params", format!("/params/{place}: {text}"))
}

fn wanted<'w>(command: &Command<'w>) -> Result<Vec<Wanted<'w>>, PluginError> {
    let params = command.params;
    let known = ["metric", "value", "type", "metrics"];
    let slip = params.members().unwrap_or_default().iter().find(|(n, _)| !known.contains(&&**n));
    if let Some((name, _)) = slip {
        return Err(wrong(name, &format!("is not known; there is {}", known.join(", "))));
    }
    match (params.get("metric"), params.get("value"), params.get("metrics")) {
        (Some(name), Some(value), None) => {
            let name = name.as_str().ok_or_else(|| wrong("metric", "must be a string"))?;
            Ok(vec![Wanted { name, value, place: "value".to_owned() }])
        }
        (None, None, Some(metrics)) => {
            let members = metrics.members().filter(|members| !members.is_empty());
            let members =
                members.ok_or_else(|| wrong("metrics", "must be an object, not empty"))?;
            let place =
                |name: &str| format!("metrics/{}", name.replace('~', "~0").replace('/', "~1"));
            let wanted =
                |(name, value): &'w (String, Json)| Wanted { name, value, place: place(name) };
            Ok(members.iter().map(wanted).collect())
        }
        (None, None, None) => Err(wrong("metric", "is missing")),
        (Some(_), None, None) => Err(wrong("value", "is missing")),
        (None, Some(_), None) => Err(wrong("metric", "is missing")),
        _ => Err(wrong("metrics", "stands beside `metric` and `value`; give one or the other")),
    }
}

/// The value in the field its datatype has (section 6.4.16), or why not.
fn put_value(out: &mut Vec<u8>, datatype: DataType, value: &Json) -> Result<(), String> {
    let must = |what: &str| Err(format!("a {} takes {what}", datatype.name()));
    match (datatype, value) {
        (_, Json::Null) => put_number(out, 7, 1),
        (DataType::Boolean, Json::Bool(yes)) => put_number(out, 14, u64::from(*yes)),
        (DataType::Boolean, _) => return must("true or false"),
        (DataType::String | DataType::Text | DataType::UUID, Json::Text(text)) => {
            put_bytes(out, 15, text.as_bytes());
        }
        (DataType::String | DataType::Text | DataType::UUID, _) => return must("a string"),
        (DataType::Float, _) => match value.as_f64() {
            #[allow(clippy::cast_possible_truncation)] // nearest: what a Float is
            Some(real) if (real as f32).is_finite() => {
                put_fixed32(out, 12, (real as f32).to_le_bytes())
            }
            _ => return must("a number of single precision"),
        },
        (DataType::Double, _) => match value.as_f64() {
            Some(real) => put_fixed64(out, 13, real.to_le_bytes()),
            None => return must("a number"),
        },
        _ => return put_whole(out, datatype, value),
    }
    Ok(())
}

#[allow(clippy::cast_sign_loss)] // two's complement in an unsigned field is what is meant
fn put_whole(out: &mut Vec<u8>, datatype: DataType, value: &Json) -> Result<(), String> {
    let Some((bits, signed)) = datatype.whole() else {
        return Err(format!("a {} cannot be written", datatype.name()));
    };
    let (min, max) = match (bits, signed) {
        (_, true) => (i64::MIN >> (64 - bits), i64::MAX >> (64 - bits)),
        (64, false) => (0, i64::MAX),
        (_, false) => (0, i64::MAX >> (63 - bits)),
    };
    match value.as_i64().filter(|number| (min..=max).contains(number)) {
        Some(number) if bits == 64 => put_number(out, 11, number as u64),
        // the datatype's own bits, not more: not every edge node reads a sign-extended field
        Some(number) => put_number(out, 10, number as u64 & (u64::MAX >> (64 - bits))),
        None => {
            let name = datatype.name();
            return Err(format!("a {name} takes whole numbers from {min} to {max}"));
        }
    }
    Ok(())
}
