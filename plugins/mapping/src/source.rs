//! What a format gives: its items, one after the other.

use std::borrow::Cow;

use flux_plugin_sdk::PluginError;

/// Arrays and objects within one another, wherever they stand: a sandbox's stack is small.
pub const NESTING_MAX: usize = 128;

/// One item of a payload. Containers are only begun: their items follow.
#[derive(Debug, Clone, PartialEq)]
pub enum Item<'a> {
    /// Nothing: no value.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number beyond what a signed one holds.
    Long(u64),
    /// A number.
    Real(f64),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A time, nanoseconds since 1970.
    Time(i64),
    /// An array begins.
    List(Left),
    /// An object begins; each of its members is two items, name and value.
    Map(Left),
}

impl Item<'_> {
    /// What it is, for messages.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Int(_) | Self::Long(_) | Self::Real(_) => "a number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
            Self::Time(_) => "a time",
            Self::List(_) => "an array",
            Self::Map(_) => "an object",
        }
    }
}

/// How much of a container is left: so many items or members, or all up to a mark of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left(pub Option<usize>);

/// The items of a payload. A copy of it stands where it stood: what is looked at twice is read
/// twice, and nothing is kept.
pub trait Source<'a>: Clone {
    /// The next item.
    ///
    /// # Errors
    /// The payload is none of its format.
    fn item(&mut self) -> Result<Item<'a>, PluginError>;

    /// Whether another item (member, in an object) of the container follows.
    ///
    /// # Errors
    /// The payload ends.
    fn more(&mut self, left: &mut Left) -> Result<bool, PluginError>;

    /// Nothing may follow.
    ///
    /// # Errors
    /// Something does.
    fn end(&self) -> Result<(), PluginError>;

    /// Passes over the next item and all that is in it.
    ///
    /// # Errors
    /// As [`Source::item`], and containers nested beyond [`NESTING_MAX`].
    fn skip(&mut self, depth: usize) -> Result<(), PluginError> {
        let (mut left, items) = match self.item()? {
            Item::List(left) => (left, 1),
            Item::Map(left) => (left, 2),
            _ => return Ok(()),
        };
        check_nesting(depth)?;
        while self.more(&mut left)? {
            for _ in 0..items {
                self.skip(depth + 1)?;
            }
        }
        Ok(())
    }
}

/// # Errors
/// `decode.too_deep`.
pub(crate) fn check_nesting(depth: usize) -> Result<(), PluginError> {
    if depth < NESTING_MAX {
        return Ok(());
    }
    let text = format!("arrays and objects are nested deeper than {NESTING_MAX}");
    Err(PluginError::new("decode.too_deep", text))
}

/// The name of a member: text, or a whole number as people write it.
///
/// # Errors
/// `decode.key`.
pub(crate) fn name(item: Item<'_>) -> Result<Cow<'_, str>, PluginError> {
    match item {
        Item::Text(text) => Ok(text),
        Item::Int(number) => Ok(number.to_string().into()),
        Item::Long(number) => Ok(number.to_string().into()),
        other => {
            let text =
                format!("a member is named by {}; expected text or a whole number", other.kind());
            Err(PluginError::new("decode.key", text))
        }
    }
}
