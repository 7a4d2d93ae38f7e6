//! Every limit of the crate, by name.

/// What happens to a promised message when the queue of a session that is not connected is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OverflowPolicy {
    /// Keep what is queued, drop what comes.
    #[default]
    DropNewest,
    /// Make room by dropping the oldest.
    DropOldest,
}

/// The bounds within which connections and sessions stay. Units stand last in the names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest packet accepted once connected, fixed header included. Told to 5.0 clients.
    pub packet_bytes_max: usize,
    /// Largest CONNECT, will included: what a stranger can make us hold.
    pub connect_packet_bytes_max: usize,
    /// Longest client identifier, in bytes.
    pub client_id_bytes_max: usize,
    /// Time from accepting the socket to a whole CONNECT.
    pub connect_timeout_ms: u64,
    /// Longest keep-alive granted to 5.0 clients, which are told; 65 535 grants anything, even
    /// none. 3.1.1 clients cannot be told and keep theirs.
    pub keep_alive_s_max: u16,
    /// Longest topic, in bytes.
    pub topic_bytes_max: usize,
    /// Deepest topic or filter.
    pub topic_levels_max: usize,
    /// Topic aliases a 5.0 client may set up; each holds one topic.
    pub topic_aliases_max: u16,
    /// Properties of one PUBLISH or will, in bytes on the wire.
    pub publish_properties_bytes_max: usize,
    /// Publications of one connection received and not yet acknowledged. The Receive Maximum in
    /// 5.0; a 3.1.1 connection is paused at it.
    pub inbound_unacknowledged_max: u16,
    /// Deliveries to one client sent and not yet acknowledged, if it allows that many.
    pub inflight_max: u16,
    /// Unsent output at which delivery and reading stop until it has been written.
    pub output_bytes_max: usize,
    /// Subscriptions of one session.
    pub subscriptions_per_session_max: usize,
    /// Subscriptions of all sessions.
    pub subscriptions_max: usize,
    /// Sessions, connected or not.
    pub sessions_max: usize,
    /// Longest session expiry granted, in seconds; 5.0 clients are told. Also how long the session
    /// of a 3.1.1 client without Clean Session is kept.
    pub session_expiry_s_max: u32,
    /// Longest will delay, in seconds; longer ones are cut to it.
    pub will_delay_s_max: u32,
    /// Messages queued for one session, in flight ones not counted.
    pub queue_messages_max: usize,
    /// Bytes queued for one session, with [`crate::QUEUED_MESSAGE_BYTES`] for each message.
    pub queue_bytes_max: usize,
    /// Bytes queued for all sessions together, counted likewise.
    pub queue_bytes_total_max: usize,
    /// What happens to promised messages for a full session that is not connected.
    pub queue_overflow: OverflowPolicy,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packet_bytes_max: 1 << 20,
            connect_packet_bytes_max: 128 << 10,
            client_id_bytes_max: 256,
            connect_timeout_ms: 10_000,
            keep_alive_s_max: u16::MAX,
            topic_bytes_max: 4096,
            topic_levels_max: 32,
            topic_aliases_max: 16,
            publish_properties_bytes_max: 16 << 10,
            inbound_unacknowledged_max: 1024,
            inflight_max: 256,
            output_bytes_max: 64 << 10,
            subscriptions_per_session_max: 1000,
            subscriptions_max: 1_000_000,
            sessions_max: 1_000_000,
            session_expiry_s_max: 7 * 24 * 3600,
            will_delay_s_max: 24 * 3600,
            queue_messages_max: 10_000,
            queue_bytes_max: 16 << 20,
            queue_bytes_total_max: 256 << 20,
            queue_overflow: OverflowPolicy::DropNewest,
        }
    }
}
