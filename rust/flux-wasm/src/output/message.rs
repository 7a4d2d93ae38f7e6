//! A message of the house, as guests read it.

use flux_plugin_abi::{MessageWriter, Text, TooLong, ValueRef};
use flux_types::Value;

/// Writes a MESSAGE body, the input of `on_msg` and `on_action`, in place of what `out` holds.
///
/// # Errors
/// [`TooLong`]: a name of more than 255 bytes, or more values than 65 535. What was written before
/// it stands in `out`.
pub fn write_message<'v, N: AsRef<str> + 'v>(
    device: &str,
    ts_ns: Option<i64>,
    values: impl IntoIterator<Item = (&'v N, &'v Value)>,
    out: &mut Vec<u8>,
) -> Result<(), TooLong> {
    out.clear();
    let mut message = MessageWriter::body(out, device, ts_ns)?;
    for (name, value) in values {
        let name = name.as_ref();
        let json;
        let value = match value {
            Value::Bool(yes) => ValueRef::Bool(*yes),
            Value::I64(number) => ValueRef::I64(*number),
            Value::F64(number) => ValueRef::F64(*number),
            Value::Str(text) => ValueRef::Str(Text::from(&**text)),
            Value::Bytes(bytes) => ValueRef::Bytes(bytes),
            Value::Time(ns) => ValueRef::Time(*ns),
            Value::Json(structure) => {
                json = structure.to_string();
                ValueRef::Json(Text::from(json.as_str()))
            }
        };
        message.value(name, value)?;
    }
    Ok(())
}
