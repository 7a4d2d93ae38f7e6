//! What this crate needs from above: who a device is, and what only a protocol plugin knows.

use std::net::SocketAddr;
use std::sync::Arc;

use flux_types::{DeviceId, Key, ProductId, TenantId};
use serde_json::Value;

use crate::settings::LinkSpec;

/// One frame, as it goes over the wire.
pub type Frame = bytes::Bytes;

/// A device, as far as a link has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkDevice {
    /// Its identity.
    pub id: DeviceId,
    /// Its key.
    pub key: Key,
    /// Its product.
    pub product: ProductId,
}

/// A product, as far as a link has to know it.
#[derive(Debug, Clone)]
pub struct LinkProduct {
    /// Its identity.
    pub id: ProductId,
    /// How its devices are spoken with.
    pub link: Arc<LinkSpec>,
}

/// Who is who. Called on network threads: answers at once. Disabled devices are not known here.
pub trait Directory: Send + Sync {
    /// The product of a key; `None` also if it has no `link`.
    fn product(&self, tenant: TenantId, key: &str) -> Option<LinkProduct>;

    /// The product of a device, likewise.
    fn product_of(&self, product: ProductId) -> Option<LinkProduct>;

    /// A device by its identity.
    fn device(&self, id: DeviceId) -> Option<LinkDevice>;

    /// The device of a key.
    fn by_key(&self, tenant: TenantId, key: &str) -> Option<LinkDevice>;

    /// The device whose tag `address` is the peer's `ip:port` or, failing that, its `ip`.
    fn by_address(&self, tenant: TenantId, peer: SocketAddr) -> Option<LinkDevice>;

    /// Whether a secret is the device's own.
    fn accepts_secret(&self, device: DeviceId, secret: &[u8]) -> bool;
}

/// Why a command cannot be written in a device's protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CodecError {
    /// A stable word: `no_codec`, `unknown_command`, …
    pub code: String,
    /// Why, for people.
    pub text: String,
}

impl CodecError {
    /// An error of that code.
    pub fn new(code: &str, text: impl Into<String>) -> Self {
        Self { code: code.to_owned(), text: text.into() }
    }
}

/// What a frame is to a request that is under way.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Its answer.
    Ok(Value),
    /// Its answer, which says no: a code and a text, such as a Modbus exception.
    Failed(String, String),
    /// Another's, or none at all.
    NotMine,
}

/// Writes commands in a device's protocol and recognises their answers: a plugin's work. Called on
/// network threads: has to end within its deadline.
pub trait LineCodec: Send + Sync {
    /// Whether it knows the protocol of a device; another codec is asked for those it does not.
    fn speaks(&self, device: DeviceId) -> bool {
        let _ = device;
        true
    }

    /// The frames that carry a command, `{"id"?, "command", "params"}`, sent one after the other,
    /// each once the one before was answered.
    ///
    /// # Errors
    /// The device's protocol has no such command, or its parameters are wrong.
    fn encode(
        &self,
        tenant: TenantId,
        device: DeviceId,
        command: &Value,
    ) -> Result<Vec<Frame>, CodecError>;

    /// Whether a frame answers a request that was sent to the device.
    fn check_reply(&self, device: DeviceId, request: &[u8], frame: &[u8]) -> Reply;
}

/// Where a frame ends, by a protocol plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// Nothing can be said yet.
    NeedMore,
    /// The first `n` bytes are a frame.
    Frame(usize),
    /// The first `n` bytes are no frame and no beginning of one.
    Skip(usize),
}

/// Finds frames where only the protocol tells where they end. Has to give the same answer for the
/// same beginning however much follows it.
pub trait FrameScanner: Send + Sync {
    /// Looks at bytes that begin where a frame may begin; never empty.
    fn scan(&self, product: ProductId, bytes: &[u8]) -> Scan;
}

/// For products without a plugin: nothing is ever a frame, and what came is garbage.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoScanner;

impl FrameScanner for NoScanner {
    fn scan(&self, _: ProductId, bytes: &[u8]) -> Scan {
        Scan::Skip(bytes.len())
    }
}
