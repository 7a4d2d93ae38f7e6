//! What a plugin does, as one trait.

use crate::context::Context;
use crate::{Description, Json, Message, Output, PluginError, StandardMessage};

/// What a plugin does. Only [`PluginHandler::on_decode`] has to be written; whatever else it does
/// is named to [`export_plugin!`](crate::export_plugin) as well.
///
/// Functions take no `self`: instances come from a pool and may be thrown away after any call. What
/// has to last is state, in [`Context::state`] and [`Output::set_state`].
pub trait PluginHandler {
    /// Bytes into numbers of one device: the simplest decoder.
    ///
    /// A plugin that implements [`PluginHandler::decode`] writes
    /// `flux_plugin_sdk::standard_message::<Self>(raw)` here.
    fn on_decode(raw: &[u8]) -> StandardMessage;

    /// Bytes into messages. Without a body of its own it asks [`PluginHandler::on_decode`].
    ///
    /// # Errors
    /// Why the bytes cannot be decoded. What was written before still counts.
    fn decode(ctx: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
        let _ = ctx;
        out.push_standard(&Self::on_decode(raw));
        Ok(())
    }

    /// Several inputs of one source, in order, into messages. Without a body of its own it asks
    /// [`PluginHandler::decode`] for each, gives each the state the one before left, and goes on
    /// behind one that fails.
    ///
    /// # Errors
    /// What is wrong with the batch as a whole.
    fn decode_batch(
        ctx: &Context<'_>,
        frames: Frames<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let mut state: Option<Vec<u8>> = None;
        for (index, frame) in (0_u32..).zip(frames) {
            out.item(index);
            let decoded = match &state {
                None => Self::decode(ctx, frame?, out),
                Some(state) => Self::decode(&ctx.with_state(state), frame?, out),
            };
            if let Err(error) = decoded {
                out.error(&error);
            }
            if let Some(left) = out.take_state() {
                state = Some(left);
            }
        }
        Ok(())
    }

    /// A command into frames to send, with [`Output::frame`]. Exported as `encode`.
    ///
    /// # Errors
    /// Why the command cannot be encoded: it is not known, or its parameters are wrong.
    fn encode(
        ctx: &Context<'_>,
        command: &Command<'_>,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let _ = (ctx, out);
        Err(command.unknown())
    }

    /// A decoded message before the rules see it: write what shall take its place, and what shall
    /// be done. Where no message is written it goes on as it is. Without a body of its own it
    /// writes the message as it is. Exported as `on_msg`.
    ///
    /// # Errors
    /// Why not; the message then goes on as it is.
    fn on_msg(
        ctx: &Context<'_>,
        message: Message,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let _ = ctx;
        out.push(&message);
        Ok(())
    }

    /// A message on which a rule fired: write what shall be done. `firing` is the rule's decision;
    /// the message is empty where the rule fired on one that was not decoded. Without a body of its
    /// own it does nothing. Exported as `on_action`.
    ///
    /// # Errors
    /// Why not.
    fn on_action(
        ctx: &Context<'_>,
        message: Message,
        firing: &Json,
        out: &mut Output<'_>,
    ) -> Result<(), PluginError> {
        let _ = (ctx, message, firing, out);
        Ok(())
    }

    /// What people and programs are told about the plugin. Name, version and a line about it come
    /// from its `Cargo.toml` where they are left empty.
    #[must_use]
    fn describe() -> Description {
        Description::default()
    }
}

/// Decodes without any context, and keeps the numbers of the first message: what
/// [`PluginHandler::on_decode`] is where a plugin implements [`PluginHandler::decode`].
///
/// Must not be used where `decode` has its default body, which asks `on_decode`.
///
/// ```
/// use flux_plugin_sdk::{Context, Output, PluginError, PluginHandler, StandardMessage};
///
/// struct Counter;
///
/// impl PluginHandler for Counter {
///     fn on_decode(raw: &[u8]) -> StandardMessage {
///         flux_plugin_sdk::standard_message::<Self>(raw)
///     }
///
///     fn decode(_: &Context<'_>, raw: &[u8], out: &mut Output<'_>) -> Result<(), PluginError> {
///         out.message("").value("bytes", raw.len() as f64);
///         Ok(())
///     }
/// }
///
/// assert_eq!(Counter::on_decode(b"abc").values["bytes"], 3.0);
/// ```
#[must_use]
pub fn standard_message<H: PluginHandler + ?Sized>(raw: &[u8]) -> StandardMessage {
    let mut bytes = flux_plugin_abi::Buffer::new();
    let mut out = Output::new(&mut bytes);
    let decoded = Context::read(&[]).and_then(|ctx| H::decode(&ctx, raw, &mut out));
    if let Err(error) = decoded {
        crate::debug!("{error}");
    }
    first_message(bytes.as_bytes()).unwrap_or_default().into()
}

fn first_message(output: &[u8]) -> Option<Message> {
    let mut sections = flux_plugin_abi::Sections::read(output).ok()?;
    while let Ok(Some(section)) = sections.next_section() {
        if let flux_plugin_abi::Section::Message(reader) = section {
            return Message::read(reader).ok();
        }
    }
    None
}

/// The inputs of a batch, in order.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    batch: flux_plugin_abi::Batch<'a>,
}

impl<'a> Frames<'a> {
    /// Reads what the host wrote.
    ///
    /// # Errors
    /// Bytes that do not follow the ABI.
    #[doc(hidden)]
    pub fn read(bytes: &'a [u8]) -> Result<Self, PluginError> {
        Ok(Self { batch: flux_plugin_abi::Batch::read(bytes)? })
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<&'a [u8], PluginError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.batch.next()?.map_err(PluginError::from))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.batch.len()))
    }
}

/// A command to encode: its name and an object of parameters.
///
/// ```
/// use flux_plugin_sdk::{Command, PluginError};
///
/// fn frame(command: &Command<'_>) -> Result<[u8; 2], PluginError> {
///     match command.name {
///         "relay" => Ok([0x05, u8::from(command.param::<bool>("on")?)]),
///         _ => Err(command.unknown()),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Command<'a> {
    /// What the device shall do.
    pub name: &'a str,
    /// With what; `null` where there are no parameters.
    pub params: &'a Json,
}

impl Command<'_> {
    /// One parameter; an absent one is `None` where `T` is an `Option`, and an error otherwise.
    ///
    /// # Errors
    /// Code `command.params`, text such as `/params/on: must be true or false, not null`.
    pub fn param<T: crate::Setting>(&self, name: &str) -> Result<T, PluginError> {
        let found = match self.params.get(name) {
            Some(json) => T::from_json(json),
            None => T::when_missing().ok_or_else(|| crate::json::JsonError::new("is missing")),
        };
        found.map_err(|error| {
            PluginError::new("command.params", error.within(name).within("params").to_string())
        })
    }

    /// The error of a plugin that does not know this command: code `command.unknown`.
    #[must_use]
    pub fn unknown(&self) -> PluginError {
        PluginError::new("command.unknown", format!("there is no command {:?}", self.name))
    }
}
