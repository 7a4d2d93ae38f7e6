//! Subscriptions, and which messages reach whom.

mod harness;

use std::sync::Arc;

use flux_mqtt::codec::{Property, Reason, RetainHandling, SubscribeOptions};
use flux_types::{Qos, TenantId};
use harness::{Hello, V3, V5, site, site_with};
use proptest::prelude::*;

const QOS_1: Qos = Qos::AtLeastOnce;

#[test]
fn suback_tells_the_granted_qos_or_the_refusal_in_order() {
    let site = site();
    site.rights.forbid("secret/#");
    let filters = [("a", 0), ("b", 1), ("c", 2), ("secret/#", 1), ("a#", 0), ("$share/g/t", 1)];
    let mut client = site.connected(V5, "c");
    assert_eq!(client.subscribe(&filters), [0, 1, 1, 0x87, 0x8F, 0x9E], "[MQTT-3.8.4-6]");
    let mut old = site.connected(V3, "o");
    assert_eq!(old.subscribe(&filters), [0, 1, 1, 0x80, 0x80, 0x80], "[MQTT-3.9.3-2] of 3.1.1");
    let refused = &site.broker.counters().subscribes_refused;
    assert_eq!(refused.get(Reason::NOT_AUTHORIZED), 2);
    assert_eq!(site.broker.counters().subscriptions.get(), 6);
}

#[test]
fn a_message_arrives_at_the_lower_of_both_qos() {
    let site = site();
    for (wanted, said, delivered) in [(0, 0, 0), (0, 1, 0), (1, 0, 0), (1, 1, 1)] {
        let mut client = site.connected(V3, "c");
        client.subscribe(&[("t", wanted)]);
        site.say("t", "x", Qos::try_from(said).unwrap());
        let got = client.deliveries().remove(0);
        assert_eq!(got.qos as u8, delivered, "[MQTT-3.8.4-8]: {wanted} {said}");
        assert_eq!(got.id.is_some(), delivered > 0, "[MQTT-2.2.1-2]");
    }
}

#[test]
fn overlapping_subscriptions_give_one_delivery_with_all_identifiers() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let options = |qos| SubscribeOptions { qos, ..SubscribeOptions::default() };
    let with_id = |id| [Property::SubscriptionIdentifier(id)];
    client.subscribe_with(&[("a/+", options(Qos::AtMostOnce))], &with_id(7));
    client.subscribe_with(&[("a/#", options(QOS_1))], &with_id(300));
    client.subscribe_with(&[("a/b", options(Qos::AtMostOnce))], &[]);
    site.say("a/b", "x", QOS_1);
    let delivered = client.deliveries();
    assert_eq!(delivered.len(), 1, "[MQTT-3.3.4-2]");
    assert_eq!(delivered[0].qos, QOS_1, "the highest of their QoS");
    let mut ids = delivered[0].properties.clone();
    ids.sort();
    let expected = ["SubscriptionIdentifier(300)", "SubscriptionIdentifier(7)"];
    assert_eq!(ids, expected, "[MQTT-3.3.4-3], [MQTT-3.3.4-4]");
}

#[test]
fn subscribing_again_replaces_the_subscription() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.subscribe(&[("t", 1)]);
    client.subscribe(&[("t", 0)]);
    assert_eq!(site.broker.counters().subscriptions.get(), 1);
    site.say("t", "x", QOS_1);
    let delivered = client.deliveries();
    assert_eq!(delivered.len(), 1, "[MQTT-3.8.4-3]");
    assert_eq!(delivered[0].qos, Qos::AtMostOnce);
}

#[test]
fn unsubscribing_ends_it_and_tells_whether_it_was_there() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.subscribe(&[("t", 1), ("u", 1)]);
    assert_eq!(client.unsubscribe("t"), [0], "[MQTT-3.10.4-4]");
    assert_eq!(client.unsubscribe("t"), [0x11]);
    assert_eq!(client.unsubscribe("a#"), [0x8F]);
    site.say("t", "x", QOS_1);
    site.say("u", "y", QOS_1);
    assert_eq!(client.messages(), ["u=y"]);
    let mut old = site.connected(V3, "o");
    assert!(old.unsubscribe("t").is_empty());
    assert_eq!(site.broker.counters().subscriptions.get(), 1);
}

#[test]
fn no_local_keeps_a_clients_own_messages_away() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let mut twin = site.connected(V5, "twin");
    let no_local = SubscribeOptions { no_local: true, ..SubscribeOptions::default() };
    client.subscribe_with(&[("t", no_local)], &[]);
    client.publish("t", "mine", 0);
    client.commit();
    twin.publish("t", "theirs", 0);
    twin.commit();
    assert_eq!(client.messages(), ["t=theirs"], "[MQTT-3.8.3-3]");
    client.subscribe_with(&[("#", SubscribeOptions::default())], &[]);
    client.publish("t", "mine", 0);
    assert_eq!(client.commit(), ["t=mine"]);
    assert_eq!(client.messages(), ["t=mine"], "another subscription of the client wants it");
}

#[test]
fn retain_as_published_keeps_the_flag() {
    let site = site();
    for (keep, expected) in [(false, false), (true, true)] {
        let mut client = site.connected(V5, "c");
        let options = SubscribeOptions {
            retain_as_published: keep,
            retain_handling: RetainHandling::DoNotSend,
            ..SubscribeOptions::default()
        };
        client.subscribe_with(&[("t", options)], &[]);
        let mut message = site.message("t", "x", QOS_1);
        message.retain = true;
        site.publish(&Arc::new(message));
        let delivered = client.deliveries().remove(0);
        assert_eq!(delivered.retain, expected, "[MQTT-3.3.1-12], [MQTT-3.3.1-13]");
    }
}

#[test]
fn wildcards_do_not_match_topics_of_the_server() {
    let site = site();
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("#", 0), ("+/x", 0)]);
    assert_eq!(site.say("$SYS/x", "x", QOS_1).matched, 0, "[MQTT-4.7.2-1]");
    client.subscribe(&[("$SYS/#", 0)]);
    assert_eq!(site.say("$SYS/x", "x", QOS_1).matched, 1);
}

#[test]
fn tenants_do_not_see_each_other() {
    let site = site();
    let mut other = site.client(V5);
    other.connect(&Hello { username: Some("u@2"), ..Hello::default() });
    other.take();
    other.subscribe(&[("#", 1)]);
    assert_eq!(site.say("t", "x", QOS_1).matched, 0);
    let mut message = site.message("t", "x", QOS_1);
    message.tenant = TenantId(2);
    site.publish(&Arc::new(message));
    assert_eq!(other.messages(), ["t=x"]);
}

#[test]
fn a_message_is_shared_between_its_subscribers() {
    let site = site();
    let clients: Vec<_> = (0..10)
        .map(|number| {
            let mut client = site.connected(V3, &number.to_string());
            client.subscribe(&[("t", 0)]);
            client
        })
        .collect();
    let message = Arc::new(site.message("t", "x", Qos::AtMostOnce));
    site.publish(&message);
    assert_eq!(Arc::strong_count(&message), 1 + clients.len());
}

#[test]
fn subscriptions_are_limited_per_session_and_in_all() {
    let site = site_with(|limits| {
        limits.subscriptions_per_session_max = 2;
        limits.subscriptions_max = 3;
        limits.topic_levels_max = 2;
    });
    let mut first = site.connected(V5, "1");
    assert_eq!(first.subscribe(&[("a", 0), ("b", 0), ("c", 0), ("a", 1)]), [0, 0, 0x97, 1]);
    assert_eq!(first.subscribe(&[("a/b/c", 0)]), [0x8F]);
    let mut second = site.connected(V5, "2");
    assert_eq!(second.subscribe(&[("a", 0), ("b", 0)]), [0, 0x97]);
    first.lose();
    assert_eq!(second.subscribe(&[("b", 0)]), [0]);
}

#[test]
fn order_is_kept_from_one_publisher_to_each_subscriber() {
    let site = site();
    let mut reader = site.connected(V5, "r");
    reader.subscribe(&[("#", 1)]);
    let mut publisher = site.connected(V5, "p");
    let mut sent = Vec::new();
    for number in 0..500u16 {
        publisher.publish(&format!("t/{}", number % 3), &number.to_string(), number + 1);
        sent.extend(publisher.commit());
    }
    let mut received = Vec::new();
    loop {
        let batch = reader.deliveries();
        if batch.is_empty() {
            break;
        }
        for delivered in batch {
            received.push(format!("{}={}", delivered.topic, delivered.payload));
            reader.puback(delivered.id.unwrap());
        }
    }
    assert_eq!(received, sent, "[MQTT-4.6.0-6]");
}

#[test]
fn many_threads_may_route_while_clients_come_and_go() {
    let site = site();
    let mut reader = site.connected(V3, "r");
    reader.subscribe(&[("t/#", 0)]);
    let messages = 2000;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let site = &site;
            scope.spawn(move || {
                for number in 0..messages {
                    site.say(&format!("t/{thread}"), &number.to_string(), Qos::AtMostOnce);
                }
            });
        }
        let site = &site;
        scope.spawn(move || {
            for _ in 0..200 {
                let (mut client, _) = site.returning(V5, "flighty");
                client.subscribe(&[("t/+", 1)]);
                client.messages();
                client.disconnect(Reason::SUCCESS, &[Property::SessionExpiryInterval(0)]);
            }
        });
    });
    let mut next = [0; 4];
    let mut total = 0;
    loop {
        let batch = reader.messages();
        if batch.is_empty() {
            break;
        }
        for message in batch {
            let (topic, number) = message.split_once('=').unwrap();
            let thread: usize = topic.strip_prefix("t/").unwrap().parse().unwrap();
            assert_eq!(number.parse::<i32>().unwrap(), next[thread]);
            next[thread] += 1;
            total += 1;
        }
    }
    assert_eq!(total, 4 * messages);
    let counters = site.broker.counters();
    assert_eq!((counters.queued_bytes.get(), counters.sessions.get()), (0, 1));
    assert_eq!(counters.subscriptions.get(), 1);
}

/// What a peer may do to a connection, in any order.
#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    Publish(u8, u16),
    Puback(u16),
    Say(u8),
    Subscribe(u8),
    Commit,
    Deliver,
    Pass(u64),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..8).prop_map(Act::Bytes),
        4 => (any::<u8>(), 0..20u16).prop_map(|(t, id)| Act::Publish(t % 4, id)),
        4 => (1..20u16).prop_map(Act::Puback),
        4 => any::<u8>().prop_map(|t| Act::Say(t % 4)),
        2 => any::<u8>().prop_map(|t| Act::Subscribe(t % 4)),
        3 => Just(Act::Commit),
        3 => Just(Act::Deliver),
        1 => (0..3000u64).prop_map(Act::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("FLUX_MQTT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256)
    ))]

    #[test]
    fn nothing_a_peer_does_breaks_the_broker(
        acts in prop::collection::vec(act(), 0..60),
        v5 in any::<bool>(),
    ) {
        let site = site_with(|limits| {
            limits.queue_messages_max = 8;
            limits.inflight_max = 4;
            limits.inbound_unacknowledged_max = 4;
            limits.output_bytes_max = 200;
            limits.subscriptions_per_session_max = 3;
            limits.session_expiry_s_max = 3600;
        });
        let (mut client, _) = site.returning(if v5 { V5 } else { V3 }, "c");
        for act in acts {
            match act {
                Act::Bytes(bytes) => { client.bytes(&bytes); }
                Act::Publish(topic, id) => { client.publish(&format!("t/{topic}"), "x", id); }
                Act::Puback(id) => { client.puback(id); }
                Act::Say(topic) => { site.say(&format!("t/{topic}"), "said", QOS_1); }
                Act::Subscribe(topic) => {
                    let bytes = [0x82, 8, 0, 1, 0, 3, b't', b'/', b'0' + topic, 1];
                    let bytes_v5 = [0x82, 9, 0, 1, 0, 0, 3, b't', b'/', b'0' + topic, 1];
                    if v5 { client.bytes(&bytes_v5); } else { client.bytes(&bytes); }
                }
                Act::Commit => { client.commit(); }
                Act::Deliver => { client.receive(); }
                Act::Pass(ms) => { site.pass_ms(ms); client.tick(); site.tick(); }
            }
        }
        client.lose();
        let counters = site.broker.counters();
        prop_assert_eq!(counters.connected.get(), 0);
        site.pass_ms(4_000_000);
        site.tick();
        prop_assert_eq!(counters.sessions.get(), 0);
        prop_assert_eq!(counters.subscriptions.get(), 0);
        prop_assert_eq!(counters.queued_bytes.get(), 0);
    }
}

#[test]
fn subscriptions_end_when_the_right_to_them_does() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.subscribe(&[("a", 1), ("b", 1)]);
    site.rights.forbid("a");
    assert_eq!(site.broker.rights_changed(), 1);
    site.say("a", "x", QOS_1);
    site.say("b", "y", QOS_1);
    assert_eq!(client.messages(), ["b=y"]);
    assert_eq!(site.broker.counters().subscriptions.get(), 1);
    assert_eq!(site.broker.rights_changed(), 0);
}

#[test]
fn no_local_of_both_ends_of_a_conversation_lets_each_hear_the_other() {
    let site = site();
    let (mut client, mut twin) = (site.connected(V5, "c"), site.connected(V5, "twin"));
    let qos = QOS_1;
    let no_local = SubscribeOptions { qos, no_local: true, ..SubscribeOptions::default() };
    client.subscribe_with(&[("t", no_local)], &[]);
    twin.subscribe_with(&[("t", no_local)], &[]);
    client.publish_with("t", "request", 1, false, &[Property::ResponseTopic("t")]);
    client.commit();
    assert_eq!(twin.messages(), ["t=request"]);
    twin.publish("t", "response", 1);
    twin.commit();
    client.take();
    assert_eq!(client.messages(), ["t=response"], "[MQTT-3.8.3-3]");
}
