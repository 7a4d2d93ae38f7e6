//! Sessions: resumed, taken over, expired, and what they keep for a client that is away.

mod harness;

use flux_mqtt::codec::{Property, Reason};
use flux_mqtt::{Close, DropReason, Error, Flow, OverflowPolicy};
use flux_types::{Qos, TenantId};
use harness::{Got, Hello, V3, V5, site, site_with};

const QOS_1: Qos = Qos::AtLeastOnce;

#[test]
fn a_session_keeps_subscriptions_and_promised_messages_while_its_client_is_away() {
    for version in [V3, V5] {
        let site = site();
        let (mut client, present) = site.returning(version, "c");
        assert!(!present, "[MQTT-3.2.2-3]");
        client.subscribe(&[("t/#", 1)]);
        client.lose();
        site.say("t/1", "kept", QOS_1);
        site.say("t/2", "not promised", Qos::AtMostOnce);
        site.say("t/3", "kept too", QOS_1);
        let (mut client, present) = site.returning(version, "c");
        assert!(present, "[MQTT-3.2.2-2]");
        assert_eq!(client.messages(), ["t/1=kept", "t/3=kept too"]);
        assert_eq!(site.broker.counters().dropped(DropReason::Offline), 1);
    }
}

#[test]
fn clean_start_begins_anew() {
    let site = site();
    let (mut client, _) = site.returning(V5, "c");
    client.subscribe(&[("t", 1)]);
    client.lose();
    site.say("t", "lost", QOS_1);
    let mut client = site.connected(V5, "c");
    assert!(client.receive().is_empty(), "[MQTT-3.1.2-4]");
    assert_eq!(site.say("t", "x", QOS_1).matched, 0);
    let counters = site.broker.counters();
    assert_eq!((counters.sessions.get(), counters.subscriptions.get()), (1, 0));
    assert_eq!(counters.dropped(DropReason::SessionEnded), 1);
    assert_eq!(counters.queued_bytes.get(), 0);
    client.lose();
    assert_eq!(counters.sessions.get(), 0, "expiry 0 ends it with its connection");
}

#[test]
fn what_was_not_acknowledged_is_sent_again_in_order_with_dup() {
    let site = site();
    let (mut client, _) = site.returning(V5, "c");
    client.subscribe(&[("t", 1)]);
    for payload in ["1", "2", "3", "4"] {
        site.say("t", payload, QOS_1);
    }
    let sent = client.deliveries();
    let ids: Vec<_> = sent.iter().map(|d| d.id.unwrap()).collect();
    assert_eq!(ids, [1, 2, 3, 4]);
    assert!(sent.iter().all(|d| !d.dup), "[MQTT-3.3.1-1]");
    client.puback(2);
    client.lose();
    site.say("t", "5", QOS_1);
    let (mut client, _) = site.returning(V5, "c");
    let again = client.deliveries();
    let again: Vec<_> = again.iter().map(|d| (d.payload.as_str(), d.id.unwrap(), d.dup)).collect();
    let expected = [("1", 1, true), ("3", 3, true), ("4", 4, true), ("5", 5, false)];
    assert_eq!(again, expected, "[MQTT-4.4.0-1], [MQTT-4.6.0-1]");
    for number in [1, 3, 4, 5] {
        client.puback(number);
    }
    client.lose();
    let (mut client, _) = site.returning(V5, "c");
    assert!(client.receive().is_empty(), "everything was acknowledged");
    assert_eq!(site.broker.counters().publishes_resent.get(), 3);
    assert_eq!(site.broker.counters().publishes_out[1].get(), 5);
}

#[test]
fn nothing_is_sent_again_on_the_same_connection() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.subscribe(&[("t", 1)]);
    site.say("t", "1", QOS_1);
    assert_eq!(client.messages(), ["t=1"]);
    site.pass_ms(3_600_000);
    assert!(client.receive().is_empty(), "[MQTT-4.4.0-1]");
}

#[test]
fn a_taken_over_connection_is_told_and_loses_nothing_of_the_session() {
    let site = site();
    let (mut old, _) = site.returning(V5, "c");
    old.subscribe(&[("t", 1)]);
    site.say("t", "1", QOS_1);
    assert_eq!(old.messages(), ["t=1"]);
    old.wakes();
    let (mut new, present) = site.returning(V5, "c");
    assert!(present);
    assert_eq!(old.wakes(), 1, "the old one is woken to find out");
    assert_eq!(new.messages(), ["t=1"]);
    old.puback(1);
    assert_eq!(old.receive(), [Got::Disconnect(Reason::SESSION_TAKEN_OVER)], "[MQTT-3.1.4-3]");
    assert_eq!(old.flow, Flow::Closed(Close::Error(Error::SessionTakenOver)));
    old.lose();
    site.say("t", "2", QOS_1);
    assert_eq!(new.messages(), ["t=2"], "the end of the old one changes nothing");
    assert_eq!(site.broker.counters().takeovers.get(), 1);
    assert_eq!(site.broker.counters().sessions.get(), 1);
}

#[test]
fn a_takeover_publishes_the_old_will_unless_it_was_to_wait() {
    let site = site();
    let connect = |delay_s| {
        let mut client = site.client(V5);
        let list = harness::property_list(&[Property::WillDelayInterval(delay_s)]);
        let mut will = harness::will("w");
        will.properties = list.as_properties();
        let properties = &[Property::SessionExpiryInterval(60)];
        let hello = Hello { clean: false, will: Some(will), properties, ..Hello::default() };
        client.connect(&hello);
        client
    };
    let first = connect(0);
    let second = connect(9);
    assert_eq!(first.lose(), ["w=gone"]);
    let third = connect(9);
    assert!(second.lose().is_empty(), "[MQTT-3.1.3-9]");
    let mut fourth = site.client(V5);
    fourth.connect(&Hello::default());
    assert_eq!(third.lose(), ["w=gone"], "Clean Start ended the session it waited for");
}

#[test]
fn nobody_takes_a_session_of_another_principal() {
    let site = site();
    let (mut owner, _) = site.returning(V5, "c");
    owner.subscribe(&[("t", 1)]);
    for clean in [true, false] {
        let mut thief = site.client(V5);
        let hello = Hello { client_id: "c", clean, username: Some("thief"), ..Hello::default() };
        thief.connect(&hello);
        assert!(matches!(thief.take()[..], [Got::Connack { present: false, code: 0x85, .. }]));
    }
    site.say("t", "1", QOS_1);
    assert_eq!(owner.messages(), ["t=1"]);
    let mut other_tenant = site.client(V5);
    let hello = Hello { client_id: "c", username: Some("user@2"), ..Hello::default() };
    other_tenant.connect(&hello);
    assert!(matches!(other_tenant.take()[..], [Got::Connack { code: 0, .. }]));
    assert_eq!(site.broker.counters().sessions.get(), 2, "tenants do not share identifiers");
}

#[test]
fn a_session_ends_when_its_expiry_has_passed() {
    let site = site();
    let (mut client, _) = site.returning(V5, "c");
    client.subscribe(&[("t", 1)]);
    client.lose();
    site.pass_ms(3_599_999);
    site.tick();
    assert_eq!(site.say("t", "x", QOS_1).matched, 1);
    site.pass_ms(1);
    site.tick();
    assert_eq!(site.say("t", "x", QOS_1).matched, 0, "[MQTT-3.1.2-23]");
    let counters = site.broker.counters();
    assert_eq!((counters.sessions.get(), counters.sessions_expired.get()), (0, 1));
    assert_eq!((counters.queued_bytes.get(), counters.subscriptions.get()), (0, 0));
    let (_, present) = site.returning(V5, "c");
    assert!(!present);
}

#[test]
fn a_session_that_is_resumed_does_not_expire() {
    let site = site();
    for _ in 0..3 {
        let (client, _) = site.returning(V5, "c");
        let deadline = site.broker.tick(site.now(), &mut Vec::new());
        assert_eq!(deadline, None, "no timer is left behind");
        site.pass_ms(10_000_000);
        site.tick();
        client.lose();
        site.pass_ms(3_000_000);
        site.tick();
    }
    assert!(site.broker.sessions().contains(TenantId(1), "c"));
    let mut inbound = Vec::new();
    let next = site.broker.tick(site.now(), &mut inbound);
    assert_eq!(next, Some(site.now().mono_ns / 1_000_000 + 600_000), "one deadline, the last");
}

#[test]
fn the_send_window_is_the_clients_receive_maximum() {
    let site = site();
    let mut client = site.client(V5);
    let properties = &[Property::ReceiveMaximum(2), Property::SessionExpiryInterval(60)];
    let hello = Hello { clean: false, properties, ..Hello::default() };
    client.connect(&hello);
    client.take();
    client.subscribe(&[("t", 1)]);
    for number in 1..=5 {
        site.say("t", &number.to_string(), QOS_1);
    }
    assert_eq!(client.messages(), ["t=1", "t=2"], "[MQTT-3.3.4-9]");
    client.puback(2);
    assert_eq!(client.take().len(), 1, "the acknowledgement itself lets the next one go");
    client.puback(2);
    assert!(client.take().is_empty(), "an unknown one does not");
    client.lose();
    let mut client = site.client(V5);
    client.connect(&hello);
    client.take_first();
    let again: Vec<_> = client.deliveries().iter().map(|d| (d.payload.clone(), d.dup)).collect();
    let expected = [("1".to_owned(), true), ("3".to_owned(), true)];
    assert_eq!(again, expected, "the window holds for what is sent again, too");
    client.puback(1);
    client.puback(3);
    let rest: Vec<_> = client.deliveries().iter().map(|d| (d.payload.clone(), d.dup)).collect();
    assert_eq!(rest, [("4".to_owned(), false), ("5".to_owned(), false)]);
    assert_eq!(site.broker.counters().acknowledgements_unknown.get(), 1);
}

#[test]
fn packet_identifiers_go_round_without_0_and_without_meeting() {
    let site = site_with(|limits| limits.inflight_max = 8);
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("t", 1)]);
    let mut last = 0u16;
    for _ in 0..70_000 {
        site.say("t", "x", QOS_1);
        client.deliver();
        let Got::Publish(delivered) = client.take_first() else { panic!() };
        let id = delivered.id.unwrap();
        assert_eq!(id, if last == 65_535 { 1 } else { last + 1 });
        last = id;
        client.puback(id);
    }
    assert_eq!(site.broker.counters().acknowledgements_unknown.get(), 0);
}

#[test]
fn a_client_that_withholds_one_acknowledgement_cannot_make_the_flight_grow() {
    let site = site_with(|limits| limits.inflight_max = 4);
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("t", 1)]);
    let mut received = 0;
    for number in 0..1000 {
        site.say("t", &number.to_string(), QOS_1);
        for delivered in client.deliveries() {
            received += 1;
            if delivered.id != Some(1) {
                client.puback(delivered.id.unwrap());
            }
        }
    }
    assert_eq!(received, 4 * 4 + 64);
    client.puback(1);
    assert!(!client.take().is_empty(), "it goes on once that one is acknowledged");
}

#[test]
fn a_connection_is_woken_once_until_it_has_delivered() {
    let site = site();
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("t", 0)]);
    for _ in 0..10 {
        site.say("t", "x", Qos::AtMostOnce);
    }
    assert_eq!(client.wakes(), 1);
    assert_eq!(client.messages().len(), 10);
    site.say("t", "x", Qos::AtMostOnce);
    assert_eq!(client.wakes(), 1);
}

#[test]
fn delivery_stops_at_the_outputs_limit_and_goes_on_after() {
    let site = site_with(|limits| limits.output_bytes_max = 1000);
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("t", 0)]);
    for _ in 0..100 {
        site.say("t", &"x".repeat(95), Qos::AtMostOnce);
    }
    let mut rounds = 0;
    loop {
        client.deliver();
        rounds += 1;
        assert!(client.written() < 1100);
        assert_eq!(client.take().len(), 10);
        if !client.more {
            break;
        }
    }
    assert_eq!(rounds, 10);
    assert_eq!(client.wakes(), 1, "no wake-up while it is at work");
}

#[test]
fn messages_without_a_promise_make_room_for_those_with_one() {
    let site = site_with(|limits| limits.queue_messages_max = 4);
    let mut client = site.connected(V3, "c");
    client.subscribe(&[("t", 1)]);
    for (payload, qos) in [("a", 0), ("b", 1), ("c", 0), ("d", 1), ("e", 0), ("f", 1)] {
        site.say("t", payload, Qos::try_from(qos).unwrap());
    }
    assert_eq!(client.messages(), ["t=b", "t=d", "t=f"]);
    assert_eq!(site.broker.counters().dropped(DropReason::QueueFull), 3);
    assert_eq!(site.broker.counters().queued_bytes.get(), 0);
}

#[test]
fn a_connected_client_that_loses_a_promised_message_is_cut_off() {
    let site = site_with(|limits| limits.queue_bytes_max = 1000);
    let (mut client, _) = site.returning(V5, "c");
    client.subscribe(&[("t", 1)]);
    for number in 0..10 {
        site.say("t", &number.to_string(), QOS_1);
    }
    let routed = site.say("t", "over", QOS_1);
    assert_eq!((routed.matched, routed.dropped), (1, 1));
    assert_eq!(client.receive(), [Got::Disconnect(Reason::QUOTA_EXCEEDED)]);
    assert_eq!(site.broker.counters().dropped(DropReason::PromisedQueueFull), 1);
    client.lose();
    let (mut client, _) = site.returning(V5, "c");
    assert_eq!(client.messages().len(), 10, "what was queued before is still there");
}

#[test]
fn the_overflow_policy_decides_what_a_full_offline_session_keeps() {
    let policies = [
        (OverflowPolicy::DropNewest, ["t=0", "t=1", "t=2"]),
        (OverflowPolicy::DropOldest, ["t=2", "t=3", "t=4"]),
    ];
    for (policy, kept) in policies {
        let site = site_with(|limits| {
            limits.queue_messages_max = 3;
            limits.queue_overflow = policy;
        });
        let (mut client, _) = site.returning(V3, "c");
        client.subscribe(&[("t", 1)]);
        client.lose();
        for number in 0..5 {
            site.say("t", &number.to_string(), QOS_1);
        }
        let (mut client, _) = site.returning(V3, "c");
        assert_eq!(client.messages(), kept);
        let counters = site.broker.counters();
        assert_eq!(counters.dropped(DropReason::PromisedQueueFull), 2);
        assert_eq!(counters.queued_bytes.get(), 0);
    }
}

#[test]
fn all_sessions_together_stay_within_their_bytes() {
    let site = site_with(|limits| limits.queue_bytes_total_max = 1000);
    let mut clients: Vec<_> = (0..5)
        .map(|number| {
            let mut client = site.connected(V3, &number.to_string());
            client.subscribe(&[("t", 0)]);
            client
        })
        .collect();
    let routed = site.say("t", &"x".repeat(200), Qos::AtMostOnce);
    assert_eq!((routed.matched, routed.dropped), (5, 2));
    assert!(site.broker.counters().queued_bytes.get() <= 1000);
    assert_eq!(site.broker.counters().dropped(DropReason::TotalQueueFull), 2);
    let received: usize = clients.iter_mut().map(|client| client.messages().len()).sum();
    assert_eq!(received, 3);
    assert_eq!(site.broker.counters().queued_bytes.get(), 0);
}

#[test]
fn there_are_no_more_sessions_than_allowed() {
    let site = site_with(|limits| limits.sessions_max = 2);
    let _first = site.connected(V5, "1");
    let _second = site.connected(V5, "2");
    for (version, told) in [(V5, 0x97), (V3, 3)] {
        let mut third = site.client(version);
        third.connect(&Hello { client_id: "3", ..Hello::default() });
        assert!(matches!(third.take()[..], [Got::Connack { code, .. }] if code == told));
    }
    let _again = site.connected(V5, "2");
    assert_eq!(site.broker.counters().sessions.get(), 2, "taking over needs no room");
}

#[test]
fn a_message_expires_in_the_queue_and_tells_what_is_left_of_it() {
    let site = site();
    let (mut client, _) = site.returning(V5, "c");
    client.subscribe(&[("t", 1)]);
    client.lose();
    let mut publisher = site.connected(V5, "p");
    for (payload, seconds) in [("short", 5), ("long", 60)] {
        let expiry = [Property::MessageExpiryInterval(seconds)];
        publisher.publish_with("t", payload, 0, false, &expiry);
    }
    for inbound in std::mem::take(&mut publisher.inbound) {
        let mut message = (*inbound.message).clone();
        message.qos = QOS_1;
        site.publish(&message.into());
    }
    site.pass_ms(10_500);
    let (mut client, _) = site.returning(V5, "c");
    let delivered = client.deliveries();
    assert_eq!(delivered.len(), 1, "[MQTT-3.3.2-5]");
    assert_eq!(delivered[0].properties, ["MessageExpiryInterval(50)"], "[MQTT-3.3.2-6]");
    assert_eq!(site.broker.counters().dropped(DropReason::Expired), 1);
    assert_eq!(site.broker.counters().queued_bytes.get(), 0);
}

#[test]
fn a_message_larger_than_the_client_takes_is_not_sent() {
    let site = site();
    let mut client = site.client(V5);
    let properties = &[Property::MaximumPacketSize(50)];
    client.connect(&Hello { properties, ..Hello::default() });
    client.take();
    client.subscribe(&[("t", 1)]);
    site.say("t", &"x".repeat(42), QOS_1); // 50 bytes: 2 + 3 + 2 + 1 + 42
    site.say("t", &"x".repeat(43), QOS_1);
    site.say("t", "small", QOS_1);
    let sizes: Vec<_> = client.deliveries().iter().map(|d| d.payload.len()).collect();
    assert_eq!(sizes, [42, 5], "[MQTT-3.1.2-24], [MQTT-3.1.2-25]");
    assert_eq!(site.broker.counters().dropped(DropReason::TooLargeForClient), 1);
}

#[test]
fn an_acknowledgement_of_what_was_not_sent_again_yet_opens_no_window() {
    let site = site();
    let connect = |receive_max| {
        let mut client = site.client(V5);
        let properties =
            &[Property::ReceiveMaximum(receive_max), Property::SessionExpiryInterval(60)];
        client.connect(&Hello { clean: false, properties, ..Hello::default() });
        client.take_first();
        client
    };
    let mut client = connect(4);
    client.subscribe(&[("t", 1)]);
    for number in 1..=4 {
        site.say("t", &number.to_string(), QOS_1);
    }
    assert_eq!(client.messages().len(), 4);
    client.lose();
    let mut client = connect(1);
    assert_eq!(client.messages(), ["t=1"], "[MQTT-3.3.4-9]");
    client.puback(3);
    assert!(client.receive().is_empty());
    client.puback(1);
    assert_eq!(client.messages(), ["t=2"]);
    client.puback(2);
    assert_eq!(client.messages(), ["t=4"], "3 was acknowledged");
}

#[test]
fn a_will_that_waited_is_forgotten_by_a_client_that_comes_back_without_one() {
    let site = site();
    let list = harness::property_list(&[Property::WillDelayInterval(5)]);
    let mut will = harness::will("w");
    will.properties = list.as_properties();
    let mut client = site.client(V5);
    let properties = &[Property::SessionExpiryInterval(60)];
    client.connect(&Hello { clean: false, will: Some(will), properties, ..Hello::default() });
    assert!(client.lose().is_empty());
    let (client, present) = site.returning(V5, "client");
    assert!(present && client.lose().is_empty());
    site.pass_ms(5_000);
    assert!(site.tick().is_empty(), "[MQTT-3.1.3-9]");
}
