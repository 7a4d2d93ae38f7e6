//! A line on which requests are answered: polls and commands, one after the other.
//!
//! Owns what is asked when, and whose an answer is. On a half-duplex line one request is under way
//! at a time; commands go before polls. Must never write to a socket or read a clock: frames go to
//! an output buffer, time comes in as an argument.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use flux_types::TenantId;
use serde_json::Value;

use crate::counters::{Counters, count};
use crate::limits::{COMMAND_FRAMES_MAX, LINE_QUEUE_LEN_MAX, SENT_FRAME_BYTES_MAX};
use crate::ports::{CodecError, Frame, LineCodec, LinkDevice, Reply};
use crate::settings::{LinkSpec, PollSpec};

/// Something to ask a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// Whom.
    pub device: LinkDevice,
    /// What.
    pub what: What,
    /// How long each answer may take, ms.
    pub timeout_ms: u64,
    /// How often each frame is sent again.
    pub retries: u32,
    /// When it should have been sent, monotonic ms.
    pub due_ms: u64,
}

/// What a request is for.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// A command, `{"id", "command", "params"}`, whose end somebody waits for.
    Command(Value),
    /// A request of a poll plan.
    Poll(Arc<PollSpec>),
}

impl What {
    fn json(&self) -> &Value {
        match self {
            Self::Command(command) => command,
            Self::Poll(poll) => &poll.command,
        }
    }

    fn is_poll(&self) -> bool {
        matches!(self, Self::Poll(_))
    }
}

/// What came of a line.
#[derive(Debug, Clone, PartialEq)]
pub enum LineEvent {
    /// A frame that answers a poll, with the request it answers.
    Polled {
        /// The device that was asked.
        device: LinkDevice,
        /// What was sent to it.
        request: Frame,
        /// What it answered.
        frame: Bytes,
        /// How often it is asked, ms.
        every_ms: u64,
    },
    /// A command has ended.
    Finished {
        /// The device that was asked.
        device: LinkDevice,
        /// The command.
        command: Value,
        /// What the device said, or why it said nothing.
        outcome: Result<Value, CodecError>,
    },
    /// A frame that answers no request, on a line where devices may speak unasked.
    Unasked(Bytes),
}

/// What a line may ask.
pub struct LinePorts<'p> {
    /// Writes and recognises.
    pub codec: &'p dyn LineCodec,
    /// What is counted.
    pub counters: &'p Counters,
}

/// How a line is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineSettings {
    /// Requests under way at once.
    pub in_flight_max: usize,
    /// Whether frames that answer no request are dropped.
    pub half_duplex: bool,
    /// The pause between an answer and the next request, ms.
    pub gap_ms: u64,
}

impl From<&LinkSpec> for LineSettings {
    fn from(link: &LinkSpec) -> Self {
        let LinkSpec { in_flight_max, half_duplex, gap_ms, .. } = *link;
        Self { in_flight_max, half_duplex, gap_ms }
    }
}

impl LineSettings {
    /// What holds for devices of two kinds on one line: the stricter of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            in_flight_max: self.in_flight_max.min(other.in_flight_max),
            half_duplex: self.half_duplex || other.half_duplex,
            gap_ms: self.gap_ms.max(other.gap_ms),
        }
    }
}

/// A request that was sent and is not answered yet.
#[derive(Debug)]
struct InFlight {
    request: Request,
    /// What was sent last.
    sent: Frame,
    /// What is still to be sent once that is answered.
    rest: VecDeque<Frame>,
    answers: Vec<Value>,
    retries_left: u32,
    deadline_ms: u64,
}

/// A line.
#[derive(Debug)]
pub struct Line {
    tenant: TenantId,
    settings: LineSettings,
    commands: VecDeque<Request>,
    polls: VecDeque<Request>,
    in_flight: Vec<InFlight>,
    /// Nothing is sent before.
    quiet_until_ms: u64,
}

impl Line {
    /// A line nobody has asked anything on.
    #[must_use]
    pub fn new(tenant: TenantId, settings: LineSettings) -> Self {
        Self {
            tenant,
            settings,
            commands: VecDeque::new(),
            polls: VecDeque::new(),
            in_flight: Vec::new(),
            quiet_until_ms: 0,
        }
    }

    /// Takes other settings; what is under way stays.
    pub fn set(&mut self, settings: LineSettings) {
        self.settings = settings;
    }

    /// Takes a command; where too many wait, it has failed at once.
    pub fn command(&mut self, request: Request, counters: &Counters, events: &mut Vec<LineEvent>) {
        if self.commands.len() < LINE_QUEUE_LEN_MAX {
            self.commands.push_back(request);
            return;
        }
        count(&counters.commands_refused);
        let text = format!("{LINE_QUEUE_LEN_MAX} commands wait for the line already");
        finish(request, Err(CodecError::new("busy", text)), events);
    }

    /// Takes a poll, unless the same one still waits or is under way.
    pub fn poll(&mut self, request: Request, counters: &Counters) {
        let same =
            |other: &Request| other.device.id == request.device.id && other.what == request.what;
        let under_way = self.in_flight.iter().any(|known| same(&known.request));
        if under_way || self.polls.iter().any(same) {
            count(&counters.polls_skipped);
            return;
        }
        self.polls.push_back(request);
    }

    /// When [`advance`](Self::advance) is to be called next.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let timeout = self.in_flight.iter().map(|known| known.deadline_ms).min();
        let waits = !(self.commands.is_empty() && self.polls.is_empty());
        let next = (waits && self.has_slot()).then_some(self.quiet_until_ms);
        timeout.into_iter().chain(next).min()
    }

    /// Whether something waits or is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.commands.is_empty() && self.polls.is_empty() && self.in_flight.is_empty()
    }

    fn has_slot(&self) -> bool {
        self.in_flight.len() < self.settings.in_flight_max.max(1)
    }

    /// A frame came over the line.
    pub fn on_frame(
        &mut self,
        frame: Bytes,
        now_ms: u64,
        ports: &LinePorts<'_>,
        output: &mut BytesMut,
        events: &mut Vec<LineEvent>,
    ) {
        let mut asked = self.in_flight.iter().enumerate();
        let answered = asked.find_map(|(place, known)| {
            match ports.codec.check_reply(known.request.device.id, &known.sent, &frame) {
                Reply::NotMine => None,
                Reply::Ok(value) => Some((place, Ok(value))),
                Reply::Failed(code, text) => Some((place, Err(CodecError { code, text }))),
            }
        });
        let Some((place, reply)) = answered else {
            match (self.settings.half_duplex, self.in_flight.is_empty()) {
                (true, true) => count(&ports.counters.frames_unasked),
                (true, false) => count(&ports.counters.replies_not_mine),
                (false, _) => events.push(LineEvent::Unasked(frame)),
            }
            return;
        };
        let known = self.in_flight.swap_remove(place);
        self.quiet_until_ms = now_ms + self.settings.gap_ms;
        self.take_reply(known, reply, frame, now_ms, ports, output, events);
        self.advance(now_ms, ports, output, events);
    }

    #[expect(clippy::too_many_arguments, reason = "what a reply is and where it goes")]
    fn take_reply(
        &mut self,
        mut known: InFlight,
        reply: Result<Value, CodecError>,
        frame: Bytes,
        now_ms: u64,
        ports: &LinePorts<'_>,
        output: &mut BytesMut,
        events: &mut Vec<LineEvent>,
    ) {
        let value = match reply {
            Ok(value) => value,
            Err(error) => {
                count(&ports.counters.requests_failed);
                finish(known.request, Err(error), events);
                return;
            }
        };
        count(&ports.counters.requests_answered);
        if let What::Poll(poll) = &known.request.what {
            events.push(LineEvent::Polled {
                device: known.request.device.clone(),
                request: known.sent.clone(),
                frame,
                every_ms: poll.every_ms,
            });
        }
        known.answers.push(value);
        match known.rest.pop_front() {
            Some(next) => {
                known.sent = next;
                known.retries_left = known.request.retries;
                self.send(known, now_ms, ports, output);
            }
            None => {
                let answer = match known.answers.len() {
                    1 => known.answers.pop().unwrap_or_default(),
                    _ => Value::Array(known.answers),
                };
                finish(known.request, Ok(answer), events);
            }
        }
    }

    /// Goes on: sends again what was not answered in time, gives up, asks what is next.
    pub fn advance(
        &mut self,
        now_ms: u64,
        ports: &LinePorts<'_>,
        output: &mut BytesMut,
        events: &mut Vec<LineEvent>,
    ) {
        while let Some(place) = self.in_flight.iter().position(|known| known.deadline_ms <= now_ms)
        {
            let mut late = self.in_flight.swap_remove(place);
            count(&ports.counters.requests_timed_out);
            if late.retries_left == 0 {
                count(&ports.counters.requests_given_up);
                // an answer that is merely late must not meet the next request
                self.quiet_until_ms = now_ms + self.settings.gap_ms;
                let text = format!("no answer within {} ms", late.request.timeout_ms);
                finish(late.request, Err(CodecError::new("timeout", text)), events);
                continue;
            }
            late.retries_left -= 1;
            self.send(late, now_ms, ports, output);
        }
        while self.has_slot() && now_ms >= self.quiet_until_ms {
            let next = self.commands.pop_front().or_else(|| self.polls.pop_front());
            let Some(request) = next else { return };
            self.begin(request, now_ms, ports, output, events);
        }
    }

    fn begin(
        &mut self,
        request: Request,
        now_ms: u64,
        ports: &LinePorts<'_>,
        output: &mut BytesMut,
        events: &mut Vec<LineEvent>,
    ) {
        let encoded = ports.codec.encode(self.tenant, request.device.id, request.what.json());
        let frames = encoded.and_then(checked);
        let mut rest: VecDeque<Frame> = match frames {
            Ok(frames) => frames.into(),
            Err(error) => {
                count(&ports.counters.encode_failures);
                finish(request, Err(error), events);
                return;
            }
        };
        let Some(sent) = rest.pop_front() else { return };
        if request.what.is_poll() {
            ports.counters.lateness.record(now_ms.saturating_sub(request.due_ms));
        }
        let (retries_left, deadline_ms) = (request.retries, 0);
        let fresh =
            InFlight { request, sent, rest, answers: Vec::new(), retries_left, deadline_ms };
        self.send(fresh, now_ms, ports, output);
    }

    fn send(
        &mut self,
        mut known: InFlight,
        now_ms: u64,
        ports: &LinePorts<'_>,
        output: &mut BytesMut,
    ) {
        count(&ports.counters.requests_sent);
        output.extend_from_slice(&known.sent);
        known.deadline_ms = now_ms + known.request.timeout_ms;
        self.in_flight.push(known);
    }

    /// The line broke: whoever waits for a command is told, polls are forgotten.
    pub fn on_break(&mut self, events: &mut Vec<LineEvent>) {
        let under_way = self.in_flight.drain(..).map(|known| {
            (
                known.request,
                "broken",
                "the line \
            broke before the answer came",
            )
        });
        let waiting = self.commands.drain(..).map(|request| {
            (
                request,
                "unsent",
                "the line broke \
            before it was sent",
            )
        });
        for (request, code, text) in under_way.chain(waiting) {
            finish(request, Err(CodecError::new(code, text)), events);
        }
        self.polls.clear();
        self.quiet_until_ms = 0;
    }
}

fn finish(request: Request, outcome: Result<Value, CodecError>, events: &mut Vec<LineEvent>) {
    if let What::Command(command) = request.what {
        events.push(LineEvent::Finished { device: request.device, command, outcome });
    }
}

fn checked(frames: Vec<Frame>) -> Result<Vec<Frame>, CodecError> {
    if frames.is_empty() || frames.iter().any(Bytes::is_empty) {
        return Err(CodecError::new("nothing", "the codec wrote no bytes"));
    }
    let long = frames.iter().any(|frame| frame.len() > SENT_FRAME_BYTES_MAX);
    if long || frames.len() > COMMAND_FRAMES_MAX {
        let text = format!(
            "a command has at most {COMMAND_FRAMES_MAX} frames of {SENT_FRAME_BYTES_MAX} bytes"
        );
        return Err(CodecError::new("too_large", text));
    }
    Ok(frames)
}
