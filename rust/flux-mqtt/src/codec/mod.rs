//! Packets of MQTT 3.1.1 and 5.0 on the wire.
//!
//! Owns the bytes: framing, fields, properties, and what the standard calls malformed. Packets
//! borrow from the read buffer; decoding allocates nothing and never panics. Must never keep state
//! between packets or know what a packet means: that is the connection's.
//!
//! Sources: MQTT Version 3.1.1 (OASIS, 29 October 2014), MQTT Version 5.0 (OASIS, 7 March 2019).
//! Clause numbers are those of 5.0 unless 3.1.1 is named.

mod acknowledge;
mod connect;
mod outbound;
mod packet;
mod property;
mod publish;
mod reason;
mod subscribe;
mod wire;

pub use acknowledge::{Ack, Auth, Connack, Disconnect};
pub use connect::{Connect, Will};
pub use outbound::OutboundPublish;
pub use packet::{Frame, Packet, frame};
pub use property::{Properties, Property, PropertyBuf};
pub use publish::Publish;
pub use reason::Reason;
pub use subscribe::{
    FilterList, RetainHandling, Suback, Subscribe, SubscribeOptions, Unsuback, Unsubscribe,
};

/// The number that ties an acknowledgement to its packet; never 0 [MQTT-2.2.1-3].
pub type PacketId = std::num::NonZeroU16;

/// The longest remaining length that four bytes can say (section 2.1.4).
pub const REMAINING_LENGTH_MAX: usize = 268_435_455;

/// A version of the protocol that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// The protocol level as CONNECT carries it (section 3.1.2.2).
    #[must_use]
    pub fn level(self) -> u8 {
        match self {
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }
}

#[cfg(test)]
mod tests;
