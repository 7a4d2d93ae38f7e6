//! HTTP for devices, from the socket to the last value and the disk.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod client;
mod site;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use client::Client;
use flux_engine::Engine;
use serde_json::{Value, json};
use site::{
    PATIENCE, TENANT, device, document, eventually, has_value, is_closed, is_online, metric,
    product, settings, started, stream,
};

fn site_document() -> String {
    let mut disabled = device(2, "thermo-2", 1, json!({}));
    disabled["enabled"] = json!(false);
    let devices =
        json!([device(1, "thermo-1", 1, json!({})), disabled, device(3, "lost", 2, json!({}))]);
    let elsewhere = json!({"topic_template": "plant/{line}/{device}/up"});
    let products = json!([product(1, "thermometer", json!({})), product(2, "placed", elsewhere)]);
    document(1, products, devices)
}

fn plant(dir: &std::path::Path) -> (Engine, SocketAddr) {
    let engine = started(settings(dir, json!([])), &site_document());
    let address = engine.devices_address().unwrap();
    (engine, address)
}

fn post(kind: &str, secret: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!(
        "POST /device/v1/telemetry HTTP/1.1\r\nHost: plant\r\nContent-Type: {kind}\r\n\
         Authorization: Bearer {secret}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Status, head and content of the next answer.
fn answer(stream: &mut TcpStream) -> (u16, String, Value) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer comes");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    let json = serde_json::from_slice(&body).unwrap_or_default();
    (head[9..12].parse().unwrap(), head, json)
}

fn status(address: SocketAddr, request: &[u8]) -> u16 {
    let mut stream = stream(address);
    stream.write_all(request).unwrap();
    answer(&mut stream).0
}

#[test]
fn what_is_answered_204_is_decoded_routed_and_still_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = plant(dir.path());
    let mut watcher = Client::connect(engine.mqtt_address().unwrap(), "w", "watcher", "watch");
    watcher.subscribe("v1/devices/+/telemetry", 1);
    let mut stream = stream(address);
    stream.write_all(&post("application/json", "thermo-1-secret", r#"{"t": 21.5}"#)).unwrap();
    assert_eq!(answer(&mut stream).0, 204);
    let (topic, payload) = watcher.receive(PATIENCE).unwrap();
    assert_eq!(
        (topic.as_str(), &payload[..]),
        ("v1/devices/thermo-1/telemetry", &br#"{"t": 21.5}"#[..])
    );
    has_value(&engine, "thermo-1", "t", json!(21.5));
    assert!(is_online(&engine, "thermo-1"));
    // the same connection, other forms: CBOR {"c": 5}, line protocol, several at once
    stream.write_all(&post("application/cbor", "thermo-1-secret", b"\xa1\x61c\x05")).unwrap();
    assert_eq!(answer(&mut stream).0, 204);
    let lines = "room l=1.5\nroom value=7i";
    stream.write_all(&post("text/plain", "thermo-1-secret", lines)).unwrap();
    assert_eq!(answer(&mut stream).0, 204);
    stream
        .write_all(&post("application/json", "thermo-1-secret", r#"[{"a": 1}, {"b": 2}]"#))
        .unwrap();
    assert_eq!(answer(&mut stream).0, 204);
    for (name, value) in
        [("c", json!(5)), ("l", json!(1.5)), ("room", json!(7)), ("a", json!(1)), ("b", json!(2))]
    {
        has_value(&engine, "thermo-1", name, value);
    }
    assert_eq!(metric(&engine, "flux_device_http_taken_total") as u64, 4);
    assert!(engine.stop());
    let engine = started(
        settings(dir.path(), json!([])),
        &site_document().replace(r#""generation":1"#, r#""generation":2"#),
    );
    has_value(&engine, "thermo-1", "t", json!(21.5));
}

#[test]
fn whoever_may_not_or_says_it_wrong_is_told_and_nothing_changes() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = plant(dir.path());
    let json = "application/json";
    assert_eq!(status(address, &post(json, "wrong", "{}")), 401);
    assert_eq!(status(address, &post(json, "watch", "{}")), 401, "an account's is no device's");
    assert_eq!(status(address, &post(json, "thermo-2-secret", "{}")), 403);
    assert_eq!(status(address, &post(json, "lost-secret", "{}")), 403, "it has no topic");
    assert_eq!(status(address, &post("image/png", "thermo-1-secret", "{}")), 415);
    assert_eq!(status(address, &post(json, "thermo-1-secret", vec![b' '; 1 << 21])), 413);
    let mut stream = stream(address);
    stream.write_all(&post(json, "thermo-1-secret", "{\n\"t\": x}")).unwrap();
    let (status, head, problem) = answer(&mut stream);
    assert_eq!(status, 400);
    assert!(head.contains("application/problem+json"));
    assert_eq!((&problem["line"], &problem["column"]), (&json!(2), &json!(6)));
    let basic = "Basic dGhlcm1vLTE6dGhlcm1vLTEtc2VjcmV0"; // thermo-1:thermo-1-secret
    let request = String::from_utf8(post(json, "x", r#"{"b": 1}"#)).unwrap();
    stream.write_all(request.replace("Bearer x", basic).as_bytes()).unwrap();
    assert_eq!(answer(&mut stream).0, 204, "the connection goes on");
    has_value(&engine, "thermo-1", "b", json!(1));
    let latest = engine.latest(TENANT, "thermo-1").unwrap();
    assert_eq!(latest["values"].as_object().unwrap().len(), 1);
    let text = engine.metrics_text().unwrap();
    assert!(text.contains("flux_device_http_refused_total{status=\"401\"} 2"), "{text}");
}

#[test]
fn a_hundred_requests_in_one_go_are_all_answered_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = plant(dir.path());
    let mut stream = stream(address);
    let all: Vec<u8> = (0..100)
        .flat_map(|n| post("application/json", "thermo-1-secret", format!("{{\"n\": {n}}}")))
        .collect();
    let mut writer = stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || writer.write_all(&all).unwrap());
    for n in 0..100 {
        assert_eq!(answer(&mut stream).0, 204, "{n}");
    }
    sending.join().unwrap();
    has_value(&engine, "thermo-1", "n", json!(99));
}

#[test]
fn a_slow_sender_is_told_408_and_an_idle_connection_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), json!([]));
    let devices = settings.devices.as_mut().unwrap();
    devices.head_timeout_ms = 300;
    devices.keep_alive_timeout_ms = 300;
    devices.requests_per_s_max = 2;
    let engine = started(settings, &site_document());
    let address = engine.devices_address().unwrap();
    let mut slow = stream(address);
    slow.write_all(b"POST /device/v1/telemetry HTTP/1.1\r\nHost: x\r\nX: ").unwrap();
    assert_eq!(answer(&mut slow).0, 408);
    assert!(is_closed(&mut slow));
    let mut idle = stream(address);
    idle.write_all(&post("application/json", "thermo-1-secret", r#"{"i": 1}"#)).unwrap();
    assert_eq!(answer(&mut idle).0, 204);
    assert!(is_closed(&mut idle));
    // and who posts too often
    let mut eager = stream(address);
    let one = post("application/json", "thermo-1-secret", "{}");
    eager.write_all(&one.repeat(4)).unwrap();
    let answers: Vec<_> = (0..4).map(|_| answer(&mut eager)).collect();
    let last = answers.last().unwrap();
    assert_eq!(last.0, 429);
    assert!(last.1.contains("Retry-After: "), "{}", last.1);
}

#[test]
fn a_stop_answers_what_was_taken() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = plant(dir.path());
    let mut stream = stream(address);
    stream.write_all(&post("application/json", "thermo-1-secret", r#"{"s": 1}"#)).unwrap();
    eventually("it is taken", || {
        (metric(&engine, "flux_events_published_total") > 0.0).then_some(())
    });
    assert!(engine.stop());
    assert_eq!(answer(&mut stream).0, 204);
    assert!(is_closed(&mut stream));
}

#[test]
fn a_device_that_was_heard_goes_offline_when_it_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(dir.path(), json!([]));
    settings.engine.silent_after_ms = 400;
    let engine = started(settings, &site_document());
    let address = engine.devices_address().unwrap();
    assert_eq!(status(address, &post("application/json", "thermo-1-secret", r#"{"o": 1}"#)), 204);
    assert!(is_online(&engine, "thermo-1"));
    eventually("it is offline", || (!is_online(&engine, "thermo-1")).then_some(()));
}
