//! What travels: messages as they arrive, and telemetry as it is decoded.

use std::sync::Arc;

use bytes::Bytes;

use crate::{DeviceId, Key, ProductId, Qos, Received, SourceId, TenantId, Topic, Value};

/// Bytes under a topic, with the envelope the house needs. Cheap to clone: bodies are shared.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Whose it is.
    pub tenant: TenantId,
    /// Who sent it; order is kept per source.
    pub source: SourceId,
    /// Where it was published.
    pub topic: Topic,
    /// The bytes as sent.
    pub payload: Bytes,
    /// The promise it carries.
    pub qos: Qos,
    /// Whether the sender asked for it to be retained.
    pub retain: bool,
    /// When it reached us.
    pub received: Received,
    /// How many rules have published it on: 0 from a device.
    pub hops: u8,
    /// What MQTT 5.0 lets a publisher attach; absent for most.
    pub properties: Option<Arc<MessageProperties>>,
}

/// The application properties of an MQTT 5.0 PUBLISH that are passed on unaltered
/// (sections 3.3.2.3.2 to 3.3.2.3.9).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageProperties {
    /// Whether the payload is declared to be UTF-8 text.
    pub payload_is_utf8: Option<bool>,
    /// Seconds from reception after which it must not be delivered.
    pub expiry_s: Option<u32>,
    /// MIME type of the payload.
    pub content_type: Option<Arc<str>>,
    /// Where a reply is wanted.
    pub response_topic: Option<Topic>,
    /// What the reply has to carry.
    pub correlation_data: Option<Bytes>,
    /// Name and value pairs, in the order sent.
    pub user: Vec<(Arc<str>, Arc<str>)>,
}

/// What one device reported for one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Telemetry {
    /// Whose it is.
    pub tenant: TenantId,
    /// The device.
    pub device: DeviceId,
    /// The device's key: what people, topics and rules call it.
    pub device_key: Key,
    /// The device's product.
    pub product: ProductId,
    /// Nanoseconds since 1970: the device's own time where it sent one, else when it reached us.
    pub ts_ns: i64,
    /// Values by name, in the order decoded; a name stands once.
    pub values: Vec<(Arc<str>, Value)>,
}

impl Telemetry {
    /// The value of that name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.iter().find(|(known, _)| &**known == name).map(|(_, value)| value)
    }
}
