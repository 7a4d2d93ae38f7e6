//! What can go wrong on the network side.

use std::io;
use std::net::SocketAddr;

use flux_types::{Coded, ErrorKind, Problem};

/// What can go wrong on the network side.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Another socket listens on the address.
    #[error("{address} is already in use{}", by(holder.as_deref()))]
    AddressInUse {
        /// The address asked for.
        address: SocketAddr,
        /// Who listens there, such as `mosquitto (process 812)`, where it could be found out.
        holder: Option<String>,
    },
    /// The operating system does not let this process listen there.
    #[error("not permitted to listen on {address}")]
    AddressDenied {
        /// The address asked for.
        address: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{address} is no address of this machine")]
    AddressUnavailable {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The host name means no address.
    #[error("`{host}` is no address and no name that resolves to one")]
    AddressUnresolved {
        /// What was given.
        host: String,
        /// What the resolver said, where it said something.
        #[source]
        source: Option<io::Error>,
    },
    /// No address to listen on was given.
    #[error("no address to listen on was given")]
    NoAddress,
    /// Listening failed for a reason without a name of its own.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// A connection to a peer could not even be begun.
    #[error("cannot connect to {address}")]
    Connect {
        /// The peer's address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// As many connections are open as may be.
    #[error("connections_max = {max} is reached")]
    ConnectionsMax {
        /// The limit.
        max: usize,
    },
    /// A limit out of its range.
    #[error("{name} = {given} is out of range: give {min} to {max}")]
    Limit {
        /// The limit's name.
        name: &'static str,
        /// What was given.
        given: u64,
        /// The lowest allowed.
        min: u64,
        /// The highest allowed.
        max: u64,
    },
    /// A worker's poll or thread could not be made.
    #[error("cannot start a network worker")]
    Worker {
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Some workers did not end within their grace; their threads are left behind.
    #[error("{workers} network workers did not stop within {waited_ms} ms")]
    StopTimedOut {
        /// How many.
        workers: usize,
        /// How long was waited, in milliseconds.
        waited_ms: u64,
    },
}

fn by(holder: Option<&str>) -> String {
    holder.map(|holder| format!(" by {holder}")).unwrap_or_default()
}

impl NetError {
    /// How to mend it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::AddressInUse { address, holder } => Some(format!(
                "stop {}, or choose another port than {}",
                holder.as_deref().unwrap_or("the program that listens there"),
                address.port()
            )),
            Self::AddressDenied { address } if address.port() < 1024 => Some(format!(
                "choose a port from 1024 up instead of {}, or grant CAP_NET_BIND_SERVICE \
                 (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE)",
                address.port()
            )),
            Self::AddressUnavailable { .. } => {
                Some("use 127.0.0.1, 0.0.0.0 or an address that `ip address` shows".to_owned())
            }
            Self::AddressUnresolved { .. } => {
                Some("use an IP address, such as 127.0.0.1 or 0.0.0.0".to_owned())
            }
            _ => None,
        }
    }

    /// The error as a [`Problem`], hint included.
    #[must_use]
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.code(), self.to_string());
        match self.hint() {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

impl Coded for NetError {
    fn code(&self) -> &'static str {
        match self {
            Self::AddressInUse { .. } => "net.address_in_use",
            Self::AddressDenied { .. } => "net.address_denied",
            Self::AddressUnavailable { .. } => "net.address_unavailable",
            Self::AddressUnresolved { .. } => "net.address_unresolved",
            Self::NoAddress => "net.no_address",
            Self::Listen { .. } => "net.listen",
            Self::Connect { .. } => "net.connect",
            Self::ConnectionsMax { .. } => "net.connections_max",
            Self::Limit { .. } => "net.limit",
            Self::Worker { .. } => "net.worker",
            Self::StopTimedOut { .. } => "net.stop_timed_out",
        }
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::AddressInUse { .. } => ErrorKind::Conflict,
            Self::AddressDenied { .. } => ErrorKind::Denied,
            Self::AddressUnavailable { .. }
            | Self::AddressUnresolved { .. }
            | Self::NoAddress
            | Self::Limit { .. } => ErrorKind::Invalid,
            Self::Listen { .. }
            | Self::Connect { .. }
            | Self::ConnectionsMax { .. }
            | Self::Worker { .. }
            | Self::StopTimedOut { .. } => ErrorKind::Unavailable,
        }
    }
}
