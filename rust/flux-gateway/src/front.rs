//! What the first bytes say before they are framed: which product they are of, and heartbeats.

use bytes::{Buf, Bytes, BytesMut};

use crate::listener::{HeadEntry, ListenerSpec};
use crate::settings::Heartbeat;

/// What stands at the front of the input before framing looks at it.
pub(crate) enum Front {
    Heartbeat(Bytes),
    MaybeHeartbeat,
    Other,
}

impl Heartbeat {
    /// Whether a frame is one.
    #[must_use]
    pub fn is(&self, frame: &[u8]) -> bool {
        let pattern = self.pattern.as_bytes();
        if self.exact { frame == pattern } else { frame.starts_with(pattern) }
    }
}

/// Takes a heartbeat that stands between frames.
pub(crate) fn front(heartbeats: &[Heartbeat], input: &mut BytesMut) -> Front {
    if input.is_empty() {
        return Front::Other;
    }
    let exact = || heartbeats.iter().filter(|heartbeat| heartbeat.exact);
    if let Some(whole) = exact().find(|known| input.starts_with(known.pattern.as_bytes())) {
        input.advance(whole.pattern.len());
        return Front::Heartbeat(Bytes::copy_from_slice(whole.answer.as_bytes()));
    }
    if exact().any(|known| known.pattern.as_bytes().starts_with(input)) {
        return Front::MaybeHeartbeat;
    }
    Front::Other
}

/// Which product the first bytes are of.
pub(crate) enum Head<'l> {
    Product(&'l str),
    NeedMore,
    Unknown,
}

impl ListenerSpec {
    /// The product whose devices begin like this; the longest prefix counts.
    pub(crate) fn head(&self, bytes: &[u8]) -> Head<'_> {
        let could = |head: &&HeadEntry| {
            let prefix = head.prefix.as_bytes();
            bytes.starts_with(prefix) || prefix.starts_with(bytes)
        };
        // the longest first: a shorter one counts only once no longer one can
        match self.heads.iter().find(could) {
            Some(head) if bytes.len() >= head.prefix.len() => Head::Product(&head.product),
            Some(_) => Head::NeedMore,
            None => Head::Unknown,
        }
    }

    /// The product of a whole datagram.
    #[must_use]
    pub fn product_of(&self, datagram: &[u8]) -> Option<&str> {
        if let Some(product) = &self.product {
            return Some(product);
        }
        let head = self.heads.iter().find(|head| datagram.starts_with(head.prefix.as_bytes()));
        head.map(|head| head.product.as_str())
    }
}
