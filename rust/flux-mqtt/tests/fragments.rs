//! However a stream of packets is cut by the network, the connection does the same.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

mod harness;

use bytes::BytesMut;
use flux_mqtt::Flow;
use flux_mqtt::codec::{
    Ack, Connect, FilterList, Packet, Properties, Property, Publish, Reason, Subscribe,
    SubscribeOptions, Unsubscribe, Version,
};
use flux_types::Qos;
use harness::{Client, Got, V3, V5, id, property_list, site, will};

/// A whole session of a client, from CONNECT to DISCONNECT.
fn session(version: Version) -> Vec<u8> {
    let v5 = version == V5;
    let (mut filters, mut names) = (BytesMut::new(), BytesMut::new());
    for filter in ["a/+", "never"] {
        let options = SubscribeOptions { qos: Qos::AtLeastOnce, ..SubscribeOptions::default() };
        FilterList::put_subscribe(&mut filters, version, filter, options).unwrap();
        FilterList::put_unsubscribe(&mut names, filter).unwrap();
    }
    let hello = property_list(&[Property::ReceiveMaximum(9), Property::UserProperty("a", "b")]);
    let alias = property_list(&[Property::TopicAlias(2), Property::ContentType("text")]);
    let properties =
        |list: &'static [Property<'static>]| property_list(if v5 { list } else { &[] });
    let none = properties(&[]);
    let publish = |topic, number: u16| Publish {
        dup: false,
        qos: if number == 0 { Qos::AtMostOnce } else { Qos::AtLeastOnce },
        retain: false,
        topic,
        packet_id: flux_mqtt::codec::PacketId::new(number),
        properties: if v5 { alias.as_properties() } else { none.as_properties() },
        payload: b"payload",
    };
    let packets = [
        Packet::Connect(Connect {
            version,
            clean_start: true,
            keep_alive_s: 60,
            properties: if v5 { hello.as_properties() } else { none.as_properties() },
            client_id: "client",
            will: Some(will("gone")),
            username: Some("user"),
            password: Some(b"secret"),
        }),
        Packet::Subscribe(Subscribe {
            packet_id: id(1),
            properties: Properties::default(),
            filters: FilterList::of_subscribe(version, &filters).unwrap(),
        }),
        Packet::Publish(publish("a/b", 2)),
        Packet::Publish(publish(if v5 { "" } else { "a/b" }, 0)),
        Packet::Puback(Ack::new(id(1), Reason::SUCCESS)),
        Packet::Pingreq,
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(3),
            properties: Properties::default(),
            filters: FilterList::of_unsubscribe(&names).unwrap(),
        }),
        Packet::Disconnect(flux_mqtt::codec::Disconnect {
            reason: Reason::SUCCESS,
            properties: Properties::default(),
        }),
    ];
    let mut bytes = BytesMut::new();
    packets.iter().for_each(|packet| packet.encode(version, &mut bytes).unwrap());
    bytes.to_vec()
}

fn replies(client: &mut Client<'_>) -> Vec<Got> {
    client.take()
}

fn published(client: &Client<'_>) -> Vec<String> {
    client.inbound.iter().map(|i| format!("{} {:?}", i.message.topic, i.packet_id)).collect()
}

#[test]
fn a_session_cut_in_two_anywhere_gives_the_same_as_in_one_piece() {
    for version in [V3, V5] {
        let bytes = session(version);
        let whole_site = site();
        let mut whole = whole_site.client(version);
        let end = whole.bytes(&bytes);
        assert_eq!(end, Flow::Closed(flux_mqtt::Close::ByClient));
        let (expected, messages) = (replies(&mut whole), published(&whole));
        assert_eq!((expected.len(), messages.len()), (4, 2), "{expected:?}");
        for cut in 0..bytes.len() {
            let site = site();
            let mut client = site.client(version);
            let flow = client.bytes(&bytes[..cut]);
            assert_eq!(flow, Flow::Open, "a part is awaited, at {cut}");
            assert_eq!(client.bytes(&bytes[cut..]), end, "at {cut}");
            assert_eq!(replies(&mut client), expected, "at {cut}");
            assert_eq!(published(&client), messages, "at {cut}");
            assert!(client.lose().is_empty(), "no will after DISCONNECT");
        }
    }
}

#[test]
fn a_session_that_breaks_anywhere_leaves_nothing_behind_but_its_will() {
    for version in [V3, V5] {
        let bytes = session(version);
        for cut in 0..bytes.len() {
            let site = site();
            let mut client = site.client(version);
            client.bytes(&bytes[..cut]);
            let signed_in = client.connection().principal().is_some();
            let will: &[&str] = if signed_in { &["gone=gone"] } else { &[] };
            assert_eq!(client.lose(), will, "at {cut}");
            let counters = site.broker.counters();
            let left = (counters.sessions.get(), counters.subscriptions.get());
            assert_eq!((left, counters.connected.get()), ((0, 0), 0), "at {cut}");
        }
    }
}
