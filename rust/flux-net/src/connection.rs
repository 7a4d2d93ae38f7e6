//! One connection as its worker keeps it. Owns its state and what follows from it (is it read, when
//! is it looked at again); calls no protocol and no poll.

use std::net::IpAddr;

use bytes::BytesMut;

use crate::limits::Limits;
use crate::ports::CloseReason;
use crate::transport::Transport;
use crate::wheel::NEVER;

/// The part of the state that a protocol changes through its [`Context`](crate::Context). Times are
/// milliseconds since the worker's start.
#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) timer_ms: u64,
    pub(crate) heard_ms: u64,
    pub(crate) established: bool,
    pub(crate) more: bool,
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// We asked for it, and it is not there yet.
    Connecting,
    /// The protocol serves it.
    Open,
    /// The protocol is done; the output is being flushed.
    Flushing,
    /// Our side is ended; what the peer still sends is thrown away.
    Lingering,
}

/// A connection. `C` is the protocol's part, there while it is [`Stage::Connecting`] or
/// [`Stage::Open`].
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, not one state")]
pub(crate) struct Entry<C> {
    pub(crate) transport: Transport,
    pub(crate) protocol: Option<C>,
    pub(crate) stage: Stage,
    /// What the protocol left of its input.
    pub(crate) input: BytesMut,
    /// What waits for the peer. Without memory while empty.
    pub(crate) output: BytesMut,
    pub(crate) control: Control,
    /// Decided, to be carried out when no call is running: why, and whether output is thrown away.
    pub(crate) closing: Option<(CloseReason, bool)>,

    /// The socket may have bytes for us.
    pub(crate) readable: bool,
    /// The socket may take bytes.
    pub(crate) writable: bool,
    /// The peer's end may be right behind the bytes: a short read proves nothing.
    pub(crate) ending: bool,
    /// The peer's end was read.
    pub(crate) ended: bool,
    pub(crate) paused: bool,
    /// The server stops: nothing is read any more.
    pub(crate) deaf: bool,
    /// The input is to be given again without new bytes.
    pub(crate) offer: bool,
    /// `on_ready` is to be called.
    pub(crate) notified: bool,
    /// It is in the run queue.
    pub(crate) queued: bool,
    /// It is in the flush queue.
    pub(crate) flush_queued: bool,

    /// End of handshake, half-closed life, flush or linger, by stage.
    pub(crate) guard_ms: u64,
    /// When the peer must have taken something.
    pub(crate) write_ms: u64,
    /// When it may be read again after reaching its rate.
    pub(crate) rate_ms: u64,
    /// The time at which what was read so far would have come at exactly the rate (GCRA), in
    /// microseconds.
    pub(crate) rate_due_us: u64,
    pub(crate) paused_since_ms: u64,
    /// The tick of the wheel's entry that counts; others are left over.
    pub(crate) scheduled_tick: u64,
    /// What of `buffered_bytes` is ours.
    pub(crate) charged: usize,
    /// The peer's address, where it is counted against `connections_per_ip_max`.
    pub(crate) ip: Option<IpAddr>,
}

impl<C> Entry<C> {
    pub(crate) fn new(
        transport: Transport,
        ip: Option<IpAddr>,
        now_ms: u64,
        limits: &Limits,
    ) -> Self {
        Self {
            transport,
            protocol: None,
            stage: Stage::Open,
            input: BytesMut::new(),
            output: BytesMut::new(),
            control: Control { timer_ms: NEVER, heard_ms: now_ms, established: false, more: false },
            closing: None,
            readable: true,
            writable: true,
            ending: false,
            ended: false,
            paused: false,
            deaf: false,
            offer: false,
            notified: false,
            queued: false,
            flush_queued: false,
            guard_ms: now_ms + limits.handshake_timeout_ms,
            write_ms: NEVER,
            rate_ms: NEVER,
            rate_due_us: 0,
            paused_since_ms: 0,
            scheduled_tick: NEVER,
            charged: 0,
            ip,
        }
    }

    /// Whether we keep from reading it, by its own state.
    pub(crate) fn held(&self, limits: &Limits) -> bool {
        self.paused
            || self.deaf
            || self.rate_ms != NEVER
            || self.output.len() >= limits.output_bytes_high
    }

    /// Whether a turn of it could do something.
    pub(crate) fn runnable(&self, limits: &Limits) -> bool {
        match self.stage {
            Stage::Open => {
                self.notified
                    || self.offer && !self.paused && !self.deaf
                    || self.readable && !self.ended && !self.held(limits)
            }
            Stage::Connecting | Stage::Flushing => false,
            Stage::Lingering => self.readable,
        }
    }

    /// The next time it is to be looked at.
    pub(crate) fn due_ms(&self) -> u64 {
        let guarded = self.stage != Stage::Open || self.ended || !self.control.established;
        let guard = if guarded { self.guard_ms } else { NEVER };
        guard.min(self.write_ms).min(self.rate_ms).min(self.control.timer_ms)
    }

    /// How many bytes the rate lets through now, with a burst of one second.
    pub(crate) fn rate_allows(&self, now_us: u64, per_second: u64) -> usize {
        if per_second == 0 {
            return usize::MAX;
        }
        let ahead_us = self.rate_due_us.saturating_sub(now_us);
        let free_us = 1_000_000_u64.saturating_sub(ahead_us);
        let bytes = u128::from(free_us) * u128::from(per_second) / 1_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Counts bytes read against the rate.
    pub(crate) fn rate_charge(&mut self, now_us: u64, per_second: u64, bytes: usize) {
        if per_second == 0 {
            return;
        }
        let cost_us = (bytes as u128 * 1_000_000).div_ceil(u128::from(per_second));
        let cost_us = u64::try_from(cost_us).unwrap_or(u64::MAX);
        self.rate_due_us = self.rate_due_us.max(now_us).saturating_add(cost_us);
    }
}
