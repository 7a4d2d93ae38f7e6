//! MQTT without sockets: packets read, and the whole way from a publisher's bytes to a
//! subscriber's.
//!
//! Packets are coalesced as a socket read brings them. `rust/flux-mqtt/examples/cost_per_message.rs`
//! looks at more subscribers.

mod fixture;

use std::hint::black_box;
use std::sync::Arc;

use bytes::BytesMut;
use criterion::{Criterion, Throughput};
use fixture::{Outcome, PAYLOAD, TOPIC};
use flux_mqtt::codec::{
    Ack, Connect, FilterList, Packet, PacketId, Properties, Publish, Reason, Subscribe,
    SubscribeOptions, Version, frame,
};
use flux_mqtt::{Access, Broker, Connection, Denial, Inbound, Limits, Principal, SignIn, Wake};
use flux_types::{Instants, Qos, SourceId, TenantId, Topic, TopicFilter};

const BATCH: u16 = 512;

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

/// One side of the broker: a connection and its buffers.
struct Client {
    connection: Connection,
    clock: Instants,
    out: BytesMut,
    inbound: Vec<Inbound>,
}

impl Client {
    fn connect(broker: &Arc<Broker>, name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let clock = Instants::start();
        let waker: Arc<dyn Wake> = Arc::new(Silent);
        let peer = "127.0.0.1:1".parse()?;
        let connection = Connection::new(Arc::clone(broker), waker, peer, clock.now());
        let mut client = Self { connection, clock, out: BytesMut::new(), inbound: Vec::new() };
        client.send(&Packet::Connect(Connect {
            version: Version::V311,
            clean_start: true,
            keep_alive_s: 0,
            properties: Properties::default(),
            client_id: name,
            will: None,
            username: None,
            password: None,
        }))?;
        Ok(client)
    }

    fn send(&mut self, packet: &Packet<'_>) -> Outcome {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V311, &mut bytes)?;
        self.take(&bytes);
        Ok(())
    }

    fn take(&mut self, bytes: &[u8]) {
        self.out.clear();
        self.connection.on_bytes(bytes, self.clock.now(), &mut self.out, &mut self.inbound);
    }

    fn subscribe(&mut self, qos: Qos) -> Outcome {
        let mut raw = BytesMut::new();
        let options = SubscribeOptions { qos, ..SubscribeOptions::default() };
        FilterList::put_subscribe(&mut raw, Version::V311, "v1/devices/+/telemetry", options)?;
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: PacketId::MIN,
            properties: Properties::default(),
            filters: FilterList::of_subscribe(Version::V311, &raw)?,
        }))
    }
}

fn publications(qos: Qos) -> Result<BytesMut, Box<dyn std::error::Error>> {
    let mut bytes = BytesMut::new();
    for number in 1..=BATCH {
        let packet = Packet::Publish(Publish {
            dup: false,
            qos,
            retain: false,
            topic: TOPIC,
            packet_id: PacketId::new(number).filter(|_| qos.is_promised()),
            properties: Properties::default(),
            payload: PAYLOAD,
        });
        packet.encode(Version::V311, &mut bytes)?;
    }
    Ok(bytes)
}

fn reading(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("mqtt");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    let bytes = publications(Qos::AtLeastOnce)?;
    group.bench_function("decode 512 PUBLISH", |bencher| {
        bencher.iter(|| {
            let (mut rest, mut decoded) = (&bytes[..], 0);
            while let Ok(Some(frame)) = frame(rest, 1 << 20) {
                decoded += u16::from(black_box(Packet::decode(Version::V311, &frame)).is_ok());
                rest = rest.get(frame.len..).unwrap_or_default();
            }
            assert_eq!(decoded, BATCH);
        });
    });
    group.finish();
    Ok(())
}

fn whole_way(criterion: &mut Criterion) -> Outcome {
    let mut group = criterion.benchmark_group("mqtt");
    group.throughput(Throughput::Elements(u64::from(BATCH)));
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let limits = Limits { output_bytes_max: 1 << 20, inflight_max: 1024, ..Limits::default() };
        let broker = Broker::new(limits, Arc::new(Everything));
        let mut publisher = Client::connect(&broker, "publisher")?;
        let mut subscriber = Client::connect(&broker, "subscriber")?;
        subscriber.subscribe(qos)?;
        let bytes = publications(qos)?;
        let mut next = 0;
        group.bench_function(
            format!("decode, route, encode 512 at QoS {}", qos as u8),
            |bencher| {
                bencher.iter(|| pass(&broker, &mut publisher, &mut subscriber, &bytes, &mut next));
            },
        );
        let unknown = broker.counters().acknowledgements_unknown.get();
        let dropped = flux_mqtt::DropReason::ALL.iter().any(|r| broker.counters().dropped(*r) > 0);
        if dropped || unknown > 0 {
            return Err(format!("messages were dropped, or {unknown} acknowledgements lost").into());
        }
    }
    group.finish();
    Ok(())
}

/// One batch through the broker; acknowledged by the subscriber where it was promised.
fn pass(
    broker: &Broker,
    publisher: &mut Client,
    subscriber: &mut Client,
    bytes: &[u8],
    next: &mut u16,
) {
    publisher.take(bytes);
    let mut promised = 0;
    for publication in publisher.inbound.drain(..) {
        broker.router().route(&publication.message);
        if let Some(id) = publication.packet_id {
            publisher.connection.acknowledge(id, Reason::SUCCESS, &mut publisher.out);
            promised += 1;
        }
    }
    subscriber.out.clear();
    subscriber.connection.on_deliverable(subscriber.clock.now(), &mut subscriber.out);
    black_box(&subscriber.out);
    let mut acks = BytesMut::new();
    for _ in 0..promised {
        *next = *next % u16::MAX + 1;
        let id = PacketId::new(*next).unwrap_or(PacketId::MIN);
        let written =
            Packet::Puback(Ack::new(id, Reason::SUCCESS)).encode(Version::V311, &mut acks);
        black_box(written.is_ok());
    }
    subscriber.take(&acks);
}

fn main() {
    fixture::run(&[reading, whole_way]);
}
