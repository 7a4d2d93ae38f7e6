//! Publications received and not yet acknowledged, in the order they came.

use std::collections::VecDeque;

use bytes::BytesMut;

use crate::codec::{Ack, Packet, PacketId, Reason, Version};

/// A queue in which acknowledgements wait for those before them [MQTT-4.6.0-2].
#[derive(Debug, Default)]
pub(super) struct Receipts {
    owed: VecDeque<(PacketId, Option<Reason>)>,
}

impl Receipts {
    pub(super) fn len(&self) -> usize {
        self.owed.len()
    }

    /// A publication came; `reason` is there when it is settled already.
    pub(super) fn owe(&mut self, id: PacketId, reason: Option<Reason>) {
        self.owed.push_back((id, reason));
    }

    /// The oldest publication with that identifier that waits is settled.
    pub(super) fn settle(&mut self, id: PacketId, reason: Reason) {
        let waiting = self.owed.iter_mut().find(|(owed, how)| *owed == id && how.is_none());
        if let Some((_, how)) = waiting {
            *how = Some(reason);
        }
    }

    /// Writes every acknowledgement that waits for nothing any more.
    pub(super) fn flush(&mut self, version: Version, out: &mut BytesMut) {
        while let Some((id, Some(reason))) = self.owed.front() {
            let written = Packet::Puback(Ack::new(*id, *reason)).encode(version, out);
            debug_assert!(written.is_ok(), "a PUBACK without properties always fits");
            self.owed.pop_front();
        }
        if self.owed.is_empty() && self.owed.capacity() > 64 {
            self.owed = VecDeque::new();
        }
    }
}
