//! Every refusal is told once to whoever shows it to people, with all that is known of the client.
#![allow(clippy::unwrap_used)]

mod harness;

use flux_mqtt::codec::Reason;
use flux_mqtt::{Close, Error, Flow};
use harness::{Got, Hello, Site, V3, V5, site, site_with, will};

fn told(site: &Site) -> Vec<String> {
    std::mem::take(&mut site.rights.refused.lock().unwrap())
}

#[test]
fn refused_connect_is_told_with_the_name_the_client_gave() {
    let site = site_with(|limits| limits.client_id_bytes_max = 8);
    for version in [V3, V5] {
        let hello = Hello { client_id: "much-too-long", username: Some("u"), ..Hello::default() };
        site.client(version).connect(&hello);
        assert_eq!(told(&site), ["Connect u much-too-long - mqtt.connect_refused"]);
    }
    site.rights.forbid("gone/away");
    let hello = Hello { will: Some(will("gone/away")), ..Hello::default() };
    site.client(V5).connect(&hello);
    assert_eq!(told(&site), ["Connect - client - mqtt.connect_refused"]);
}

#[test]
fn denied_sign_in_is_left_to_who_denied_it() {
    let site = site();
    for version in [V3, V5] {
        let mut client = site.client(version);
        let (username, password) = (Some("u"), Some(b"wrong".as_slice()));
        client.connect(&Hello { username, password, ..Hello::default() });
        assert!(matches!(client.take()[..], [Got::Connack { code: 1.., .. }]));
        assert_eq!(told(&site), [""; 0]);
    }
}

#[test]
fn what_is_no_connect_is_told_without_a_name() {
    let site = site();
    site.client(V3).bytes(b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(told(&site).len(), 1);
    site.client(V5).send(&flux_mqtt::codec::Packet::Pingreq);
    assert_eq!(told(&site), ["Connect - - - mqtt.protocol"]);
    let mut silent = site.client(V5);
    site.pass_ms(60_000);
    silent.tick();
    assert_eq!(told(&site), ["Connect - - - mqtt.connect_timeout"]);
}

#[test]
fn refused_publication_is_told_with_its_topic_each_time() {
    let site = site();
    site.rights.forbid("not/there");
    let mut client = site.connected(V5, "c");
    client.publish("not/there", "1", 1);
    client.publish("not/there", "2", 0);
    let expected = "Publish user c not/there publish.not_authorized";
    assert_eq!(told(&site), [expected, expected]);
    client.publish("there", "3", 2);
    client.acknowledge(2, Reason::QUOTA_EXCEEDED);
    assert_eq!(told(&site), ["Publish user c - publish.no_room"]);
    // 3.1.1 knows no other word than the end of the connection: still one refusal
    let mut old = site.connected(V3, "old");
    let flow = old.publish("not/there", "1", 1);
    assert_eq!(flow, Flow::Closed(Close::Error(Error::PublishDenied)));
    assert_eq!(told(&site), ["Publish user old not/there publish.not_authorized"]);
}

#[test]
fn refused_subscriptions_are_told_filter_by_filter() {
    let site = site();
    site.rights.forbid("secret/#");
    let mut client = site.connected(V5, "c");
    let codes = client.subscribe(&[("secret/#", 1), ("open/#", 1), ("$share/g/open", 1)]);
    assert_eq!(codes, [0x87, 1, 0x9E]);
    assert_eq!(
        told(&site),
        [
            "Subscribe user c secret/# subscribe.not_authorized",
            "Subscribe user c $share/g/open subscribe.shared",
        ]
    );
}

#[test]
fn connection_that_is_ended_is_told_but_not_that_the_server_goes_down() {
    let site = site();
    let mut client = site.connected(V5, "c");
    client.bytes(&[0xF0 | 0x0F, 0]);
    assert_eq!(told(&site).len(), 1);
    let mut first = site.connected(V5, "twin");
    let _second = site.connected(V5, "twin");
    first.deliver();
    assert_eq!(told(&site), ["Stay user twin - mqtt.session_taken_over"]);
    site.connected(V5, "d").close(Reason::SERVER_SHUTTING_DOWN);
    site.connected(V5, "e").disconnect(Reason::SUCCESS, &[]);
    assert_eq!(told(&site), [""; 0]);
}
