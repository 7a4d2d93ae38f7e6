//! A site for the tests of the gateway: an engine with listeners, and what its devices are.
#![allow(dead_code, unreachable_pub)] // not every test file uses all of it
#![allow(clippy::unwrap_used, clippy::expect_used)] // tests

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use flux_engine::{DevicesSettings, Engine, EngineSettings, GatewaySettings, MqttSettings};
use flux_types::TenantId;
use serde_json::{Value, json};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const TENANT: TenantId = TenantId::DEFAULT;

pub fn sha256(text: &str) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn id(kind: u32, number: u32) -> String {
    format!("{kind:08x}-0000-4000-8000-{number:012x}")
}

/// A product of that number and key, with whatever else belongs to it.
pub fn product(number: u32, key: &str, rest: Value) -> Value {
    let mut product = json!({"id": id(1, number), "key": key});
    product.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    product
}

/// A device of that number, key and product; its secret is its key, then `-secret`.
pub fn device(number: u32, key: &str, of: u32, tags: Value) -> Value {
    json!({"id": id(2, number), "key": key, "product": id(1, of), "tags": tags,
           "secret_sha256": sha256(&format!("{key}-secret"))})
}

pub fn document(generation: u64, products: Value, devices: Value) -> String {
    json!({
        "generation": generation,
        "tenants": [{"id": 1, "name": "default"}],
        "principals": [{"id": id(4, 1), "username": "watcher", "secret_sha256": sha256("watch"),
                        "publish": [], "subscribe": ["#"]}],
        "products": products,
        "devices": devices,
    })
    .to_string()
}

pub fn settings(dir: &Path, listeners: Value) -> EngineSettings {
    let mut settings = EngineSettings::new(dir);
    settings.mqtt = Some(MqttSettings { port: 0, ..MqttSettings::default() });
    settings.devices = Some(DevicesSettings { port: 0, ..DevicesSettings::default() });
    settings.gateway = Some(GatewaySettings {
        listeners: serde_json::from_value(listeners).unwrap(),
        reconnect_min_ms: 50,
        reconnect_max_ms: 200,
        ..GatewaySettings::default()
    });
    settings.engine.offline_after_ms = 300;
    settings
}

pub fn started(settings: EngineSettings, document: &str) -> Engine {
    let engine = Engine::new(settings);
    engine.apply(document).unwrap();
    engine.start().unwrap();
    engine
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The address of a listener of the gateway.
pub fn address(engine: &Engine, name: &str) -> SocketAddr {
    let all = engine.gateway_addresses();
    all.iter().find(|(known, _)| known == name).unwrap().1
}

/// A value of a device, once it is what is expected.
pub fn has_value(engine: &Engine, device: &str, name: &str, expected: Value) {
    eventually(&format!("{device}.{name} is {expected}"), || {
        let latest = engine.latest(TENANT, device).ok()?;
        (latest["values"][name]["value"] == expected).then_some(())
    });
}

pub fn is_online(engine: &Engine, device: &str) -> bool {
    let statuses = engine.status(TENANT, &[device.to_owned()]).unwrap();
    statuses[device]["status"] == "online"
}

pub fn metric(engine: &Engine, name: &str) -> f64 {
    let text = engine.metrics_text().unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
    line.unwrap_or_else(|| panic!("no {name}")).parse().unwrap()
}

/// A stream that waits with patience.
pub fn stream(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub fn send(stream: &mut TcpStream, bytes: impl AsRef<[u8]>) {
    stream.write_all(bytes.as_ref()).unwrap();
}

/// Reads up to and with a line's end.
pub fn line(stream: &mut TcpStream) -> String {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.last() != Some(&b'\n') {
        stream.read_exact(&mut byte).expect("a line comes");
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

/// Whether the other side closes.
pub fn is_closed(stream: &mut TcpStream) -> bool {
    let mut buffer = [0; 256];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == ErrorKind::ConnectionReset,
        }
    }
}
