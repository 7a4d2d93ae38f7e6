//! Where a call writes what it has to say.

use flux_plugin_abi::{Buffer, MessageWriter, OutputWriter, TooLong, ValueRef};

use crate::{Effect, Message, PluginError, StandardMessage};

/// What a call says: messages, new state, effects, frames to send, errors.
///
/// It is written straight into the buffer the host reads, which is kept from call to call: writing
/// numbers allocates nothing. What the ABI has no room for (a name of more than 255 bytes) is left
/// out, and the call fails with `sdk.output`.
///
/// ```
/// use flux_plugin_sdk::Output;
///
/// fn report(out: &mut Output<'_>) {
///     out.message("").value("voltage", 230.4).value("relay", true);
///     out.message_at("phase-2", 1_700_000_000_000_000_000).tag("unit", "A").value("current", 7);
/// }
///
/// let written = flux_plugin_sdk::testing::written(report);
/// assert_eq!(written.messages[1].device, "phase-2");
/// ```
#[derive(Debug)]
pub struct Output<'o> {
    writer: OutputWriter<'o, Buffer>,
    /// The first thing there was no room for.
    refused: Option<TooLong>,
    /// The source's state as this call leaves it: the next input of a batch finds it.
    state: Option<Vec<u8>>,
}

impl<'o> Output<'o> {
    /// Empties `bytes`, keeping their room, and begins an output in them.
    #[doc(hidden)]
    pub fn new(bytes: &'o mut Buffer) -> Self {
        Self { writer: OutputWriter::new(bytes), refused: None, state: None }
    }

    /// Begins a message of this device; empty: the source's own device. The time is that of
    /// receipt.
    ///
    /// Finished when what it returns goes out of scope: mostly at the end of the statement.
    #[inline]
    pub fn message(&mut self, device: &str) -> MessageOutput<'_> {
        let writer = self.writer.message(device, None);
        MessageOutput { writer: keep(writer, &mut self.refused), refused: &mut self.refused }
    }

    /// Begins a message that has a time of its own, nanoseconds since 1970.
    #[inline]
    pub fn message_at(&mut self, device: &str, time_ns: i64) -> MessageOutput<'_> {
        let writer = self.writer.message(device, Some(time_ns));
        MessageOutput { writer: keep(writer, &mut self.refused), refused: &mut self.refused }
    }

    /// Writes a whole message.
    pub fn push(&mut self, message: &Message) {
        let mut out = match message.time_ns {
            Some(time_ns) => self.message_at(&message.device, time_ns),
            None => self.message(&message.device),
        };
        for (name, value) in &message.tags {
            out.tag(name, value);
        }
        for (name, value) in &message.values {
            out.value(name, value);
        }
    }

    /// Writes a standard message; one without values says nothing and is left out.
    pub fn push_standard(&mut self, message: &StandardMessage) {
        if message.values.is_empty() {
            return;
        }
        let mut out = self.message(&message.device_id);
        for (name, value) in &message.values {
            out.value(name, *value);
        }
    }

    /// The source's new state, in place of the old: at most 64 KiB, kept by the host, given to the
    /// next call for this source. Empty forgets it.
    ///
    /// ```
    /// # use flux_plugin_sdk::{Context, Output};
    /// fn count(ctx: &Context<'_>, out: &mut Output<'_>) {
    ///     let seen = ctx.state().first().copied().unwrap_or(0);
    ///     out.set_state(&[seen.wrapping_add(1)]);
    /// }
    /// # assert_eq!(flux_plugin_sdk::testing::written(|out| out.set_state(&[1])).state, Some(vec![1]));
    /// ```
    pub fn set_state(&mut self, state: &[u8]) {
        let written = self.writer.state(state);
        if keep(written, &mut self.refused).is_some() {
            self.state = Some(state.to_vec());
        }
    }

    /// Asks the host to do something; it does if the plugin was granted such effects.
    pub fn effect(&mut self, effect: &Effect) {
        let written = self.writer.effect(effect.kind, &effect.fields.to_string());
        keep(written, &mut self.refused);
    }

    /// Bytes to send to the device: the result of an `encode`, in order where there are several.
    pub fn frame(&mut self, bytes: &[u8]) {
        let written = self.writer.frame(bytes);
        keep(written, &mut self.refused);
    }

    /// The call failed, though what was written so far holds. Returning the error does the same.
    pub fn error(&mut self, error: &PluginError) {
        let written = self.writer.error(&error.code, &error.text);
        keep(written, &mut self.refused);
    }

    /// What follows belongs to that input of a batch, from 0.
    pub(crate) fn item(&mut self, index: u32) {
        self.writer.item(index);
    }

    /// The state as the call leaves it, if it said anything about it.
    pub(crate) fn take_state(&mut self) -> Option<Vec<u8>> {
        self.state.take()
    }

    /// Reports what there was no room for, if anything.
    pub(crate) fn report_refused(&mut self) {
        if let Some(refused) = self.refused.take() {
            self.error(&refused.into());
        }
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writer.is_empty()
    }
}

/// What was written, or nothing and the reason kept for the end of the call.
fn keep<T>(written: Result<T, TooLong>, refused: &mut Option<TooLong>) -> Option<T> {
    written.map_err(|error| refused.get_or_insert(error)).ok()
}

/// A message being written: first its tags, then its values.
#[derive(Debug)]
pub struct MessageOutput<'a> {
    /// `None`: its device has no room, and so neither has what belongs to it.
    writer: Option<MessageWriter<'a, Buffer>>,
    refused: &'a mut Option<TooLong>,
}

impl MessageOutput<'_> {
    /// Adds a tag: text that goes with all the values. Tags come before values.
    pub fn tag(&mut self, name: &str, value: &str) -> &mut Self {
        if let Some(writer) = &mut self.writer {
            let written = writer.tag(name, value);
            if let Err(error) = written {
                self.refused.get_or_insert(error);
            }
        }
        self
    }

    /// Adds a value: a number, yes or no, text, bytes, a [`Value`](crate::Value).
    #[inline]
    pub fn value<'v>(&mut self, name: &str, value: impl Into<ValueRef<'v>>) -> &mut Self {
        if let Some(writer) = &mut self.writer {
            if let Err(error) = writer.value(name, value) {
                self.refused.get_or_insert(error);
            }
        }
        self
    }

    /// Adds a value of structured data, given as JSON text.
    pub fn json(&mut self, name: &str, text: &str) -> &mut Self {
        self.value(name, ValueRef::Json(text.into()))
    }

    /// Adds a time, nanoseconds since 1970.
    pub fn time(&mut self, name: &str, time_ns: i64) -> &mut Self {
        self.value(name, ValueRef::Time(time_ns))
    }
}
