//! Raw TCP and UDP devices, from the socket to the last value, and commands back to them.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod site;

use std::io::Write;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use flux_engine::{Engine, GatewayPlugins};
use flux_gateway::{CodecError, Frame, FrameScanner, LineCodec, Reply, Scan};
use flux_types::{DeviceId, ProductId, TenantId};
use serde_json::{Value, json};
use site::{
    PATIENCE, TENANT, address, device, document, eventually, has_value, is_closed, is_online, line,
    metric, product, send, settings, started, stream,
};

fn lines_link() -> Value {
    json!({"link": {"framing": {"type": "delimiter", "delimiter": "\n", "frame_bytes_max": 1000},
                    "heartbeats": [{"exact": "ping\n", "answer": "pong\n"}], "timeout_ms": 300}})
}

fn listeners() -> Value {
    let believed = json!({"by": "registration", "prefix": "I am ", "allow": ["127.0.0.0/8"],
                          "answer": "welcome\n"});
    json!([
        {"name": "lines", "protocol": "tcp", "port": 0, "product": "sensor", "identify": believed,
         "registration_timeout_ms": 400},
        {"name": "secret", "protocol": "tcp", "port": 0, "product": "sensor", "takeover": "old",
         "identify": {"by": "registration", "separator": ","}},
        {"name": "udp", "protocol": "udp", "port": 0, "product": "sensor",
         "identify": {"by": "field", "path": "d", "allow": ["127.0.0.1"]}},
    ])
}

fn site_document(generation: u64) -> String {
    let devices = json!([device(1, "s-1", 1, json!({})), device(2, "s-2", 1, json!({}))]);
    document(generation, json!([product(1, "sensor", lines_link())]), devices)
}

fn plant(dir: &std::path::Path) -> Engine {
    started(settings(dir, listeners()), &site_document(1))
}

#[test]
fn a_device_registers_speaks_is_commanded_and_goes() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let mut device = stream(address(&engine, "lines"));
    send(&mut device, "I am s-1\n{\"t\": 20.5}\nping\n{\"u\"");
    assert_eq!(line(&mut device), "welcome\n");
    assert_eq!(line(&mut device), "pong\n");
    has_value(&engine, "s-1", "t", json!(20.5));
    assert!(is_online(&engine, "s-1"));
    // amid a frame of its own, a command comes and is answered
    let id =
        engine.send_command(TENANT, "s-1", "open", json!({"by": 5}), None).unwrap().to_string();
    let command: Value = serde_json::from_str(&line(&mut device)).unwrap();
    assert_eq!(command, json!({"id": id, "command": "open", "params": {"by": 5}}));
    send(&mut device, format!(": 3}}\n{{\"id\": \"{id}\", \"result\": \"done\"}}\n"));
    let done = eventually("the command has succeeded", || {
        let command = engine.command(TENANT, &id).unwrap();
        (command["status"] == "succeeded").then_some(command)
    });
    assert_eq!(done["result"], "done");
    has_value(&engine, "s-1", "u", json!(3));
    drop(device);
    eventually("it is offline", || (!is_online(&engine, "s-1")).then_some(()));
    assert!(engine.stop());
}

#[test]
fn a_command_that_is_not_answered_has_failed_and_one_for_a_device_away_waits() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let waiting = engine.send_command(TENANT, "s-1", "early", json!({}), None).unwrap().to_string();
    let mut device = stream(address(&engine, "lines"));
    send(&mut device, "I am s-1\n");
    assert_eq!(line(&mut device), "welcome\n");
    assert!(line(&mut device).contains("early"), "it was waiting for the device");
    let status = |id: &str| engine.command(TENANT, id).unwrap();
    let failed = eventually("it has failed", || {
        let command = status(&waiting);
        (command["status"] == "failed").then_some(command)
    });
    assert_eq!(failed["result"]["code"], "timeout");
    // its answer is late: it ends nothing a second time
    send(&mut device, format!("{{\"id\": \"{waiting}\", \"result\": 1}}\n"));
    send(&mut device, "{\"after\": 1}\n");
    has_value(&engine, "s-1", "after", json!(1));
    assert_eq!(status(&waiting)["status"], "failed");
}

#[test]
fn nobody_registers_as_somebody_else_and_the_policy_decides_who_stays() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let secret = address(&engine, "secret");
    let mut told = engine.tap(TENANT, Some("refused"), flux_bus::Doorbell::new()).unwrap();
    let mut stranger = stream(secret);
    send(&mut stranger, "s-1,s-2-secret\n{\"evil\": 1}\n");
    assert!(is_closed(&mut stranger));
    let mut refused = Vec::new();
    eventually("it is told", || {
        told.tap.try_recv_batch(&mut refused, 9).unwrap();
        let text = format!("{refused:?}");
        (text.contains("gateway.secret/127.0.0.1") && text.contains("secret is wrong"))
            .then_some(())
    });
    let mut first = stream(secret);
    send(&mut first, "s-1,s-1-secret\n{\"a\": 1}\n");
    has_value(&engine, "s-1", "a", json!(1));
    let mut second = stream(secret);
    send(&mut second, "s-1,s-1-secret\n{\"b\": 1}\n");
    assert!(is_closed(&mut second), "the old one stays");
    // by the other listener the new one takes over
    let mut third = stream(address(&engine, "lines"));
    send(&mut third, "I am s-1\n{\"c\": 1}\n");
    assert!(is_closed(&mut first), "the old one goes");
    has_value(&engine, "s-1", "c", json!(1));
    let latest = engine.latest(TENANT, "s-1").unwrap();
    assert!(latest["values"]["evil"].is_null() && latest["values"]["b"].is_null());
    assert!(is_online(&engine, "s-1"));
    assert_eq!(metric(&engine, "flux_gateway_strangers_not_entitled_total") as u64, 1);
    let mut unknown = stream(address(&engine, "lines"));
    send(&mut unknown, "I am nobody\n");
    assert!(is_closed(&mut unknown));
    let mut silent = stream(address(&engine, "lines"));
    assert!(is_closed(&mut silent), "who does not register is closed");
}

#[test]
fn a_device_that_reconnects_in_time_was_never_offline() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), json!([listeners()[0]]));
    settings.engine.offline_after_ms = 2_000;
    let engine = started(settings, &site_document(1));
    let mut tap = engine.tap(TENANT, Some("presence"), flux_bus::Doorbell::new()).unwrap();
    for n in 0..3 {
        let mut device = stream(address(&engine, "lines"));
        // cut off amid a frame each time
        send(&mut device, format!("I am s-1\n{{\"n\": {n}}}\n{{\"half"));
        has_value(&engine, "s-1", "n", json!(n));
    }
    eventually("it goes once", || (!is_online(&engine, "s-1")).then_some(()));
    let mut told = Vec::new();
    tap.tap.try_recv_batch(&mut told, 100).unwrap();
    assert_eq!(told.len(), 2, "online once, offline once");
    assert_eq!(metric(&engine, "flux_gateway_frames_cut_off_total") as u64, 3);
}

#[test]
fn a_datagram_is_a_frame_and_its_sender_the_way_back() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let to = address(&engine, "udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(b"ping\n", to).unwrap(); // nobody vouches for its address yet
    for packet in [&br#"{"d": "s-2", "t": 1}"#[..], b"", b"\xff\xfe", br#"{"d": "s-9"}"#] {
        socket.send_to(packet, to).unwrap();
    }
    has_value(&engine, "s-2", "t", json!(1));
    socket.send_to(b"ping\n", to).unwrap();
    let mut buffer = [0; 2000];
    let (len, _) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"pong\n");
    let id = engine.send_command(TENANT, "s-2", "blink", json!({}), None).unwrap().to_string();
    let (len, from) = socket.recv_from(&mut buffer).unwrap();
    assert_eq!(from, to);
    let command: Value = serde_json::from_slice(&buffer[..len]).unwrap();
    assert_eq!(command["command"], "blink");
    // the device has another address by now, and answers from there
    let moved = UdpSocket::bind("127.0.0.1:0").unwrap();
    moved.set_read_timeout(Some(PATIENCE)).unwrap();
    moved.send_to(br#"{"d": "s-2", "t": 2}"#, to).unwrap();
    has_value(&engine, "s-2", "t", json!(2));
    let again = engine.send_command(TENANT, "s-2", "blink", json!({}), None).unwrap().to_string();
    let (len, _) = moved.recv_from(&mut buffer).unwrap();
    assert!(String::from_utf8_lossy(&buffer[..len]).contains(&again));
    moved.send_to(format!(r#"{{"d": "s-2", "id": "{again}"}}"#).as_bytes(), to).unwrap();
    eventually("it is answered", || {
        (engine.command(TENANT, &again).unwrap()["status"] == "succeeded").then_some(())
    });
    let status = engine.command(TENANT, &id).unwrap()["status"].clone();
    assert_ne!(status, "succeeded");
}

#[test]
fn a_change_of_configuration_reaches_open_connections() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let mut device = stream(address(&engine, "lines"));
    send(&mut device, "I am s-2\n{\"x\": 1}\n");
    has_value(&engine, "s-2", "x", json!(1));
    let one = json!([site::device(1, "s-1", 1, json!({}))]);
    engine.apply(&document(2, json!([product(1, "sensor", lines_link())]), one)).unwrap();
    assert_eq!(line(&mut device), "welcome\n");
    assert!(is_closed(&mut device), "the device is no more");
    let wrong = json!({"link": {"framing": {"type": "fixed"}, "poll": [{"name": "p",
        "command": "c", "every_ms": 1}]}});
    let problems =
        engine.check(&document(3, json!([product(1, "sensor", wrong)]), json!([]))).unwrap();
    let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
    assert_eq!(pointers, ["/products/0/link/framing/length", "/products/0/link/poll/0/every_ms"]);
}

#[test]
fn garbage_of_every_kind_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let engine = plant(dir.path());
    let to = address(&engine, "lines");
    let mut seed = 1_u32;
    for round in 0..50 {
        let mut hostile = stream(to);
        let mut bytes = if round % 2 == 0 { b"I am s-2\n".to_vec() } else { Vec::new() };
        bytes.extend((0..4_000).map(|_| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        }));
        let _ = hostile.write_all(&bytes);
    }
    let mut device = stream(to);
    send(&mut device, "I am s-1\n");
    for byte in b"{\"ok\": 1}\n" {
        send(&mut device, [*byte]);
    }
    has_value(&engine, "s-1", "ok", json!(1));
    assert!(engine.health().unwrap().is_well());
}

#[test]
fn silence_ends_a_registration_and_a_frame() {
    let dir = tempfile::tempdir().unwrap();
    let listener = json!([{"name": "idle", "protocol": "tcp", "port": 0, "product": "sensor",
        "identify": {"by": "registration", "allow": ["127.0.0.1"]}}]);
    let link = json!({"link": {"framing": {"type": "idle", "gap_ms": 30}}});
    let devices = json!([device(1, "s-1", 1, json!({}))]);
    let document = document(1, json!([product(1, "sensor", link)]), devices);
    let engine = started(settings(dir.path(), listener), &document);
    let mut device = stream(address(&engine, "idle"));
    send(&mut device, "s-");
    send(&mut device, "1");
    eventually("it is online", || is_online(&engine, "s-1").then_some(()));
    for n in 0..3 {
        send(&mut device, "{\"n\":");
        send(&mut device, format!(" {n}}}"));
        has_value(&engine, "s-1", "n", json!(n));
    }
    let id = engine.send_command(TENANT, "s-1", "c", json!({}), None).unwrap().to_string();
    let mut asked = [0; 64];
    let len = std::io::Read::read(&mut device, &mut asked).unwrap();
    assert!(String::from_utf8_lossy(&asked[..len]).contains(&id));
}

#[test]
fn a_listener_lets_in_as_many_as_it_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut listener = listeners()[0].clone();
    listener["connections_per_ip_max"] = json!(1);
    let engine = started(settings(dir.path(), json!([listener])), &site_document(1));
    let to = address(&engine, "lines");
    let mut first = stream(to);
    send(&mut first, "I am s-1\n{\"in\": 1}\n");
    has_value(&engine, "s-1", "in", json!(1));
    assert!(is_closed(&mut stream(to)), "one more from the same address is closed");
    drop(first);
    eventually("its place is free again", || {
        let mut next = stream(to);
        let _ = next.write_all(b"I am s-2\n{\"in\": 2}\n");
        std::thread::sleep(std::time::Duration::from_millis(50));
        let latest = engine.latest(TENANT, "s-2").ok()?;
        (latest["values"]["in"]["value"] == 2).then_some(())
    });
    assert!(metric(&engine, "flux_gateway_listener_full_total") >= 1.0);
}

#[test]
fn a_flood_that_the_log_cannot_follow_is_held_up_and_taken_whole() {
    const LINES: usize = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), json!([listeners()[0]]));
    settings.engine.log_inflight_bytes_max = 1; // as little as a batch needs
    let engine = started(settings, &site_document(1));
    let to = address(&engine, "lines");
    let senders: Vec<_> = ["s-1", "s-2"]
        .into_iter()
        .map(|device| {
            std::thread::spawn(move || {
                let mut stream = stream(to);
                send(&mut stream, format!("I am {device}\n"));
                let filler = "x".repeat(900);
                for n in 0..LINES {
                    send(&mut stream, format!("{{\"n\": {n}, \"x\": \"{filler}\"}}\n"));
                }
                stream
            })
        })
        .collect();
    let streams: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    for device in ["s-1", "s-2"] {
        has_value(&engine, device, "n", json!(LINES - 1));
    }
    assert_eq!(metric(&engine, "flux_events_published_total") as usize, 2 * LINES);
    assert_eq!(metric(&engine, "flux_samples_decoded_total") as usize, 2 * LINES);
    drop(streams);
    assert!(engine.stop());
}

/// The smallest part of Modbus: function 3 over RTU frames without their CRC, `unit 3 address count`,
/// answered by `unit 3 bytes data…`, or `unit 0x83 exception`. Commands name unit and address.
struct Meters;

impl LineCodec for Meters {
    fn encode(&self, _: TenantId, _: DeviceId, command: &Value) -> Result<Vec<Frame>, CodecError> {
        let number = |name: &str| command["params"][name].as_u64().map(|n| n as u8);
        let (Some(unit), Some(address)) = (number("unit"), number("address")) else {
            return Err(CodecError::new("params", "unit and address are needed"));
        };
        Ok(vec![Bytes::from(vec![unit, 3, address, 1])])
    }

    fn check_reply(&self, _: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        match frame {
            [unit, 3, 2, high, low] if *unit == request[0] => {
                Reply::Ok(json!(u16::from(*high) << 8 | u16::from(*low)))
            }
            [unit, 0x83, code] if *unit == request[0] => {
                Reply::Failed("modbus".to_owned(), format!("exception {code}"))
            }
            _ => Reply::NotMine,
        }
    }
}

impl FrameScanner for Meters {
    fn scan(&self, _: ProductId, bytes: &[u8]) -> Scan {
        match bytes {
            [_, 3, len, rest @ ..] if rest.len() >= usize::from(*len) => {
                Scan::Frame(3 + usize::from(*len))
            }
            [_, 0x83, _, ..] => Scan::Frame(3),
            [_] | [_, 3 | 0x83, ..] => Scan::NeedMore,
            _ => Scan::Skip(1),
        }
    }
}

fn meter_document(every_ms: u64, connect: Option<SocketAddr>) -> String {
    let poll = |unit: u8| {
        json!([{"name": "power", "command": "read", "every_ms": every_ms,
        "timeout_ms": 100, "params": {"unit": unit, "address": 7}}])
    };
    let link = |unit: u8| {
        let mut link = json!({"framing": {"type": "plugin"}, "poll": poll(unit)});
        if connect.is_some() {
            link["connect"] = json!("tcp://{host}:{port}");
        }
        json!({"link": link, "transform": "msg.values.seen = 1"})
    };
    let dtu = json!({"link": {"framing": {"type": "plugin"}}});
    let tags = |line: &str| match connect {
        Some(at) => json!({"host": at.ip().to_string(), "port": at.port().to_string()}),
        None => json!({"line": line}),
    };
    let products = json!([
        product(1, "dtu", dtu),
        product(2, "meter-a", link(1)),
        product(3, "meter-b", link(2))
    ]);
    let devices = json!([
        device(1, "dtu-1", 1, json!({})),
        device(2, "m-1", 2, tags("dtu-1")),
        device(3, "m-2", 3, tags("dtu-1"))
    ]);
    document(1, products, devices)
}

fn meter_engine(dir: &std::path::Path, document: &str) -> Engine {
    let listener = json!([{"name": "dtu", "protocol": "tcp", "port": 0, "product": "dtu",
        "identify": {"by": "registration", "allow": ["127.0.0.1"],
                     "framing": {"type": "delimiter", "delimiter": "\r\n"}}}]);
    let engine = Engine::new(settings(dir, listener));
    let meters = Arc::new(Meters);
    engine
        .set_gateway_plugins(GatewayPlugins { codec: Some(meters.clone()), scanner: Some(meters) });
    engine.apply(document).unwrap();
    engine.start().unwrap();
    engine
}

/// The next request on a line.
fn request(stream: &mut std::net::TcpStream) -> [u8; 4] {
    use std::io::Read;
    let mut request = [0; 4];
    stream.read_exact(&mut request).expect("a request comes");
    request
}

#[test]
fn slaves_behind_a_dtu_are_asked_one_at_a_time_whatever_they_answer() {
    let dir = tempfile::tempdir().unwrap();
    let engine = meter_engine(dir.path(), &meter_document(200, None));
    let mut dtu = stream(address(&engine, "dtu"));
    send(&mut dtu, "dtu-1\r\n");
    // one that never answers does not keep the other from being asked
    let mut seen = [0; 3];
    for _ in 0..8 {
        let [unit, 3, 7, 1] = request(&mut dtu) else { panic!("not what was planned") };
        seen[usize::from(unit)] += 1;
        if unit == 1 {
            // garbage, another's answer, then its own in pieces
            send(&mut dtu, [0xee, 0xee, 2, 3, 2, 0, 9, 1, 3]);
            send(&mut dtu, [2, 0, 42]);
        }
    }
    assert!(seen[1] >= 2 && seen[2] >= 2, "{seen:?}");
    eventually("m-1 is online, m-2 is not", || {
        (is_online(&engine, "m-1") && !is_online(&engine, "m-2")).then_some(())
    });
    assert!(metric(&engine, "flux_gateway_replies_not_mine_total") >= 1.0);
    assert!(metric(&engine, "flux_gateway_requests_given_up_total") >= 2.0);
    assert!(metric(&engine, "flux_gateway_poll_lateness_seconds_count") >= 8.0);
    // a command goes before the polls, to the slave it is for; an exception is its end
    let params = json!({"unit": 2, "address": 99});
    let id = engine.send_command(TENANT, "m-2", "read", params, None).unwrap().to_string();
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let asked = request(&mut dtu);
        if asked == [2, 3, 99, 1] {
            send(&mut dtu, [2, 0x83, 2]);
            break;
        }
    }
    let ended = eventually("it has ended", || {
        let command = engine.command(TENANT, &id).unwrap();
        (command["status"] == "failed").then_some(command)
    });
    assert_eq!(ended["result"], json!({"code": "modbus", "text": "exception 2"}));
    drop(dtu);
    eventually("dtu-1 is offline", || (!is_online(&engine, "dtu-1")).then_some(()));
    assert!(engine.stop());
}

#[test]
fn meters_come_along_when_their_dtu_connects_anew() {
    let dir = tempfile::tempdir().unwrap();
    let document = meter_document(100, None);
    for workers in [1, 3] {
        let dir = dir.path().join(workers.to_string());
        let listener = json!([{"name": "dtu", "protocol": "tcp", "port": 0, "product": "dtu",
            "identify": {"by": "registration", "allow": ["127.0.0.1"],
                         "framing": {"type": "delimiter", "delimiter": "\r\n"}}}]);
        let mut settings = settings(&dir, listener);
        settings.gateway.as_mut().unwrap().workers = workers;
        let engine = Engine::new(settings);
        let meters = Arc::new(Meters);
        engine.set_gateway_plugins(GatewayPlugins {
            codec: Some(meters.clone()),
            scanner: Some(meters),
        });
        engine.apply(&document).unwrap();
        engine.start().unwrap();
        let mut lines = Vec::new();
        for _ in 0..4 {
            // the one before is not closed by the DTU: it lost power
            let mut dtu = stream(address(&engine, "dtu"));
            send(&mut dtu, "dtu-1\r\n");
            let mut units = [false; 3];
            while !(units[1] && units[2]) {
                let [unit, ..] = request(&mut dtu);
                units[usize::from(unit)] = true;
                send(&mut dtu, [unit, 3, 2, 0, 1]);
            }
            lines.push(dtu);
        }
        assert!(lines[..3].iter_mut().all(is_closed), "the old ones were closed");
        assert!(engine.stop());
    }
}

#[test]
fn a_polled_answer_carries_the_request_it_answers() {
    let dir = tempfile::tempdir().unwrap();
    let engine = meter_engine(dir.path(), &meter_document(100, None));
    let mut dtu = stream(address(&engine, "dtu"));
    send(&mut dtu, "dtu-1\r\n");
    for _ in 0..4 {
        let [unit, ..] = request(&mut dtu);
        send(&mut dtu, [unit, 3, 2, 1, unit]);
    }
    // binary frames are no JSON: without a plugin's decoder they are counted as such
    eventually("they are decided on", || {
        (metric(&engine, "flux_decode_failures_total") >= 3.0).then_some(())
    });
    assert!(engine.stop());
    let mut options = flux_log::LogOptions::new(dir.path().join("log"));
    options.record_bytes_max = 2 << 20;
    options.batch_bytes_max = 8 << 20;
    options.inflight_bytes_max = 8 << 20;
    let log = flux_log::Log::open(options).unwrap();
    let mut found = 0;
    let mut reader = log.reader_after(flux_types::Position::START);
    while let Some(batch) = reader.next_batch().unwrap() {
        for record in batch.iter() {
            let Ok(read) = flux_pipeline::journal::DecodedMessage::read(&batch, &record) else {
                continue;
            };
            let Some(properties) = &read.message.properties else { continue };
            let Some(request) = &properties.correlation_data else { continue };
            assert_eq!(request[0], read.message.payload[0], "the same unit");
            assert_eq!(&request[1..], [3, 7, 1]);
            found += 1;
        }
    }
    assert!(found >= 3, "{found}");
}

#[test]
fn we_connect_poll_reconnect_and_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let plc = TcpListener::bind("127.0.0.1:0").unwrap();
    let engine = meter_engine(dir.path(), &meter_document(100, Some(plc.local_addr().unwrap())));
    for _ in 0..2 {
        let (mut line, _) = plc.accept().unwrap();
        line.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut units = Vec::new();
        for _ in 0..6 {
            let [unit, ..] = request(&mut line);
            units.push(unit);
            send(&mut line, [unit, 3, 2, 0, 5]);
        }
        assert!(units.contains(&1) && units.contains(&2), "they share the line: {units:?}");
    }
    assert!(is_online(&engine, "m-1") && is_online(&engine, "m-2"));
    let (mut line, _) = plc.accept().unwrap();
    let none = meter_document(1, None).replace(r#""generation":1"#, r#""generation":2"#);
    let none = none.replace(r#""every_ms":1,"#, r#""every_ms":100,"#);
    engine.apply(&none).unwrap();
    line.set_read_timeout(Some(PATIENCE)).unwrap();
    assert!(is_closed(&mut line), "nothing is to be connected to any more");
    assert!(metric(&engine, "flux_gateway_connects_total") >= 3.0);
    drop(plc);
}
