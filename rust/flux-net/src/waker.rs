//! How other threads reach a worker. Owns the flags and the dirty list; must never block the
//! caller, and makes a system call only if the worker sleeps.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::dirty::DirtySet;
use crate::ports::ConnectionId;
use crate::slots::BLOCK_LEN;
use crate::transport::Transport;

/// Something for `on_wake`.
pub(crate) const PENDING_WORKER: u32 = 1;
/// The dirty set holds something.
pub(crate) const PENDING_DIRTY: u32 = 2;
/// The inbox holds something, or the server stops.
pub(crate) const PENDING_INBOX: u32 = 4;

/// A socket on its way from the acceptor to its worker.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) address: SocketAddr,
    pub(crate) listener: usize,
}

/// The part of a worker that other threads see.
#[derive(Debug)]
pub(crate) struct WorkerShared {
    pub(crate) index: usize,
    /// Connections given to this worker and not yet released.
    pub(crate) load: AtomicUsize,
    pub(crate) stopping: AtomicBool,
    pending: AtomicU32,
    sleeping: AtomicBool,
    waker: mio::Waker,
    dirty: DirtySet,
    /// Bounded by `connections_max`: the acceptor counts before it hands over.
    inbox: Mutex<Vec<Accepted>>,
}

impl WorkerShared {
    pub(crate) fn new(index: usize, waker: mio::Waker, connections_max: usize) -> Self {
        Self {
            index,
            load: AtomicUsize::new(0),
            stopping: AtomicBool::new(false),
            pending: AtomicU32::new(0),
            sleeping: AtomicBool::new(false),
            waker,
            // One block of the connection table more than there can be connections.
            dirty: DirtySet::new(connections_max + BLOCK_LEN),
            inbox: Mutex::new(Vec::new()),
        }
    }

    /// Leaves word that there is something, and wakes the worker if it sleeps.
    ///
    /// Either the worker, about to sleep, sees `pending`, or we see `sleeping`: each side writes
    /// its own word before it reads the other's, all sequentially consistent.
    pub(crate) fn notify(&self, what: u32) {
        self.pending.fetch_or(what, Ordering::SeqCst);
        let asleep =
            self.sleeping.load(Ordering::SeqCst) && self.sleeping.swap(false, Ordering::SeqCst);
        if !asleep {
            return;
        }
        if let Err(error) = self.waker.wake() {
            // The worker sleeps on until its next event or tick; another wake may succeed.
            self.sleeping.store(true, Ordering::SeqCst);
            let worker = self.index;
            tracing::error!(target: "flux_net", worker, %error, "cannot wake a worker");
        }
    }

    /// Says that the worker is about to sleep; false if there is something to do first.
    pub(crate) fn fall_asleep(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.pending.load(Ordering::SeqCst) == 0 {
            return true;
        }
        self.sleeping.store(false, Ordering::SeqCst);
        false
    }

    /// Says that the worker is awake.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }

    /// What there is to do, taken.
    pub(crate) fn take_pending(&self) -> u32 {
        if self.pending.load(Ordering::Relaxed) == 0 {
            return 0;
        }
        self.pending.swap(0, Ordering::SeqCst)
    }

    pub(crate) fn drain_dirty(&self, take: impl FnMut(u32)) {
        self.dirty.drain(take);
    }

    fn lock_inbox(&self) -> MutexGuard<'_, Vec<Accepted>> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn hand_over(&self, accepted: Accepted) {
        self.lock_inbox().push(accepted);
        self.notify(PENDING_INBOX);
    }

    pub(crate) fn take_inbox(&self) -> Vec<Accepted> {
        std::mem::take(&mut *self.lock_inbox())
    }

    fn wake_connection(&self, id: ConnectionId) {
        if id.worker() == self.index {
            self.dirty.insert(id.index());
            self.notify(PENDING_DIRTY);
        }
    }
}

/// Wakes one worker from any thread.
///
/// Cheap: two atomic operations while the worker is awake or already woken, one write to its
/// eventfd if it sleeps. Wakes that the worker has not yet answered become one.
#[derive(Debug, Clone)]
pub struct WorkerWaker {
    pub(crate) shared: Arc<WorkerShared>,
}

impl WorkerWaker {
    /// Asks for [`WorkerProtocol::on_wake`](crate::WorkerProtocol::on_wake).
    pub fn wake(&self) {
        self.shared.notify(PENDING_WORKER);
    }

    /// Asks for [`WorkerProtocol::on_ready`](crate::WorkerProtocol::on_ready) of a connection of
    /// this worker; does nothing for another worker's. A connection gone by then is passed over (a
    /// later one in its place may be called without cause).
    pub fn wake_connection(&self, id: ConnectionId) {
        self.shared.wake_connection(id);
    }

    /// The worker's index, from 0.
    #[must_use]
    pub fn worker(&self) -> usize {
        self.shared.index
    }
}

/// Wakes one connection from any thread; stays valid, and harmless, after its end.
#[derive(Debug, Clone)]
pub struct ConnectionHandle {
    pub(crate) shared: Arc<WorkerShared>,
    pub(crate) id: ConnectionId,
}

impl ConnectionHandle {
    /// Asks for [`WorkerProtocol::on_ready`](crate::WorkerProtocol::on_ready); calls not yet
    /// answered become one.
    pub fn wake(&self) {
        self.shared.wake_connection(self.id);
    }

    /// The connection's name.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.id
    }
}
