//! Payloads into messages.

use std::fmt::Write;

use flux_plugin_sdk::{Context, Output, PluginError, ValueRef, debug};

use crate::PAYLOAD_BYTES_MAX;
use crate::kinds::Part;
use crate::plan::{Name, Plan, Policy, TimeAs, compile};
use crate::records::{Layout, Problem, Record, Records};

const NS_PER_S: i64 = 1_000_000_000;

/// Decodes one payload.
///
/// # Errors
/// `settings.invalid`, `lpp.length`, `lpp.port`, `lpp.truncated`, `lpp.type`.
pub(crate) fn decode(
    ctx: &Context<'_>,
    raw: &[u8],
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let plan = ctx.compiled(compile)?;
    if raw.len() > PAYLOAD_BYTES_MAX {
        let text = format!("{} bytes; a payload has at most {PAYLOAD_BYTES_MAX}", raw.len());
        return Err(PluginError::new("lpp.length", text));
    }
    let layout = Layout::of(plan.format, ctx.topic())?;
    if let Layout::Configuration(port) = layout {
        debug!("port {port} carries configuration, no values");
        return Ok(());
    }
    let records = Records::new(&plan, layout, raw);
    let seen = survey(records.clone(), plan.time);
    match (seen.problem, plan.on_error) {
        (Some(problem), Policy::Refuse) => return Err(problem.into()),
        (Some(problem), Policy::Ignore) => debug!("{}", PluginError::from(problem)),
        _ => {}
    }
    let writer = Writer { plan: &plan, received_ns: ctx.received_ns(), time_ns: seen.time_ns };
    writer.write(records, out);
    match (seen.problem, plan.on_error) {
        (Some(problem), Policy::Keep) => Err(problem.into()),
        _ => Ok(()),
    }
}

/// What has to be known before the first value is written.
struct Survey {
    problem: Option<Problem>,
    /// The payload's own time.
    time_ns: Option<i64>,
}

fn survey(records: Records<'_, '_>, time: TimeAs) -> Survey {
    let mut survey = Survey { problem: None, time_ns: None };
    for record in records {
        match record {
            Ok(record) if record.is_time && time == TimeAs::Timestamp => {
                survey.time_ns = survey.time_ns.or(Some(time_ns(record.data)));
            }
            Ok(_) => {}
            Err(problem) => survey.problem = Some(problem),
        }
    }
    survey
}

/// Four bytes at most: no product leaves the range.
fn time_ns(data: &[u8]) -> i64 {
    unsigned(data).try_into().unwrap_or(i64::MAX).saturating_mul(NS_PER_S)
}

struct Writer<'p> {
    plan: &'p Plan,
    received_ns: i64,
    time_ns: Option<i64>,
}

impl Writer<'_> {
    /// Writes as few messages as there can be: one for each time, and one more whenever a value's
    /// name comes again, because of two values under one name one would be lost.
    fn write(&self, records: Records<'_, '_>, out: &mut Output<'_>) {
        let mut records = records.map_while(Result::ok).filter(|record| !self.is_timestamp(record));
        let mut next = records.next();
        let mut name = String::with_capacity(64);
        let mut names: Vec<Name<'_>> = Vec::with_capacity(16);
        while let Some(first) = next {
            let time = self.time_of(&first);
            let mut message = match time {
                Some(time) => out.message_at("", time),
                None => out.message(""),
            };
            names.clear();
            while let Some(record) = next {
                let of = self.plan.name(record.channel, record.number, record.kind);
                if self.time_of(&record) != time || names.contains(&of) {
                    break;
                }
                names.push(of);
                let mut data = record.data;
                for part in record.parts {
                    let (head, rest) = data.split_at_checked(part.bytes).unwrap_or((data, &[]));
                    data = rest;
                    write_name(&mut name, of, part);
                    let value = if record.is_time {
                        ValueRef::Time(time_ns(head))
                    } else {
                        number(head, part)
                    };
                    message.value(&name, value);
                }
                next = records.next();
            }
        }
    }

    fn is_timestamp(&self, record: &Record<'_, '_>) -> bool {
        record.is_time && self.plan.time == TimeAs::Timestamp
    }

    fn time_of(&self, record: &Record<'_, '_>) -> Option<i64> {
        let age_ns = i64::from(record.age_s.unwrap_or(0)) * NS_PER_S;
        match (self.time_ns, record.age_s) {
            (None, None) => None,
            (time_ns, _) => Some(time_ns.unwrap_or(self.received_ns).saturating_sub(age_ns)),
        }
    }
}

fn write_name(text: &mut String, name: Name<'_>, part: &Part) {
    text.clear();
    let written = match name {
        Name::Given(name) => write!(text, "{name}{}", part.suffix),
        Name::Made(kind, channel) => write!(text, "{kind}_{channel}{}", part.suffix),
    };
    debug_assert!(written.is_ok(), "a string takes everything");
}

/// Most significant byte first; at most eight.
fn unsigned(data: &[u8]) -> u64 {
    data.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Whole where the unit is; otherwise the number nearest to what the resolution says.
#[allow(clippy::cast_precision_loss)] // beyond 2^53 only in types of the settings' own
fn number(data: &[u8], part: &Part) -> ValueRef<'static> {
    let raw = unsigned(data);
    #[allow(clippy::cast_possible_truncation)] // eight at most
    let unused = 64 - 8 * data.len().clamp(1, 8) as u32;
    let whole = if part.signed {
        // The sign is carried to the upper end and back again.
        Some(((raw << unused) as i64) >> unused)
    } else {
        i64::try_from(raw).ok()
    };
    match whole {
        Some(whole) if part.divisor == 1.0 => ValueRef::I64(whole),
        Some(whole) => ValueRef::F64(whole as f64 / part.divisor),
        None => ValueRef::F64(raw as f64 / part.divisor),
    }
}
