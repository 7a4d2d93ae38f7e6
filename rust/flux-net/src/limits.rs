//! Every limit of the network side, by name. Owns their defaults and ranges, enforces none.

use std::time::Duration;

use crate::error::NetError;

/// The highest number of workers one server may have.
pub const WORKERS_MAX: usize = 64;

/// The highest value of [`Limits::connections_max`]: what the index part of a
/// [`ConnectionId`](crate::ConnectionId) can tell apart.
pub const CONNECTIONS_CEILING: usize = 1 << 24;

/// What one server allows its peers. Times are milliseconds, sizes bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once over all workers; more are accepted and closed at once. Default
    /// 65 536.
    pub connections_max: usize,
    /// Connections open at once from one address (IPv6: one /64). 0, the default, sets no limit of
    /// its own, since a site often reaches us through one translated address.
    pub connections_per_ip_max: usize,
    /// Connections accepted per second, with a burst of one second; the rest wait in the backlog.
    /// 0 is no limit. Default 5 000.
    pub accept_rate_max: u32,
    /// Connections the kernel keeps for us before they are accepted. Default 1 024.
    pub backlog_len: u32,
    /// Bytes a protocol may leave unread in its input: at least its longest packet. Default 2 MiB.
    pub input_bytes_max: usize,
    /// Output waiting for a peer above which we stop reading from it, and up to which a protocol is
    /// asked to fill ([`Context::room`](crate::Context::room)). Default 64 KiB.
    pub output_bytes_high: usize,
    /// Output waiting for a peer above which it is closed. Default 4 MiB.
    pub output_bytes_max: usize,
    /// Input left over plus output waiting, over all connections; beyond it, a connection that
    /// would hold more than 16 KiB is closed. Default 256 MiB.
    pub buffered_bytes_max: usize,
    /// Bytes per second read from one connection, with a burst of one second. 0, the default, is no
    /// limit.
    pub read_rate_max: u64,
    /// Bytes read from one connection before others have their turn, at most 64 KiB. Default
    /// 32 KiB.
    pub read_bytes_per_turn: usize,
    /// How long a peer has until the protocol calls
    /// [`Context::established`](crate::Context::established). Default 10 000.
    pub handshake_timeout_ms: u64,
    /// How long a connection we open may take until it is there. Default 10 000.
    pub connect_timeout_ms: u64,
    /// How long a peer may take no byte of what waits for it. Default 30 000.
    pub write_timeout_ms: u64,
    /// How long a connection lives on after its peer ended its side, if the protocol keeps it.
    /// Default 10 000.
    pub half_closed_timeout_ms: u64,
    /// After our last byte, how long we wait for the peer to close, so that what it still sends
    /// does not destroy what we sent last. Default 1 000.
    pub linger_timeout_ms: u64,
    /// How long a stop may take to tell the peers and flush. Default 5 000.
    pub stop_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            connections_per_ip_max: 0,
            accept_rate_max: 5_000,
            backlog_len: 1_024,
            input_bytes_max: 2 << 20,
            output_bytes_high: 64 << 10,
            output_bytes_max: 4 << 20,
            buffered_bytes_max: 256 << 20,
            read_rate_max: 0,
            read_bytes_per_turn: 32 << 10,
            handshake_timeout_ms: 10_000,
            connect_timeout_ms: 10_000,
            write_timeout_ms: 30_000,
            half_closed_timeout_ms: 10_000,
            linger_timeout_ms: 1_000,
            stop_grace_ms: 5_000,
        }
    }
}

/// The longest time any limit may be: a week.
const TIMEOUT_MS_CEILING: u64 = 7 * 24 * 3_600 * 1_000;

impl Limits {
    /// Checks every value's range.
    ///
    /// # Errors
    /// [`NetError::Limit`] names the first that is out of range.
    pub fn validate(&self) -> Result<(), NetError> {
        let size = |n: usize| n as u64;
        let ranges: [(&'static str, u64, u64, u64); 13] = [
            ("connections_max", size(self.connections_max), 1, size(CONNECTIONS_CEILING)),
            ("backlog_len", u64::from(self.backlog_len), 1, 65_535),
            ("input_bytes_max", size(self.input_bytes_max), 1, 1 << 30),
            ("output_bytes_high", size(self.output_bytes_high), 1, size(self.output_bytes_max)),
            ("output_bytes_max", size(self.output_bytes_max), 1, 1 << 30),
            ("buffered_bytes_max", size(self.buffered_bytes_max), 1, u64::MAX >> 1),
            ("read_bytes_per_turn", size(self.read_bytes_per_turn), 1, size(READ_BYTES_CEILING)),
            ("handshake_timeout_ms", self.handshake_timeout_ms, 1, TIMEOUT_MS_CEILING),
            ("connect_timeout_ms", self.connect_timeout_ms, 1, TIMEOUT_MS_CEILING),
            ("write_timeout_ms", self.write_timeout_ms, 1, TIMEOUT_MS_CEILING),
            ("half_closed_timeout_ms", self.half_closed_timeout_ms, 1, TIMEOUT_MS_CEILING),
            ("linger_timeout_ms", self.linger_timeout_ms, 0, TIMEOUT_MS_CEILING),
            ("stop_grace_ms", self.stop_grace_ms, 0, TIMEOUT_MS_CEILING),
        ];
        for (name, given, min, max) in ranges {
            if given < min || given > max {
                return Err(NetError::Limit { name, given, min, max });
            }
        }
        Ok(())
    }

    pub(crate) fn stop_grace(&self) -> Duration {
        Duration::from_millis(self.stop_grace_ms)
    }
}

/// The size of a worker's read buffer, and so the most one read can bring.
pub(crate) const READ_BYTES_CEILING: usize = 64 << 10;
