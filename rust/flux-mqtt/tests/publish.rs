//! PUBLISH from clients: what is accepted, how it is acknowledged, what is refused.

mod harness;

use flux_mqtt::codec::{Packet, Property, Publish, Reason};
use flux_mqtt::{Close, Error, Flow};
use flux_types::Qos;
use harness::{Got, V3, V5, id, site, site_with};

fn reason(flow: &Flow) -> Reason {
    match flow {
        Flow::Closed(Close::Error(error)) => error.reason(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn qos_1_is_acknowledged_only_once_committed_and_in_order() {
    for version in [V3, V5] {
        let site = site();
        let mut client = site.connected(version, "c");
        for number in [7, 8, 9] {
            client.publish("t", "x", number);
        }
        assert!(client.take().is_empty(), "nothing before the commit");
        client.acknowledge(8, Reason::SUCCESS);
        assert!(client.take().is_empty(), "8 waits for 7 [MQTT-4.6.0-2]");
        client.acknowledge(7, Reason::SUCCESS);
        let pubacks = [7, 8].map(|number| Got::Puback(number, Reason::SUCCESS));
        assert_eq!(client.take(), pubacks);
        client.acknowledge(9, Reason::SUCCESS);
        assert_eq!(client.take(), [Got::Puback(9, Reason::SUCCESS)]);
        client.acknowledge(9, Reason::SUCCESS);
        assert!(client.take().is_empty(), "nobody is acknowledged twice");
    }
}

#[test]
fn one_read_gives_one_batch() {
    let site = site();
    let mut client = site.connected(V3, "c");
    let one = [0x32u8, 6, 0, 1, b'a', 0, 1, b'x'];
    let bytes: Vec<u8> = (1..=100u8)
        .flat_map(|n| {
            let mut packet = one;
            packet[6] = n;
            packet
        })
        .collect();
    client.bytes(&bytes);
    assert_eq!(client.inbound.len(), 100);
    let ids: Vec<_> = client.inbound.iter().map(|i| i.packet_id.unwrap().get()).collect();
    assert_eq!(ids, (1..=100).collect::<Vec<_>>());
    let message = &client.inbound[0].message;
    assert_eq!((message.topic.as_str(), &message.payload[..]), ("a", &b"x"[..]));
    assert_eq!(message.source.as_str(), "user/c");
    assert_eq!(message.received, site.now());
}

#[test]
fn the_properties_of_a_publication_go_with_it() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let properties = [
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(9),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("reply/here"),
        Property::CorrelationData(&[1, 2]),
        Property::UserProperty("b", "1"),
        Property::UserProperty("a", "2"),
        Property::UserProperty("b", "3"),
    ];
    client.publish_with("t", "x", 1, false, &properties);
    let message = client.inbound[0].message.clone();
    let kept = message.properties.as_ref().unwrap();
    assert_eq!((kept.payload_is_utf8, kept.expiry_s), (Some(true), Some(9)));
    assert_eq!(kept.response_topic.as_ref().unwrap().as_str(), "reply/here");

    let mut reader = site.connected(V5, "r");
    reader.subscribe(&[("t", 1)]);
    client.commit();
    let delivered = reader.deliveries().remove(0);
    let mut told: Vec<_> = properties.iter().map(|p| format!("{p:?}")).collect();
    told.sort();
    let users = |list: &[String]| {
        list.iter().filter(|p| p.starts_with("User")).cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        users(&delivered.properties),
        ["UserProperty(\"b\", \"1\")", "UserProperty(\"a\", \"2\")", "UserProperty(\"b\", \"3\")",],
        "[MQTT-3.3.2-18]: in order"
    );
    let mut got = delivered.properties;
    got.sort();
    assert_eq!(got, told, "[MQTT-3.3.2-17] and its neighbours: unaltered");

    let mut old = site.connected(V3, "o");
    old.subscribe(&[("t", 1)]);
    site.publish(&message);
    assert_eq!(old.messages(), ["t=x"], "a 3.1.1 subscriber gets it without them");
}

#[test]
fn a_publication_that_is_not_allowed_is_refused_as_its_version_can_say() {
    let site = site();
    site.rights.forbid("no");
    let mut client = site.connected(V5, "c");
    client.publish("yes", "x", 1);
    client.publish("no", "x", 2);
    client.publish("$SYS/no", "x", 3);
    assert_eq!(client.publish("no", "x", 0), Flow::Open, "QoS 0 is counted only");
    assert_eq!(client.inbound.len(), 1);
    assert!(client.take().is_empty(), "the refusal waits for the first one's commit");
    client.commit();
    assert_eq!(
        client.take(),
        [
            Got::Puback(1, Reason::SUCCESS),
            Got::Puback(2, Reason::NOT_AUTHORIZED),
            Got::Puback(3, Reason::NOT_AUTHORIZED),
        ]
    );
    let mut old = site.connected(V3, "o");
    assert_eq!(old.publish("no", "x", 0), Flow::Open);
    let flow = old.publish("no", "x", 1);
    assert_eq!(flow, Flow::Closed(Close::Error(Error::PublishDenied)), "[MQTT-3.3.5-2] of 3.1.1");
    assert!(old.take().is_empty());
    let refused = &site.broker.counters().publishes_refused;
    assert_eq!(refused.get(Reason::NOT_AUTHORIZED), 5);
}

#[test]
fn other_dollar_topics_are_for_the_rights_to_judge() {
    let site = site();
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("#", 1), ("$own/#", 1)]);
    client.publish("$own/t", "x", 1);
    client.commit();
    assert_eq!(client.take(), [Got::Puback(1, Reason::SUCCESS)]);
    assert_eq!(client.messages(), ["$own/t=x"], "not by `#` too [MQTT-4.7.2-1]");
    assert!(matches!(client.publish("$SYS/t", "x", 2), Flow::Closed(_)));
}

#[test]
fn rights_are_asked_once_for_a_topic_until_they_change() {
    let site = site();
    let mut client = site.connected(V3, "c");
    let asked = || site.rights.asked.load(std::sync::atomic::Ordering::SeqCst);
    for _ in 0..100 {
        client.publish("a", "x", 0);
        client.publish("b", "x", 0);
    }
    assert_eq!((asked(), client.inbound.len()), (2, 200));
    site.rights.forbid("a");
    client.publish("a", "x", 0);
    client.publish("b", "x", 0);
    assert_eq!((asked(), client.inbound.len()), (4, 201));
    for number in 0..50 {
        client.publish(&format!("many/{number}"), "x", 0);
    }
    assert_eq!(client.inbound.len(), 251);
    assert_eq!(client.inbound[250].message.topic.as_str(), "many/49");
}

#[test]
fn qos_2_and_retained_publications_are_refused_as_told_in_connack() {
    let site = site();
    let exact = |topic| {
        Packet::Publish(Publish {
            dup: false,
            qos: Qos::ExactlyOnce,
            retain: false,
            topic,
            packet_id: Some(id(1)),
            properties: flux_mqtt::codec::Properties::default(),
            payload: b"x",
        })
    };
    let mut client = site.connected(V5, "c");
    let flow = client.send(&exact("t"));
    assert_eq!(reason(&flow), Reason::QOS_NOT_SUPPORTED, "[MQTT-3.2.2-11]");
    assert_eq!(client.take(), [Got::Disconnect(Reason::QOS_NOT_SUPPORTED)]);
    let mut old = site.connected(V3, "o");
    assert!(matches!(old.send(&exact("t")), Flow::Closed(_)));
    assert!(old.take().is_empty() && old.inbound.is_empty());

    let mut client = site.connected(V5, "d");
    let flow = client.publish_with("t", "x", 1, true, &[]);
    assert_eq!(reason(&flow), Reason::RETAIN_NOT_SUPPORTED, "[MQTT-3.2.2-14]");
    let mut old = site.connected(V3, "p");
    let mut reader = site.connected(V3, "r");
    reader.subscribe(&[("t", 0)]);
    old.publish_with("t", "x", 1, true, &[]);
    old.commit();
    let delivered = reader.deliveries().remove(0);
    assert!(!delivered.retain, "[MQTT-3.3.1-9] of 3.1.1");
    assert_eq!(site.broker.counters().retain_ignored.get(), 1);
}

#[test]
fn topic_aliases_stand_for_topics_within_their_connection() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let alias = |number| [Property::TopicAlias(number)];
    client.publish_with("long/topic", "1", 0, false, &alias(16));
    client.publish_with("", "2", 0, false, &alias(16));
    client.publish_with("other", "3", 0, false, &alias(16));
    client.publish_with("", "4", 0, false, &alias(16));
    assert_eq!(client.commit(), ["long/topic=1", "long/topic=2", "other=3", "other=4"]);

    let mut next = site.connected(V5, "d");
    let flow = next.publish_with("", "5", 0, false, &alias(16));
    assert_eq!(reason(&flow), Reason::PROTOCOL_ERROR, "[MQTT-3.3.2-7]: aliases are per connection");
    for number in [0, 17] {
        let mut next = site.connected(V5, "d");
        let flow = next.publish_with("t", "x", 0, false, &alias(number));
        assert_eq!(reason(&flow), Reason::TOPIC_ALIAS_INVALID, "[MQTT-3.3.2-8], [MQTT-3.3.2-9]");
    }
}

#[test]
fn an_alias_gives_no_rights() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.publish_with("t", "1", 0, false, &[Property::TopicAlias(1)]);
    site.rights.forbid("t");
    client.publish_with("", "2", 0, false, &[Property::TopicAlias(1)]);
    assert_eq!(client.commit(), ["t=1"]);
}

#[test]
fn topics_that_are_none_end_the_connection() {
    let site = site();
    let cases = [
        ("a/#", Reason::MALFORMED_PACKET),
        ("+", Reason::MALFORMED_PACKET),
        ("", Reason::PROTOCOL_ERROR),
    ];
    for (topic, told) in cases {
        let mut client = site.connected(V5, "c");
        let flow = client.publish(topic, "x", 0);
        assert_eq!(reason(&flow), told, "[MQTT-3.3.2-2], [MQTT-4.7.3-1]: {topic:?}");
    }
    let mut client = site.connected(V5, "c");
    let flow = client.publish_with("t", "x", 0, false, &[Property::ResponseTopic("a/+")]);
    assert_eq!(reason(&flow), Reason::PROTOCOL_ERROR, "[MQTT-3.3.2-14]");
    let mut client = site.connected(V5, "c");
    let flow = client.publish_with("t", "x", 0, false, &[Property::SubscriptionIdentifier(1)]);
    assert_eq!(reason(&flow), Reason::PROTOCOL_ERROR, "[MQTT-3.3.4-6]");
}

#[test]
fn topics_and_properties_beyond_our_limits_are_refused() {
    let site = site_with(|limits| {
        limits.topic_bytes_max = 10;
        limits.topic_levels_max = 3;
        limits.publish_properties_bytes_max = 20;
    });
    let mut client = site.connected(V5, "c");
    client.publish("12345678901", "x", 1);
    client.publish("a/b/c/d", "x", 2);
    let user = [Property::UserProperty("name", "a long value of it")];
    client.publish_with("t", "x", 3, false, &user);
    client.publish("a/b/c", "x", 4);
    client.commit();
    assert_eq!(
        client.take(),
        [
            Got::Puback(1, Reason::TOPIC_NAME_INVALID),
            Got::Puback(2, Reason::TOPIC_NAME_INVALID),
            Got::Puback(3, Reason::QUOTA_EXCEEDED),
            Got::Puback(4, Reason::SUCCESS),
        ]
    );
}

#[test]
fn more_than_the_receive_maximum_ends_a_5_0_connection() {
    let site = site_with(|limits| limits.inbound_unacknowledged_max = 2);
    let mut client = site.connected(V5, "c");
    client.publish("t", "1", 1);
    client.publish("t", "2", 2);
    assert_eq!(client.publish("t", "0", 0), Flow::Open, "QoS 0 does not count");
    let flow = client.publish("t", "3", 3);
    assert_eq!(reason(&flow), Reason::RECEIVE_MAXIMUM_EXCEEDED, "[MQTT-3.3.4-9]");
    assert_eq!(client.inbound.len(), 3);
}

#[test]
fn a_3_1_1_connection_is_paused_instead_and_its_keep_alive_stands_still() {
    let site = site_with(|limits| limits.inbound_unacknowledged_max = 2);
    let mut client = site.client(V3);
    client.connect(&harness::Hello { keep_alive_s: 1, ..Default::default() });
    client.take();
    client.publish("t", "1", 1);
    client.publish("t", "2", 2);
    assert_eq!(client.publish("t", "3", 3), Flow::Paused);
    assert_eq!(client.inbound.len(), 2);
    site.pass_ms(60_000);
    assert_eq!(client.tick(), Flow::Open);
    assert_eq!(client.commit(), ["t=1", "t=2"]);
    assert_eq!(client.bytes(&[]), Flow::Open);
    assert_eq!(client.commit(), ["t=3"]);
    assert_eq!(client.tick(), Flow::Open, "the pause was no silence of the client's");
    site.pass_ms(1500);
    assert_eq!(reason(&client.tick()), Reason::KEEP_ALIVE_TIMEOUT);
    let pubacks: Vec<_> = (1..=3).map(|n| Got::Puback(n, Reason::SUCCESS)).collect();
    assert_eq!(client.take(), pubacks);
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let site = site_with(|limits| limits.output_bytes_max = 100);
    let mut client = site.connected(V3, "c");
    let pings: Vec<u8> = [0xC0, 0].repeat(1000);
    assert_eq!(client.bytes(&pings), Flow::Paused);
    assert!(client.written() <= 102, "{}", client.written());
    let mut answered = 0;
    while client.flow == Flow::Paused {
        answered += client.take().len();
        client.bytes(&[]);
    }
    assert_eq!(answered + client.take().len(), 1000);
}

#[test]
fn a_publication_that_cannot_be_taken_is_refused_by_the_caller() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.publish("t", "x", 1);
    client.acknowledge(1, Reason::QUOTA_EXCEEDED);
    assert_eq!(client.take(), [Got::Puback(1, Reason::QUOTA_EXCEEDED)]);
    let mut old = site.connected(V3, "o");
    old.publish("t", "x", 1);
    assert!(matches!(old.acknowledge(1, Reason::QUOTA_EXCEEDED), Flow::Closed(_)));
    assert!(old.take().is_empty(), "3.1.1 would take a PUBACK for acceptance");
}
