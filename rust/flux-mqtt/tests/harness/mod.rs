//! Clients and a broker in one process, with a clock that only the test moves.
// each test file uses its part, and a test that cannot go on has failed
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use bytes::{Bytes, BytesMut};
use flux_mqtt::codec::{
    self, Ack, Connect, Disconnect, FilterList, Packet, PacketId, Properties, Property,
    PropertyBuf, Publish, Reason, Subscribe, SubscribeOptions, Unsubscribe, Version, Will,
};
use flux_mqtt::{
    Access, Broker, Connection, Denial, Flow, Inbound, Limits, Principal, Progress, Refused,
    SignIn, Wake,
};
use flux_types::{Message, Qos, Received, SourceId, TenantId, Topic, TopicFilter};

pub const V3: Version = Version::V311;
pub const V5: Version = Version::V5;

/// User name `name@2` signs in to tenant 2; the password `wrong` is refused; topics in `forbidden`
/// may not be used.
#[derive(Default)]
pub struct Rights {
    pub revision: AtomicU64,
    pub asked: AtomicUsize,
    pub forbidden: Mutex<HashSet<String>>,
    /// What was told as refused: attempt, who, client identifier, topic, code.
    pub refused: Mutex<Vec<String>>,
}

impl Rights {
    pub fn forbid(&self, topic: &str) {
        self.forbidden.lock().unwrap().insert(topic.to_owned());
        self.revision.fetch_add(1, SeqCst);
    }
}

impl Access for Rights {
    fn revision(&self) -> u64 {
        self.revision.load(SeqCst)
    }
    fn authenticate(&self, sign_in: &SignIn<'_>) -> Result<Principal, Denial> {
        if sign_in.password == Some(b"wrong") {
            return Err(Denial::BadCredentials);
        }
        let user = sign_in.username.unwrap_or("user");
        let (id, tenant) = match user.split_once('@') {
            Some((id, tenant)) => (id, tenant.parse().unwrap()),
            None => (user, 1),
        };
        Ok(Principal {
            tenant: TenantId(tenant),
            id: id.into(),
            source: SourceId::new(format!("{id}/{}", sign_in.client_id)),
        })
    }
    fn may_publish(&self, _: &Principal, topic: &Topic) -> bool {
        self.asked.fetch_add(1, SeqCst);
        !self.forbidden.lock().unwrap().contains(topic.as_str())
    }
    fn may_subscribe(&self, _: &Principal, filter: &TopicFilter) -> bool {
        !self.forbidden.lock().unwrap().contains(filter.as_str())
    }
    fn refused(&self, refused: &Refused<'_>) {
        assert!(!refused.why.to_string().is_empty());
        let who = refused.principal.map(|principal| &*principal.id).or(refused.username);
        let told =
            [Some(&*format!("{:?}", refused.attempt)), who, refused.client_id, refused.topic]
                .map(|word| word.unwrap_or("-").to_owned())
                .join(" ");
        self.refused.lock().unwrap().push(format!("{told} {}", refused.code));
    }
}

pub struct Bell(pub AtomicUsize);

impl Wake for Bell {
    fn wake(&self) {
        self.0.fetch_add(1, SeqCst);
    }
}

pub struct Site {
    pub broker: Arc<Broker>,
    pub rights: Arc<Rights>,
    pub now_ms: AtomicU64,
    /// Wills and other publications that no client waits for.
    pub inbound: Mutex<Vec<Inbound>>,
}

pub fn site() -> Site {
    site_with(|_| {})
}

pub fn site_with(change: impl FnOnce(&mut Limits)) -> Site {
    let mut limits = Limits::default();
    change(&mut limits);
    let rights = Arc::new(Rights::default());
    let broker = Broker::new(limits, Arc::clone(&rights) as Arc<dyn Access>);
    let inbound = Mutex::default();
    Site { broker, rights, now_ms: AtomicU64::new(1_000_000), inbound }
}

impl Site {
    pub fn now(&self) -> Received {
        let ms = self.now_ms.load(SeqCst);
        let wall_ns = i64::try_from(ms).unwrap() * 1_000_000;
        Received { wall_ns, mono_ns: ms * 1_000_000 }
    }
    pub fn pass_ms(&self, ms: u64) {
        self.now_ms.fetch_add(ms, SeqCst);
    }
    /// Lets time pass for sessions and publishes the wills that became due.
    pub fn tick(&self) -> Vec<String> {
        let mut inbound = Vec::new();
        self.broker.tick(self.now(), &mut inbound);
        inbound.iter().map(|i| self.publish(&i.message)).collect()
    }
    pub fn publish(&self, message: &Arc<Message>) -> String {
        self.broker.router().route(message);
        format!("{}={}", message.topic, String::from_utf8_lossy(&message.payload))
    }
    /// A message that did not come from a client.
    pub fn say(&self, topic: &str, payload: &str, qos: Qos) -> flux_mqtt::Routed {
        self.broker.router().route(&Arc::new(self.message(topic, payload, qos)))
    }
    pub fn message(&self, topic: &str, payload: &str, qos: Qos) -> Message {
        Message {
            tenant: TenantId(1),
            source: SourceId::new("test"),
            topic: Topic::new(topic).unwrap(),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
            qos,
            retain: false,
            received: self.now(),
            hops: 0,
            properties: None,
        }
    }
    pub fn client(&self, version: Version) -> Client<'_> {
        let bell = Arc::new(Bell(AtomicUsize::new(0)));
        let waker = Arc::clone(&bell) as Arc<dyn Wake>;
        let peer = "127.0.0.1:9".parse().unwrap();
        let connection = Connection::new(Arc::clone(&self.broker), waker, peer, self.now());
        Client {
            site: self,
            version,
            bell,
            connection: Some(connection),
            out: BytesMut::new(),
            inbound: Vec::new(),
            pending: BytesMut::new(),
            flow: Flow::Open,
            more: false,
        }
    }
    /// A client that is connected, with a clean session.
    pub fn connected(&self, version: Version, client_id: &str) -> Client<'_> {
        let mut client = self.client(version);
        client.connect(&Hello { client_id, ..Hello::default() });
        assert!(matches!(client.take()[..], [Got::Connack { code: 0, .. }]));
        client
    }
    /// A client that comes back, or will, to the session of that name.
    pub fn returning(&self, version: Version, client_id: &str) -> (Client<'_>, bool) {
        let mut client = self.client(version);
        let properties: &[_] = &[Property::SessionExpiryInterval(3600)];
        let properties = if version == V5 { properties } else { &[] };
        client.connect(&Hello { client_id, clean: false, properties, ..Hello::default() });
        let got = client.take_first();
        let Got::Connack { present, code: 0, .. } = got else { panic!("{got:?}") };
        (client, present)
    }
}

/// What a test client says in CONNECT.
pub struct Hello<'a> {
    pub client_id: &'a str,
    pub clean: bool,
    pub keep_alive_s: u16,
    pub username: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub properties: &'a [Property<'a>],
    pub will: Option<Will<'a>>,
}

impl Default for Hello<'_> {
    fn default() -> Self {
        Self {
            client_id: "client",
            clean: true,
            keep_alive_s: 0,
            username: None,
            password: None,
            properties: &[],
            will: None,
        }
    }
}

pub fn will(topic: &str) -> Will<'_> {
    Will {
        qos: Qos::AtLeastOnce,
        retain: false,
        properties: Properties::default(),
        topic,
        payload: b"gone",
    }
}

/// What a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Got {
    Connack { present: bool, code: u8, properties: Vec<String> },
    Publish(Delivered),
    Puback(u16, Reason),
    Suback(u16, Vec<u8>),
    Unsuback(u16, Vec<u8>),
    Pingresp,
    Disconnect(Reason),
    Other(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    pub topic: String,
    pub payload: String,
    pub qos: Qos,
    pub dup: bool,
    pub retain: bool,
    pub id: Option<u16>,
    pub properties: Vec<String>,
}

pub struct Client<'s> {
    pub site: &'s Site,
    pub version: Version,
    pub bell: Arc<Bell>,
    connection: Option<Connection>,
    out: BytesMut,
    /// Given out by the connection, not yet committed.
    pub inbound: Vec<Inbound>,
    pending: BytesMut,
    pub flow: Flow,
    pub more: bool,
}

pub fn property_list(list: &[Property<'_>]) -> PropertyBuf {
    let mut buf = PropertyBuf::default();
    list.iter().for_each(|property| buf.push(property).unwrap());
    buf
}

pub fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

impl Client<'_> {
    pub fn bytes(&mut self, bytes: &[u8]) -> Flow {
        self.pending.extend_from_slice(bytes);
        let now = self.site.now();
        let connection = self.connection.as_mut().unwrap();
        let Progress { consumed, more, flow } =
            connection.on_bytes(&self.pending, now, &mut self.out, &mut self.inbound);
        let _ = self.pending.split_to(consumed);
        self.more = more;
        self.flow = flow.clone();
        flow
    }
    pub fn send(&mut self, packet: &Packet<'_>) -> Flow {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).unwrap();
        self.bytes(&bytes)
    }
    pub fn connect(&mut self, hello: &Hello<'_>) -> Flow {
        let properties = property_list(hello.properties);
        self.send(&Packet::Connect(Connect {
            version: self.version,
            clean_start: hello.clean,
            keep_alive_s: hello.keep_alive_s,
            properties: properties.as_properties(),
            client_id: hello.client_id,
            will: hello.will,
            username: hello.username,
            password: hello.password,
        }))
    }
    pub fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        let list: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| {
                let qos = Qos::try_from(*qos).unwrap();
                (*filter, SubscribeOptions { qos, ..SubscribeOptions::default() })
            })
            .collect();
        self.subscribe_with(&list, &[])
    }
    pub fn subscribe_with(
        &mut self,
        filters: &[(&str, SubscribeOptions)],
        properties: &[Property<'_>],
    ) -> Vec<u8> {
        let mut raw = BytesMut::new();
        for (filter, options) in filters {
            FilterList::put_subscribe(&mut raw, self.version, filter, *options).unwrap();
        }
        let properties = property_list(properties);
        self.send(&Packet::Subscribe(Subscribe {
            packet_id: id(99),
            properties: properties.as_properties(),
            filters: FilterList::of_subscribe(self.version, &raw).unwrap(),
        }));
        match self.take().pop() {
            Some(Got::Suback(99, codes)) => codes,
            other => panic!("{other:?}"),
        }
    }
    pub fn unsubscribe(&mut self, filter: &str) -> Vec<u8> {
        let mut raw = BytesMut::new();
        FilterList::put_unsubscribe(&mut raw, filter).unwrap();
        self.send(&Packet::Unsubscribe(Unsubscribe {
            packet_id: id(98),
            properties: Properties::default(),
            filters: FilterList::of_unsubscribe(&raw).unwrap(),
        }));
        match self.take().pop() {
            Some(Got::Unsuback(98, codes)) => codes,
            other => panic!("{other:?}"),
        }
    }
    /// Publishes; packet id 0 is QoS 0.
    pub fn publish(&mut self, topic: &str, payload: &str, number: u16) -> Flow {
        self.publish_with(topic, payload, number, false, &[])
    }
    pub fn publish_with(
        &mut self,
        topic: &str,
        payload: &str,
        number: u16,
        retain: bool,
        properties: &[Property<'_>],
    ) -> Flow {
        let properties = property_list(properties);
        let packet_id = PacketId::new(number);
        let qos = if packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce };
        self.send(&Packet::Publish(Publish {
            dup: false,
            qos,
            retain,
            topic,
            packet_id,
            properties: properties.as_properties(),
            payload: payload.as_bytes(),
        }))
    }
    pub fn puback(&mut self, number: u16) -> Flow {
        self.send(&Packet::Puback(Ack::new(id(number), Reason::SUCCESS)))
    }
    pub fn disconnect(mut self, reason: Reason, properties: &[Property<'_>]) -> Vec<String> {
        let list = property_list(properties);
        let properties = list.as_properties();
        self.send(&Packet::Disconnect(Disconnect { reason, properties }));
        self.lose()
    }
    /// Everything published is committed: routed and acknowledged, in order.
    pub fn commit(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        for inbound in std::mem::take(&mut self.inbound) {
            said.push(self.site.publish(&inbound.message));
            if let Some(id) = inbound.packet_id {
                self.acknowledge(id.get(), Reason::SUCCESS);
            }
        }
        said
    }
    pub fn acknowledge(&mut self, number: u16, reason: Reason) -> Flow {
        let connection = self.connection.as_mut().unwrap();
        self.flow = connection.acknowledge(id(number), reason, &mut self.out);
        self.flow.clone()
    }
    pub fn tick(&mut self) -> Flow {
        let now = self.site.now();
        self.flow = self.connection.as_mut().unwrap().on_tick(now, &mut self.out);
        self.flow.clone()
    }
    pub fn connection(&mut self) -> &mut Connection {
        self.connection.as_mut().unwrap()
    }
    pub fn close(&mut self, reason: Reason) -> Flow {
        self.flow = self.connection.as_mut().unwrap().close(reason, &mut self.out);
        self.flow.clone()
    }
    /// The socket is gone; gives the will, if one is due, and publishes it.
    pub fn lose(mut self) -> Vec<String> {
        let mut inbound = Vec::new();
        self.connection.take().unwrap().on_close(self.site.now(), &mut inbound);
        inbound.iter().map(|i| self.site.publish(&i.message)).collect()
    }
    /// How often it was woken since last asked.
    pub fn wakes(&self) -> usize {
        self.bell.0.swap(0, SeqCst)
    }
    /// Lets it deliver once.
    pub fn deliver(&mut self) {
        let now = self.site.now();
        let progress = self.connection.as_mut().unwrap().on_deliverable(now, &mut self.out);
        self.more = progress.more;
        self.flow = progress.flow;
    }
    /// Delivers and takes everything sent to the client.
    pub fn receive(&mut self) -> Vec<Got> {
        self.deliver();
        self.take()
    }
    /// The deliveries among what it receives, as `topic=payload`.
    pub fn messages(&mut self) -> Vec<String> {
        let publish = |got| match got {
            Got::Publish(d) => format!("{}={}", d.topic, d.payload),
            other => panic!("{other:?}"),
        };
        self.receive().into_iter().map(publish).collect()
    }
    pub fn deliveries(&mut self) -> Vec<Delivered> {
        let publish = |got| match got {
            Got::Publish(delivered) => delivered,
            other => panic!("{other:?}"),
        };
        self.receive().into_iter().map(publish).collect()
    }
    pub fn written(&self) -> usize {
        self.out.len()
    }
    pub fn take_first(&mut self) -> Got {
        self.parse(1).remove(0)
    }
    /// Everything written to the client so far.
    pub fn take(&mut self) -> Vec<Got> {
        self.parse(usize::MAX)
    }
    fn parse(&mut self, max: usize) -> Vec<Got> {
        let mut got = Vec::new();
        while got.len() < max {
            let Some(frame) = codec::frame(&self.out, 1 << 28).unwrap() else { break };
            got.push(owned(&Packet::decode(self.version, &frame).unwrap()));
            let len = frame.len;
            let _ = self.out.split_to(len);
        }
        got
    }
}

fn owned(packet: &Packet<'_>) -> Got {
    let list = |p: &Properties<'_>| p.iter().map(|p| format!("{p:?}")).collect::<Vec<_>>();
    match packet {
        Packet::Connack(p) => Got::Connack {
            present: p.session_present,
            code: p.code,
            properties: list(&p.properties),
        },
        Packet::Publish(p) => Got::Publish(Delivered {
            topic: p.topic.to_owned(),
            payload: String::from_utf8_lossy(p.payload).into_owned(),
            qos: p.qos,
            dup: p.dup,
            retain: p.retain,
            id: p.packet_id.map(PacketId::get),
            properties: list(&p.properties),
        }),
        Packet::Puback(p) => Got::Puback(p.packet_id.get(), p.reason),
        Packet::Suback(p) => Got::Suback(p.packet_id.get(), p.codes.to_vec()),
        Packet::Unsuback(p) => Got::Unsuback(p.packet_id.get(), p.codes.to_vec()),
        Packet::Pingresp => Got::Pingresp,
        Packet::Disconnect(p) => Got::Disconnect(p.reason),
        other => Got::Other(format!("{other:?}")),
    }
}
