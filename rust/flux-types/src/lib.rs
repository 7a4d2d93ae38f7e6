//! Words every crate shares: ids, topics, qualities of service, values, messages, error kinds.
//!
//! Owns the vocabulary and the one [`TopicTrie`]. Must never do I/O, know a protocol's packets or
//! grow a word that only one crate uses.

#![forbid(unsafe_code)]

mod clock;
mod error;
pub mod hex;
mod ids;
mod message;
mod qos;
mod severity;
mod topic;
mod topic_trie;
mod value;

pub use clock::{Instants, Received};
pub use error::{Coded, ErrorKind, Problem};
pub use ids::{
    AlarmId, CommandId, DeviceId, FiringId, Generation, Key, ParseFiringIdError, ParseKeyError,
    Position, PrincipalId, ProductId, RuleId, SourceId, TenantId,
};
pub use message::{Message, MessageProperties, Telemetry};
pub use qos::{Qos, QosError};
pub use severity::{Severity, SeverityError};
pub use topic::{TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX, Topic, TopicError, TopicFilter};
pub use topic_trie::TopicTrie;
pub use value::{Value, ValueError};
