//! `flux-engine-bench`: the data plane alone, without Python, until its input ends.
//!
//! Prints `listening ADDRESS` once devices can connect, and its metrics for each line of input. Must
//! never decide what is measured: load comes from `flux-load`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use flux_engine::{Engine, EngineSettings, MqttSettings};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The data plane alone, until standard input ends.
#[derive(Debug, Parser)]
struct Options {
    /// Where the log and the configuration go.
    #[arg(long)]
    data_dir: PathBuf,
    /// Configuration document, JSON; left out, the one last in force there.
    #[arg(long)]
    configuration: Option<PathBuf>,
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Settings as JSON, in the words of the configuration file and with units in the names, over
    /// the defaults: {"engine": {"shards": 2}, "mqtt": {"session_queue_len_max": 100000}}.
    #[arg(long, default_value = "{}")]
    settings: String,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flux-engine-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome {
    let mut settings: serde_json::Value = serde_json::from_str(&options.settings)?;
    let fields = settings.as_object_mut().ok_or("--settings is no object")?;
    fields.insert("data_dir".to_owned(), serde_json::to_value(&options.data_dir)?);
    let mut settings: EngineSettings = serde_json::from_value(settings)?;
    let mqtt = settings.mqtt.take().unwrap_or_default();
    settings.mqtt = Some(MqttSettings { host: "127.0.0.1".to_owned(), port: options.port, ..mqtt });
    let engine = Engine::new(settings);
    if let Some(path) = &options.configuration {
        engine.apply(&std::fs::read_to_string(path)?)?;
    }
    engine.start()?;
    let address = engine.mqtt_address().ok_or("no MQTT listener")?;
    println!("listening {address}");
    for line in std::io::stdin().lines() {
        line?;
        println!("{}", engine.metrics_text()?);
    }
    if engine.stop() { Ok(()) } else { Err("something was left to recovery".into()) }
}
