//! Accepting. Owns the listening sockets, on worker 0; decides who comes in and who serves them.
//! Must never spin when it cannot accept.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};

use crate::counters::Counters;
use crate::limits::Limits;
use crate::peers::PeerCounts;
use crate::transport::Transport;
use crate::waker::{Accepted, WorkerWaker};
use crate::worker::LISTENER_TOKEN;

/// Connections accepted before the worker serves its own again.
const ACCEPTS_PER_TURN: usize = 64;
/// How long accepting rests after a failure.
const BACK_OFF: Duration = Duration::from_millis(100);
/// How long accepting rests at its rate limit.
const RATE_REST: Duration = Duration::from_millis(20);
/// Connections refused with the reserve descriptor before accepting rests.
const REFUSALS_MAX: usize = 16;

#[derive(Debug)]
struct Listening {
    socket: TcpListener,
    /// Whether connections may wait: events come on a change only.
    ready: bool,
}

/// Accepts for all workers.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listening: Vec<Listening>,
    workers: Arc<[WorkerWaker]>,
    /// Where the search for the least loaded begins, so that equals take turns.
    next_worker: usize,
    peers: Arc<PeerCounts>,
    counters: Arc<Counters>,
    connections_max: usize,
    rate: Rate,
    rest_until: Option<Instant>,
    /// A descriptor kept back, so that with none left a peer can still be told by a close.
    reserve: Option<File>,
}

/// A bucket of one second's worth.
#[derive(Debug)]
struct Rate {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Rate {
    fn take(&mut self, now: Instant) -> bool {
        if self.per_second == 0.0 {
            return true;
        }
        let since = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + since * self.per_second).min(self.per_second.max(1.0));
        self.filled = now;
        let free = self.tokens >= 1.0;
        if free {
            self.tokens -= 1.0;
        }
        free
    }
}

fn reserve() -> Option<File> {
    File::open("/dev/null").ok()
}

/// No descriptor or no memory for one more socket.
fn exhausted(error: &io::Error) -> bool {
    #[cfg(unix)]
    {
        use rustix::io::Errno;
        let all = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        all.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
    }
    #[cfg(not(unix))]
    {
        error.kind() == ErrorKind::OutOfMemory
    }
}

impl Acceptor {
    pub(crate) fn new(
        sockets: Vec<TcpListener>,
        workers: Arc<[WorkerWaker]>,
        peers: Arc<PeerCounts>,
        counters: Arc<Counters>,
        limits: &Limits,
    ) -> Self {
        let listening =
            sockets.into_iter().map(|socket| Listening { socket, ready: true }).collect();
        let per_second = f64::from(limits.accept_rate_max);
        Self {
            listening,
            workers,
            next_worker: 0,
            peers,
            counters,
            connections_max: limits.connections_max,
            rate: Rate { per_second, tokens: per_second, filled: Instant::now() },
            rest_until: None,
            reserve: reserve(),
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        for (place, listening) in self.listening.iter_mut().enumerate() {
            let token = Token(LISTENER_TOKEN.0 - place);
            registry.register(&mut listening.socket, token, Interest::READABLE)?;
        }
        Ok(())
    }

    /// Notes an event, if it is a listener's.
    pub(crate) fn on_event(&mut self, token: Token) -> bool {
        let listening =
            LISTENER_TOKEN.0.checked_sub(token.0).and_then(|place| self.listening.get_mut(place));
        match listening {
            Some(listening) => {
                listening.ready = true;
                true
            }
            None => false,
        }
    }

    /// When to come back without an event: now if connections may wait, later if accepting rests.
    pub(crate) fn due(&self, now: Instant) -> Option<Duration> {
        if !self.listening.iter().any(|listening| listening.ready) {
            return None;
        }
        Some(self.rest_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now)))
    }

    /// Accepts what waits, up to a turn's worth.
    pub(crate) fn turn(&mut self, now: Instant) {
        if self.rest_until.is_some_and(|until| now < until) {
            return;
        }
        self.rest_until = None;
        for place in 0..self.listening.len() {
            for _ in 0..ACCEPTS_PER_TURN {
                if !self.accept_one(place, now) {
                    break;
                }
            }
        }
    }

    /// Accepts one connection; false ends the listener's turn.
    fn accept_one(&mut self, place: usize, now: Instant) -> bool {
        let Some(listening) = self.listening.get_mut(place).filter(|l| l.ready) else {
            return false;
        };
        if !self.rate.take(now) {
            Counters::add(&self.counters.accept_rate_held, 1);
            self.rest_until = Some(now + RATE_REST);
            return false;
        }
        let accepted = listening.socket.accept();
        match accepted {
            Ok((stream, address)) => {
                self.admit(stream, address, place);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                listening.ready = false;
                false
            }
            // The peer went away while it waited: that is its affair alone.
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                ) =>
            {
                true
            }
            Err(error) if exhausted(&error) => {
                self.refuse_exhausted(place, &error);
                self.rest_until = Some(now + BACK_OFF);
                false
            }
            Err(error) => {
                Counters::add(&self.counters.accept_failed, 1);
                tracing::warn!(target: "flux_net", %error, "cannot accept");
                self.rest_until = Some(now + BACK_OFF);
                false
            }
        }
    }

    /// With no descriptor left: frees the reserve, accepts with it and closes, so that peers see a
    /// close instead of waiting for an answer that cannot come.
    fn refuse_exhausted(&mut self, place: usize, error: &io::Error) {
        Counters::add(&self.counters.accept_files_exhausted, 1);
        tracing::warn!(target: "flux_net", %error, "no file descriptor for another connection");
        let Some(listening) = self.listening.get_mut(place) else { return };
        for _ in 0..REFUSALS_MAX {
            if self.reserve.take().is_none() {
                break;
            }
            let refused = listening.socket.accept();
            let done = refused.is_err();
            drop(refused);
            self.reserve = reserve();
            if done {
                break;
            }
        }
        if self.reserve.is_none() {
            self.reserve = reserve();
        }
    }

    /// Hands a connection to the least loaded worker, or closes it.
    fn admit(&mut self, stream: TcpStream, address: SocketAddr, listener: usize) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let counters = &self.counters;
        // Only the acceptor adds to `open`, so that reading first cannot go over.
        if counters.open.load(Relaxed) >= self.connections_max as u64 {
            Counters::add(&counters.refused_connections_max, 1);
            return;
        }
        if !self.peers.admit(address.ip()) {
            Counters::add(&counters.refused_per_ip_max, 1);
            return;
        }
        if let Err(error) = stream.set_nodelay(true) {
            // It will be slow, or is gone already, which its first read tells.
            tracing::debug!(target: "flux_net", %error, "cannot set TCP_NODELAY");
        }
        let count = self.workers.len();
        let least = (0..count)
            .filter_map(|step| self.workers.get((self.next_worker + step) % count))
            .min_by_key(|worker| worker.shared.load.load(Relaxed));
        let Some(worker) = least else { return };
        self.next_worker = (worker.worker() + 1) % count;
        Counters::add(&counters.accepted, 1);
        Counters::add(&counters.open, 1);
        worker.shared.load.fetch_add(1, Relaxed);
        let transport = Transport::Tcp(stream);
        worker.shared.hand_over(Accepted { transport, address, listener });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_lets_a_second_s_worth_through_at_once_and_then_its_share() {
        let start = Instant::now();
        let mut rate = Rate { per_second: 10.0, tokens: 10.0, filled: start };
        assert_eq!((0..20).filter(|_| rate.take(start)).count(), 10);
        let later = start + Duration::from_millis(250);
        assert_eq!((0..20).filter(|_| rate.take(later)).count(), 2);
        let much_later = start + Duration::from_secs(60);
        assert_eq!((0..20).filter(|_| rate.take(much_later)).count(), 10);
    }
}
