//! The functions a rule can call, each checked before it becomes an [`Effect`].
//!
//! Owns argument checking and its messages. Must never carry anything out.

use flux_types::{Key, Qos, Severity, Topic};
use rhai::{
    Dynamic, Engine, EvalAltResult, FLOAT, INT, ImmutableString, Map, NativeCallContext, Position,
};

use crate::dynamic::{self, NoCounterpart};
use crate::error::LimitKind;
use crate::{Effect, Limits, LogLevel, frame};

type Answer = Result<(), Box<EvalAltResult>>;

/// Longest name of a command or an alarm, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Names of the functions that act; a transform has none of them.
pub(crate) const ACTING: [&str; 5] =
    ["send_command", "publish", "raise_alarm", "clear_alarm", "webhook"];

/// The token a script is stopped with. No script can catch it.
pub(crate) fn stop_error(limit: LimitKind) -> Box<EvalAltResult> {
    EvalAltResult::ErrorTerminated(limit.as_str().into(), Position::NONE).into()
}

fn refuse(message: impl std::fmt::Display) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(message.to_string().into(), Position::NONE).into()
}

fn act(effect: Effect) -> Answer {
    frame::push_effect(effect).map_err(stop_error)
}

/// The functions that act.
pub(crate) fn register_acting(engine: &mut Engine) {
    engine
        .register_fn("send_command", |context: NativeCallContext, device: &str, command: &str| {
            send_command(&context, device, command, Map::new())
        })
        .register_fn(
            "send_command",
            |context: NativeCallContext, device: &str, command: &str, params: Map| {
                send_command(&context, device, command, params)
            },
        )
        .register_fn("publish", |context: NativeCallContext, topic: &str, payload: Dynamic| {
            publish(&context, topic, &payload, &Map::new())
        })
        .register_fn(
            "publish",
            |context: NativeCallContext, topic: &str, payload: Dynamic, options: Map| {
                publish(&context, topic, &payload, &options)
            },
        )
        .register_fn("raise_alarm", |alarm: &str| {
            raise_alarm(alarm, Severity::default().as_str(), "")
        })
        .register_fn("raise_alarm", |alarm: &str, severity: &str| raise_alarm(alarm, severity, ""))
        .register_fn("raise_alarm", raise_alarm)
        .register_fn("clear_alarm", |alarm: &str| {
            act(Effect::ClearAlarm { alarm: name("clear_alarm", "an alarm's name", alarm)? })
        })
        .register_fn("webhook", |context: NativeCallContext, url: &str, payload: Dynamic| {
            webhook(&context, url, &payload)
        });
}

/// The functions that only speak.
pub(crate) fn register_speaking(engine: &mut Engine) {
    let levels = [
        ("log_trace", LogLevel::Trace),
        ("log_debug", LogLevel::Debug),
        ("log_info", LogLevel::Info),
        ("log_warn", LogLevel::Warn),
        ("log_error", LogLevel::Error),
    ];
    for (function, level) in levels {
        engine.register_fn(function, move |text: ImmutableString| frame::push_log(level, &text));
        engine.register_fn(function, move |value: Dynamic| {
            frame::push_log(level, &value.to_string());
        });
    }
    engine.on_print(|text| frame::push_log(LogLevel::Info, text));
    engine.on_debug(|text, _, _| frame::push_log(LogLevel::Debug, text));
}

/// Functions of the language that ours stand in for: bounded before they work, or refused.
pub(crate) fn register_bounded(engine: &mut Engine, limits: &Limits) {
    let bytes_max = limits.string_bytes_max;
    engine
        .register_fn("replace", move |text: &mut ImmutableString, find: &str, with: &str| {
            replace(text, find, with, bytes_max)
        })
        .register_fn("replace", move |text: &mut ImmutableString, find: &str, with: char| {
            replace(text, find, with.encode_utf8(&mut [0; 4]), bytes_max)
        })
        .register_fn("replace", move |text: &mut ImmutableString, find: char, with: &str| {
            replace(text, find.encode_utf8(&mut [0; 4]), with, bytes_max)
        })
        .register_fn("replace", move |text: &mut ImmutableString, find: char, with: char| {
            let (find, with) = (find.to_string(), with.to_string());
            replace(text, &find, &with, bytes_max)
        })
        .register_fn("sleep", |_: INT| -> Answer { Err(refuse("a script cannot sleep")) })
        .register_fn("sleep", |_: FLOAT| -> Answer { Err(refuse("a script cannot sleep")) });
}

/// The language's own `replace` makes the whole result before its size is looked at: 64 KB can
/// become 4 GB.
fn replace(text: &mut ImmutableString, find: &str, with: &str, bytes_max: usize) -> Answer {
    let found = text.matches(find).count();
    let grown = found.saturating_mul(with.len()).saturating_add(text.len());
    if grown.saturating_sub(found.saturating_mul(find.len())) > bytes_max {
        let what = "Length of string".to_owned();
        return Err(EvalAltResult::ErrorDataTooLarge(what, Position::NONE).into());
    }
    if found > 0 {
        *text = text.replace(find, with).into();
    }
    Ok(())
}

fn name(function: &str, what: &str, text: &str) -> Result<String, Box<EvalAltResult>> {
    if text.is_empty() {
        return Err(refuse(format_args!("{function}: {what} cannot be empty")));
    }
    if text.len() > NAME_BYTES_MAX {
        let message = format_args!("{function}: {what} has at most {NAME_BYTES_MAX} bytes");
        return Err(refuse(message));
    }
    if text.chars().any(char::is_control) {
        let message = format_args!("{function}: {what} cannot contain control characters");
        return Err(refuse(message));
    }
    Ok(text.to_owned())
}

fn unfit(function: &str, what: &str, error: &NoCounterpart) -> Box<EvalAltResult> {
    refuse(format_args!("{function}: {what}: {error}"))
}

/// A value within the size limits. The language does not look when a map grows entry by entry.
fn within<'v>(
    context: &NativeCallContext<'_>,
    value: &'v Dynamic,
) -> Result<&'v Dynamic, Box<EvalAltResult>> {
    context.engine().ensure_data_size_within_limits(value).map(|()| value)
}

fn send_command(
    context: &NativeCallContext<'_>,
    device: &str,
    command: &str,
    params: Map,
) -> Answer {
    let device = Key::new(device)
        .map_err(|error| refuse(format_args!("send_command: {device:?} is no device: {error}")))?;
    let command = name("send_command", "a command's name", command)?;
    let params = dynamic::to_json(within(context, &params.into())?)
        .map_err(|error| unfit("send_command", "the parameters", &error))?;
    act(Effect::Command { device, command, params })
}

fn publish(
    context: &NativeCallContext<'_>,
    topic: &str,
    payload: &Dynamic,
    options: &Map,
) -> Answer {
    let topic = Topic::new(topic)
        .map_err(|error| refuse(format_args!("publish: {topic:?} is no topic: {error}")))?;
    if topic.is_reserved() {
        return Err(refuse("publish: topics that begin with `$` belong to the server"));
    }
    let (mut qos, mut retain) = (Qos::AtMostOnce, false);
    for (option, value) in options {
        match option.as_str() {
            "qos" => {
                qos = value
                    .as_int()
                    .ok()
                    .and_then(|level| u8::try_from(level).ok())
                    .and_then(|level| Qos::try_from(level).ok())
                    .ok_or_else(|| {
                        refuse(format_args!("publish: qos is 0, 1 or 2, not {value}"))
                    })?;
            }
            "retain" => {
                retain = value.as_bool().map_err(|_| refuse("publish: retain is true or false"))?;
            }
            other => {
                let message = format_args!(
                    "publish: no option is called `{other}`; there are `qos` and `retain`"
                );
                return Err(refuse(message));
            }
        }
    }
    let payload = dynamic::to_payload(within(context, payload)?)
        .map_err(|error| unfit("publish", "the payload", &error))?;
    act(Effect::Publish { topic, payload, qos, retain })
}

fn raise_alarm(alarm: &str, severity: &str, text: &str) -> Answer {
    let alarm = name("raise_alarm", "an alarm's name", alarm)?;
    let severity: Severity = severity.parse().map_err(|error| {
        refuse(format_args!("raise_alarm: no severity is called {severity:?}: {error}"))
    })?;
    act(Effect::RaiseAlarm { alarm, severity, text: text.to_owned() })
}

fn webhook(context: &NativeCallContext<'_>, url: &str, payload: &Dynamic) -> Answer {
    check_url(url).map_err(|reason| refuse(format_args!("webhook: {url:?} {reason}")))?;
    let payload = dynamic::to_json(within(context, payload)?)
        .map_err(|error| unfit("webhook", "the payload", &error))?;
    act(Effect::Webhook { url: url.to_owned(), payload })
}

fn check_url(url: &str) -> Result<(), &'static str> {
    if url.len() > URL_BYTES_MAX {
        return Err("is longer than 2048 bytes");
    }
    let uri: http::Uri = url.parse().map_err(|_| "is no URL")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("has to begin with http:// or https://");
    }
    match uri.host() {
        Some(host) if !host.is_empty() => Ok(()),
        _ => Err("names no host"),
    }
}
