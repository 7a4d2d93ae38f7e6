//! Where outputs are gathered.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use flux_plugin_abi::EffectKind;
use flux_types::Value;

use super::view::Item;
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

/// Where an input's parts begin; they end where those of the next begin.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ItemStart {
    messages: u32,
    effects: u32,
    frames: u32,
    faults: u32,
}

/// A message's head, and where its parts begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageStart {
    pub(super) device: Option<Word>,
    pub(super) ts_ns: Option<i64>,
    tags: u32,
    values: u32,
}

/// A value and its name, in sixteen bytes: most values are numbers, and writing down a whole
/// [`Value`] takes longer than decoding one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    pub(super) name: Word,
    kind: Kind,
    bits: u64,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bool,
    I64,
    F64,
    Time,
    /// Kept apart; `bits` is where.
    Large,
}

impl Cell {
    #[inline]
    pub(super) fn bool(name: Word, yes: bool) -> Self {
        Self { name, kind: Kind::Bool, bits: u64::from(yes) }
    }

    #[inline]
    pub(super) fn i64(name: Word, number: i64) -> Self {
        Self { name, kind: Kind::I64, bits: number.cast_unsigned() }
    }

    #[inline]
    pub(super) fn f64(name: Word, number: f64) -> Self {
        Self { name, kind: Kind::F64, bits: number.to_bits() }
    }

    #[inline]
    pub(super) fn time(name: Word, ns: i64) -> Self {
        Self { name, kind: Kind::Time, bits: ns.cast_unsigned() }
    }
}

/// Why an input came to nothing, or not to all it should have.
#[derive(Debug, Clone)]
pub(super) enum ItemFault {
    Reported(Reported),
    Call(Arc<PluginError>),
}

/// Gathers the outputs of calls. Of one worker: it keeps names and room between batches.
///
/// Each call appends one [`Item`] for each of its inputs. [`Sink::clear`] begins anew.
#[derive(Debug)]
pub struct Sink {
    pub(super) words: Words,
    items: Vec<ItemStart>,
    messages: Vec<MessageStart>,
    tags: Vec<(Word, Word)>,
    values: Vec<Cell>,
    /// Values that do not fit a cell.
    large: Vec<Value>,
    effects: Vec<Effect>,
    frames: Vec<Bytes>,
    faults: Vec<ItemFault>,
    state: Vec<u8>,
    state_changed: bool,
    values_dropped: usize,
    reported: usize,
    /// Numbers messages for good, to tell a name that stands twice.
    serial: u64,
}

/// How much stood in a sink before a call, and how many inputs the call has.
#[derive(Debug)]
pub(crate) struct Mark {
    inputs: u32,
    /// Whether it is a batch, be it of one.
    pub(super) batch: bool,
    items: usize,
    messages: usize,
    tags: usize,
    values: usize,
    large: usize,
    effects: usize,
    frames: usize,
    faults: usize,
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

/// The elements from one start to the next, or to the end.
fn part<T>(all: &[T], start: u32, next: Option<u32>) -> &[T] {
    let end = next.map_or(all.len(), |next| next as usize);
    all.get(start as usize..end).unwrap_or_default()
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
            large: Vec::new(),
            effects: Vec::new(),
            frames: Vec::new(),
            faults: Vec::new(),
            state: Vec::new(),
            state_changed: false,
            values_dropped: 0,
            reported: 0,
            serial: 0,
        }
    }

    /// Forgets all outputs; keeps room and names.
    pub fn clear(&mut self) {
        self.items.clear();
        self.messages.clear();
        self.tags.clear();
        self.values.clear();
        self.large.clear();
        self.effects.clear();
        self.frames.clear();
        self.faults.clear();
        self.state.clear();
        self.state_changed = false;
        self.words.trim();
    }

    /// What came of each input, in their order.
    pub fn items(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        (0..self.items.len()).map(|at| Item { sink: self, at })
    }

    /// What came of one input.
    #[must_use]
    pub fn item(&self, index: usize) -> Option<Item<'_>> {
        (index < self.items.len()).then_some(Item { sink: self, at: index })
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

    // --- what an item or a message holds ---

    fn starts(&self, item: usize) -> (ItemStart, Option<&ItemStart>) {
        (self.items.get(item).copied().unwrap_or_default(), self.items.get(item + 1))
    }

    /// Numbers of an item's messages.
    pub(super) fn item_messages(&self, item: usize) -> Range<usize> {
        let (start, next) = self.starts(item);
        let end = next.map_or(self.messages.len(), |next| next.messages as usize);
        start.messages as usize..end
    }

    pub(super) fn item_effects(&self, item: usize) -> &[Effect] {
        let (start, next) = self.starts(item);
        part(&self.effects, start.effects, next.map(|next| next.effects))
    }

    pub(super) fn item_frames(&self, item: usize) -> &[Bytes] {
        let (start, next) = self.starts(item);
        part(&self.frames, start.frames, next.map(|next| next.frames))
    }

    pub(super) fn item_faults(&self, item: usize) -> &[ItemFault] {
        let (start, next) = self.starts(item);
        part(&self.faults, start.faults, next.map(|next| next.faults))
    }

    pub(super) fn message(&self, at: usize) -> Option<&MessageStart> {
        self.messages.get(at)
    }

    pub(super) fn message_tags(&self, at: usize) -> &[(Word, Word)] {
        let Some(message) = self.messages.get(at) else { return &[] };
        part(&self.tags, message.tags, self.messages.get(at + 1).map(|next| next.tags))
    }

    pub(super) fn message_values(&self, at: usize) -> &[Cell] {
        let Some(message) = self.messages.get(at) else { return &[] };
        part(&self.values, message.values, self.messages.get(at + 1).map(|next| next.values))
    }

    /// What a cell holds.
    #[inline]
    pub(super) fn value(&self, cell: Cell) -> Value {
        match cell.kind {
            Kind::Bool => Value::Bool(cell.bits != 0),
            Kind::I64 => Value::I64(cell.bits.cast_signed()),
            Kind::F64 => Value::F64(f64::from_bits(cell.bits)),
            Kind::Time => Value::Time(cell.bits.cast_signed()),
            Kind::Large => {
                let at = usize::try_from(cell.bits).unwrap_or(usize::MAX);
                self.large.get(at).cloned().unwrap_or(Value::Bool(false))
            }
        }
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
            large: self.large.len(),
            effects: self.effects.len(),
            frames: self.frames.len(),
            faults: self.faults.len(),
        };
        self.state_changed = false;
        self.values_dropped = 0;
        self.reported = 0;
        self.open_item();
        mark
    }

    #[inline]
    fn open_item(&mut self) {
        self.items.push(ItemStart {
            messages: index(self.messages.len()),
            effects: index(self.effects.len()),
            frames: index(self.frames.len()),
            faults: index(self.faults.len()),
        });
    }

    /// Goes on to that input of the call; those between come to nothing.
    #[inline]
    pub(super) fn go_to_item(&mut self, mark: &Mark, item: u32) -> Result<(), OutputFault> {
        let at = self.items.len() - mark.items - 1;
        if item >= mark.inputs {
            return Err(OutputFault::Order("an ITEM is beyond the inputs of the call"));
        }
        let item = item as usize;
        if item < at {
            return Err(OutputFault::Order("an ITEM goes back"));
        }
        for _ in at..item {
            self.open_item();
        }
        Ok(())
    }

    /// Ends a call.
    #[inline]
    pub(super) fn finish(&mut self, mark: &Mark) -> Outcome {
        let inputs = mark.inputs as usize;
        while self.items.len() - mark.items < inputs {
            self.open_item();
        }
        Outcome {
            items: mark.items..self.items.len(),
            messages: self.messages.len() - mark.messages,
            values_dropped: self.values_dropped,
            reported: self.reported,
            failed: 0,
            state_changed: self.state_changed,
        }
    }

    /// Takes a call back.
    #[cold]
    pub(crate) fn undo(&mut self, mark: &Mark) {
        self.items.truncate(mark.items);
        self.messages.truncate(mark.messages);
        self.tags.truncate(mark.tags);
        self.values.truncate(mark.values);
        self.large.truncate(mark.large);
        self.effects.truncate(mark.effects);
        self.frames.truncate(mark.frames);
        self.faults.truncate(mark.faults);
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
        self.faults.push(ItemFault::Call(Arc::new(error)));
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
        self.messages.push(MessageStart { device, ts_ns, tags, values });
        self.serial += 1;
        Ok(())
    }

    /// Makes room for so many tags of the last message.
    pub(super) fn reserve_tags(
        &mut self,
        count: usize,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let max = limits.tags_max;
        if count > max {
            return Err(OutputFault::limit("tags of a message", count, "tags_max", max));
        }
        self.tags.reserve(count);
        Ok(())
    }

    pub(super) fn push_tag(&mut self, name: Word, value: Word) {
        self.tags.push((name, value));
    }

    /// Makes room for so many values of the last message.
    #[inline]
    pub(super) fn reserve_values(
        &mut self,
        count: usize,
        limits: &Limits,
    ) -> Result<(), OutputFault> {
        let max = limits.values_max;
        if count > max {
            return Err(OutputFault::limit("values of a message", count, "values_max", max));
        }
        self.values.reserve(count);
        Ok(())
    }

    /// Adds a value to the last message. Of a name that stands twice the last value counts.
    #[inline]
    pub(super) fn push_cell(&mut self, cell: Cell) {
        let at = index(self.values.len());
        match self.words.seen(cell.name, self.serial, at) {
            None => self.values.push(cell),
            Some(before) => self.replace_cell(before, cell),
        }
    }

    #[cold]
    fn replace_cell(&mut self, at: u32, cell: Cell) {
        if let Some(slot) = self.values.get_mut(at as usize) {
            *slot = cell;
        }
    }

    /// The same of a value of any kind.
    pub(super) fn push_value(&mut self, name: Word, value: Value) {
        let cell = match value {
            Value::Bool(yes) => Cell::bool(name, yes),
            Value::I64(number) => Cell::i64(name, number),
            Value::F64(number) => Cell::f64(name, number),
            Value::Time(ns) => Cell::time(name, ns),
            large => {
                self.large.push(large);
                Cell { name, kind: Kind::Large, bits: self.large.len() as u64 - 1 }
            }
        };
        self.push_cell(cell);
    }

    #[cold]
    pub(super) fn drop_value(&mut self) {
        self.values_dropped += 1;
    }

    pub(super) fn set_state(&mut self, state: &[u8], limits: &Limits) -> Result<(), OutputFault> {
        let max = limits.state_bytes_max;
        if state.len() > max {
            return Err(OutputFault::limit("bytes of state", state.len(), "state_bytes_max", max));
        }
        self.replace_state(Some(state));
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

    /// The input's own failure; of several the last counts.
    pub(super) fn set_reported(&mut self, reported: Reported) {
        let first = self.items.last().map_or(0, |item| item.faults as usize);
        if self.faults.len() > first {
            self.faults.truncate(first);
        } else {
            self.reported += 1;
        }
        self.faults.push(ItemFault::Reported(reported));
    }
}
