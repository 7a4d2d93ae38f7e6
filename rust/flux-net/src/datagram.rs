//! Sockets for datagrams. Owns receiving and sending them, each socket on one worker; must never
//! keep a datagram: what cannot be sent at once is dropped and counted.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

/// The first socket's token; the next ones are above it, and all connections far below.
const DATAGRAM_TOKEN: usize = usize::MAX / 2;
/// Datagrams received from one socket before the worker serves its connections again.
pub(crate) const DATAGRAMS_PER_TURN: usize = 256;

#[derive(Debug)]
struct Receiving {
    /// Its place among all of the server's sockets.
    place: usize,
    socket: UdpSocket,
    /// Whether datagrams may wait: events come on a change only.
    ready: bool,
}

/// The sockets of one worker.
#[derive(Debug, Default)]
pub(crate) struct DatagramSockets {
    sockets: Vec<Receiving>,
}

impl DatagramSockets {
    pub(crate) fn add(&mut self, place: usize, socket: UdpSocket) {
        self.sockets.push(Receiving { place, socket, ready: true });
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for receiving in &mut self.sockets {
            let token = Token(DATAGRAM_TOKEN + receiving.place);
            registry.register(&mut receiving.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Notes an event, if it is a socket's.
    pub(crate) fn on_event(&mut self, token: Token) -> bool {
        let place = token.0.checked_sub(DATAGRAM_TOKEN);
        let known = self.sockets.iter_mut().find(|known| Some(known.place) == place);
        known.map(|receiving| receiving.ready = true).is_some()
    }

    /// How many sockets there are, and so the indices for [`receive`](Self::receive).
    pub(crate) fn len(&self) -> usize {
        self.sockets.len()
    }

    /// Whether datagrams may wait.
    pub(crate) fn is_ready(&self) -> bool {
        self.sockets.iter().any(|receiving| receiving.ready)
    }

    /// Receives one datagram; gives its socket's place, its length and its sender.
    pub(crate) fn receive(
        &mut self,
        index: usize,
        into: &mut [u8],
    ) -> Option<(usize, usize, SocketAddr)> {
        let receiving = self.sockets.get_mut(index).filter(|receiving| receiving.ready)?;
        for _ in 0..DATAGRAMS_PER_TURN {
            match receiving.socket.recv_from(into) {
                Ok((len, from)) => {
                    let from = SocketAddr::new(from.ip().to_canonical(), from.port());
                    return Some((receiving.place, len, from));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    receiving.ready = false;
                    return None;
                }
                // an answer of ours did not arrive (ICMP): that is its receiver's affair
                Err(_) => {}
            }
        }
        None
    }

    /// Sends one datagram; false if it could not be sent at once.
    pub(crate) fn send(&self, place: usize, to: SocketAddr, bytes: &[u8]) -> bool {
        let Some(own) = self.sockets.iter().find(|known| known.place == place) else {
            return false;
        };
        // an IPv6 socket names IPv4 peers by their mapped addresses (RFC 4291, 2.5.5.2)
        let over_v6 = own.socket.local_addr().is_ok_and(|address| address.is_ipv6());
        let to = match to {
            SocketAddr::V4(v4) if over_v6 => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            to => to,
        };
        own.socket.send_to(bytes, to).is_ok_and(|sent| sent == bytes.len())
    }
}
