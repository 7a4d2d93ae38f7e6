//! What guests answer, in the words of the house.
//!
//! Owns the [`Sink`] and the reading of both forms into it. Nothing of a guest is believed: every
//! count, length and text is checked, and every limit kept. Must never carry anything out: effects are for the caller.

mod binary;
mod json;
mod message;
mod sink;
mod view;

pub use message::write_message;
pub(crate) use sink::Mark;
pub use sink::{Effect, Outcome, Reported, Sink};
pub use view::{Item, MessageView};

use flux_plugin_abi::FORM_BINARY;

use crate::{Limits, OutputFault};

/// Reads an output to the end of `sink`, behind the mark its call began with. Where that fails, the
/// caller takes the call back: it may also fail after this.
///
/// # Errors
/// [`OutputFault`].
#[inline]
pub(crate) fn read(
    bytes: &[u8],
    mark: &Mark,
    limits: &Limits,
    sink: &mut Sink,
) -> Result<Outcome, OutputFault> {
    match bytes.first() {
        Some(&FORM_BINARY) => binary::read(bytes, mark, limits, sink)?,
        Some(_) => json::read(bytes, mark, limits, sink)?,
        None => {}
    }
    Ok(sink.finish(mark))
}
