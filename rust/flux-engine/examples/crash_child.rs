//! An engine in a process of its own, for tests that kill it: everything small, so that segments
//! roll over, snapshots are taken and retention runs every moment.
//!
//! `crash_child <data_dir>` prints the MQTT address once it listens and then answers lines on
//! standard input: `state` prints firings, alarms, webhooks and last values as one line of JSON;
//! the end of the input stops it in order.

use std::io::{BufRead, Write};

use flux_engine::{Engine, EngineError, EngineSettings, MqttSettings, Paging};
use flux_types::TenantId;

/// Every fifth message of a device fires; each firing raises an alarm and queues a webhook.
const CONFIGURATION: &str = r#"{
    "generation": 1,
    "tenants": [{"id": 1, "name": "default"}],
    "products": [{"id": "11111111-1111-4111-8111-111111111111", "tenant": 1, "key": "counter"}],
    "devices": [
        {"id": "22222222-2222-4222-8222-222222222220", "tenant": 1,
         "product": "11111111-1111-4111-8111-111111111111", "key": "c0"},
        {"id": "22222222-2222-4222-8222-222222222221", "tenant": 1,
         "product": "11111111-1111-4111-8111-111111111111", "key": "c1"},
        {"id": "22222222-2222-4222-8222-222222222222", "tenant": 1,
         "product": "11111111-1111-4111-8111-111111111111", "key": "c2"}
    ],
    "rules": [{
        "id": "33333333-3333-4333-8333-333333333333", "tenant": 1, "version": 1, "name": "fifth",
        "enabled": true, "trigger_script": "seq % 5 == 0", "sources": {},
        "actions": [
            {"type": "raise_alarm", "alarm": "fifth", "severity": "info", "text": ""},
            {"type": "webhook", "url": "http://127.0.0.1:9/"}
        ]
    }]
}"#;

fn main() -> Result<(), EngineError> {
    let dir = std::env::args_os().nth(1).unwrap_or_else(|| "./crash-data".into());
    let mut settings = EngineSettings::new(std::path::PathBuf::from(dir));
    settings.mqtt = Some(MqttSettings {
        port: 0,
        allow_anonymous: true,
        packet_bytes_max: 4096,
        ..MqttSettings::default()
    });
    settings.engine.log_segment_bytes = 1; // raised to the smallest there can be
    settings.engine.log_retention_bytes_max = 1;
    settings.engine.snapshot_interval_ms = 50;
    let engine = Engine::new(settings);
    if std::env::var_os("CRASH_CHILD_CONFIGURED").is_none() {
        engine.apply(CONFIGURATION)?;
        // has it written down: whoever kills us starts the next one without giving it again
        engine.stop();
    }
    engine.start()?;
    if let Some(address) = engine.mqtt_address() {
        say(&address.to_string());
    }
    for line in std::io::stdin().lock().lines() {
        match line.as_deref() {
            Ok("state") => say(&state(&engine)?.to_string()),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    engine.stop();
    Ok(())
}

fn state(engine: &Engine) -> Result<serde_json::Value, EngineError> {
    let tenant = TenantId::DEFAULT;
    let all = || Paging { before: None, limit: usize::MAX };
    let mut latest = Vec::new();
    for device in ["c0", "c1", "c2"] {
        latest.push(engine.latest(tenant, device)?);
    }
    Ok(serde_json::json!({
        "firings": engine.firings(tenant, None, None, all())?,
        "alarms": engine.alarms(tenant, None, None, all())?,
        "webhooks": engine.take_webhooks(usize::MAX)?,
        "latest": latest,
        "lag": engine.health()?.pipeline.lag_records,
    }))
}

fn say(line: &str) {
    // whoever asked and is gone needs no answer
    let _ = writeln!(std::io::stdout(), "{line}");
    let _ = std::io::stdout().flush();
}
