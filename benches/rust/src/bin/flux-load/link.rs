//! One connection: its socket, what it has read and not understood yet, what it has not yet sent.
//!
//! Owns the bytes both ways. Must never wait: a socket that takes no more keeps the rest here.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use bytes::BytesMut;
use flux_mqtt::codec::{
    Connect, FilterList, Packet, PacketId, Properties, Subscribe, SubscribeOptions, Version,
};

use crate::failure::Failure;
use crate::identity::{Role, numbered};
use crate::options::Plan;
use crate::publisher::Publisher;
use crate::subscriber::Subscriber;

/// Largest packet taken from the server.
pub(crate) const PACKET_BYTES_MAX: usize = 4 << 20;

/// What a connection is for.
#[derive(Debug)]
pub(crate) enum Part {
    Publisher(Publisher),
    Subscriber(Subscriber),
}

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// CONNECT is under way.
    Connecting,
    /// SUBSCRIBE is under way.
    Subscribing,
    /// In use.
    Up,
    /// Gone.
    Closed,
}

/// What the socket had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// There may be more.
    Some,
    /// Nothing for now.
    Nothing,
    /// The other end has closed.
    End,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    pub(crate) state: State,
    pub(crate) part: Part,
    pub(crate) out: BytesMut,
    /// The beginning of a packet whose end has not come.
    pub(crate) rest: Vec<u8>,
    /// Whether the poller watches for room to write.
    pub(crate) watches_room: bool,
    /// Whether it stands in line to publish.
    pub(crate) in_line: bool,
}

impl Link {
    /// Opens the socket and leaves CONNECT in the output.
    pub(crate) fn open(plan: &Plan, role: Role, n: u32) -> Result<Self, Failure> {
        let failed = |source| Failure::Connect { number: n, source };
        let stream =
            TcpStream::connect_timeout(&plan.address, plan.connect_timeout).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_nonblocking(true).map_err(failed)?;
        let part = match role {
            Role::Publisher => Part::Publisher(Publisher::new(plan, n)),
            Role::Subscriber => Part::Subscriber(Subscriber::new(plan, n)),
        };
        let mut out = BytesMut::new();
        put_connect(plan, role, n, &mut out)?;
        Ok(Self {
            stream,
            state: State::Connecting,
            part,
            out,
            rest: Vec::new(),
            watches_room: false,
            in_line: false,
        })
    }

    /// Writes what the socket takes. `false`: the connection is gone.
    pub(crate) fn flush(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(0) => return false,
                Ok(written) => {
                    let _ = self.out.split_to(written);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.out.is_empty() {
            self.out.clear();
        }
        true
    }

    /// Reads once into `buffer`, behind the beginning kept from before. Tells how many bytes lie
    /// there now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> (usize, Heard) {
        let kept = self.rest.len();
        let Some((front, room)) = buffer.split_at_mut_checked(kept) else {
            return (0, Heard::End); // a packet longer than any that is taken
        };
        front.copy_from_slice(&self.rest);
        self.rest.clear();
        let room_len = room.len();
        match self.stream.read(room) {
            Ok(0) => (kept, Heard::End),
            Ok(read) => (kept + read, if read == room_len { Heard::Some } else { Heard::Nothing }),
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                (kept, Heard::Nothing)
            }
            Err(_) => (kept, Heard::End),
        }
    }
}

/// Writes CONNECT. No keep-alive: the run is short, and pings would be load.
pub(crate) fn put_connect(
    plan: &Plan,
    role: Role,
    n: u32,
    out: &mut BytesMut,
) -> Result<(), Failure> {
    let client_id = plan.identities.client_id(role, n);
    let credentials = plan.identities.credentials(role, n);
    let connect = Packet::Connect(Connect {
        version: plan.version,
        clean_start: true,
        keep_alive_s: 0,
        properties: Properties::default(),
        client_id: &client_id,
        will: None,
        username: credentials.username.as_deref(),
        password: credentials.password.as_deref().map(str::as_bytes),
    });
    put(plan.version, &connect, out)
}

/// Writes SUBSCRIBE.
pub(crate) fn put_subscribe(plan: &Plan, n: u32, out: &mut BytesMut) -> Result<(), Failure> {
    let unfit = |error: flux_mqtt::Error| Failure::Options(format!("--subscribe: {error}"));
    let options = SubscribeOptions { qos: plan.subscribe_qos, ..SubscribeOptions::default() };
    let mut raw = BytesMut::new();
    let filter = numbered(&plan.filter, n);
    FilterList::put_subscribe(&mut raw, plan.version, &filter, options).map_err(unfit)?;
    let subscribe = Packet::Subscribe(Subscribe {
        packet_id: PacketId::MIN,
        properties: Properties::default(),
        filters: FilterList::of_subscribe(plan.version, &raw).map_err(unfit)?,
    });
    put(plan.version, &subscribe, out)
}

fn put(version: Version, packet: &Packet<'_>, out: &mut BytesMut) -> Result<(), Failure> {
    packet.encode(version, out).map_err(|error| Failure::Options(error.to_string()))
}
