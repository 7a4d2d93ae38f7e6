//! Arrays and objects that are kept as they are, as JSON text.

use std::fmt::Write;

use flux_plugin_sdk::PluginError;
use flux_plugin_sdk::json::Quoted;

use crate::JSON_BYTES_MAX;
use crate::source::{Item, Source, check_nesting, name};

/// Writes an item and what is in it. Bytes become hexadecimal digits, times nanoseconds, as the
/// platform shows them elsewhere.
///
/// # Errors
/// As [`Source`]'s; `decode.too_large`: the text has more than [`JSON_BYTES_MAX`] bytes.
pub(crate) fn write<'a, S: Source<'a>>(
    source: &mut S,
    item: Item<'a>,
    depth: usize,
    text: &mut String,
) -> Result<(), PluginError> {
    if text.len() > JSON_BYTES_MAX {
        let what = format!("its arrays have more than {JSON_BYTES_MAX} bytes as JSON");
        return Err(PluginError::new("decode.too_large", what));
    }
    match item {
        Item::List(mut left) => {
            check_nesting(depth)?;
            text.push('[');
            let mut first = true;
            while source.more(&mut left)? {
                text.push_str(if std::mem::take(&mut first) { "" } else { "," });
                let item = source.item()?;
                write(source, item, depth + 1, text)?;
            }
            text.push(']');
        }
        Item::Map(mut left) => {
            check_nesting(depth)?;
            text.push('{');
            let mut first = true;
            while source.more(&mut left)? {
                let name = name(source.item()?)?;
                text.push_str(if std::mem::take(&mut first) { "" } else { "," });
                put(text, format_args!("{}:", Quoted(&name)));
                let item = source.item()?;
                write(source, item, depth + 1, text)?;
            }
            text.push('}');
        }
        scalar => write_scalar(&scalar, text),
    }
    Ok(())
}

fn write_scalar(item: &Item<'_>, text: &mut String) {
    match item {
        Item::Bool(yes) => put(text, format_args!("{yes}")),
        Item::Int(number) | Item::Time(number) => put(text, format_args!("{number}")),
        Item::Long(number) => put(text, format_args!("{number}")),
        // with a point or an exponent, so that it stays a real
        Item::Real(number) if number.is_finite() => put(text, format_args!("{number:?}")),
        Item::Text(value) => put(text, format_args!("{}", Quoted(value))),
        Item::Bytes(bytes) => {
            text.push('"');
            for byte in bytes.iter() {
                put(text, format_args!("{byte:02x}"));
            }
            text.push('"');
        }
        _ => text.push_str("null"),
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what); // a String takes all
}
