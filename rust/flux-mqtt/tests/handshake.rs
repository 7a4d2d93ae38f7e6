//! CONNECT, CONNACK and the ways a connection ends.

mod harness;

use flux_mqtt::codec::{Packet, Property, Reason, Version};
use flux_mqtt::{Close, Error, Flow};
use flux_types::Qos;
use harness::{Got, Hello, V3, V5, property_list, site, site_with, will};

fn refused(flow: &Flow) -> Reason {
    match flow {
        Flow::Closed(Close::Error(error)) => error.reason(),
        other => panic!("{other:?}"),
    }
}

fn code(got: &[Got]) -> u8 {
    match got {
        [Got::Connack { present: false, code, .. }] => *code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn connack_tells_a_5_0_client_what_is_not_as_it_may_assume() {
    let site = site();
    let mut client = site.client(V5);
    client.connect(&Hello { client_id: "", ..Hello::default() });
    let Got::Connack { present: false, code: 0, properties } = client.take_first() else {
        panic!("no CONNACK")
    };
    for told in [
        "ReceiveMaximum(1024)",
        "MaximumQos(true)",       // 1 [MQTT-3.2.2-9]
        "RetainAvailable(false)", // [MQTT-3.2.2-13]
        "MaximumPacketSize(1048576)",
        "TopicAliasMaximum(16)",
        "SharedSubscriptionAvailable(false)",
    ] {
        assert!(properties.iter().any(|p| p == told), "{told} in {properties:?}");
    }
    let assigned = properties.iter().any(|p| p.starts_with("AssignedClientIdentifier(\"auto-"));
    assert!(assigned, "[MQTT-3.2.2-16]: {properties:?}");
    assert!(!properties.iter().any(|p| p.starts_with("ServerKeepAlive")));
}

#[test]
fn keep_alive_and_session_expiry_above_our_limits_are_cut_and_told() {
    let site = site_with(|limits| {
        limits.keep_alive_s_max = 60;
        limits.session_expiry_s_max = 100;
    });
    let mut client = site.client(V5);
    let properties = &[Property::SessionExpiryInterval(u32::MAX)];
    client.connect(&Hello { keep_alive_s: 0, properties, ..Hello::default() });
    let Got::Connack { properties, .. } = client.take_first() else { panic!() };
    assert!(properties.contains(&"ServerKeepAlive(60)".to_owned()), "[MQTT-3.1.2-21]");
    assert!(properties.contains(&"SessionExpiryInterval(100)".to_owned()), "{properties:?}");
}

#[test]
fn a_3_1_1_connack_has_no_properties() {
    let site = site();
    let mut client = site.client(V3);
    client.connect(&Hello::default());
    let connack = Got::Connack { present: false, code: 0, properties: vec![] };
    assert_eq!(client.take(), [connack]);
}

#[test]
fn bad_credentials_are_refused_in_the_versions_words() {
    let site = site();
    for (version, told) in [(V3, 4), (V5, 0x86)] {
        let mut client = site.client(version);
        let hello = Hello { username: Some("u"), password: Some(b"wrong"), ..Hello::default() };
        let flow = client.connect(&hello);
        assert_eq!(refused(&flow), Reason::BAD_USER_NAME_OR_PASSWORD);
        assert_eq!(code(&client.take()), told);
    }
    let counters = site.broker.counters();
    assert_eq!(counters.connects_refused.get(Reason::BAD_USER_NAME_OR_PASSWORD), 2);
    assert_eq!((counters.connects.get(), counters.connected.get()), (0, 0));
    assert_eq!(counters.sessions.get(), 0);
}

#[test]
fn an_empty_client_id_without_clean_session_is_rejected_in_3_1_1() {
    let site = site();
    let mut client = site.client(V3);
    let flow = client.connect(&Hello { client_id: "", clean: false, ..Hello::default() });
    assert_eq!(refused(&flow), Reason::CLIENT_IDENTIFIER_NOT_VALID);
    assert_eq!(code(&client.take()), 2, "[MQTT-3.1.3-8] of 3.1.1");
}

#[test]
fn a_client_id_above_the_limit_is_rejected() {
    let site = site_with(|limits| limits.client_id_bytes_max = 10);
    let mut client = site.client(V5);
    client.connect(&Hello { client_id: "12345678901", ..Hello::default() });
    assert_eq!(code(&client.take()), 0x85);
}

#[test]
fn an_unknown_protocol_level_is_told_so() {
    for (level, version, told) in [(3, V3, 1), (9, V5, 0x84)] {
        let site = site();
        let mut client = site.client(version);
        let bytes = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', level, 2, 0, 0, 0, 0];
        let flow = client.bytes(&bytes);
        assert_eq!(refused(&flow), Reason::UNSUPPORTED_PROTOCOL_VERSION, "[MQTT-3.1.2-2]");
        assert_eq!(code(&client.take()), told);
    }
}

#[test]
fn the_first_packet_has_to_be_connect_and_only_the_first() {
    let site = site();
    let mut client = site.client(V5);
    let flow = client.send(&Packet::Pingreq);
    assert_eq!(refused(&flow), Reason::PROTOCOL_ERROR, "[MQTT-3.1.0-1]");
    assert!(client.take().is_empty(), "nothing is said to a stranger");

    let mut client = site.connected(V5, "c");
    let flow = client.connect(&Hello { client_id: "c", ..Hello::default() });
    assert_eq!(refused(&flow), Reason::PROTOCOL_ERROR, "[MQTT-3.1.0-2]");
    assert_eq!(client.take(), [Got::Disconnect(Reason::PROTOCOL_ERROR)]);
}

#[test]
fn extended_authentication_is_refused() {
    let site = site();
    let mut client = site.client(V5);
    let properties = &[Property::AuthenticationMethod("SCRAM-SHA-1")];
    client.connect(&Hello { properties, ..Hello::default() });
    assert_eq!(code(&client.take()), 0x8C, "[MQTT-4.12.0-1]");

    let mut client = site.connected(V5, "c");
    let flow = client.bytes(&[0xF0, 0]);
    assert_eq!(refused(&flow), Reason::PROTOCOL_ERROR, "[MQTT-4.12.0-6]");
}

#[test]
fn a_malformed_packet_ends_the_connection_with_its_reason() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let flow = client.bytes(&[0x36, 0]);
    assert_eq!(refused(&flow), Reason::MALFORMED_PACKET, "[MQTT-3.3.1-4]");
    assert_eq!(client.take(), [Got::Disconnect(Reason::MALFORMED_PACKET)]);
    assert_eq!(site.broker.counters().malformed.get(), 1);

    let mut old = site.connected(V3, "o");
    old.bytes(&[0x36, 0]);
    assert!(old.take().is_empty(), "3.1.1 has no DISCONNECT from the server");
}

#[test]
fn nothing_after_the_end_is_handled() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.bytes(&[0xC0, 0, 0xC1, 0, 0xC0, 0, 0x30]);
    let got = [Got::Pingresp, Got::Disconnect(Reason::MALFORMED_PACKET)];
    assert_eq!(client.take(), got);
    client.bytes(&[0xC0, 0]);
    assert!(client.take().is_empty());
}

#[test]
fn packets_may_arrive_byte_by_byte() {
    let site = site();
    let mut client = site.connected(V5, "c");
    let bytes = [0x32, 9, 0, 3, b'a', b'/', b'b', 0, 5, 0, b'x', 0xC0, 0];
    for byte in bytes {
        assert_eq!(client.bytes(&[byte]), Flow::Open);
    }
    assert_eq!(client.commit(), ["a/b=x"]);
    assert_eq!(client.take(), [Got::Pingresp, Got::Puback(5, Reason::SUCCESS)]);
}

#[test]
fn silence_for_one_and_a_half_keep_alive_intervals_ends_the_connection() {
    let site = site();
    let mut client = site.client(V5);
    client.connect(&Hello { keep_alive_s: 10, ..Hello::default() });
    client.take();
    site.pass_ms(14_999);
    assert_eq!(client.tick(), Flow::Open);
    client.send(&Packet::Pingreq);
    assert_eq!(client.take(), [Got::Pingresp]);
    site.pass_ms(15_000);
    assert_eq!(refused(&client.tick()), Reason::KEEP_ALIVE_TIMEOUT, "[MQTT-3.1.2-22]");
    assert_eq!(client.take(), [Got::Disconnect(Reason::KEEP_ALIVE_TIMEOUT)]);
}

#[test]
fn keep_alive_stands_still_while_we_do_not_read() {
    let site = site();
    let mut client = site.client(V3);
    client.connect(&Hello { keep_alive_s: 1, ..Hello::default() });
    client.connection().pause();
    site.pass_ms(60_000);
    assert_eq!((client.tick(), client.connection().deadline_ms()), (Flow::Open, None));
    let now = site.now();
    client.connection().resume(now);
    site.pass_ms(1499);
    assert_eq!(client.tick(), Flow::Open);
    site.pass_ms(1);
    assert_eq!(refused(&client.tick()), Reason::KEEP_ALIVE_TIMEOUT);
}

#[test]
fn a_socket_without_connect_is_closed_in_time() {
    let site = site();
    let mut client = site.client(V5);
    let deadline = client.connection().deadline_ms().unwrap();
    site.pass_ms(9_999);
    client.bytes(&[0x10]);
    assert_eq!(client.tick(), Flow::Open);
    site.pass_ms(1);
    let error = Error::ConnectTimeout { timeout_ms: 10_000 };
    assert_eq!(client.tick(), Flow::Closed(Close::Error(error)));
    assert_eq!(deadline, site.now().mono_ns / 1_000_000);
}

#[test]
fn a_stranger_cannot_send_as_large_a_packet_as_a_client() {
    let site = site_with(|limits| limits.connect_packet_bytes_max = 100);
    let mut client = site.client(V5);
    let flow = client.bytes(&[0x10, 100]);
    assert_eq!(refused(&flow), Reason::PACKET_TOO_LARGE);
    let mut client = site.connected(V5, "c");
    assert_eq!(client.bytes(&[0x30, 100]), Flow::Open);
    let mut client = site.connected(V5, "d");
    client.bytes(&[0x30, 0xFF, 0xFF, 0x7F]);
    assert_eq!(client.take(), [Got::Disconnect(Reason::PACKET_TOO_LARGE)]);
}

#[test]
fn a_will_is_published_when_the_connection_breaks_and_not_after_disconnect() {
    let site = site();
    for version in [V3, V5] {
        let with_will = |name| {
            let mut client = site.client(version);
            let hello = Hello { client_id: name, will: Some(will("w")), ..Hello::default() };
            client.connect(&hello);
            client
        };
        assert_eq!(with_will("a").lose(), ["w=gone"], "[MQTT-3.1.2-8]");
        assert!(with_will("b").disconnect(Reason::SUCCESS, &[]).is_empty(), "[MQTT-3.14.4-3]");
        let mut broken = with_will("c");
        broken.bytes(&[0x36, 0]);
        assert_eq!(broken.lose(), ["w=gone"], "after a protocol error too");
    }
    let mut client = site.client(V5);
    client.connect(&Hello { will: Some(will("w")), ..Hello::default() });
    let due = client.disconnect(Reason::DISCONNECT_WITH_WILL, &[]);
    assert_eq!(due, ["w=gone"], "0x04 asks for it");
    assert_eq!(site.broker.counters().wills.get(), 5);
}

#[test]
fn a_will_that_may_not_be_published_refuses_the_connection() {
    let site = site();
    site.rights.forbid("secret");
    for (version, told) in [(V3, 5), (V5, 0x87)] {
        for topic in ["secret", "$SYS/x"] {
            let mut client = site.client(version);
            client.connect(&Hello { will: Some(will(topic)), ..Hello::default() });
            assert_eq!(code(&client.take()), told);
        }
    }
    let mut wild = site.client(V5);
    wild.connect(&Hello { will: Some(will("a/#")), ..Hello::default() });
    assert_eq!(code(&wild.take()), 0x81);
    let mut retained = will("w");
    retained.retain = true;
    let mut client = site.client(V5);
    client.connect(&Hello { will: Some(retained), ..Hello::default() });
    assert_eq!(code(&client.take()), 0x9A, "[MQTT-3.2.2-13]");
    let mut exact = will("w");
    exact.qos = Qos::ExactlyOnce;
    let mut client = site.client(V5);
    client.connect(&Hello { will: Some(exact), ..Hello::default() });
    assert_eq!(code(&client.take()), 0x9B, "[MQTT-3.2.2-12]");
}

#[test]
fn a_delayed_will_waits_and_is_forgotten_when_the_client_is_back_in_time() {
    let site = site();
    let delay = property_list(&[Property::WillDelayInterval(5)]);
    let delayed = |site: &'_ harness::Site| {
        let mut client = site.client(V5);
        let mut will = will("w");
        will.properties = delay.as_properties();
        let properties = &[Property::SessionExpiryInterval(60)];
        let hello = Hello { clean: false, will: Some(will), properties, ..Hello::default() };
        client.connect(&hello);
        client.lose()
    };
    assert!(delayed(&site).is_empty());
    site.pass_ms(4_999);
    assert!(site.tick().is_empty());
    assert!(delayed(&site).is_empty(), "back in time: [MQTT-3.1.3-9]");
    site.pass_ms(4_999);
    assert!(site.tick().is_empty());
    site.pass_ms(1);
    assert_eq!(site.tick(), ["w=gone"]);
    assert!(site.tick().is_empty(), "once");
}

#[test]
fn a_delayed_will_does_not_outlive_its_session() {
    let site = site();
    let delay = property_list(&[Property::WillDelayInterval(50)]);
    let mut held = will("w");
    held.properties = delay.as_properties();
    let mut client = site.client(V5);
    let properties = &[Property::SessionExpiryInterval(5)];
    client.connect(&Hello { will: Some(held), properties, ..Hello::default() });
    assert!(client.lose().is_empty());
    site.pass_ms(5_000);
    assert_eq!(site.tick(), ["w=gone"], "the session ended first");

    let mut client = site.client(V5);
    client.connect(&Hello { will: Some(held), properties, ..Hello::default() });
    assert!(client.lose().is_empty());
    let mut next = site.client(V5);
    next.connect(&Hello::default());
    let due: Vec<_> = next.inbound.iter().map(|i| i.message.topic.to_string()).collect();
    assert_eq!(due, ["w"], "Clean Start ended the session");
}

#[test]
fn session_expiry_may_change_at_disconnect_but_not_from_zero() {
    let site = site();
    let client = site.connected(V5, "c");
    let version: Version = client.version;
    assert_eq!(version, V5);
    let mut client = client;
    let list = property_list(&[Property::SessionExpiryInterval(9)]);
    let flow = client.send(&Packet::Disconnect(flux_mqtt::codec::Disconnect {
        reason: Reason::SUCCESS,
        properties: list.as_properties(),
    }));
    assert_eq!(refused(&flow), Reason::PROTOCOL_ERROR, "section 3.14.2.2.2");

    let (client, _) = site.returning(V5, "d");
    client.disconnect(Reason::SUCCESS, &[Property::SessionExpiryInterval(0)]);
    assert!(!site.broker.sessions().contains(flux_types::TenantId(1), "d"));
}

#[test]
fn the_server_says_why_it_closes() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.close(Reason::SERVER_SHUTTING_DOWN);
    assert_eq!(client.take(), [Got::Disconnect(Reason::SERVER_SHUTTING_DOWN)]);

    let mut client = site.connected(V5, "d");
    let sessions = site.broker.sessions();
    let tenant = flux_types::TenantId(1);
    assert_eq!(sessions.disconnect_principal(tenant, "user", Reason::NOT_AUTHORIZED), 2);
    assert_eq!(client.wakes(), 1);
    assert_eq!(client.receive(), [Got::Disconnect(Reason::NOT_AUTHORIZED)]);
    assert!(sessions.disconnect(tenant, "c", Reason::ADMINISTRATIVE_ACTION));
    assert!(!sessions.disconnect(tenant, "nobody", Reason::ADMINISTRATIVE_ACTION));
}

#[test]
fn a_malformed_connect_is_answered_in_the_version_it_names() {
    let site = site();
    let mut client = site.client(V5);
    let reserved_flag = [0x10, 13, 0, 4, b'M', b'Q', b'T', b'T', 5, 3, 0, 0, 0, 0, 0];
    assert_eq!(refused(&client.bytes(&reserved_flag)), Reason::MALFORMED_PACKET, "[MQTT-3.1.2-3]");
    assert_eq!(code(&client.take()), 0x81);
    let mut old = site.client(V3);
    old.bytes(&[0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 3, 0, 0, 0, 0]);
    assert!(old.take().is_empty(), "3.1.1 has no return code for it");
}

#[test]
fn a_client_that_takes_no_connack_is_not_connected() {
    let site = site();
    let mut client = site.client(V5);
    let properties = &[Property::MaximumPacketSize(20)];
    client.connect(&Hello { properties, ..Hello::default() });
    assert_eq!(code(&client.take()), 0x95, "[MQTT-3.1.2-24]");
    assert_eq!(site.broker.counters().sessions.get(), 0);
    assert_eq!(site.broker.counters().connected.get(), 0);
}
