//! Tests of the codec: every clause a packet alone can break, and what no input may do.

use bytes::BytesMut;
use flux_types::Qos;
use proptest::prelude::*;

use super::*;
use crate::Error;

const MAX: usize = 1 << 20;

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

fn properties(list: &[Property<'_>]) -> PropertyBuf {
    let mut buf = PropertyBuf::default();
    list.iter().for_each(|property| buf.push(property).unwrap());
    buf
}

/// Each packet of a session in each direction, as bytes.
fn session(version: Version) -> Vec<Vec<u8>> {
    let v5 = version == Version::V5;
    let of = |list: &[Property<'_>]| properties(if v5 { list } else { &[] });
    let reason = |code: Reason| if v5 { code } else { Reason::SUCCESS };
    let connect = of(&[
        Property::SessionExpiryInterval(60),
        Property::ReceiveMaximum(10),
        Property::MaximumPacketSize(1000),
        Property::TopicAliasMaximum(5),
        Property::RequestResponseInformation(true),
        Property::RequestProblemInformation(false),
        Property::UserProperty("a", "b"),
        Property::AuthenticationMethod("m"),
        Property::AuthenticationData(&[1, 2]),
    ]);
    let message = of(&[
        Property::PayloadFormatIndicator(true),
        Property::MessageExpiryInterval(0),
        Property::ContentType("text/plain"),
        Property::ResponseTopic("r"),
        Property::CorrelationData(&[0, 255]),
        Property::UserProperty("k", "v"),
        Property::UserProperty("k", "w"),
    ]);
    let will = of(&[Property::WillDelayInterval(9), Property::ContentType("x")]);
    let connack = of(&[
        Property::AssignedClientIdentifier("c"),
        Property::ServerKeepAlive(9),
        Property::ResponseInformation("i"),
        Property::ServerReference("s"),
        Property::MaximumQos(true),
        Property::RetainAvailable(false),
        Property::WildcardSubscriptionAvailable(true),
        Property::SubscriptionIdentifierAvailable(true),
        Property::SharedSubscriptionAvailable(false),
    ]);
    let why = of(&[Property::ReasonString("because")]);
    let subscription = of(&[Property::SubscriptionIdentifier(268_435_455)]);
    let publish_ids = of(&[
        Property::SubscriptionIdentifier(1),
        Property::SubscriptionIdentifier(300),
        Property::TopicAlias(3),
    ]);
    let auth = of(&[Property::AuthenticationMethod("m")]);
    let options = SubscribeOptions {
        qos: Qos::ExactlyOnce,
        no_local: v5,
        retain_as_published: v5,
        retain_handling: if v5 { RetainHandling::DoNotSend } else { RetainHandling::Send },
    };
    let (mut filters, mut names) = (BytesMut::new(), BytesMut::new());
    for filter in ["a/+", "#", "ß"] {
        FilterList::put_subscribe(&mut filters, version, filter, options).unwrap();
        FilterList::put_unsubscribe(&mut names, filter).unwrap();
    }
    let ack =
        |number, code, why| Ack { packet_id: id(number), reason: reason(code), properties: why };
    let why = why.as_properties();
    let mut packets = vec![
        Packet::Connect(Connect {
            version,
            clean_start: true,
            keep_alive_s: 30,
            properties: connect.as_properties(),
            client_id: "client",
            will: Some(Will {
                qos: Qos::AtLeastOnce,
                retain: true,
                properties: will.as_properties(),
                topic: "will",
                payload: b"gone",
            }),
            username: Some("user"),
            password: Some(b"secret"),
        }),
        Packet::Connack(Connack {
            session_present: true,
            code: 0,
            properties: connack.as_properties(),
        }),
        Packet::Publish(Publish {
            dup: true,
            qos: Qos::AtLeastOnce,
            retain: false,
            topic: "a/b",
            packet_id: Some(id(7)),
            properties: message.as_properties(),
            payload: &[b'x'; 130],
        }),
        Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: true,
            topic: if v5 { "" } else { "a" },
            packet_id: None,
            properties: publish_ids.as_properties(),
            payload: b"",
        }),
        Packet::Puback(ack(7, Reason::NOT_AUTHORIZED, why)),
        Packet::Puback(Ack::new(id(65_535), reason(Reason::NO_MATCHING_SUBSCRIBERS))),
        Packet::Pubrec(Ack::new(id(2), Reason::SUCCESS)),
        Packet::Pubrel(ack(2, Reason::PACKET_IDENTIFIER_NOT_FOUND, why)),
        Packet::Pubcomp(ack(2, Reason::SUCCESS, why)),
        Packet::Subscribe(Subscribe {
            packet_id: id(3),
            properties: subscription.as_properties(),
            filters: FilterList::of_subscribe(version, &filters).unwrap(),
        }),
        Packet::Suback(Suback { packet_id: id(3), properties: why, codes: &[1, 0x80, 2] }),
        Packet::Unsubscribe(Unsubscribe {
            packet_id: id(4),
            properties: Properties::default(),
            filters: FilterList::of_unsubscribe(&names).unwrap(),
        }),
        Packet::Unsuback(Unsuback {
            packet_id: id(4),
            properties: why,
            codes: if v5 { &[0, 0x11, 0x8F] } else { &[] },
        }),
        Packet::Pingreq,
        Packet::Pingresp,
        Packet::Disconnect(Disconnect {
            reason: reason(Reason::DISCONNECT_WITH_WILL),
            properties: why,
        }),
        Packet::Disconnect(Disconnect {
            reason: Reason::SUCCESS,
            properties: Properties::default(),
        }),
    ];
    if v5 {
        packets.push(Packet::Auth(Auth {
            reason: Reason::CONTINUE_AUTHENTICATION,
            properties: auth.as_properties(),
        }));
    }
    let encode = |packet: &Packet<'_>| {
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).unwrap();
        let frame = frame(&out, MAX).unwrap().expect("whole");
        assert_eq!(&Packet::decode(version, &frame).unwrap(), packet, "round trip");
        out.to_vec()
    };
    packets.iter().map(encode).collect()
}

fn decode(version: Version, bytes: &[u8]) -> Result<(), Error> {
    let frame = frame(bytes, MAX)?.expect("a whole packet");
    assert_eq!(frame.len, bytes.len(), "one packet");
    let packet = Packet::decode(version, &frame)?;
    visit(&packet);
    Ok(())
}

/// Walks everything lazy in a packet.
fn visit(packet: &Packet<'_>) {
    let (properties, filters) = match packet {
        Packet::Connect(p) => (p.properties, None),
        Packet::Publish(p) => (p.properties, None),
        Packet::Subscribe(p) => (p.properties, Some(p.filters)),
        Packet::Unsubscribe(p) => (p.properties, Some(p.filters)),
        _ => (Properties::default(), None),
    };
    let len: usize = properties
        .iter()
        .map(|p| {
            let mut out = PropertyBuf::default();
            out.push(&p).unwrap();
            out.as_properties().as_bytes().len()
        })
        .sum();
    assert_eq!(len, properties.as_bytes().len(), "every property is seen");
    if let Some(filters) = filters {
        assert!(filters.iter().count() > 0);
    }
}

#[test]
fn every_packet_survives_a_round_trip() {
    assert_eq!(session(Version::V311).len(), 17);
    assert_eq!(session(Version::V5).len(), 18);
}

#[test]
fn a_part_of_a_packet_is_awaited_and_a_shortened_packet_is_malformed() {
    for version in [Version::V311, Version::V5] {
        for packet in session(version) {
            for len in 0..packet.len() {
                assert_eq!(frame(&packet[..len], MAX), Ok(None), "{packet:?} at {len}");
            }
            let whole = frame(&packet, MAX).unwrap().unwrap();
            for len in 0..whole.body.len() {
                let short = Frame { body: &whole.body[..len], ..whole };
                match Packet::decode(version, &short) {
                    // a payload may end anywhere, and so may what is optional at the end
                    Ok(Packet::Publish(_) | Packet::Suback(_) | Packet::Unsuback(_)) => {}
                    Ok(Packet::Puback(_) | Packet::Pubrel(_) | Packet::Pubcomp(_)) => {}
                    Ok(Packet::Disconnect(_) | Packet::Auth(_)) => {}
                    Ok(Packet::Subscribe(p)) => assert!(p.filters.iter().count() < 3),
                    Ok(Packet::Unsubscribe(p)) => assert!(p.filters.iter().count() < 3),
                    Ok(other) => panic!("{other:?} from {len} bytes"),
                    Err(error) => assert!(error.reason().is_error()),
                }
            }
        }
    }
}

#[test]
fn what_a_clause_forbids_is_refused_with_its_reason() {
    let malformed = Reason::MALFORMED_PACKET;
    let protocol = Reason::PROTOCOL_ERROR;
    #[rustfmt::skip]
    let cases: &[(&str, Reason, &[u8])] = &[
        ("MQTT-2.1.3-1 flags of PUBACK", malformed, &[0x41, 2, 0, 1]),
        ("MQTT-2.1.3-1 flags of SUBSCRIBE [MQTT-3.8.1-1]", malformed, &[0x80, 7, 0, 1, 0, 0, 1, b'a', 0]),
        ("MQTT-3.6.1-1 flags of PUBREL", malformed, &[0x60, 2, 0, 1]),
        ("MQTT-3.10.1-1 flags of UNSUBSCRIBE", malformed, &[0xA0, 6, 0, 1, 0, 0, 1, b'a']),
        ("MQTT-3.14.1-1 flags of DISCONNECT", malformed, &[0xE1, 0]),
        ("packet type 0", malformed, &[0x00, 0]),
        ("MQTT-1.5.5-1 length not minimal", malformed, &[0x30, 0x84, 0x00, 0, 1, b'a', 0]),
        ("MQTT-1.5.5-1 length of five bytes", malformed, &[0x30, 0x80, 0x80, 0x80, 0x80, 1]),
        ("MQTT-3.3.1-2 DUP on QoS 0", malformed, &[0x38, 4, 0, 1, b'a', 0]),
        ("MQTT-3.3.1-4 QoS 3", malformed, &[0x36, 6, 0, 1, b'a', 0, 1, 0]),
        ("MQTT-2.2.1-3 packet id 0", protocol, &[0x32, 6, 0, 1, b'a', 0, 0, 0]),
        ("MQTT-2.2.1-3 SUBSCRIBE id 0", protocol, &[0x82, 7, 0, 0, 0, 0, 1, b'a', 0]),
        ("MQTT-1.5.4-1 overlong UTF-8", malformed, &[0x30, 5, 0, 2, 0xC0, 0x80, 0]),
        ("MQTT-1.5.4-1 surrogate", malformed, &[0x30, 6, 0, 3, 0xED, 0xA0, 0x80, 0]),
        ("MQTT-1.5.4-2 NUL", malformed, &[0x30, 5, 0, 2, b'a', 0, 0]),
        ("no property length", malformed, &[0x30, 3, 0, 1, b'a']),
        ("property length beyond the packet", malformed, &[0x30, 4, 0, 1, b'a', 9]),
        ("property cut", malformed, &[0x30, 6, 0, 1, b'a', 2, 2, 0]),
        ("property twice", protocol, &[0x30, 10, 0, 1, b'a', 6, 3, 0, 0, 3, 0, 0]),
        ("foreign property", malformed, &[0x30, 9, 0, 1, b'a', 5, 17, 0, 0, 0, 0]),
        ("unknown property", malformed, &[0x30, 6, 0, 1, b'a', 2, 99, 0]),
        ("property identifier above 127", malformed, &[0x30, 7, 0, 1, b'a', 3, 0x81, 1, 0]),
        ("payload format 2", protocol, &[0x30, 6, 0, 1, b'a', 2, 1, 2]),
        ("subscription id 0", protocol, &[0x82, 9, 0, 1, 2, 11, 0, 0, 1, b'a', 0]),
        ("subscription id twice in SUBSCRIBE", protocol, &[0x82, 11, 0, 1, 4, 11, 1, 11, 2, 0, 1, b'a', 0]),
        ("MQTT-3.8.3-2 SUBSCRIBE without filter", protocol, &[0x82, 3, 0, 1, 0]),
        ("MQTT-3.8.3-5 reserved options", malformed, &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x40]),
        ("QoS 3 wanted", protocol, &[0x82, 7, 0, 1, 0, 0, 1, b'a', 3]),
        ("retain handling 3", protocol, &[0x82, 7, 0, 1, 0, 0, 1, b'a', 0x30]),
        ("MQTT-3.8.3-4 No Local on shared", protocol, &[0x82, 16, 0, 1, 0, 0, 10, b'$', b's', b'h', b'a', b'r', b'e', b'/', b'g', b'/', b'a', 4]),
        ("MQTT-3.10.3-2 UNSUBSCRIBE without filter", protocol, &[0xA2, 3, 0, 1, 0]),
        ("PUBACK with more", malformed, &[0x40, 6, 0, 1, 0, 0, 9, 9]),
        ("PUBACK with a reason it does not have", malformed, &[0x40, 3, 0, 1, 0x8D]),
        ("PINGREQ with a body", malformed, &[0xC0, 1, 0]),
        ("DISCONNECT with a reserved reason", malformed, &[0xE0, 1, 0x42]),
        ("AUTH without its method", protocol, &[0xF0, 7, 0x18, 5, 31, 0, 2, b'o', b'k']),
    ];
    for (what, reason, bytes) in cases {
        let error = decode(Version::V5, bytes).expect_err(what);
        assert_eq!(error.reason(), *reason, "{what}: {error}");
    }
    let v311: &[(&str, &[u8])] = &[
        ("MQTT-3-8.3-4 reserved options", &[0x82, 6, 0, 1, 0, 1, b'a', 4]),
        ("AUTH is not in 3.1.1", &[0xF0, 0]),
        ("PUBACK with a reason", &[0x40, 3, 0, 1, 0]),
        ("DISCONNECT with a reason", &[0xE0, 1, 0]),
    ];
    for (what, bytes) in v311 {
        let error = decode(Version::V311, bytes).expect_err(what);
        assert_eq!(error.reason(), malformed, "{what}: {error}");
    }
}

#[test]
fn what_the_standard_allows_is_accepted() {
    decode(Version::V5, &[0x30, 9, 0, 1, b'a', 5, 2, 0, 0, 0, 0]).expect("message expiry 0");
    decode(Version::V5, &[0x40, 3, 0, 1, 0x10]).expect("a reason without properties");
    decode(Version::V5, &[0x40, 4, 0, 1, 0, 0]).expect("no properties, said aloud");
    decode(Version::V5, &[0xE0, 0]).expect("DISCONNECT cut to its header");
    let bom = [0x30, 7, 0, 4, 0xEF, 0xBB, 0xBF, b'a', 0];
    decode(Version::V5, &bom).expect("U+FEFF is no byte order mark [MQTT-1.5.4-3]");
}

fn connect(level: u8, flags: u8, rest: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 60];
    body.extend_from_slice(rest);
    let mut packet = vec![0x10, u8::try_from(body.len()).unwrap()];
    packet.extend(body);
    packet
}

#[test]
fn connect_flags_are_checked_as_section_3_1_2_says() {
    let v311 = |flags, rest: &[u8]| decode(Version::V5, &connect(4, flags, rest));
    assert_eq!(v311(2, &[0, 0]), Ok(()));
    assert!(v311(3, &[0, 0]).is_err(), "[MQTT-3.1.2-3] reserved flag");
    assert!(v311(0x0A, &[0, 0]).is_err(), "[MQTT-3.1.2-11] will QoS without will");
    assert!(v311(0x22, &[0, 0]).is_err(), "[MQTT-3.1.2-13] will retain without will");
    assert!(v311(0x1E, &[0, 0, 0, 1, b'w', 0, 0]).is_err(), "[MQTT-3.1.2-12] will QoS 3");
    assert!(v311(0x42, &[0, 0, 0, 1, b'p']).is_err(), "[MQTT-3.1.2-22] of 3.1.1");
    assert!(v311(0x82, &[0, 0]).is_err(), "[MQTT-3.1.2-17] user name missing");
    assert!(v311(2, &[0, 0, 9]).is_err(), "bytes after the last field");
    let v5 = decode(Version::V5, &connect(5, 0x42, &[0, 0, 0, 0, 1, b'p']));
    assert_eq!(v5, Ok(()), "5.0 allows a password alone");
    let level = decode(Version::V5, &connect(3, 2, &[0, 0]));
    assert_eq!(level, Err(Error::UnsupportedVersion(3)), "[MQTT-3.1.2-2]");
    let mut name = connect(4, 2, &[0, 0]);
    name[4] = b'm';
    assert!(decode(Version::V5, &name).is_err(), "[MQTT-3.1.2-1]");
    for twice in [17u8, 33, 39] {
        let mut one = vec![twice];
        one.extend_from_slice(if twice == 33 { &[0, 1][..] } else { &[0, 0, 0, 1][..] });
        let len = u8::try_from(2 * one.len()).unwrap();
        let rest = [&[len][..], &one, &one, &[0, 0]].concat();
        let error = decode(Version::V5, &connect(5, 2, &rest)).unwrap_err();
        assert_eq!(error.reason(), Reason::PROTOCOL_ERROR, "property {twice} twice");
    }
}

#[test]
fn a_packet_above_the_limit_is_refused_from_its_header() {
    let header = [0x30, 0xFF, 0xFF, 0xFF, 0x7F];
    let refused = frame(&header, MAX);
    assert_eq!(refused, Err(Error::PacketTooLarge { len: 5 + REMAINING_LENGTH_MAX, max: MAX }));
    assert_eq!(frame(&[0x30, 0x7E], 128), Ok(None));
    assert_eq!(frame(&[0x30, 0x7F], 128), Err(Error::PacketTooLarge { len: 129, max: 128 }));
}

#[test]
fn nothing_is_written_when_a_field_is_too_long() {
    let mut out = BytesMut::from(&b"before"[..]);
    let topic = "x".repeat(65_536);
    let packet = Packet::Publish(Publish {
        dup: false,
        qos: Qos::AtMostOnce,
        retain: false,
        topic: &topic,
        packet_id: None,
        properties: Properties::default(),
        payload: b"",
    });
    assert!(packet.encode(Version::V5, &mut out).is_err());
    assert_eq!(&out[..], b"before");
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![Just(Version::V311), Just(Version::V5)]
}

/// Decodes all packets of a stream, to the end or to the first error.
fn decode_stream(version: Version, mut bytes: &[u8]) {
    while let Ok(Some(frame)) = frame(bytes, MAX) {
        if let Ok(packet) = Packet::decode(version, &frame) {
            visit(&packet);
            let mut again = BytesMut::new();
            packet.encode(version, &mut again).expect("what was read can be written");
        }
        bytes = &bytes[frame.len..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(
        std::env::var("FLUX_MQTT_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(512)
    ))]

    #[test]
    fn no_bytes_make_the_decoder_panic(
        version in version(),
        bytes in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        decode_stream(version, &bytes);
    }

    #[test]
    fn no_mutation_of_a_session_makes_the_decoder_panic(
        version in version(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..6),
    ) {
        for mut packet in session(version) {
            for (at, byte, how) in &edits {
                let at = at.index(packet.len());
                match how {
                    0 => packet[at] = *byte,
                    1 => packet.insert(at, *byte),
                    _ if packet.len() > 1 => { packet.remove(at); }
                    _ => {}
                }
            }
            decode_stream(version, &packet);
        }
    }

    #[test]
    fn publish_survives_a_round_trip(
        version in version(),
        topic in "[a-zß/]{1,40}",
        payload in prop::collection::vec(any::<u8>(), 0..300),
        number in any::<u16>(),
        (dup, retain) in any::<(bool, bool)>(),
        user in prop::collection::vec((".{0,10}", ".{0,10}"), 0..4),
        expiry in any::<Option<u32>>(),
    ) {
        let mut list = PropertyBuf::default();
        if version == Version::V5 {
            if let Some(seconds) = expiry {
                list.push(&Property::MessageExpiryInterval(seconds)).unwrap();
            }
            for (name, value) in &user {
                let (name, value) = (name.replace('\0', ""), value.replace('\0', ""));
                list.push(&Property::UserProperty(&name, &value)).unwrap();
            }
        }
        let packet_id = PacketId::new(number);
        let packet = Packet::Publish(Publish {
            dup: dup && packet_id.is_some(),
            qos: if packet_id.is_some() { Qos::AtLeastOnce } else { Qos::AtMostOnce },
            retain,
            topic: &topic,
            packet_id,
            properties: list.as_properties(),
            payload: &payload,
        });
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).unwrap();
        let frame = frame(&out, MAX).unwrap().unwrap();
        prop_assert_eq!(frame.len, out.len());
        prop_assert_eq!(Packet::decode(version, &frame).unwrap(), packet);
    }
}
