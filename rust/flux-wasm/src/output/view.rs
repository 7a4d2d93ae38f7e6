//! How outputs are looked at.

use std::sync::Arc;

use bytes::Bytes;
use flux_types::Value;

use super::sink::{Effect, ItemFault, Reported, Sink};
use crate::PluginError;

/// What came of one input.
#[derive(Debug, Clone, Copy)]
pub struct Item<'s> {
    pub(super) sink: &'s Sink,
    pub(super) at: usize,
}

impl<'s> Item<'s> {
    /// The messages it was decoded into.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = MessageView<'s>> + use<'s> {
        let sink = self.sink;
        sink.item_messages(self.at).map(move |at| MessageView { sink, at })
    }

    /// What the plugin asks for.
    #[must_use]
    pub fn effects(&self) -> &'s [Effect] {
        self.sink.item_effects(self.at)
    }

    /// What is to be sent.
    #[must_use]
    pub fn frames(&self) -> &'s [Bytes] {
        self.sink.item_frames(self.at)
    }

    /// The plugin's own reason why it failed. What could be decoded stands beside it.
    #[must_use]
    pub fn reported(&self) -> Option<&'s Reported> {
        match self.sink.item_faults(self.at).first() {
            Some(ItemFault::Reported(reported)) => Some(reported),
            _ => None,
        }
    }

    /// Why the call failed on this input of a batch.
    #[must_use]
    pub fn failure(&self) -> Option<&'s Arc<PluginError>> {
        match self.sink.item_faults(self.at).first() {
            Some(ItemFault::Call(error)) => Some(error),
            _ => None,
        }
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'s> {
    sink: &'s Sink,
    at: usize,
}

impl<'s> MessageView<'s> {
    /// The key of the device; `None`: the source's own.
    #[must_use]
    pub fn device(&self) -> Option<&'s Arc<str>> {
        let word = self.sink.message(self.at)?.device?;
        Some(self.sink.words.text(word))
    }

    /// The device's own time, nanoseconds since 1970.
    #[must_use]
    pub fn ts_ns(&self) -> Option<i64> {
        self.sink.message(self.at)?.ts_ns
    }

    /// Names and values of its tags.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = (&'s Arc<str>, &'s Arc<str>)> + use<'s> {
        let words = &self.sink.words;
        let tags = self.sink.message_tags(self.at);
        tags.iter().map(move |(name, value)| (words.text(*name), words.text(*value)))
    }

    /// Names and values in the order decoded; a name stands once. Names are shared: to keep one is
    /// to clone an `Arc`.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&'s Arc<str>, Value)> + use<'s> {
        let sink = self.sink;
        let cells = sink.message_values(self.at);
        cells.iter().map(move |cell| (sink.words.text(cell.name), sink.value(*cell)))
    }

    /// The values as [`flux_types::Telemetry`] holds them.
    #[must_use]
    pub fn to_values(&self) -> Vec<(Arc<str>, Value)> {
        self.values().map(|(name, value)| (Arc::clone(name), value)).collect()
    }
}
