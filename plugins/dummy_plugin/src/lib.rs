//! The guide's example: reads temperatures out of JSON, and says something at every log level.
//!
//! | message | log |
//! |---|---|
//! | empty | WARN, and nothing is decoded |
//! | ordinary | INFO, and what it holds at DEBUG |
//! | hot | WARN |
//! | critical | ERROR |
//! | large | WARN, beside what its temperature calls for |

#![deny(unsafe_code)]

use flux_plugin_sdk::{
    Context, Description, Json, Output, PluginError, PluginHandler, StandardMessage, debug, error,
    export_plugin, info, settings, warn,
};

settings! {
    /// From where on a message is worth more than a line at INFO.
    pub struct Settings {
        /// Degrees from which on it is hot.
        hot: f64 = 50.0,
        /// Degrees from which on it is critical.
        critical: f64 = 80.0,
        /// Bytes beyond which a message is large.
        large_bytes: u32 = 1024,
    }
}

/// The plugin.
#[derive(Debug)]
pub struct Dummy;

impl PluginHandler for Dummy {
    fn on_decode(raw: &[u8]) -> StandardMessage {
        flux_plugin_sdk::standard_message::<Self>(raw)
    }

    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let settings = ctx.settings::<Settings>()?;
        if raw.is_empty() {
            warn!("an empty message");
            return Ok(());
        }
        if raw.len() > settings.large_bytes as usize {
            warn!("a large message: {} bytes", raw.len());
        }
        let json = read(raw)?;
        report(&settings, json.get("temperature").and_then(Json::as_f64));
        debug!("{json}");

        let device = json.get("device_id").and_then(Json::as_str).unwrap_or_default();
        let mut message = out.message(device);
        for (name, value) in json.members().unwrap_or_default() {
            if let Some(number) = value.as_f64() {
                message.value(name, number);
            }
        }
        Ok(())
    }

    fn describe() -> Description {
        Description::default()
            .decoding("a JSON object; its numbers become values, `device_id` names the device")
            .settings::<Settings>()
    }
}

fn read(raw: &[u8]) -> Result<Json, PluginError> {
    let text = std::str::from_utf8(raw)
        .map_err(|_| PluginError::new("dummy.format", "the message is not UTF-8"))?;
    let json: Json = text
        .parse()
        .map_err(|error| PluginError::new("dummy.format", format!("the message {error}")))?;
    match json.members() {
        Some(_) => Ok(json),
        None => Err(PluginError::new("dummy.format", "the message is no JSON object")),
    }
}

fn report(settings: &Settings, temperature: Option<f64>) {
    match temperature {
        Some(degrees) if degrees >= settings.critical => error!("critical: {degrees} °C"),
        Some(degrees) if degrees >= settings.hot => warn!("hot: {degrees} °C"),
        Some(degrees) => info!("ordinary: {degrees} °C"),
        None => info!("ordinary: no temperature"),
    }
}

export_plugin!(Dummy);

#[cfg(test)]
mod tests {
    use flux_plugin_sdk::Level::{self, Debug, Error, Info, Warn};
    use flux_plugin_sdk::testing::{Call, Outcome, check_vectors};

    use super::*;

    fn levels(outcome: &Outcome) -> Vec<Level> {
        outcome.logs.iter().map(|(level, _)| *level).collect()
    }

    #[test]
    fn vectors_hold() {
        check_vectors::<Dummy>(concat!(env!("CARGO_MANIFEST_DIR"), "/vectors"));
    }

    #[test]
    fn each_kind_of_message_is_logged_at_its_level() {
        let large = format!(r#"{{"temperature": 21.5, "note": "{}"}}"#, "x".repeat(1024));
        for (message, expected) in [
            ("", vec![Warn]),
            (r#"{"temperature": 21.5}"#, vec![Info, Debug]),
            (r#"{"temperature": 50}"#, vec![Warn, Debug]),
            (r#"{"temperature": 80}"#, vec![Error, Debug]),
            (&large, vec![Warn, Info, Debug]),
        ] {
            let outcome = Call::new().decode::<Dummy>(message.as_bytes());
            assert_eq!(levels(&outcome), expected, "{message:.40}");
            assert_eq!(outcome.error, None);
        }
    }

    #[test]
    fn settings_move_the_thresholds() {
        let call = Call::new().settings(r#"{"hot": 20, "large_bytes": 5}"#);
        let outcome = call.decode::<Dummy>(br#"{"temperature": 21.5}"#);
        assert_eq!(levels(&outcome), [Warn, Warn, Debug]);
    }

    #[test]
    fn what_is_no_object_is_refused_with_a_reason() {
        for message in [&b"\xff\xfe"[..], b"[1]", b"{", b"21.5"] {
            let outcome = Call::new().decode::<Dummy>(message);
            assert_eq!(outcome.error_code(), "dummy.format");
            assert!(outcome.messages.is_empty());
        }
    }

    #[test]
    fn on_decode_keeps_the_numbers() {
        let message = Dummy::on_decode(br#"{"device_id": "t-1", "temperature": 21.5, "on": true}"#);
        assert_eq!(message.device_id, "t-1");
        assert_eq!(message.values, [("temperature".to_owned(), 21.5)].into());
    }
}
