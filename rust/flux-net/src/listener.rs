//! Taking addresses. Owns binding and its errors; must never share a port that is in use.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::error::NetError;
use crate::limits::Limits;

/// Addresses taken but not yet listened on: made early, so that a port in use is known before
/// anything else is started, and given to [`Server::start`](crate::Server::start) later.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<(Socket, SocketAddr)>,
    datagrams: Vec<(Socket, SocketAddr)>,
}

/// The addresses of a host, which is an IP address or a name, with a port.
///
/// # Errors
/// [`NetError::AddressUnresolved`] if there is none.
pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, NetError> {
    let unresolved = |source| NetError::AddressUnresolved { host: host.to_owned(), source };
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let mut addresses: Vec<SocketAddr> =
        (bare, port).to_socket_addrs().map_err(|error| unresolved(Some(error)))?.collect();
    addresses.dedup();
    if addresses.is_empty() { Err(unresolved(None)) } else { Ok(addresses) }
}

impl Listeners {
    /// Takes the addresses. Port 0 lets the system choose one; see
    /// [`local_addresses`](Self::local_addresses).
    ///
    /// `[::]` takes IPv4 too, unless an IPv4 address of the same port is among the addresses.
    ///
    /// # Errors
    /// [`NetError::AddressInUse`], [`NetError::AddressDenied`], [`NetError::AddressUnavailable`],
    /// [`NetError::NoAddress`] or [`NetError::Listen`]; what was taken before is given back.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, NetError> {
        if addresses.is_empty() {
            return Err(NetError::NoAddress);
        }
        Self::bind_all(addresses, &[])
    }

    /// Takes addresses for streams and others for datagrams; either may be none, for a server that
    /// only opens connections itself.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_all(streams: &[SocketAddr], datagrams: &[SocketAddr]) -> Result<Self, NetError> {
        Ok(Self { sockets: take(streams, Type::STREAM)?, datagrams: take(datagrams, Type::DGRAM)? })
    }

    /// The addresses taken for datagrams, in the order given, ports chosen.
    #[must_use]
    pub fn datagram_addresses(&self) -> Vec<SocketAddr> {
        self.datagrams.iter().map(|(_, address)| *address).collect()
    }

    /// The sockets for datagrams, which receive from now on.
    pub(crate) fn take_datagrams(&mut self) -> Vec<mio::net::UdpSocket> {
        let sockets = std::mem::take(&mut self.datagrams).into_iter();
        sockets.map(|(socket, _)| mio::net::UdpSocket::from_std(socket.into())).collect()
    }

    /// The addresses taken, in the order given, ports chosen.
    #[must_use]
    pub fn local_addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(|(_, address)| *address).collect()
    }

    /// Starts to listen.
    pub(crate) fn listen(self, limits: &Limits) -> Result<Vec<mio::net::TcpListener>, NetError> {
        let backlog = i32::try_from(limits.backlog_len).unwrap_or(i32::MAX);
        self.sockets
            .into_iter()
            .map(|(socket, address)| {
                socket.listen(backlog).map_err(|error| explain(address, error))?;
                Ok(mio::net::TcpListener::from_std(socket.into()))
            })
            .collect()
    }
}

fn take(addresses: &[SocketAddr], kind: Type) -> Result<Vec<(Socket, SocketAddr)>, NetError> {
    let mut sockets = Vec::with_capacity(addresses.len());
    for &address in addresses {
        let only_v6 = addresses.iter().any(|a| a.is_ipv4() && a.port() == address.port());
        sockets.push(bind_one(address, only_v6, kind).map_err(|error| explain(address, error))?);
    }
    Ok(sockets)
}

fn bind_one(address: SocketAddr, only_v6: bool, kind: Type) -> io::Result<(Socket, SocketAddr)> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    // A restart need not wait for the old connections' TIME_WAIT. It does not let two sockets
    // listen on one port; elsewhere than on Unix, and for datagrams, it would.
    #[cfg(unix)]
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    socket.bind(&address.into())?;
    let bound = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok((socket, bound))
}

fn explain(address: SocketAddr, source: io::Error) -> NetError {
    match source.kind() {
        ErrorKind::AddrInUse => NetError::AddressInUse { address, holder: holder(address) },
        ErrorKind::PermissionDenied => NetError::AddressDenied { address },
        ErrorKind::AddrNotAvailable => NetError::AddressUnavailable { address },
        _ => NetError::Listen { address, source },
    }
}

#[cfg(not(target_os = "linux"))]
fn holder(_: SocketAddr) -> Option<String> {
    None
}

/// Who listens on the port: the socket's inode from `/proc/net/tcp*`, then the process that has it
/// open. Only processes we may look into are found.
#[cfg(target_os = "linux")]
fn holder(address: SocketAddr) -> Option<String> {
    let sockets: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|table| listening_inodes(&table, address.port()))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Ok(id) = process.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        let holds = files.flatten().any(|file| {
            std::fs::read_link(file.path())
                .is_ok_and(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str()))
        });
        if holds {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (process {id})", name.trim()));
        }
    }
    None
}

/// The inodes of the sockets in state LISTEN (`0A`) on `port`, from a table as described in
/// `Documentation/networking/proc_net_tcp.rst` of the kernel: column 1 is the local address with
/// the port in hexadecimal after the colon, column 3 the state, column 9 the inode.
#[cfg(target_os = "linux")]
fn listening_inodes(table: &str, port: u16) -> Vec<u64> {
    let inode = |line: &str| {
        let columns: Vec<&str> = line.split_ascii_whitespace().collect();
        let (_, hex) = columns.get(1)?.rsplit_once(':')?;
        let listens = u16::from_str_radix(hex, 16).ok()? == port && *columns.get(3)? == "0A";
        listens.then(|| columns.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_bracketed_addresses_resolve() {
        assert_eq!(resolve("[::1]", 5).unwrap(), ["[::1]:5".parse().unwrap()]);
        assert_eq!(resolve("127.0.0.1", 0).unwrap(), ["127.0.0.1:0".parse().unwrap()]);
        let error = resolve("no such host", 1).unwrap_err();
        assert!(
            matches!(&error, NetError::AddressUnresolved { host, .. } if host == "no such host")
        );
        assert!(error.hint().is_some());
    }

    #[test]
    fn a_low_port_not_permitted_says_what_to_do() {
        let address = "127.0.0.1:80".parse().unwrap();
        let error = explain(address, io::Error::from(ErrorKind::PermissionDenied));
        assert_eq!(flux_types::Coded::code(&error), "net.address_denied");
        assert!(error.hint().unwrap().contains("CAP_NET_BIND_SERVICE"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_listening_sockets_of_the_port_hold_it() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:075B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n\
             1: 0100007F:075B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n\
             2: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0\n";
        assert_eq!(listening_inodes(table, 1883), [111]);
    }
}
