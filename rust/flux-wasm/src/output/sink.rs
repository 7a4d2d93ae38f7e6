//! Where outputs are gathered, and how they are looked at.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flux_plugin_abi::EffectKind;
use flux_types::Value;

use crate::words::{Word, Words};
use crate::{Limits, OutputFault, PluginError};

/// Something a plugin asks the host to do. Whether it may is the caller's to decide.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What.
    pub kind: EffectKind,
    /// The fields of the same action in rules.
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// A failure in the plugin's own words: a bad checksum, an exception of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// For programs: short, stable, dotted.
    pub code: Arc<str>,
    /// For people.
    pub text: Arc<str>,
}

/// What one call came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Which of [`Sink::items`] are this call's, one for each input.
    pub items: Range<usize>,
    /// Messages it made.
    pub messages: usize,
    /// Values left out because they are no finite number.
    pub values_dropped: usize,
    /// Inputs the plugin reports as failed.
    pub reported: usize,
    /// Inputs on which the call itself failed; see [`Item::failure`].
    pub failed: usize,
    /// Whether the source's state is a new one; see [`Sink::state`].
    pub state_changed: bool,
}

impl Outcome {
    /// Adds what came of the call that followed.
    pub(crate) fn add(&mut self, next: &Self) {
        self.items.end = next.items.end;
        self.messages += next.messages;
        self.values_dropped += next.values_dropped;
        self.reported += next.reported;
        self.failed += next.failed;
        self.state_changed |= next.state_changed;
    }
}

#[derive(Debug, Clone, Default)]
struct ItemSpan {
    messages: Range<u32>,
    effects: Range<u32>,
    frames: Range<u32>,
    reported: Option<Box<Reported>>,
    failure: Option<Arc<PluginError>>,
}

#[derive(Debug, Clone)]
struct MessageSpan {
    device: Option<Word>,
    ts_ns: Option<i64>,
    tags: Range<u32>,
    values: Range<u32>,
}

/// Gathers the outputs of calls. Of one worker: it keeps names and room between batches.
///
/// Each call appends one [`Item`] for each of its inputs. [`Sink::clear`] begins anew.
#[derive(Debug)]
pub struct Sink {
    words: Words,
    items: Vec<ItemSpan>,
    messages: Vec<MessageSpan>,
    tags: Vec<(Word, Word)>,
    values: Vec<(Word, Value)>,
    effects: Vec<Effect>,
    frames: Vec<Bytes>,
    state: Vec<u8>,
    state_changed: bool,
    values_dropped: usize,
    /// Numbers messages for good, to tell a name that stands twice.
    serial: u64,
}

/// How much stood in a sink before a call, and how many inputs the call has.
#[derive(Debug)]
pub(crate) struct Mark {
    pub(super) inputs: u32,
    /// Whether it is a batch, be it of one.
    pub(super) batch: bool,
    items: usize,
    messages: usize,
    tags: usize,
    values: usize,
    effects: usize,
    frames: usize,
}

impl Default for Sink {
    fn default() -> Self {
        Self::new(&Limits::default())
    }
}

#[allow(clippy::cast_possible_truncation)] // counts are far below 2^32: outputs are bounded
const fn index(len: usize) -> u32 {
    len as u32
}

fn range(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}

impl Sink {
    /// An empty one, which keeps up to `names_kept_max` names.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            words: Words::new(limits.names_kept_max),
            items: Vec::new(),
            messages: Vec::new(),
            tags: Vec::new(),
            values: Vec::new(),
            effects: Vec::new(),
            frames: Vec::new(),
            state: Vec::new(),
            state_changed: false,
            values_dropped: 0,
            serial: 0,
        }
    }

    /// Forgets all outputs; keeps room and names.
    pub fn clear(&mut self) {
        self.items.clear();
        self.messages.clear();
        self.tags.clear();
        self.values.clear();
        self.effects.clear();
        self.frames.clear();
        self.state.clear();
        self.state_changed = false;
        self.words.trim();
    }

    /// What came of each input, in their order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        self.items.iter().map(|span| Item { sink: self, span })
    }

    /// What came of one input.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Item<'_>> {
        self.items.get(index).map(|span| Item { sink: self, span })
    }

    /// Messages of all inputs.
    #[must_use]
    pub fn messages_len(&self) -> usize {
        self.messages.len()
    }

    /// The state of its source that the last call left, if it left one; empty: forget it.
    #[must_use]
    pub fn state(&self) -> Option<&[u8]> {
        self.state_changed.then_some(&*self.state)
    }

    /// The names kept.
    #[must_use]
    pub fn names_len(&self) -> usize {
        self.words.len()
    }

    // --- writing ---

    /// Begins a call with one input, or with a batch of so many.
    #[inline]
    pub(crate) fn begin(&mut self, batch: Option<u32>) -> Mark {
        let mark = Mark {
            inputs: batch.unwrap_or(1),
            batch: batch.is_some(),
            items: self.items.len(),
            messages: self.messages.len(),
            tags: self.tags.len(),
            values: self.values.len(),
            effects: self.effects.len(),
            frames: self.frames.len(),
        };
        self.state_changed = false;
        self.values_dropped = 0;
        self.open_item();
        mark
    }

    #[inline]
    fn open_item(&mut self) {
        let here = |len| index(len)..index(len);
        self.items.push(ItemSpan {
            messages: here(self.messages.len()),
            effects: here(self.effects.len()),
            frames: here(self.frames.len()),
            reported: None,
            failure: None,
        });
    }

    /// Goes on to that input of the call; those between come to nothing.
    pub(super) fn go_to_item(&mut self, mark: &Mark, item: u32) -> Result<(), OutputFault> {
        let at = self.items.len() - mark.items - 1;
        let item = item as usize;
        if item >= mark.inputs as usize {
            return Err(OutputFault::Order("an ITEM is beyond the inputs of the call"));
        }
        if item < at {
            return Err(OutputFault::Order("an ITEM goes back"));
        }
        for _ in at..item {
            self.close_item();
            self.open_item();
        }
        Ok(())
    }

    #[inline]
    fn close_item(&mut self) {
        let ends = [self.messages.len(), self.effects.len(), self.frames.len()].map(index);
        if let Some(item) = self.items.last_mut() {
            item.messages.end = ends[0];
            item.effects.end = ends[1];
            item.frames.end = ends[2];
        }
    }

    /// Ends a call.
    #[inline]
    pub(super) fn finish(&mut self, mark: &Mark) -> Outcome {
        self.close_item();
        let inputs = mark.inputs as usize;
        while self.items.len() - mark.items < inputs {
            self.open_item();
        }
        let items = mark.items..self.items.len();
        let failed = self.items.get(items.clone()).unwrap_or_default();
        Outcome {
            reported: failed.iter().filter(|item| item.reported.is_some()).count(),
            failed: 0,
            messages: self.messages.len() - mark.messages,
            values_dropped: self.values_dropped,
            state_changed: self.state_changed,
            items,
        }
    }

    /// Takes a call back.
    #[cold]
    pub(crate) fn undo(&mut self, mark: &Mark) {
        self.items.truncate(mark.items);
        self.messages.truncate(mark.messages);
        self.tags.truncate(mark.tags);
        self.values.truncate(mark.values);
        self.effects.truncate(mark.effects);
        self.frames.truncate(mark.frames);
        self.state.clear();
        self.state_changed = false;
    }

    /// Puts the state that several calls in a row left.
    pub(crate) fn replace_state(&mut self, state: Option<&[u8]>) {
        self.state.clear();
        self.state.extend_from_slice(state.unwrap_or_default());
        self.state_changed = state.is_some();
    }

    /// An input on which the call failed.
    pub(crate) fn push_failure(&mut self, error: PluginError) {
        self.open_item();
        if let Some(item) = self.items.last_mut() {
            item.failure = Some(Arc::new(error));
        }
    }

    #[inline]
    pub(super) fn words(&mut self) -> &mut Words {
        &mut self.words
    }

    #[inline]
    pub(super) fn open_message(
        &mut self,
        mark: &Mark,
        device: Option<Word>,
        ts_ns: Option<i64>,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let (found, max) = (self.messages.len() - mark.messages + 1, limits.messages_max);
        if found > max {
            return Err(OutputFault::limit("messages", found, "messages_max", max));
        }
        let (tags, values) = (index(self.tags.len()), index(self.values.len()));
        self.messages.push(MessageSpan { device, ts_ns, tags: tags..tags, values: values..values });
        self.serial += 1;
        Ok(())
    }

    pub(super) fn push_tag(
        &mut self,
        name: Word,
        value: Word,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let Some(message) = self.messages.last_mut() else { return Ok(()) };
        let (found, max) = (message.tags.len() + 1, limits.tags_max);
        if found > max {
            return Err(OutputFault::limit("tags of a message", found, "tags_max", max));
        }
        message.tags.end += 1;
        self.tags.push((name, value));
        Ok(())
    }

    /// Adds a value to the last message. Of a name that stands twice the last value counts.
    #[inline]
    pub(super) fn push_value(
        &mut self,
        name: Word,
        value: Value,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let at = index(self.values.len());
        if let Some(before) = self.words.seen(name, self.serial, at) {
            if let Some(slot) = self.values.get_mut(before as usize) {
                slot.1 = value;
            }
            return Ok(());
        }
        let Some(message) = self.messages.last_mut() else { return Ok(()) };
        let (found, max) = (message.values.len() + 1, limits.values_max);
        if found > max {
            return Err(OutputFault::limit("values of a message", found, "values_max", max));
        }
        message.values.end += 1;
        self.values.push((name, value));
        Ok(())
    }

    pub(super) fn drop_value(&mut self) {
        self.values_dropped += 1;
    }

    pub(super) fn set_state(&mut self, state: &[u8], limits: &Limits) -> Result<(), OutputFault> {
        let max = limits.state_bytes_max;
        if state.len() > max {
            return Err(OutputFault::limit("bytes of state", state.len(), "state_bytes_max", max));
        }
        self.state.clear();
        self.state.extend_from_slice(state);
        self.state_changed = true;
        Ok(())
    }

    pub(super) fn push_effect(
        &mut self,
        mark: &Mark,
        effect: Effect,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let (found, max) = (self.effects.len() - mark.effects + 1, limits.effects_max);
        if found > max {
            return Err(OutputFault::limit("effects", found, "effects_max", max));
        }
        self.effects.push(effect);
        Ok(())
    }

    pub(super) fn push_frame(
        &mut self,
        mark: &Mark,
        frame: Bytes,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let (found, max) = (self.frames.len() - mark.frames + 1, limits.frames_max);
        if found > max {
            return Err(OutputFault::limit("frames", found, "frames_max", max));
        }
        self.frames.push(frame);
        Ok(())
    }

    pub(super) fn set_reported(&mut self, reported: Reported) {
        if let Some(item) = self.items.last_mut() {
            item.reported = Some(Box::new(reported));
        }
    }
}

/// What came of one input.
#[derive(Debug, Clone, Copy)]
pub struct Item<'s> {
    sink: &'s Sink,
    span: &'s ItemSpan,
}

impl<'s> Item<'s> {
    /// The messages it was decoded into.
    pub fn messages(&self) -> impl ExactSizeIterator<Item = MessageView<'s>> + use<'s> {
        let sink = self.sink;
        let spans = sink.messages.get(range(&self.span.messages)).unwrap_or_default();
        spans.iter().map(move |span| MessageView { sink, span })
    }

    /// What the plugin asks for.
    #[must_use]
    pub fn effects(&self) -> &'s [Effect] {
        self.sink.effects.get(range(&self.span.effects)).unwrap_or_default()
    }

    /// What is to be sent.
    #[must_use]
    pub fn frames(&self) -> &'s [Bytes] {
        self.sink.frames.get(range(&self.span.frames)).unwrap_or_default()
    }

    /// The plugin's own reason why it failed. What could be decoded stands beside it.
    #[must_use]
    pub fn reported(&self) -> Option<&'s Reported> {
        self.span.reported.as_deref()
    }

    /// Why the call failed on this input of a batch.
    #[must_use]
    pub fn failure(&self) -> Option<&'s Arc<PluginError>> {
        self.span.failure.as_ref()
    }
}

/// One message.
#[derive(Debug, Clone, Copy)]
pub struct MessageView<'s> {
    sink: &'s Sink,
    span: &'s MessageSpan,
}

impl<'s> MessageView<'s> {
    /// The key of the device; `None`: the source's own.
    #[must_use]
    pub fn device(&self) -> Option<&'s Arc<str>> {
        self.span.device.map(|word| self.sink.words.text(word))
    }

    /// The device's own time, nanoseconds since 1970.
    #[must_use]
    pub fn ts_ns(&self) -> Option<i64> {
        self.span.ts_ns
    }

    /// Names and values of its tags.
    pub fn tags(&self) -> impl ExactSizeIterator<Item = (&'s Arc<str>, &'s Arc<str>)> + use<'s> {
        let words = &self.sink.words;
        let tags = self.sink.tags.get(range(&self.span.tags)).unwrap_or_default();
        tags.iter().map(move |(name, value)| (words.text(*name), words.text(*value)))
    }

    /// Names and values in the order decoded; a name stands once. Names are shared: to keep one is
    /// to clone an `Arc`.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (&'s Arc<str>, &'s Value)> + use<'s> {
        let words = &self.sink.words;
        let values = self.sink.values.get(range(&self.span.values)).unwrap_or_default();
        values.iter().map(move |(name, value)| (words.text(*name), value))
    }

    /// The values as [`flux_types::Telemetry`] holds them.
    #[must_use]
    pub fn to_values(&self) -> Vec<(Arc<str>, Value)> {
        self.values().map(|(name, value)| (Arc::clone(name), value.clone())).collect()
    }
}
