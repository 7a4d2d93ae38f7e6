//! What a worker has beside its protocol and its connections: clock, queues, buffers, wheel, counts.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use bytes::BytesMut;
use mio::Registry;

use crate::connection::{Entry, Stage};
use crate::counters::Counters;
use crate::datagram::DatagramSockets;
use crate::limits::{Limits, READ_BYTES_CEILING};
use crate::peers::PeerCounts;
use crate::ports::{CloseReason, ConnectionId, Context, Verdict};
use crate::waker::WorkerShared;
use crate::wheel::{NEVER, Wheel};

use super::Queue;

/// A fresh output buffer's size.
const OUTPUT_LEN: usize = 4 << 10;
/// Output buffers larger than this are not kept for the next use.
const OUTPUT_KEEP_LEN: usize = 64 << 10;
/// How much memory the kept output buffers may have.
const OUTPUT_POOL_BYTES: usize = 1 << 20;
/// What a connection may hold even if `buffered_bytes_max` is reached.
const BUFFERED_BYTES_FREE: usize = 16 << 10;

pub(crate) struct Core {
    pub(super) shared: Arc<WorkerShared>,
    pub(super) limits: Limits,
    pub(super) counters: Arc<Counters>,
    peers: Arc<PeerCounts>,
    pub(super) epoch: Instant,
    pub(super) now: Instant,
    pub(super) now_ms: u64,
    pub(super) wheel: Wheel,
    /// Connections that have something to do, each once.
    pub(super) run_queue: Queue,
    /// Connections that have something to write, each once.
    pub(super) flush_queue: Vec<u32>,
    /// Connections whose close is decided.
    pub(super) doomed: Vec<u32>,
    /// Where every read goes first.
    pub(super) scratch: Box<[u8]>,
    /// The input of a connection that had none left: shared, since most take all of it.
    pub(super) input: BytesMut,
    pub(super) datagrams: DatagramSockets,
    /// Where sockets that we open are watched; none if it could not be had.
    pub(super) registry: Option<Registry>,
    /// When the protocol asked for a call about the worker.
    pub(super) alarm: Option<Instant>,
    outputs: Vec<BytesMut>,
    outputs_bytes: usize,
}

impl Core {
    pub(crate) fn new(
        shared: Arc<WorkerShared>,
        limits: Limits,
        counters: Arc<Counters>,
        peers: Arc<PeerCounts>,
        datagrams: DatagramSockets,
        registry: Option<Registry>,
    ) -> Self {
        let now = Instant::now();
        Self {
            shared,
            limits,
            counters,
            peers,
            epoch: now,
            now,
            now_ms: 0,
            wheel: Wheel::new(),
            run_queue: Queue::new(),
            flush_queue: Vec::new(),
            doomed: Vec::new(),
            scratch: vec![0; READ_BYTES_CEILING].into(),
            input: BytesMut::new(),
            datagrams,
            registry,
            alarm: None,
            outputs: Vec::new(),
            outputs_bytes: 0,
        }
    }

    pub(super) fn look_at_clock(&mut self) {
        self.now = Instant::now();
        let since = self.now.saturating_duration_since(self.epoch).as_millis();
        self.now_ms = u64::try_from(since).unwrap_or(NEVER - 1);
    }

    pub(super) fn now_us(&self) -> u64 {
        let since = self.now.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(since).unwrap_or(u64::MAX)
    }

    /// Puts a connection into the run queue, if it has something to do.
    pub(super) fn queue<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        if !entry.queued && entry.runnable(&self.limits) {
            entry.queued = true;
            self.run_queue.push_back(index);
        }
    }

    pub(super) fn queue_flush<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        if !entry.flush_queued {
            entry.flush_queued = true;
            self.flush_queue.push(index);
        }
    }

    /// Decides a close, unless one is decided; `abrupt` throws the output away.
    pub(super) fn decide<C>(
        &mut self,
        index: u32,
        entry: &mut Entry<C>,
        reason: CloseReason,
        abrupt: bool,
    ) {
        let served = matches!(entry.stage, Stage::Connecting | Stage::Open);
        if entry.closing.is_none() && served {
            entry.closing = Some((reason, abrupt));
            self.doomed.push(index);
        }
    }

    /// Gives the connection an output buffer if it has none.
    pub(super) fn lend_output<C>(&mut self, entry: &mut Entry<C>) {
        if entry.output.capacity() == 0 {
            entry.output = match self.outputs.pop() {
                Some(buffer) => {
                    self.outputs_bytes -= buffer.capacity();
                    buffer
                }
                None => BytesMut::with_capacity(OUTPUT_LEN),
            };
        }
    }

    /// Takes an empty output buffer back.
    pub(super) fn take_output<C>(&mut self, entry: &mut Entry<C>) {
        let mut buffer = std::mem::take(&mut entry.output);
        buffer.clear();
        // What was written lies before the buffer's start: this wins it back.
        buffer.reserve(OUTPUT_LEN);
        let bytes = buffer.capacity();
        if bytes <= OUTPUT_KEEP_LEN && self.outputs_bytes + bytes <= OUTPUT_POOL_BYTES {
            self.outputs_bytes += bytes;
            self.outputs.push(buffer);
        }
    }

    /// The protocol's part of a connection, and what it may see and ask during a call.
    pub(super) fn context<'a, C>(
        &self,
        id: ConnectionId,
        entry: &'a mut Entry<C>,
    ) -> (Option<&'a mut C>, Context<'a>) {
        // What waits for its turn is as little the peer's fault.
        let held = entry.held(&self.limits) || entry.queued && entry.readable;
        let cx = Context {
            output: &mut entry.output,
            id,
            now: self.now,
            epoch: self.epoch,
            output_bytes_high: self.limits.output_bytes_high,
            control: &mut entry.control,
            held,
        };
        (entry.protocol.as_mut(), cx)
    }

    /// Follows a verdict of the protocol.
    pub(super) fn obey<C>(
        &mut self,
        index: u32,
        entry: &mut Entry<C>,
        verdict: Verdict,
        reason: CloseReason,
    ) {
        match verdict {
            Verdict::Continue => {}
            Verdict::Pause => self.pause(entry),
            Verdict::Resume => self.resume(index, entry),
            Verdict::Close => self.decide(index, entry, reason, false),
            Verdict::Abort => self.decide(index, entry, reason, true),
        }
    }

    fn pause<C>(&self, entry: &mut Entry<C>) {
        if !entry.paused {
            entry.paused = true;
            entry.paused_since_ms = self.now_ms;
            Counters::add(&self.counters.paused, 1);
        }
    }

    fn unpause<C>(&self, entry: &mut Entry<C>) {
        if entry.paused {
            entry.paused = false;
            entry.control.heard_ms = self.now_ms;
            Counters::sub(&self.counters.paused, 1);
            Counters::add(&self.counters.paused_ms, self.now_ms - entry.paused_since_ms);
        }
    }

    pub(super) fn resume<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        if entry.paused {
            self.unpause(entry);
            entry.offer = !entry.input.is_empty();
            self.queue(index, entry);
        }
    }

    /// After any call: output goes to be written or its buffer back, limits are checked, and the
    /// next look is arranged.
    pub(super) fn settle<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        if !entry.output.is_empty() {
            self.queue_flush(index, entry);
        } else {
            if entry.output.capacity() > 0 {
                self.take_output(entry);
            }
            if entry.control.more {
                self.ready_again(index, entry);
            }
        }
        if entry.output.len() > self.limits.output_bytes_max {
            self.decide(index, entry, CloseReason::OutputOverflow, true);
        }
        if entry.input.len() > self.limits.input_bytes_max {
            self.decide(index, entry, CloseReason::InputOverflow, true);
        }
        let held = entry.input.len() + entry.output.len();
        let grown = held > entry.charged;
        self.charge(entry, held);
        if grown
            && held > BUFFERED_BYTES_FREE
            && self.counters.buffered_bytes.load(Relaxed) > self.limits.buffered_bytes_max as u64
        {
            self.decide(index, entry, CloseReason::BufferBudget, true);
        }
        self.schedule(index, entry);
    }

    /// The output has drained: the protocol may go on sending.
    pub(super) fn ready_again<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        entry.control.more = false;
        entry.notified = true;
        self.queue(index, entry);
    }

    pub(super) fn charge<C>(&self, entry: &mut Entry<C>, held: usize) {
        if held > entry.charged {
            Counters::add(&self.counters.buffered_bytes, (held - entry.charged) as u64);
        } else if held < entry.charged {
            Counters::sub(&self.counters.buffered_bytes, (entry.charged - held) as u64);
        }
        entry.charged = held;
    }

    /// Has the wheel bring the connection up in time. A later time than arranged needs nothing: it
    /// is brought up early and arranged anew, so that a deadline that moves with every packet costs
    /// no more than a comparison.
    pub(super) fn schedule<C>(&mut self, index: u32, entry: &mut Entry<C>) {
        let due_ms = entry.due_ms();
        if due_ms == NEVER {
            return;
        }
        if entry.scheduled_tick == NEVER || self.wheel.tick_for(due_ms) < entry.scheduled_tick {
            // Not again in the tick that is being looked at: it could go round and round.
            let at_ms = due_ms.max(self.now_ms + 1);
            entry.scheduled_tick = self.wheel.insert(index, at_ms);
        }
    }

    /// Counts a connection out for good.
    pub(super) fn forget<C>(&mut self, mut entry: Entry<C>) {
        self.unpause(&mut entry);
        self.charge(&mut entry, 0);
        self.release_place(entry.ip);
    }

    /// Counts out a connection that never got a place.
    pub(super) fn release(&mut self, ip: IpAddr, reason: CloseReason) {
        self.counters.closed_for(reason);
        self.release_place(Some(ip));
    }

    fn release_place(&mut self, ip: Option<IpAddr>) {
        if let Some(ip) = ip {
            self.peers.release(ip);
        }
        self.shared.load.fetch_sub(1, Relaxed);
        Counters::sub(&self.counters.open, 1);
    }
}
