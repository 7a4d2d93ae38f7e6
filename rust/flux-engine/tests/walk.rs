//! The whole way, in Rust alone: a device publishes, it is on disk, a rule decides, a command comes
//! back, and all of it is still there after a restart.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod client;

use std::time::{Duration, Instant};

use client::Client;
use flux_engine::{Engine, EngineSettings, MqttSettings, Paging};
use flux_types::{Qos, TenantId};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);
const TENANT: TenantId = TenantId::DEFAULT;
const PRODUCT: &str = "11111111-1111-4111-8111-111111111111";
const VALVE_PRODUCT: &str = "11111111-1111-4111-8111-111111111112";
const RULE: &str = "33333333-3333-4333-8333-333333333333";

fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(rules: &Value) -> String {
    json!({
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "principals": [{
            "id": "44444444-4444-4444-8444-444444444444", "tenant": 1, "username": "watcher",
            "secret_sha256": sha256("watch"), "enabled": true, "publish": ["notes/#"], "subscribe": ["#"],
        }],
        "products": [
            {"id": PRODUCT, "tenant": 1, "key": "thermometer",
             "transform": "msg.values.fahrenheit = msg.values.temperature * 9.0 / 5.0 + 32.0;"},
            {"id": VALVE_PRODUCT, "tenant": 1, "key": "valve"},
        ],
        "devices": [
            {"id": "22222222-2222-4222-8222-222222222221", "tenant": 1, "product": PRODUCT,
             "key": "thermo-1", "secret_sha256": sha256("t1"), "enabled": true},
            {"id": "22222222-2222-4222-8222-222222222222", "tenant": 1, "product": VALVE_PRODUCT,
             "key": "valve-1", "secret_sha256": sha256("v1"), "enabled": true},
        ],
        "rules": rules,
        "env": {"site": "plant-7"},
    })
    .to_string()
}

fn hot_rule() -> Value {
    json!([{
        "id": RULE, "tenant": 1, "version": 1, "name": "too hot", "enabled": true,
        "trigger_script": "temperature > 30",
        "sources": {"products": [PRODUCT]},
        "actions": [
            {"type": "Command", "device": "valve-1", "command": "close", "params": {"why": "heat"}},
            {"type": "publish", "topic": "plant/hot", "payload": {"hot": true}, "qos": 1},
            {"type": "raise_alarm", "alarm": "overheat", "severity": "critical", "text": "hot"},
            {"type": "webhook", "url": "http://127.0.0.1:9/hook"},
        ],
    }])
}

fn engine(dir: &std::path::Path) -> Engine {
    let mut settings = EngineSettings::new(dir);
    settings.mqtt = Some(MqttSettings { port: 0, ..MqttSettings::default() });
    Engine::new(settings)
}

fn started(dir: &std::path::Path, rules: &Value) -> Engine {
    let engine = engine(dir);
    engine.apply(&document(rules)).unwrap();
    engine.start().unwrap();
    engine
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn page() -> Paging {
    Paging { before: None, limit: 100 }
}

#[test]
fn a_message_fires_a_rule_whose_command_comes_back_answered() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path(), &hot_rule());
    let address = engine.mqtt_address().unwrap();

    let mut valve = Client::connect(address, "valve", "valve-1", "v1");
    valve.subscribe("v1/devices/valve-1/commands", 1);
    let mut watcher = Client::connect(address, "watcher", "watcher", "watch");
    watcher.subscribe("plant/#", 1);
    let mut thermometer = Client::connect(address, "thermo", "thermo-1", "t1");
    thermometer.publish("v1/devices/thermo-1/telemetry", br#"{"temperature": 21.5}"#, 1);
    thermometer.publish("v1/devices/thermo-1/telemetry", br#"{"temperature": 35.5}"#, 1);

    let (topic, payload) = valve.receive(PATIENCE).expect("the command arrives");
    assert_eq!(topic, "v1/devices/valve-1/commands");
    let command: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(command["command"], "close");
    assert_eq!(command["params"], json!({"why": "heat"}));
    let reply = json!({"id": command["id"], "ok": true, "result": {"position": 0}});
    valve.publish("v1/devices/valve-1/replies", reply.to_string().as_bytes(), 1);

    let (topic, payload) = watcher.receive(PATIENCE).expect("the rule's message arrives");
    assert_eq!((topic.as_str(), payload.as_slice()), ("plant/hot", br#"{"hot":true}"#.as_slice()));

    let id = command["id"].as_str().unwrap();
    let done = eventually("the command has succeeded", || {
        let command = engine.command(TENANT, id).unwrap();
        (command["status"] == "succeeded").then_some(command)
    });
    assert_eq!(done["result"], json!({"position": 0}));
    let firings = engine.firings(TENANT, Some(RULE), None, page()).unwrap();
    assert_eq!(firings.as_array().unwrap().len(), 1);
    assert_eq!(firings[0]["values"]["temperature"], 35.5);
    assert_eq!(done["firing_id"], firings[0]["id"]);
    let alarms = engine.alarms(TENANT, Some("active"), Some("thermo-1"), page()).unwrap();
    assert_eq!(alarms[0]["severity"], "critical");
    let latest = engine.latest(TENANT, "thermo-1").unwrap();
    assert_eq!(latest["values"]["temperature"]["value"], 35.5);
    assert_eq!(latest["values"]["fahrenheit"]["value"], 35.5 * 9.0 / 5.0 + 32.0);
    let hooks = engine.take_webhooks(10).unwrap();
    assert_eq!(hooks[0]["firing_id"], firings[0]["id"]);
    assert!(engine.metrics_text().unwrap().contains("flux_rules_triggered_total 1\n"));
    assert!(engine.health().unwrap().is_well());
    assert!(engine.stop(), "stopped in order");

    // everything is still there, and nothing happens twice
    let engine = started_again(dir.path());
    assert_eq!(engine.firings(TENANT, None, None, page()).unwrap(), firings);
    assert_eq!(engine.command(TENANT, id).unwrap(), done);
    assert_eq!(engine.alarms(TENANT, None, None, page()).unwrap(), alarms);
    assert_eq!(engine.latest(TENANT, "thermo-1").unwrap()["values"], latest["values"]);
    assert_eq!(engine.take_webhooks(10).unwrap()[0]["id"], hooks[0]["id"]);
    assert!(engine.complete_webhook(hooks[0]["id"].as_str().unwrap(), true, "200", 1).unwrap());
    assert!(engine.stop());
    let engine = started_again(dir.path());
    assert_eq!(engine.take_webhooks(10).unwrap(), json!([]));
}

/// Without a configuration: the one in force last is read from the data directory.
fn started_again(dir: &std::path::Path) -> Engine {
    let engine = engine(dir);
    engine.start().unwrap();
    engine
}

#[test]
fn a_command_waits_for_its_device_and_expires_when_too_late() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path(), &json!([]));
    let send = |max_age_ms| {
        let age = Some(Duration::from_millis(max_age_ms));
        engine.send_command(TENANT, "valve-1", "open", json!({}), age).unwrap().to_string()
    };
    let status = |id: &str| engine.command(TENANT, id).unwrap()["status"].clone();
    let late = send(1);
    eventually("it has expired", || (status(&late) == "expired").then_some(()));
    let patient = send(60_000);
    assert_eq!(status(&patient), "pending");

    let mut valve = Client::connect(engine.mqtt_address().unwrap(), "valve", "valve-1", "v1");
    valve.subscribe("v1/devices/valve-1/commands", 1);
    let (_, payload) = valve.receive(PATIENCE).expect("only the one in time is sent");
    assert_eq!(serde_json::from_slice::<Value>(&payload).unwrap()["id"], patient.as_str());
    eventually("it counts as sent", || (status(&patient) == "sent").then_some(()));
    assert_eq!(status(&late), "expired");
    assert!(engine.send_command(TENANT, "nobody", "open", json!({}), None).is_err());
}

#[test]
fn a_rule_that_publishes_to_itself_ends_at_the_hop_limit_with_rings_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = EngineSettings::new(dir.path());
    settings.eventbus.capacity = 1;
    settings.mqtt = Some(MqttSettings { port: 0, ..MqttSettings::default() });
    let engine = Engine::new(settings);
    let rules = json!([{
        "id": RULE, "tenant": 1, "version": 1, "name": "loop", "enabled": true,
        "trigger_script": "publish(\"notes/loop\", \"again\")",
        "sources": {"topics": ["notes/#"]}, "actions": [],
    }]);
    engine.apply(&document(&rules)).unwrap();
    engine.start().unwrap();
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        engine.publish(TENANT, "notes/start", b"go".to_vec(), qos).unwrap();
    }
    let metric = |name: &str| {
        let text = engine.metrics_text().unwrap();
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    eventually("both loops have ended", || {
        (metric("flux_rule_publications_refused_total") == 2).then_some(())
    });
    assert_eq!(metric("flux_rule_publications_total"), 16);
    assert!(engine.stop());
}

#[test]
fn wrong_credentials_and_foreign_topics_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path(), &json!([]));
    let address = engine.mqtt_address().unwrap();
    for (name, secret) in [("thermo-1", "wrong"), ("nobody", "t1"), ("", "")] {
        assert!(Client::try_connect(address, "x", name, secret).is_none(), "{name}");
    }
    let mut thermometer = Client::connect(address, "thermo", "thermo-1", "t1");
    assert_eq!(thermometer.subscribe_code("v1/devices/valve-1/commands"), 0x80);
    // 3.1.1 has no word for a refused message but the end of the connection [MQTT-3.3.5-2]
    assert!(!thermometer.try_publish("v1/devices/valve-1/telemetry", b"{}", 1));
}

#[test]
fn a_removed_device_is_disconnected_and_a_new_rule_runs_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let engine = started(dir.path(), &json!([]));
    let address = engine.mqtt_address().unwrap();
    let mut thermometer = Client::connect(address, "thermo", "thermo-1", "t1");
    let delta = json!({"base_generation": 1, "generation": 2, "upsert": {"rules": hot_rule()}});
    assert_eq!(engine.apply(&delta.to_string()).unwrap().0, 2);
    thermometer.publish("v1/devices/thermo-1/telemetry", br#"{"temperature": 99}"#, 1);
    eventually("it fires", || {
        let firings = engine.firings(TENANT, None, None, page()).unwrap();
        (firings.as_array().unwrap().len() == 1).then_some(())
    });
    let delta = json!({
        "base_generation": 2, "generation": 3,
        "delete": {"devices": ["22222222-2222-4222-8222-222222222221"]},
    });
    engine.apply(&delta.to_string()).unwrap();
    assert!(thermometer.is_closed(PATIENCE), "the connection is ended");
    let stale = json!({"base_generation": 2, "generation": 4});
    assert!(engine.apply(&stale.to_string()).is_err(), "made from another generation");
}

#[test]
fn a_second_engine_on_the_same_directory_or_port_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let first = started(dir.path(), &json!([]));
    let second = engine(dir.path());
    let error = second.start().unwrap_err();
    assert!(matches!(error, flux_engine::EngineError::Log(_)), "{error}");
    let other = tempfile::tempdir().unwrap();
    let mut settings = EngineSettings::new(other.path());
    let port = first.mqtt_address().unwrap().port();
    settings.mqtt = Some(MqttSettings { port, ..MqttSettings::default() });
    let error = Engine::new(settings).start().unwrap_err();
    assert!(error.problems()[0].message.contains(&port.to_string()), "{error}");
    assert!(!other.path().join("log").exists(), "nothing was touched");
}
