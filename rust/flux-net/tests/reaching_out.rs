//! Datagrams, connections that we open, and alarms.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flux_net::{
    CloseReason, ConnectionHandle, Context, Datagram, Limits, Listeners, Peer, Protocol, Server,
    ServerConfig, Verdict, WorkerIo, WorkerProtocol, WorkerWaker,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq)]
enum Seen {
    Datagram(SocketAddr, Vec<u8>),
    Connected,
    Bytes(Vec<u8>),
    Closed(CloseReason),
    /// How late.
    Alarm(Duration),
}

/// Echoes datagrams; `connect <address>` in one opens a connection, `alarm <ms>` sets an alarm.
struct Reaching(Sender<Seen>);

struct Worker {
    seen: Sender<Seen>,
    alarm: Option<Instant>,
}

impl Protocol for Reaching {
    type Worker = Worker;
    fn worker(&self, _: WorkerWaker) -> Worker {
        Worker { seen: self.0.clone(), alarm: None }
    }
}

impl WorkerProtocol for Worker {
    type Connection = ();

    fn on_open(&mut self, _: Peer, _: ConnectionHandle, _: &mut Context<'_>) {}

    fn on_connected(&mut self, (): &mut (), _: ConnectionHandle, cx: &mut Context<'_>) -> Verdict {
        cx.established();
        cx.output.extend_from_slice(b"hello");
        self.seen.send(Seen::Connected).unwrap();
        Verdict::Continue
    }

    fn on_bytes(&mut self, (): &mut (), input: &mut BytesMut, _: &mut Context<'_>) -> Verdict {
        self.seen.send(Seen::Bytes(input.split().to_vec())).unwrap();
        Verdict::Continue
    }

    fn on_ready(&mut self, (): &mut (), _: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }

    fn on_timer(&mut self, (): &mut (), _: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }

    fn on_close(&mut self, (): (), reason: CloseReason) {
        self.seen.send(Seen::Closed(reason)).unwrap();
    }

    fn on_datagram(&mut self, datagram: Datagram<'_>, io: &mut WorkerIo<'_, ()>) {
        let text = String::from_utf8_lossy(datagram.bytes).into_owned();
        if let Some(address) = text.strip_prefix("connect ") {
            io.connect(address.parse().unwrap(), ()).unwrap();
        } else if let Some(ms) = text.strip_prefix("alarm ") {
            let at = io.now() + Duration::from_millis(ms.parse().unwrap());
            self.alarm = Some(at);
            io.set_alarm(Some(at));
        } else {
            assert!(io.send_datagram(datagram.socket, datagram.from, datagram.bytes));
            let seen = Seen::Datagram(datagram.from, datagram.bytes.to_vec());
            self.seen.send(seen).unwrap();
        }
    }

    fn on_alarm(&mut self, io: &mut WorkerIo<'_, ()>) {
        let late = io.now() - self.alarm.take().expect("no alarm without its being set");
        self.seen.send(Seen::Alarm(late)).unwrap();
    }
}

struct Bench {
    server: Server,
    seen: Receiver<Seen>,
    device: UdpSocket,
}

impl Bench {
    fn new(workers: usize, limits: Limits) -> Self {
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listeners = Listeners::bind_all(&[], &[loopback, loopback]).unwrap();
        let (sender, seen) = channel();
        let config = ServerConfig { workers, limits, ..ServerConfig::new("reach") };
        let server = Server::start(listeners, &config, Reaching(sender)).unwrap();
        let device = UdpSocket::bind(loopback).unwrap();
        device.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { server, seen, device }
    }

    fn send(&self, socket: usize, bytes: &[u8]) {
        self.device.send_to(bytes, self.server.datagram_addresses()[socket]).unwrap();
    }

    fn next(&self) -> Seen {
        self.seen.recv_timeout(PATIENCE).expect("something happens")
    }
}

#[test]
fn a_datagram_comes_whole_and_is_answered_through_the_socket_it_came_by() {
    let bench = Bench::new(2, Limits::default());
    let long = vec![7; 60_000];
    for (socket, bytes) in [(0, b"one".to_vec()), (1, Vec::new()), (1, long)] {
        bench.send(socket, &bytes);
        let from = bench.device.local_addr().unwrap();
        assert_eq!(bench.next(), Seen::Datagram(from, bytes.clone()));
        let mut buffer = vec![0; 65_536];
        let (len, from) = bench.device.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&bytes[..], bench.server.datagram_addresses()[socket]));
    }
    let counts = bench.server.counters().snapshot();
    assert_eq!((counts.datagrams_in, counts.datagrams_out), (3, 3));
}

#[test]
fn a_connection_we_open_is_one_like_any_other() {
    let mut bench = Bench::new(1, Limits::default());
    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    bench.send(0, format!("connect {}", peer.local_addr().unwrap()).as_bytes());
    let (mut stream, _) = peer.accept().unwrap();
    assert_eq!(bench.next(), Seen::Connected);
    let mut hello = [0; 5];
    stream.read_exact(&mut hello).unwrap();
    assert_eq!(&hello, b"hello");
    stream.write_all(b"answer").unwrap();
    assert_eq!(bench.next(), Seen::Bytes(b"answer".to_vec()));
    drop(stream);
    assert_eq!(bench.next(), Seen::Closed(CloseReason::PeerEnded));
    bench.server.stop().unwrap();
    let counts = bench.server.counters().snapshot();
    assert_eq!((counts.connecting, counts.open), (1, 0));
}

#[test]
fn a_connection_refused_or_never_answered_is_told() {
    let bench = Bench::new(1, Limits { connect_timeout_ms: 300, ..Limits::default() });
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.send(0, format!("connect {unused}").as_bytes());
    assert_eq!(bench.next(), Seen::Closed(CloseReason::ConnectFailed));
    // a listener whose backlog is full answers nobody
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let fill: Vec<_> = (0..4)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()
        })
        .collect();
    assert!(fill.len() < 4, "the backlog is full");
    bench.send(0, format!("connect {address}").as_bytes());
    assert_eq!(bench.next(), Seen::Closed(CloseReason::ConnectFailed));
    assert_eq!(bench.server.counters().snapshot().closed(CloseReason::ConnectFailed), 2);
}

#[test]
fn what_is_still_being_opened_does_not_hold_up_a_stop() {
    let mut bench = Bench::new(1, Limits::default());
    let deaf = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    deaf.listen(0).unwrap();
    let address = deaf.local_addr().unwrap().as_socket().unwrap();
    let _fill: Vec<_> = (0..4)
        .filter_map(|_| {
            std::net::TcpStream::connect_timeout(&address, Duration::from_millis(100)).ok()
        })
        .collect();
    bench.send(0, format!("connect {address}").as_bytes());
    bench.send(0, b"behind it");
    assert!(matches!(bench.next(), Seen::Datagram(..)));
    let before = Instant::now();
    bench.server.stop().unwrap();
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(bench.next(), Seen::Closed(CloseReason::Stopped));
}

#[test]
fn an_alarm_is_never_early() {
    let bench = Bench::new(1, Limits::default());
    for ms in [0, 1, 7, 30] {
        bench.send(0, format!("alarm {ms}").as_bytes());
        assert!(matches!(bench.next(), Seen::Alarm(_)), "{ms}");
    }
    assert!(bench.seen.recv_timeout(Duration::from_millis(50)).is_err(), "it rings once");
}
