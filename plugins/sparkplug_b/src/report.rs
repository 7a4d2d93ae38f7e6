//! What a call has to say: values by their times, and what went wrong.
//!
//! Owns how metrics become messages. A message has one time, so that values are put together by it.
//! Must never write more than an output has room for: what is beyond is left out with an error.

use std::borrow::Cow;

use flux_plugin_sdk::{Output, PluginError};

use crate::datatype::Value;

/// Values of one message, as the host takes them.
const VALUES_MAX: usize = 1024;
/// Messages of one call.
const MESSAGES_MAX: usize = 4000;
/// Bytes of the values of one call; the host takes a megabyte with state and errors.
const BYTES_MAX: usize = 900 * 1024;

/// A value, and when it was so.
#[derive(Debug)]
struct Item<'a> {
    time_ns: Option<i64>,
    mark: Mark,
    name: Cow<'a, str>,
    value: Value<'a>,
}

/// What is said of a value beside it; the message that carries it has it as a tag.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mark {
    /// It is of the past, and does not stand for now (section 6.4.6, `is_historical`).
    pub(crate) historical: bool,
    /// It is not meant to be kept (`is_transient`).
    pub(crate) transient: bool,
}

/// The values of one device.
#[derive(Debug, Default)]
pub(crate) struct Report<'a> {
    items: Vec<Item<'a>>,
    bytes: usize,
}

impl<'a> Report<'a> {
    /// Adds a value.
    ///
    /// # Errors
    /// `sparkplug.limit`, `sparkplug.name`: there is no room for it.
    pub(crate) fn push(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: Value<'a>,
        time_ns: Option<i64>,
        mark: Mark,
    ) -> Result<(), PluginError> {
        let name = name.into();
        if name.len() > crate::state::NAME_BYTES_MAX {
            return Err(name_too_long(&name));
        }
        // what a message of its own takes, at worst
        let bytes = self.bytes + name.len() + value.size() + 64;
        if bytes > BYTES_MAX {
            let text = format!("its values take more than {BYTES_MAX} bytes; the rest is left out");
            return Err(PluginError::new("sparkplug.limit", text));
        }
        self.bytes = bytes;
        self.items.push(Item { time_ns, mark, name, value });
        Ok(())
    }

    /// Writes the messages of a device of this key.
    ///
    /// # Errors
    /// `sparkplug.limit`: there are more times than messages.
    pub(crate) fn write(mut self, key: &str, out: &mut Output<'_>) -> Result<(), PluginError> {
        // stable: a metric that changed twice keeps its order
        self.items.sort_by_key(|item| (item.time_ns, item.mark));
        let mut messages = 0;
        let same = |a: &Item<'_>, b: &Item<'_>| (a.time_ns, a.mark) == (b.time_ns, b.mark);
        for items in self.items.chunk_by(same).flat_map(|items| items.chunks(VALUES_MAX)) {
            messages += 1;
            if messages > MESSAGES_MAX {
                let text = format!("it has more than {MESSAGES_MAX} times; the rest is left out");
                return Err(PluginError::new("sparkplug.limit", text));
            }
            write_message(key, items, out);
        }
        Ok(())
    }
}

fn write_message(key: &str, items: &[Item<'_>], out: &mut Output<'_>) {
    let Some(first) = items.first() else { return };
    let mut message = match first.time_ns {
        Some(time_ns) => out.message_at(key, time_ns),
        None => out.message(key),
    };
    if first.mark.historical {
        message.tag("historical", "true");
    }
    if first.mark.transient {
        message.tag("transient", "true");
    }
    for item in items {
        message.value(&item.name, item.value.as_ref());
    }
}

/// The error of a metric that can be no value.
fn name_too_long(name: &str) -> PluginError {
    let start: String = name.chars().take(40).collect();
    let max = crate::state::NAME_BYTES_MAX;
    let text = format!("a name has at most {max} bytes, this one has {}: {start}...", name.len());
    PluginError::new("sparkplug.name", text)
}

/// What went wrong while the rest went on: the first thing is told, the others are counted.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    first: Option<PluginError>,
    others: usize,
}

impl Problems {
    /// Adds one.
    pub(crate) fn push(&mut self, error: PluginError) {
        match self.first {
            None => self.first = Some(error),
            Some(_) => self.others += 1,
        }
    }

    /// Adds what a step that may fail failed with.
    pub(crate) fn note(&mut self, result: Result<(), PluginError>) {
        if let Err(error) = result {
            self.push(error);
        }
    }

    /// The call's result.
    pub(crate) fn finish(self) -> Result<(), PluginError> {
        match (self.first, self.others) {
            (None, _) => Ok(()),
            (Some(error), 0) => Err(error),
            (Some(error), others) => {
                let text = format!("{} (and {others} more)", error.text);
                Err(PluginError::new(error.code, text))
            }
        }
    }
}
