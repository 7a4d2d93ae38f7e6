//! What one evaluation is about.

use std::sync::Arc;

use flux_types::Value;

/// A message as a script sees it. Borrowed: making one copies nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Input<'a> {
    /// `msg.device_id`: the device's key; `()` where no device is known.
    pub device_id: Option<&'a str>,
    /// `msg.product`: the product's key; `()` where no product is known.
    pub product: Option<&'a str>,
    /// `msg.topic`
    pub topic: &'a str,
    /// `msg.ts`, which is in whole milliseconds since 1970. Here nanoseconds.
    pub ts_ns: i64,
    /// `msg.values`, and the bare names. A name stands once.
    pub values: &'a [(Arc<str>, Value)],
    /// `msg.payload`: the bytes as sent; a string where they are UTF-8, else a blob.
    pub payload: Option<&'a [u8]>,
}
