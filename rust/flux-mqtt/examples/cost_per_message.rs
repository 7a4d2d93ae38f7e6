//! What one message costs on one core, without sockets and without a log.
//!
//! `cargo run --release -p flux-mqtt --example cost_per_message`
//!
//! Prints nanoseconds per message, the best of several rounds: decode alone, decode to a message
//! handed out, routing to subscribers, and the whole way from the bytes of a publisher to the
//! bytes of its subscribers. Topics of 32 bytes, payloads of 75, packets coalesced to 64 KB.

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flux_mqtt::codec::{
    Ack, Connect, FilterList, Packet, PacketId, Properties, Publish, Reason, Subscribe,
    SubscribeOptions, Version, frame,
};
use flux_mqtt::{Access, Broker, Connection, Denial, Inbound, Limits, Principal, SignIn, Wake};
use flux_types::{Instants, Qos, SourceId, TenantId, Topic, TopicFilter};

const TOPIC: &str = "v1/devices/thermo-0042/telemetry";
const BATCH_BYTES: usize = 64 << 10;

struct Everything;

impl Access for Everything {
    fn revision(&self) -> u64 {
        0
    }
    fn authenticate(&self, sign_in: &SignIn<'_>) -> Result<Principal, Denial> {
        let id: Arc<str> = sign_in.client_id.into();
        Ok(Principal { tenant: TenantId::DEFAULT, id: Arc::clone(&id), source: SourceId::new(id) })
    }
    fn may_publish(&self, _: &Principal, _: &Topic) -> bool {
        true
    }
    fn may_subscribe(&self, _: &Principal, _: &TopicFilter) -> bool {
        true
    }
}

struct Silent;

impl Wake for Silent {
    fn wake(&self) {}
}

struct Client {
    version: Version,
    connection: Connection,
    out: BytesMut,
    inbound: Vec<Inbound>,
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

impl Client {
    fn new(broker: &Arc<Broker>, clock: &Instants, version: Version, name: &str) -> Outcome<Self> {
        let peer: SocketAddr = "127.0.0.1:1".parse()?;
        let waker: Arc<dyn Wake> = Arc::new(Silent);
        let connection = Connection::new(Arc::clone(broker), waker, peer, clock.now());
        let mut client = Self { version, connection, out: BytesMut::new(), inbound: Vec::new() };
        let connect = Packet::Connect(Connect {
            version,
            clean_start: true,
            keep_alive_s: 0,
            properties: Properties::default(),
            client_id: name,
            will: None,
            username: None,
            password: None,
        });
        client.send(clock, &connect)?;
        Ok(client)
    }

    fn send(&mut self, clock: &Instants, packet: &Packet<'_>) -> Outcome<()> {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes)?;
        self.connection.on_bytes(&bytes, clock.now(), &mut self.out, &mut self.inbound);
        self.out.clear();
        Ok(())
    }

    fn subscribe(&mut self, clock: &Instants, filter: &str, qos: Qos) -> Outcome<()> {
        let mut raw = BytesMut::new();
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        FilterList::put_subscribe(&mut raw, self.version, filter, options)?;
        let packet_id = PacketId::MIN;
        let filters = FilterList::of_subscribe(self.version, &raw)?;
        let properties = Properties::default();
        self.send(clock, &Packet::Subscribe(Subscribe { packet_id, properties, filters }))
    }
}

/// As many coalesced PUBLISH packets as fit the batch.
fn publications(version: Version, qos: Qos) -> Outcome<(BytesMut, usize)> {
    let mut bytes = BytesMut::new();
    let mut count: u16 = 0;
    while bytes.len() + 128 < BATCH_BYTES {
        count += 1;
        let packet = Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic: TOPIC,
            packet_id: if qos.is_promised() { PacketId::new(count) } else { None },
            properties: Properties::default(),
            payload: &[b'x'; 75],
        });
        packet.encode(version, &mut bytes)?;
    }
    Ok((bytes, usize::from(count)))
}

/// Time this thread spent on a processor, so that a busy machine does not count; wall time where
/// the system does not tell.
fn processor_ns(origin: Instant) -> u64 {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let first = told.as_deref().and_then(|line| line.split(' ').next()?.parse().ok());
    first.unwrap_or_else(|| u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// The best of several rounds, in nanoseconds of processor time per message.
fn measure(what: &str, mut batch: impl FnMut() -> usize) {
    let origin = Instant::now();
    let mut best = f64::MAX;
    for _ in 0..12 {
        let (started, cpu, mut messages) = (Instant::now(), processor_ns(origin), 0u32);
        while started.elapsed() < Duration::from_millis(100) {
            messages += u32::try_from(batch()).unwrap_or(u32::MAX);
        }
        let spent = std::time::Duration::from_nanos(processor_ns(origin) - cpu);
        best = best.min(spent.as_secs_f64() * 1e9 / f64::from(messages));
    }
    println!("{what:60} {best:8.1} ns  {:7.2} M/s", 1e3 / best);
}

fn whole_way(version: Version, qos: Qos, subscribers: usize) -> Outcome<()> {
    let clock = Instants::start();
    let limits = Limits { output_bytes_max: 1 << 20, inflight_max: 1024, ..Limits::default() };
    let broker = Broker::new(limits, Arc::new(Everything));
    let mut publisher = Client::new(&broker, &clock, version, "publisher")?;
    let mut readers = Vec::new();
    for number in 0..subscribers {
        let mut reader = Client::new(&broker, &clock, version, &format!("reader-{number}"))?;
        reader.subscribe(&clock, "v1/devices/+/telemetry", qos)?;
        readers.push(reader);
    }
    let (bytes, count) = publications(version, qos)?;
    let mut acks = BytesMut::new();
    let mut next = 0u16;
    let what = format!("{version:?} {qos:?}: decode, route to {subscribers}, encode, PUBACKs");
    measure(&what, || {
        let now = clock.now();
        let Client { connection, out, inbound, .. } = &mut publisher;
        out.clear();
        connection.on_bytes(&bytes, now, out, inbound);
        for publication in inbound.drain(..) {
            broker.router().route(&publication.message);
            if let Some(id) = publication.packet_id {
                connection.acknowledge(id, Reason::SUCCESS, out);
            }
        }
        for reader in &mut readers {
            reader.out.clear();
            reader.connection.on_deliverable(now, &mut reader.out);
            black_box(&reader.out);
        }
        if qos.is_promised() {
            acks.clear();
            for _ in 0..count {
                next = next % u16::MAX + 1;
                let id = PacketId::new(next).unwrap_or(PacketId::MIN);
                let written =
                    Packet::Puback(Ack::new(id, Reason::SUCCESS)).encode(version, &mut acks);
                black_box(written.is_ok());
            }
            for reader in &mut readers {
                let Client { connection, out, inbound, .. } = reader;
                connection.on_bytes(&acks, now, out, inbound);
            }
        }
        count
    });
    let lost = flux_mqtt::DropReason::ALL.iter().any(|r| broker.counters().dropped(*r) > 0);
    let unknown = broker.counters().acknowledgements_unknown.get();
    if lost || unknown > 0 {
        return Err(format!("messages were dropped or {unknown} acknowledgements unknown").into());
    }
    Ok(())
}

/// Resident memory of the process, in bytes, where the system tells.
fn resident_bytes() -> Option<usize> {
    let told = std::fs::read_to_string("/proc/self/statm").ok()?;
    told.split(' ').nth(1)?.parse::<usize>().ok()?.checked_mul(4096)
}

/// What a connected client with one subscription of its own holds, sockets and read buffers apart.
fn idle_connection() -> Outcome<()> {
    const CLIENTS: usize = 20_000;
    let clock = Instants::start();
    let broker = Broker::new(Limits::default(), Arc::new(Everything));
    let mut clients = Vec::with_capacity(CLIENTS);
    let before = resident_bytes();
    for number in 0..CLIENTS {
        let mut client = Client::new(&broker, &clock, Version::V5, &format!("device-{number}"))?;
        let filter = format!("v1/devices/device-{number}/commands");
        client.subscribe(&clock, &filter, Qos::AtLeastOnce)?;
        client.out = BytesMut::new();
        clients.push(client);
    }
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        let each = (after - before) / CLIENTS;
        println!("{:60} {each:8} B", "idle connection with one subscription");
    }
    Ok(())
}

fn main() -> Outcome<()> {
    idle_connection()?;
    for version in [Version::V311, Version::V5] {
        let (bytes, count) = publications(version, Qos::AtLeastOnce)?;
        measure(&format!("{version:?}: decode"), || {
            let mut rest = &bytes[..];
            let mut decoded = 0;
            while let Ok(Some(frame)) = frame(rest, 1 << 20) {
                decoded += usize::from(black_box(Packet::decode(version, &frame)).is_ok());
                rest = rest.get(frame.len..).unwrap_or_default();
            }
            assert_eq!(decoded, count);
            decoded
        });
    }
    for (version, qos, subscribers) in [
        (Version::V311, Qos::AtMostOnce, 0),
        (Version::V311, Qos::AtMostOnce, 1),
        (Version::V5, Qos::AtMostOnce, 1),
        (Version::V311, Qos::AtLeastOnce, 1),
        (Version::V5, Qos::AtLeastOnce, 1),
        (Version::V311, Qos::AtMostOnce, 10),
        (Version::V311, Qos::AtMostOnce, 100),
    ] {
        whole_way(version, qos, subscribers)?;
    }
    Ok(())
}
