//! One connection: requests as they come, answers in the same order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem;

use super::Gate;
use super::chunked::Chunked;
use super::head::{BodyLength, Head};
use super::limits::HttpLimits;
use super::response::{Answer, Persistence, Refusal};
use super::route::{Content, route};

/// A request whose content is complete: to be answered with [`HttpConnection::answer`].
#[derive(Debug)]
pub struct Received<T> {
    /// Its number on the connection.
    pub number: u64,
    /// Who sent it.
    pub ticket: T,
    /// The form of its content.
    pub content: Content,
    /// Its content.
    pub body: Bytes,
}

/// How the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpFlow {
    /// As before.
    Open,
    /// Nothing is to be read until an answer has gone out.
    Paused,
    /// Once the output is sent, it ends.
    Close,
}

/// An answer that is due.
#[derive(Debug)]
struct Slot {
    persistence: Persistence,
    /// An answer to HEAD has no content.
    body: bool,
    answer: Option<Answer>,
}

#[derive(Debug)]
enum Stage<T> {
    /// A head is to come; this much of the input holds no end of one.
    Head { scanned: usize },
    /// Content is to come.
    Body(Box<Pending<T>>),
    /// Content of a refused request is read and thrown away.
    Discard(u64),
    /// Nothing is read any more.
    Over,
}

#[derive(Debug)]
struct Pending<T> {
    ticket: T,
    content: Content,
    left: Left,
    body: BytesMut,
}

#[derive(Debug)]
enum Left {
    Bytes(usize),
    Chunks(Chunked),
}

/// One HTTP connection. `T` is what the gate knows of a sender.
#[derive(Debug)]
pub struct HttpConnection<T> {
    limits: Arc<HttpLimits>,
    stage: Stage<T>,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// When what is waited for has to be there.
    deadline_ms: u64,
    /// Whether the input holds the beginning of a request.
    begun: bool,
    /// Statuses of refusals made here and not yet told.
    refusals: Vec<u16>,
}

impl<T> HttpConnection<T> {
    /// A connection that was just accepted.
    #[must_use]
    pub fn new(limits: Arc<HttpLimits>, now_ms: u64) -> Self {
        let deadline_ms = now_ms + limits.head_timeout_ms;
        let stage = Stage::Head { scanned: 0 };
        let (slots, refusals) = (VecDeque::new(), Vec::new());
        Self { limits, stage, slots, first: 0, deadline_ms, begun: false, refusals }
    }

    /// The statuses of refusals made since this was asked last: for whoever counts.
    pub fn take_refusals(&mut self) -> impl Iterator<Item = u16> {
        std::mem::take(&mut self.refusals).into_iter()
    }

    /// When [`on_tick`](Self::on_tick) is to be called next.
    #[must_use]
    pub fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// Whether requests are not answered yet.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Takes what is complete from the front of `input`. Requests come out in `received`; what can
    /// be answered at once goes to `output`.
    pub fn on_bytes<G: Gate<Ticket = T>>(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        (now_ms, date): (u64, &str),
        gate: &mut G,
        received: &mut Vec<Received<T>>,
    ) -> HttpFlow {
        loop {
            if self.is_full() {
                return HttpFlow::Paused;
            }
            let before = input.len();
            let step = match &mut self.stage {
                Stage::Head { .. } => self.take_head(input, output, now_ms, gate),
                Stage::Body(_) => self.take_body(input, now_ms, received),
                Stage::Discard(left) => {
                    let len = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                    input.advance(len);
                    *left -= len as u64;
                    if *left == 0 {
                        self.begin_head(now_ms);
                    }
                    Ok(len > 0)
                }
                Stage::Over => {
                    input.clear();
                    return self.flow();
                }
            };
            match step {
                Ok(true) => {}
                Ok(false) => break,
                Err(refusal) => self.refuse(refusal, Persistence::Close, true),
            }
            self.flush(output, date);
            if input.is_empty() && before == 0 {
                break;
            }
        }
        self.flush(output, date);
        self.begun = !input.is_empty();
        self.flow()
    }

    /// Answers a request. Goes out once all before it are answered.
    pub fn answer(
        &mut self,
        number: u64,
        answer: Answer,
        output: &mut BytesMut,
        (now_ms, date): (u64, &str),
    ) -> HttpFlow {
        let place = usize::try_from(number.wrapping_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(slot) = self.slots.get_mut(place) {
            if answer.closes() {
                slot.persistence = Persistence::Close;
            }
            slot.answer.get_or_insert(answer);
        }
        self.flush(output, date);
        if self.slots.is_empty() && matches!(self.stage, Stage::Head { scanned: 0 }) {
            self.deadline_ms = now_ms + self.limits.keep_alive_timeout_ms;
        }
        self.flow()
    }

    /// The deadline has come: tells a slow sender (RFC 9110 section 15.5.9), leaves an idle one.
    pub fn on_tick(&mut self, output: &mut BytesMut, (now_ms, date): (u64, &str)) -> HttpFlow {
        if now_ms < self.deadline_ms {
            return self.flow();
        }
        match self.stage {
            // waiting for our answers is not the sender's fault
            Stage::Head { .. } if !self.begun && self.is_waiting() => {
                self.deadline_ms = now_ms + self.limits.keep_alive_timeout_ms;
            }
            Stage::Head { .. } if !self.begun => self.stage = Stage::Over,
            Stage::Over => {}
            _ => {
                let detail = "the request was not complete in time";
                let refusal = Refusal::new(408, "http.timeout", detail).closing();
                self.refuse(refusal, Persistence::Close, true);
                self.flush(output, date);
            }
        }
        self.flow()
    }

    /// Our own waiting is not the sender's slowness.
    pub fn excuse(&mut self, now_ms: u64) {
        self.deadline_ms = self.deadline_ms.max(now_ms + self.limits.head_timeout_ms);
    }

    /// Takes no more requests; tells whether all are answered.
    pub fn finish(&mut self) -> HttpFlow {
        // what is not complete by now is answered by nobody
        if matches!(std::mem::replace(&mut self.stage, Stage::Over), Stage::Body(_)) {
            self.slots.pop_back();
        }
        if let Some(last) = self.slots.back_mut() {
            last.persistence = Persistence::Close;
        }
        self.flow()
    }

    fn flow(&self) -> HttpFlow {
        match self.stage {
            Stage::Over if self.slots.is_empty() => HttpFlow::Close,
            _ if self.is_full() => HttpFlow::Paused,
            _ => HttpFlow::Open,
        }
    }

    /// No further request may begin before one is answered.
    fn is_full(&self) -> bool {
        matches!(self.stage, Stage::Head { .. }) && self.slots.len() >= self.limits.pipeline_len_max
    }

    fn flush(&mut self, output: &mut BytesMut, date: &str) {
        while let Some(Slot { answer: Some(answer), persistence, body }) = self.slots.front() {
            answer.write(output, date, *persistence, *body);
            let ends = *persistence == Persistence::Close;
            self.slots.pop_front();
            self.first += 1;
            if ends {
                self.stage = Stage::Over;
                self.slots.clear();
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, persistence: Persistence, body: bool) {
        if matches!(self.stage, Stage::Body(_)) {
            // the slot of the request that is refused
            self.slots.pop_back();
        }
        let persistence = if refusal.close { Persistence::Close } else { persistence };
        if persistence == Persistence::Close {
            self.stage = Stage::Over;
        }
        self.refusals.push(refusal.status);
        let answer = Some(Answer::Refused(refusal));
        self.slots.push_back(Slot { persistence, body, answer });
    }

    fn begin_head(&mut self, now_ms: u64) {
        self.stage = Stage::Head { scanned: 0 };
        self.deadline_ms = now_ms + self.limits.keep_alive_timeout_ms;
    }

    /// Takes a whole head; false when more bytes are needed.
    fn take_head<G: Gate<Ticket = T>>(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        now_ms: u64,
        gate: &mut G,
    ) -> Result<bool, Refusal> {
        let Stage::Head { scanned } = &mut self.stage else { return Ok(false) };
        if *scanned == 0 {
            // RFC 9112 section 2.2: empty lines before a request are ignored
            while input.starts_with(b"\r\n") || input.starts_with(b"\n") {
                let len = if input.starts_with(b"\n") { 1 } else { 2 };
                input.advance(len);
            }
            let first = input.first().copied();
            if first.is_some_and(|byte| !byte.is_ascii_alphabetic() && byte != b'\r') {
                let detail = "this is no HTTP request";
                return Err(Refusal::new(400, "http.malformed", detail).closing());
            }
            if first.is_some() && !input.is_empty() {
                self.deadline_ms = now_ms + self.limits.head_timeout_ms;
            }
        }
        let Some(end) = head_end(input, *scanned) else {
            if input.len() > self.limits.head_bytes_max {
                return Err(too_long(self.limits.head_bytes_max));
            }
            *scanned = input.len();
            return Ok(false);
        };
        if end > self.limits.head_bytes_max {
            return Err(too_long(self.limits.head_bytes_max));
        }
        let head = Head::parse(&input.split_to(end))?;
        self.deadline_ms = now_ms + self.limits.body_timeout_ms;
        match self.admit(&head, gate) {
            Ok((ticket, content)) => {
                self.begin_body(&head, ticket, content, output, input.is_empty());
            }
            Err(refusal) => self.turn_away(&head, refusal, now_ms),
        }
        Ok(true)
    }

    fn admit<G: Gate<Ticket = T>>(
        &self,
        head: &Head,
        gate: &mut G,
    ) -> Result<(T, Content), Refusal> {
        let content = route(head)?;
        if let BodyLength::Fixed(length) = head.length
            && length > self.limits.body_bytes_max as u64
        {
            return Err(too_large(self.limits.body_bytes_max));
        }
        let ticket = gate.admit(&head.credentials())?;
        Ok((ticket, content))
    }

    fn begin_body(
        &mut self,
        head: &Head,
        ticket: T,
        content: Content,
        output: &mut BytesMut,
        nothing_there: bool,
    ) {
        // who has begun to send anyway need not be asked to (RFC 9110 section 10.1.1)
        if head.expects_continue && nothing_there && self.slots.is_empty() {
            output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let left = match head.length {
            BodyLength::Fixed(length) => Left::Bytes(usize::try_from(length).unwrap_or(0)),
            BodyLength::Chunked => Left::Chunks(Chunked::default()),
        };
        self.slots.push_back(Slot { persistence: head.persistence, body: true, answer: None });
        let body = BytesMut::new();
        self.stage = Stage::Body(Box::new(Pending { ticket, content, left, body }));
    }

    /// Answers without the content. It is read over where that is little; else the connection ends.
    fn turn_away(&mut self, head: &Head, refusal: Refusal, now_ms: u64) {
        let discard_max = self.limits.discard_bytes_max as u64;
        let body = head.method != "HEAD";
        match head.length {
            BodyLength::Fixed(0) => self.begin_head(now_ms),
            // a sender that waits for 100 will not send it; one that does not would be misread
            BodyLength::Fixed(length) if length <= discard_max && !head.expects_continue => {
                self.stage = Stage::Discard(length);
            }
            _ => {
                self.refuse(refusal.closing(), Persistence::Close, body);
                return;
            }
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Over);
        self.refuse(refusal, head.persistence, body);
        if self.slots.back().is_some_and(|slot| slot.persistence != Persistence::Close) {
            self.stage = stage;
        }
    }

    fn take_body(
        &mut self,
        input: &mut BytesMut,
        now_ms: u64,
        received: &mut Vec<Received<T>>,
    ) -> Result<bool, Refusal> {
        let max = self.limits.body_bytes_max;
        let Stage::Body(pending) = &mut self.stage else { return Ok(false) };
        let done = match &mut pending.left {
            Left::Bytes(left) => {
                // content that came whole is not copied
                if pending.body.is_empty() && input.len() >= *left {
                    pending.body = input.split_to(*left);
                    *left = 0;
                } else {
                    let len = (*left).min(input.len());
                    pending.body.extend_from_slice(&input.split_to(len));
                    *left -= len;
                }
                Ok(*left == 0)
            }
            Left::Chunks(chunks) => {
                let body = &mut pending.body;
                chunks.take(input, |part| {
                    if body.len() + part.len() > max {
                        return Err(too_large(max).closing());
                    }
                    body.extend_from_slice(part);
                    Ok(())
                })
            }
        };
        match done {
            Ok(true) => {}
            Ok(false) => return Ok(false),
            Err(refusal) => return Err(refusal),
        }
        let number = self.first + self.slots.len() as u64 - 1;
        self.deadline_ms = now_ms + self.limits.keep_alive_timeout_ms;
        let ends = self.slots.back().is_some_and(|s| s.persistence == Persistence::Close);
        let next = if ends { Stage::Over } else { Stage::Head { scanned: 0 } };
        let Stage::Body(pending) = std::mem::replace(&mut self.stage, next) else {
            return Ok(false);
        };
        let Pending { ticket, content, body, .. } = *pending;
        received.push(Received { number, ticket, content, body: body.freeze() });
        Ok(true)
    }
}

/// Where the head ends, its empty line included, if it does.
fn head_end(input: &[u8], scanned: usize) -> Option<usize> {
    let from = scanned.saturating_sub(3);
    let rest = input.get(from..)?;
    let strict = memmem::find(rest, b"\r\n\r\n").map(|at| from + at + 4);
    // a bare LF ends a line as well (RFC 9112 section 2.2)
    let lenient = memmem::find(rest, b"\n\n").map(|at| from + at + 2);
    strict.into_iter().chain(lenient).min()
}

fn too_long(max: usize) -> Refusal {
    let detail = format!("request line and header fields have over {max} bytes");
    Refusal::new(431, "http.head_too_large", detail).closing()
}

fn too_large(max: usize) -> Refusal {
    let detail = format!("the content has over {max} bytes");
    Refusal::new(413, "http.too_large", detail).hint("send fewer samples at a time")
}
