//! Commands into payloads.

use flux_plugin_sdk::json::JsonError;
use flux_plugin_sdk::{Command, Context, Json, Output, PluginError, Setting, settings};

use crate::kinds::{ANALOG_OUTPUT, DIGITAL_OUTPUT};
use crate::plan::{Downlink, compile};

/// What ends an actuator command, and so is no channel in one.
const ACTUATOR_END: u8 = 0xff;

/// A digital output's level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level(u8);

impl Setting for Level {
    fn from_json(json: &Json) -> Result<Self, JsonError> {
        let number = json.as_bool().map(i64::from).or_else(|| json.as_i64());
        number
            .and_then(|number| number.try_into().ok())
            .map(Self)
            .ok_or_else(|| JsonError::new("must be true, false, or a whole number from 0 to 255"))
    }

    fn to_json(&self) -> Json {
        self.0.into()
    }

    fn schema() -> Json {
        Json::object([
            ("type", vec!["boolean", "integer"].into()),
            ("minimum", 0.into()),
            ("maximum", 255.into()),
        ])
    }
}

settings! {
    /// Sets a digital output.
    #[derive(Debug)]
    pub(crate) struct DigitalOutput {
        /// The output's channel.
        channel: u8,
        /// On or off, or a level from 0 to 255.
        value: Level,
    }
}

settings! {
    /// Sets an analog output.
    #[derive(Debug)]
    pub(crate) struct AnalogOutput {
        /// The output's channel.
        channel: u8,
        /// From -327.68 to 327.67, rounded to hundredths.
        value: f64,
    }
}

/// Encodes one command.
///
/// # Errors
/// `command.unknown`, `command.params`.
pub(crate) fn encode(
    ctx: &Context<'_>,
    command: &Command<'_>,
    out: &mut Output<'_>,
) -> Result<(), PluginError> {
    let downlink = ctx.compiled(compile)?.downlink;
    match command.name {
        "digital_output" => {
            let DigitalOutput { channel, value: Level(level) } = params(command)?;
            match downlink {
                Downlink::Record => out.frame(&[channel, DIGITAL_OUTPUT, level]),
                Downlink::Actuator => out.frame(&actuator(channel, f64::from(level))?),
            }
        }
        "analog_output" => {
            let AnalogOutput { channel, value } = params(command)?;
            match downlink {
                Downlink::Record => {
                    let [high, low] = hundredths(value)?;
                    out.frame(&[channel, ANALOG_OUTPUT, high, low]);
                }
                Downlink::Actuator => out.frame(&actuator(channel, value)?),
            }
        }
        _ => return Err(command.unknown()),
    }
    Ok(())
}

/// What the Cayenne platform sends to an actuator, digital or analog: LPP 2.0, port 10. A digital
/// one that is switched on reads 1.00.
fn actuator(channel: u8, value: f64) -> Result<[u8; 4], PluginError> {
    if channel == ACTUATOR_END {
        let error = JsonError::new("must be 0 to 254: 255 ends an actuator command");
        return Err(wrong(error.within("channel")));
    }
    let [high, low] = hundredths(value)?;
    Ok([channel, high, low, ACTUATOR_END])
}

fn hundredths(value: f64) -> Result<[u8; 2], PluginError> {
    let scaled = (value * 100.0).round();
    if !(f64::from(i16::MIN)..=f64::from(i16::MAX)).contains(&scaled) {
        return Err(wrong(JsonError::new("must be from -327.68 to 327.67").within("value")));
    }
    #[allow(clippy::cast_possible_truncation)] // checked: whole, and within the range
    Ok((scaled as i16).to_be_bytes())
}

fn params<T: Setting>(command: &Command<'_>) -> Result<T, PluginError> {
    T::from_json(command.params).map_err(wrong)
}

fn wrong(error: JsonError) -> PluginError {
    PluginError::new("command.params", error.within("params").to_string())
}
