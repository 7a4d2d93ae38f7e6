//! One protocol's workers as a whole. Owns their start, their stop, and what others may see.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};

use crate::accept::Acceptor;
use crate::counters::Counters;
use crate::datagram::DatagramSockets;
use crate::error::NetError;
use crate::limits::{Limits, WORKERS_MAX};
use crate::listener::Listeners;
use crate::peers::PeerCounts;
use crate::ports::Protocol;
use crate::waker::{PENDING_INBOX, WorkerShared, WorkerWaker};
use crate::worker::{Core, WAKE_TOKEN, Worker};

/// How long beyond `stop_grace_ms` a stop waits for the threads themselves.
const JOIN_GRACE: Duration = Duration::from_secs(2);

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Names the threads: `mqtt` gives `mqtt-net-0`, `mqtt-net-1`, …
    pub name: String,
    /// Worker threads, 1 to [`WORKERS_MAX`].
    pub workers: usize,
    /// What peers are allowed.
    pub limits: Limits,
}

impl ServerConfig {
    /// One worker with the default limits.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), workers: 1, limits: Limits::default() }
    }
}

/// A running server: its listeners and its worker threads. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    datagram_addresses: Vec<SocketAddr>,
    workers: Arc<[WorkerWaker]>,
    counters: Arc<Counters>,
    threads: Vec<JoinHandle<()>>,
    /// Each worker holds a sender until its thread ends.
    ended: Receiver<()>,
    stop_grace: Duration,
}

impl Server {
    /// Starts the workers and then listens. `protocol` gets one call on each worker's thread.
    ///
    /// # Errors
    /// [`NetError::Limit`] for a value out of range, [`NetError::AddressInUse`] if somebody else
    /// has come to listen since the address was taken, [`NetError::Worker`] if a thread or its poll
    /// cannot be made. Nothing is left running.
    pub fn start<P: Protocol>(
        mut listeners: Listeners,
        config: &ServerConfig,
        protocol: P,
    ) -> Result<Self, NetError> {
        config.limits.validate()?;
        if config.workers == 0 || config.workers > WORKERS_MAX {
            let (given, max) = (config.workers as u64, WORKERS_MAX as u64);
            return Err(NetError::Limit { name: "workers", given, min: 1, max });
        }
        let addresses = listeners.local_addresses();
        let datagram_addresses = listeners.datagram_addresses();
        let mut datagrams: Vec<DatagramSockets> = Vec::new();
        datagrams.resize_with(config.workers, DatagramSockets::default);
        for (place, socket) in listeners.take_datagrams().into_iter().enumerate() {
            if let Some(own) = datagrams.get_mut(place % config.workers) {
                own.add(place, socket);
            }
        }
        let sockets = listeners.listen(&config.limits)?;
        let worker_error = |source| NetError::Worker { source };

        let mut polls = Vec::with_capacity(config.workers);
        let mut wakers = Vec::with_capacity(config.workers);
        for index in 0..config.workers {
            let poll = Poll::new().map_err(worker_error)?;
            let waker = Waker::new(poll.registry(), WAKE_TOKEN).map_err(worker_error)?;
            let shared = WorkerShared::new(index, waker, config.limits.connections_max);
            wakers.push(WorkerWaker { shared: Arc::new(shared) });
            polls.push(poll);
        }
        let workers: Arc<[WorkerWaker]> = wakers.into();
        let counters = Arc::new(Counters::default());
        let peers = Arc::new(PeerCounts::new(config.limits.connections_per_ip_max));
        let protocol = Arc::new(protocol);
        let (ended_sender, ended) = channel();
        let (started_sender, started) = channel();
        let mut server = Self {
            addresses,
            datagram_addresses,
            workers: workers.clone(),
            counters: counters.clone(),
            threads: Vec::with_capacity(config.workers),
            ended,
            stop_grace: config.limits.stop_grace(),
        };
        let mut acceptor = Some(Acceptor::new(
            sockets,
            workers.clone(),
            peers.clone(),
            counters.clone(),
            &config.limits,
        ));
        let seats = polls.into_iter().zip(datagrams).zip(workers.iter().cloned());
        for ((poll, datagrams), waker) in seats {
            let (protocol, peers, counters) = (protocol.clone(), peers.clone(), counters.clone());
            let (limits, acceptor) = (config.limits.clone(), acceptor.take());
            let (ended, started) = (ended_sender.clone(), started_sender.clone());
            let thread = std::thread::Builder::new()
                .name(format!("{}-net-{}", config.name, waker.worker()))
                .spawn(move || {
                    let made = protocol.worker(waker.clone());
                    // Without a receiver the start has failed, and the stop is on its way.
                    let _ = started.send(());
                    drop(started);
                    let core = Core::new(
                        waker.shared,
                        limits,
                        counters,
                        peers,
                        datagrams,
                        poll.registry().try_clone().ok(),
                    );
                    Worker::new(made, poll, core, acceptor).run();
                    drop(ended);
                })
                // Dropping `server` stops the workers started before.
                .map_err(worker_error)?;
            server.threads.push(thread);
        }
        drop(started_sender);
        if started.iter().count() < config.workers {
            let source = std::io::Error::other("the protocol panicked while it was set up");
            return Err(NetError::Worker { source });
        }
        Ok(server)
    }

    /// The addresses listened on, in the order given, ports chosen.
    #[must_use]
    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses datagrams are received on, in the order given, ports chosen.
    #[must_use]
    pub fn datagram_addresses(&self) -> &[SocketAddr] {
        &self.datagram_addresses
    }

    /// One waker for each worker, by its index.
    #[must_use]
    pub fn wakers(&self) -> Arc<[WorkerWaker]> {
        self.workers.clone()
    }

    /// The live counts.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Stops: no more is accepted or read, the protocol is told
    /// ([`WorkerProtocol::on_stop`](crate::WorkerProtocol::on_stop)), what waits is flushed, and
    /// after `stop_grace_ms` the rest is cut off. A second call does nothing.
    ///
    /// # Errors
    /// [`NetError::StopTimedOut`] if a worker is stuck in a call of its protocol; its thread is left
    /// behind.
    pub fn stop(&mut self) -> Result<(), NetError> {
        if self.threads.is_empty() {
            return Ok(());
        }
        for worker in self.workers.iter() {
            worker.shared.stopping.store(true, Ordering::SeqCst);
            worker.shared.notify(PENDING_INBOX);
        }
        let wait = self.stop_grace + JOIN_GRACE;
        let until = Instant::now() + wait;
        while !self.threads.iter().all(JoinHandle::is_finished) {
            let left = until.saturating_duration_since(Instant::now());
            // Nothing is ever sent: it ends when the last worker has dropped its sender, just
            // before its thread is finished.
            if left.is_zero() || self.ended.recv_timeout(left) == Err(RecvTimeoutError::Timeout) {
                break;
            }
            std::thread::yield_now();
        }
        let (ended, stuck): (Vec<_>, Vec<_>) =
            self.threads.drain(..).partition(JoinHandle::is_finished);
        for thread in ended {
            if thread.join().is_err() {
                tracing::error!(target: "flux_net", "a network worker ended by a panic");
            }
        }
        for worker in self.workers.iter() {
            // Handed over when that worker had already ended.
            let late = worker.shared.take_inbox();
            Counters::sub(&self.counters.open, late.len() as u64);
        }
        if stuck.is_empty() {
            return Ok(());
        }
        let waited_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Err(NetError::StopTimedOut { workers: stuck.len(), waited_ms })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            tracing::error!(target: "flux_net", %error, "network workers are left behind");
        }
    }
}
