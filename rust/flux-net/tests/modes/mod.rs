//! A protocol for tests: the first byte of a connection chooses what it does.
#![allow(dead_code, unreachable_pub, reason = "each test file includes this and uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::BytesMut;
use flux_net::{
    CloseReason, ConnectionHandle, ConnectionId, Context, CountersSnapshot, Limits, Listeners,
    Peer, Protocol, Server, ServerConfig, Verdict, WorkerIo, WorkerProtocol, WorkerWaker,
};

/// How long a test waits for what must happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What the protocol saw.
#[derive(Debug)]
pub enum Seen {
    Opened(ConnectionHandle, Peer),
    Bytes(ConnectionId, usize),
    Ready(ConnectionId),
    /// How long the peer was silent, and how many turns had ended.
    Timer(Duration, u64),
    Ended(ConnectionId),
    Closed(ConnectionId, CloseReason),
    Woken(usize),
    Visited(bool),
}

/// The modes' settings and counts.
#[derive(Debug, Default)]
pub struct Shared {
    /// Added to by tests before they wake a connection in mode `n`.
    pub promised: AtomicU64,
    /// Bytes taken in mode `s`.
    pub sunk: AtomicU64,
    /// How much a connection in mode `f` still has to send.
    pub flood_left: AtomicU64,
    pub turns: AtomicU64,
}

pub struct Modes {
    pub shared: Arc<Shared>,
    pub seen: Sender<Seen>,
}

pub struct ModesWorker {
    shared: Arc<Shared>,
    seen: Sender<Seen>,
    waker: WorkerWaker,
    paused: Vec<ConnectionId>,
    /// Connections in mode `w` or `v`, answered when the worker is woken.
    waiting: Vec<ConnectionId>,
}

pub struct Connection {
    id: ConnectionId,
    mode: Option<u8>,
}

impl Protocol for Modes {
    type Worker = ModesWorker;
    fn worker(&self, waker: WorkerWaker) -> ModesWorker {
        let (shared, seen) = (self.shared.clone(), self.seen.clone());
        ModesWorker { shared, seen, waker, paused: Vec::new(), waiting: Vec::new() }
    }
}

impl ModesWorker {
    fn tell(&self, seen: Seen) {
        let _ = self.seen.send(seen);
    }
}

impl WorkerProtocol for ModesWorker {
    type Connection = Connection;

    fn on_open(
        &mut self,
        peer: Peer,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> Connection {
        assert_eq!(handle.id(), cx.id());
        let id = handle.id();
        self.tell(Seen::Opened(handle, peer));
        Connection { id, mode: None }
    }

    fn on_bytes(
        &mut self,
        c: &mut Connection,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict {
        if c.mode.is_none() && !input.is_empty() {
            c.mode = Some(input.split_to(1)[0]);
            if c.mode != Some(b'q') {
                cx.established();
            }
        }
        match c.mode {
            // Echo.
            Some(b'e') => {
                cx.output.extend_from_slice(input);
                input.clear();
            }
            // Sink, telling.
            Some(b's') => {
                self.shared.sunk.fetch_add(input.len() as u64, Ordering::SeqCst);
                self.tell(Seen::Bytes(c.id, input.len()));
                input.clear();
            }
            // Echo of complete packets of 10 bytes.
            Some(b't') => {
                let whole = input.len() / 10 * 10;
                cx.output.extend_from_slice(&input.split_to(whole));
            }
            // Takes nothing, ever.
            Some(b'k') => {}
            // One packet of 10 bytes, then a pause until the worker is woken.
            Some(b'p') if input.len() >= 10 => {
                cx.output.extend_from_slice(&input.split_to(10));
                self.paused.push(c.id);
                self.tell(Seen::Bytes(c.id, 10));
                return Verdict::Pause;
            }
            // Answered, and closed (`v`: by a panic), when the worker is woken.
            Some(b'w' | b'v') => {
                self.waiting.push(c.id);
                self.tell(Seen::Bytes(c.id, 1));
            }
            // Answers and closes.
            Some(b'c') => {
                cx.output.extend_from_slice(b"bye");
                return Verdict::Close;
            }
            Some(b'a') => return Verdict::Abort,
            Some(b'x') => panic!("as asked"),
            // Sends more than anybody takes at once.
            Some(b'f') => return self.on_ready(c, cx),
            // Sends more than it may.
            Some(b'o') => cx.output.resize(cx.output.len() + (9 << 20), b'o'),
            // Blocks its worker, which no protocol may, until the test lets go.
            Some(b'b') => {
                self.tell(Seen::Bytes(c.id, 1));
                while self.shared.promised.load(Ordering::SeqCst) == 0 {
                    std::thread::yield_now();
                }
            }
            Some(b'm') => cx.set_timer(cx.now() + Duration::from_millis(250)),
            _ => {}
        }
        Verdict::Continue
    }

    fn on_ready(&mut self, c: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        match c.mode {
            Some(b'f') => {
                let left = self.shared.flood_left.load(Ordering::SeqCst);
                let now = left.min(cx.room() as u64);
                cx.output.resize(cx.output.len() + now as usize, b'f');
                self.shared.flood_left.fetch_sub(now, Ordering::SeqCst);
                if left > now {
                    cx.more_to_send();
                }
            }
            // Sends the number promised last.
            Some(b'n') => {
                let promised = self.shared.promised.load(Ordering::SeqCst);
                cx.output.extend_from_slice(&promised.to_be_bytes());
            }
            _ => self.tell(Seen::Ready(c.id)),
        }
        Verdict::Continue
    }

    fn on_timer(&mut self, c: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        let _ = c;
        let turns = self.shared.turns.load(Ordering::SeqCst);
        self.tell(Seen::Timer(cx.now() - cx.heard_at(), turns));
        Verdict::Continue
    }

    fn on_end(&mut self, c: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        self.tell(Seen::Ended(c.id));
        match c.mode {
            // Keeps its side open and answers later.
            Some(b'h') => {
                cx.output.extend_from_slice(b"after the end");
                cx.more_to_send();
                c.mode = Some(b'H');
                Verdict::Continue
            }
            Some(b'k') => Verdict::Continue,
            _ => Verdict::Close,
        }
    }

    fn on_stop(&mut self, c: &mut Connection, cx: &mut Context<'_>) -> Verdict {
        if c.mode == Some(b'z') {
            return Verdict::Continue;
        }
        cx.output.extend_from_slice(b"stopping");
        Verdict::Close
    }

    fn on_close(&mut self, c: Connection, reason: CloseReason) {
        self.tell(Seen::Closed(c.id, reason));
    }

    fn on_wake(&mut self, io: &mut WorkerIo<'_, Connection>) {
        for id in self.paused.drain(..) {
            io.resume(id);
        }
        for id in self.waiting.drain(..) {
            let found = io.visit(id, |connection, cx| {
                assert_ne!(connection.mode, Some(b'v'), "as asked");
                cx.output.extend_from_slice(b"done");
                Verdict::Close
            });
            let again = io.visit(id, |_, _| panic!("visited after its close"));
            assert!(!again);
            let _ = self.seen.send(Seen::Visited(found));
        }
        self.tell(Seen::Woken(self.waker.worker()));
    }

    fn on_turn_end(&mut self, _: &mut WorkerIo<'_, Connection>) {
        self.shared.turns.fetch_add(1, Ordering::SeqCst);
    }
}

/// A running server of this protocol, with what it saw.
pub struct Running {
    pub server: Server,
    pub shared: Arc<Shared>,
    pub seen: Receiver<Seen>,
}

pub fn run(workers: usize, limits: Limits) -> Running {
    let listeners = Listeners::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
    let config = ServerConfig { name: "modes".to_owned(), workers, limits };
    let (sender, seen) = channel();
    let shared = Arc::new(Shared::default());
    let modes = Modes { shared: shared.clone(), seen: sender };
    let server = Server::start(listeners, &config, modes).unwrap();
    Running { server, shared, seen }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.server.local_addresses()[0]
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    pub fn connect_as(&self, first: &[u8]) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(first).unwrap();
        stream
    }

    pub fn counts(&self) -> CountersSnapshot {
        self.server.counters().snapshot()
    }

    /// Waits for the first thing seen that `pick` takes.
    pub fn wait<T>(&self, mut pick: impl FnMut(Seen) -> Option<T>) -> T {
        loop {
            let seen = self.seen.recv_timeout(PATIENCE).expect("it was never seen");
            if let Some(found) = pick(seen) {
                return found;
            }
        }
    }

    pub fn wait_opened(&self) -> ConnectionHandle {
        self.wait(|seen| match seen {
            Seen::Opened(handle, _) => Some(handle),
            _ => None,
        })
    }

    pub fn wait_closed(&self) -> CloseReason {
        self.wait(|seen| match seen {
            Seen::Closed(_, reason) => Some(reason),
            _ => None,
        })
    }

    /// Waits until the counts satisfy `done`.
    pub fn wait_counts(&self, what: &str, done: impl Fn(&CountersSnapshot) -> bool) {
        let until = std::time::Instant::now() + PATIENCE;
        while !done(&self.counts()) {
            assert!(std::time::Instant::now() < until, "never: {what}: {:?}", self.counts());
            std::thread::yield_now();
        }
    }
}

pub fn read_exactly(stream: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

pub fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}
