//! Why a device does not show up can be looked up: each refusal on the way, with its true cause.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod client;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::Client;
use flux_engine::{Engine, EngineSettings, MqttSettings};
use flux_types::TenantId;
use serde_json::{Value, json};

const PRODUCT: &str = "11111111-1111-4111-8111-111111111111";

fn device(n: u32, key: &str, enabled: bool) -> Value {
    use sha2::Digest;
    let sha256: String =
        sha2::Sha256::digest(b"secret").iter().map(|byte| format!("{byte:02x}")).collect();
    let id = format!("22222222-2222-4222-8222-22222222222{n}");
    json!({"id": id, "tenant": 1, "product": PRODUCT, "key": key,
           "secret_sha256": sha256, "enabled": enabled})
}

fn started(dir: &std::path::Path, allow_anonymous: bool) -> (Engine, SocketAddr) {
    let mut settings = EngineSettings::new(dir);
    settings.mqtt = Some(MqttSettings { port: 0, allow_anonymous, ..MqttSettings::default() });
    let engine = Engine::new(settings);
    let document = json!({
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "products": [{"id": PRODUCT, "tenant": 1, "key": "thermometer"}],
        "devices": [device(1, "thermo-1", true), device(2, "retired", false)],
    });
    engine.apply(&document.to_string()).unwrap();
    engine.start().unwrap();
    let address = engine.mqtt_address().unwrap();
    (engine, address)
}

/// Waits until a refusal with that code is listed.
fn refusal(engine: &Engine, code: &str) -> Value {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let listed = engine.refusals(TenantId::DEFAULT, 100).unwrap();
        let items = listed["items"].as_array().unwrap();
        if let Some(found) = items.iter().find(|item| item["code"] == code) {
            return found.clone();
        }
        assert!(Instant::now() < until, "{code} is not among {items:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn refused_sign_ins_say_the_true_cause_which_the_client_is_not_told() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = started(dir.path(), false);
    for (name, secret, code) in [
        ("thermo-1", "wrong", "auth.wrong_secret"),
        ("nobody", "secret", "auth.unknown_name"),
        ("retired", "secret", "auth.disabled"),
    ] {
        assert!(Client::try_connect(address, "client-7", name, secret).is_none());
        let found = refusal(&engine, code);
        assert_eq!((&found["attempt"], &found["username"]), (&json!("connect"), &json!(name)));
        assert_eq!((&found["client_id"], &found["count"]), (&json!("client-7"), &json!(1)));
        assert!(found["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    }
    assert!(Client::try_anonymous(address, "x").is_none());
    assert_eq!(refusal(&engine, "auth.no_name")["username"], Value::Null);
    assert!(Client::try_connect(address, "client-7", "thermo-1", "wrong").is_none());
    assert_eq!(refusal(&engine, "auth.wrong_secret")["count"], 2);
    assert_eq!(engine.figures().unwrap()["clients"], 0);
}

#[test]
fn messages_that_come_to_nothing_say_why_by_the_devices_name() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = started(dir.path(), false);
    let mut thermometer = Client::connect(address, "c", "thermo-1", "secret");
    thermometer.publish("v1/devices/thermo-1/telemetry", b"{\"temperature\": 2", 1);
    let found = refusal(&engine, "payload.undecodable");
    assert_eq!((&found["attempt"], &found["username"]), (&json!("message"), &json!("thermo-1")));
    assert_eq!(found["topic"], "v1/devices/thermo-1/telemetry");
    assert!(!found["reason"].as_str().unwrap().is_empty());
    assert!(!thermometer.try_publish("v1/devices/thermo-2/telemetry", b"{}", 1));
    let found = refusal(&engine, "publish.not_authorized");
    assert_eq!((&found["attempt"], &found["username"]), (&json!("publish"), &json!("thermo-1")));
}

#[test]
fn misspelt_topic_and_unknown_device_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = started(dir.path(), true);
    let mut client = Client::try_anonymous(address, "c").unwrap();
    client.publish("v1/devices/thermo-9/telemetry", b"{}", 1);
    client.publish("v1/device/thermo-1/telemetry", b"{}", 1);
    assert_eq!(refusal(&engine, "topic.unknown_device")["topic"], "v1/devices/thermo-9/telemetry");
    assert_eq!(refusal(&engine, "topic.unmatched")["topic"], "v1/device/thermo-1/telemetry");
    let figures = engine.figures().unwrap();
    assert_eq!((&figures["messages_in_total"], &figures["devices"]), (&json!(2), &json!(2)));
    assert!(figures["log_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn what_was_refused_before_a_restart_is_not_told_again() {
    let dir = tempfile::tempdir().unwrap();
    let (engine, address) = started(dir.path(), false);
    let mut thermometer = Client::connect(address, "c", "thermo-1", "secret");
    thermometer.publish("v1/devices/thermo-1/telemetry", b"no JSON", 1);
    refusal(&engine, "payload.undecodable");
    assert!(engine.stop());
    let (engine, _) = started(dir.path(), false);
    assert_eq!(engine.refusals(TenantId::DEFAULT, 100).unwrap()["items"], json!([]));
}
