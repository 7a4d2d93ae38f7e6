//! One thread of the generator: a loop over its connections.
//!
//! Owns its connections and what they measure. Must never allocate for a message or take a lock on
//! the way of one: it shares two processors with the server it measures.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use flux_mqtt::codec::{Ack, Connack, Disconnect, Packet, Properties, Property, Reason, frame};
use flux_types::Qos;
use hdrhistogram::Histogram;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::time::Timespec;

use crate::failure::Failure;
use crate::identity::Role;
use crate::link::{self, Heard, Link, PACKET_BYTES_MAX, Part, State};
use crate::machine::now_ns;
use crate::options::{Expect, Plan};
use crate::publisher::Publisher;
use crate::shared::{Phase, Progress, Shared};
use crate::subscriber::{Delivery, Subscriber};
use crate::tracker::Arrival;

/// Connections published on before sockets are looked at again.
const TURN_LINKS_MAX: usize = 64;
/// Longest sleep with nothing to do, so that the end of a phase is seen.
const SLEEP_NS_MAX: u64 = 5_000_000;
/// Latencies are kept from 1 µs to 100 s, to three digits.
const LATENCY_NS: (u64, u64, u8) = (1_000, 100_000_000_000, 3);

/// What went wrong, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    /// Deliveries of a message that had been delivered.
    pub(crate) duplicates: u64,
    /// Messages that came before one that its publisher had sent earlier.
    pub(crate) out_of_order: u64,
    /// Messages the rule should have held back.
    pub(crate) unexpected: u64,
    /// Messages that are not of this run.
    pub(crate) foreign: u64,
    /// Publications that were acknowledged with an error.
    pub(crate) refused: u64,
    /// Acknowledgements of nothing.
    pub(crate) unknown_acks: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, other: &Self) {
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
        self.unexpected += other.unexpected;
        self.foreign += other.foreign;
        self.refused += other.refused;
        self.unknown_acks += other.unknown_acks;
    }
}

/// What a thread has measured.
pub(crate) struct Measured {
    pub(crate) ack: Histogram<u64>,
    pub(crate) end_to_end: Histogram<u64>,
    pub(crate) faults: Faults,
    pub(crate) publishers: Vec<Publisher>,
    pub(crate) subscribers: Vec<Subscriber>,
}

/// A histogram of latencies in nanoseconds.
pub(crate) fn latencies() -> Result<Histogram<u64>, Failure> {
    let (least, most, digits) = LATENCY_NS;
    Histogram::new_with_bounds(least, most, digits).map_err(|e| Failure::Worker(e.to_string()))
}

/// One thread of the generator.
pub(crate) struct Worker {
    plan: Arc<Plan>,
    shared: Arc<Shared>,
    poller: OwnedFd,
    links: Vec<Link>,
    /// Connections that may publish.
    line: VecDeque<usize>,
    book: Book,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    /// Its part of the rate, messages per nanosecond.
    rate_per_ns: f64,
    sent: u64,
}

/// What is written down while packets are read.
struct Book {
    ack: Histogram<u64>,
    end_to_end: Histogram<u64>,
    faults: Faults,
    turn: Progress,
    /// The time that deliveries read in this turn arrived at.
    now_ns: u64,
    /// Messages sent in this span count.
    measured: (u64, u64),
}

impl Book {
    fn counts(&self, sent_ns: u64) -> bool {
        sent_ns >= self.measured.0 && sent_ns < self.measured.1
    }

    fn acked(&mut self, sent_ns: u64) {
        self.turn.acked += 1;
        if self.counts(sent_ns) {
            self.ack.saturating_record(self.now_ns.saturating_sub(sent_ns));
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Ours(Arrival::Duplicate, _) => self.faults.duplicates += 1,
            Delivery::Ours(arrival, sent_ns) => {
                self.turn.received += 1;
                self.faults.out_of_order += u64::from(arrival == Arrival::OutOfOrder);
                if self.counts(sent_ns) {
                    self.end_to_end.saturating_record(self.now_ns.saturating_sub(sent_ns));
                }
            }
            Delivery::Unexpected => self.faults.unexpected += 1,
            Delivery::Foreign => self.faults.foreign += 1,
        }
    }
}

impl Worker {
    /// Makes the worker and its connections: every `threads`-th from `index` on.
    pub(crate) fn new(plan: Arc<Plan>, shared: Arc<Shared>, index: u32) -> Result<Self, Failure> {
        let poller = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(polling)?;
        let (mut links, mut publishers) = (Vec::new(), 0u32);
        let mine = |all: u32| (index..all).step_by(plan.threads.max(1) as usize);
        for n in mine(plan.subscribers) {
            links.push(Link::open(&plan, Role::Subscriber, n)?);
        }
        for n in mine(plan.publishers) {
            links.push(Link::open(&plan, Role::Publisher, n)?);
            publishers += 1;
        }
        for (index, link) in links.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&poller, &link.stream, data, epoll::EventFlags::IN).map_err(polling)?;
        }
        let share = f64::from(publishers) / f64::from(plan.publishers.max(1));
        let rate_per_ns = plan.rate.unwrap_or_default() * share / 1e9;
        let book = Book {
            ack: latencies()?,
            end_to_end: latencies()?,
            faults: Faults::default(),
            turn: Progress::default(),
            now_ns: 0,
            measured: (u64::MAX, u64::MAX),
        };
        Ok(Self {
            plan,
            shared,
            poller,
            links,
            line: VecDeque::new(),
            book,
            buffer: vec![0; PACKET_BYTES_MAX + (256 << 10)],
            payload: Vec::new(),
            rate_per_ns,
            sent: 0,
        })
    }

    /// Runs until the run is stopped.
    pub(crate) fn run(mut self) -> Result<Measured, Failure> {
        let mut events = Vec::with_capacity(1_024);
        let mut quiet = false;
        for index in 0..self.links.len() {
            self.settle(index);
        }
        loop {
            let phase = self.shared.phase();
            if phase == Phase::Stopping {
                break;
            }
            let load = Ordering::Relaxed;
            let (from, until) = (&self.shared.measure_from_ns, &self.shared.measure_until_ns);
            self.book.measured = match from.load(load) {
                0 => (u64::MAX, u64::MAX), // not begun
                from => (from, until.load(load)),
            };
            if phase == Phase::Draining && !quiet {
                quiet = true;
                self.shared.fell_quiet();
            }
            let hurry = phase == Phase::Loading && self.publish();
            self.shared.add(&std::mem::take(&mut self.book.turn));
            self.wait(&mut events, self.sleep_ns(phase, hurry))?;
            self.book.now_ns = now_ns();
            for event in events.drain(..) {
                self.attend(event.data.u64() as usize);
            }
            self.shared.add(&std::mem::take(&mut self.book.turn));
        }
        Ok(self.finish())
    }

    fn sleep_ns(&self, phase: Phase, hurry: bool) -> u64 {
        match (hurry, phase, self.plan.rate) {
            (true, ..) => 0,
            (false, Phase::Loading, Some(_)) => {
                (self.plan.tick.as_nanos() as u64).min(SLEEP_NS_MAX)
            }
            // another thread's deliveries may make room for ours
            (false, Phase::Loading, None) if self.plan.threads > 1 => 100_000,
            _ => SLEEP_NS_MAX,
        }
    }

    fn wait(&self, events: &mut Vec<epoll::Event>, sleep_ns: u64) -> Result<(), Failure> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: sleep_ns as _ };
        let spare = rustix::buffer::spare_capacity(events);
        match epoll::wait(&self.poller, spare, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(polling(error)),
        }
    }

    /// How many messages may go now.
    fn credit(&self, now_ns: u64) -> u64 {
        match (self.plan.rate, self.plan.outstanding) {
            (Some(_), _) => {
                let elapsed =
                    now_ns.saturating_sub(self.shared.load_from_ns.load(Ordering::Relaxed));
                // rounds down: what is due of a message is not due yet
                ((elapsed as f64 * self.rate_per_ns) as u64).saturating_sub(self.sent)
            }
            (None, Some(outstanding)) => {
                let turn = self.book.turn.expected;
                outstanding.saturating_sub(self.shared.under_way() + turn)
            }
            (None, None) => u64::MAX,
        }
    }

    /// Publishes on connections in line; tells whether more could go at once.
    fn publish(&mut self) -> bool {
        for _ in 0..TURN_LINKS_MAX {
            let now = now_ns();
            let credit = self.credit(now);
            if credit == 0 {
                return false;
            }
            let Some(index) = self.line.pop_front() else { return false };
            self.publish_on(index, now, credit);
        }
        !self.line.is_empty()
    }

    fn publish_on(&mut self, index: usize, now_ns: u64, credit: u64) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.in_line = false;
        let Part::Publisher(publisher) = &mut link.part else { return };
        let count = credit.min(u64::from(self.plan.coalesce)).min(publisher.room(self.plan.qos));
        let listeners = self.plan.listeners(publisher.n);
        for _ in 0..count {
            let Some(passes) =
                publisher.publish(&self.plan, now_ns, &mut self.payload, &mut link.out)
            else {
                break;
            };
            self.sent += 1;
            self.book.turn.sent += 1;
            if passes || self.plan.expect == Expect::All {
                self.book.turn.expected += listeners;
            }
        }
        self.settle(index);
    }

    /// Writes what is to be written, and puts the connection where it belongs: to the poller, into
    /// line, or away.
    fn settle(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.state == State::Closed {
            return;
        }
        if !link.out.is_empty() && !link.flush() {
            self.close(index);
            return;
        }
        let wants_room = !link.out.is_empty();
        if wants_room != link.watches_room {
            link.watches_room = wants_room;
            let mut interest = epoll::EventFlags::IN;
            interest.set(epoll::EventFlags::OUT, wants_room);
            let data = epoll::EventData::new_u64(index as u64);
            if epoll::modify(&self.poller, &link.stream, data, interest).is_err() {
                self.close(index);
                return;
            }
        }
        if let Part::Publisher(publisher) = &link.part
            && link.state == State::Up
            && !wants_room
            && !link.in_line
            && publisher.room(self.plan.qos) > 0
        {
            link.in_line = true;
            self.line.push_back(index);
        }
    }

    fn close(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.state != State::Closed {
            link.state = State::Closed;
            self.book.turn.closed += 1;
            // the socket is closed with the link; until then it has nothing more to say
            let _ = epoll::delete(&self.poller, &link.stream);
        }
    }

    /// Reads what a socket has and answers it.
    fn attend(&mut self, index: usize) {
        let Some(link) = self.links.get_mut(index) else { return };
        if link.state == State::Closed {
            return;
        }
        let (len, heard) = link.read(&mut self.buffer);
        let read = self.buffer.get(..len).unwrap_or_default();
        let understood = take_in(&self.plan, &self.shared, &mut self.book, link, read);
        match understood {
            Some(used) if heard != Heard::End => {
                link.rest.extend_from_slice(read.get(used..).unwrap_or_default());
                self.settle(index);
            }
            _ => self.close(index),
        }
    }

    fn finish(mut self) -> Measured {
        let goodbye = Packet::Disconnect(Disconnect {
            reason: Reason::SUCCESS,
            properties: Properties::default(),
        });
        let (mut publishers, mut subscribers) = (Vec::new(), Vec::new());
        for mut link in self.links.drain(..) {
            if link.state == State::Up && link.out.is_empty() {
                let mut bytes = BytesMut::new();
                if goodbye.encode(self.plan.version, &mut bytes).is_ok() {
                    link.out = bytes;
                    link.flush();
                }
            }
            match link.part {
                Part::Publisher(publisher) => publishers.push(publisher),
                Part::Subscriber(subscriber) => subscribers.push(subscriber),
            }
        }
        let Book { ack, end_to_end, faults, .. } = self.book;
        Measured { ack, end_to_end, faults, publishers, subscribers }
    }
}

fn polling(source: rustix::io::Errno) -> Failure {
    Failure::System { what: "poll the sockets", source: source.into() }
}

/// Takes all whole packets in; tells how many bytes they were, or `None` when the connection is of
/// no more use.
fn take_in(
    plan: &Plan,
    shared: &Shared,
    book: &mut Book,
    link: &mut Link,
    read: &[u8],
) -> Option<usize> {
    let mut used = 0;
    while let Some(frame) = frame(read.get(used..)?, PACKET_BYTES_MAX).ok()? {
        used += frame.len;
        let packet = Packet::decode(plan.version, &frame).ok()?;
        match (packet, &mut link.part) {
            (Packet::Puback(ack), Part::Publisher(publisher)) => {
                book.faults.refused += u64::from(ack.reason.0 >= 0x80);
                match publisher.acknowledged(ack.packet_id) {
                    Some(sent_ns) => book.acked(sent_ns),
                    None => book.faults.unknown_acks += 1,
                }
            }
            (Packet::Publish(publish), Part::Subscriber(subscriber)) => {
                book.delivered(subscriber.received(plan, publish.payload));
                if let (Qos::AtLeastOnce, Some(id)) = (publish.qos, publish.packet_id) {
                    let ack = Packet::Puback(Ack::new(id, Reason::SUCCESS));
                    ack.encode(plan.version, &mut link.out).ok()?;
                }
            }
            (Packet::Connack(connack), _) => connected(plan, shared, book, link, &connack)?,
            (Packet::Suback(suback), Part::Subscriber(subscriber)) => {
                if let Some(code) = suback.codes.iter().find(|code| **code >= 0x80) {
                    let filter = &subscriber.filter;
                    shared.refused(|| format!("SUBACK {code:#04x} to {filter}"));
                    return None;
                }
                link.state = State::Up;
                book.turn.ready += 1;
            }
            (Packet::Disconnect(disconnect), _) => {
                shared.refused(|| format!("DISCONNECT {:#04x}", disconnect.reason.0));
                return None;
            }
            _ => return None,
        }
    }
    Some(used)
}

fn connected(
    plan: &Plan,
    shared: &Shared,
    book: &mut Book,
    link: &mut Link,
    connack: &Connack<'_>,
) -> Option<()> {
    if connack.code != 0 {
        shared.refused(|| format!("CONNACK {:#04x}", connack.code));
        return None;
    }
    match &mut link.part {
        Part::Publisher(publisher) => {
            // [MQTT-3.3.4-9]
            for property in connack.properties.iter() {
                if let Property::ReceiveMaximum(most) = property {
                    publisher.window = publisher.window.min(usize::from(most));
                }
            }
            link.state = State::Up;
            book.turn.ready += 1;
        }
        Part::Subscriber(subscriber) => {
            link.state = State::Subscribing;
            link::put_subscribe(plan, subscriber.n, &mut link.out).ok()?;
        }
    }
    Some(())
}
