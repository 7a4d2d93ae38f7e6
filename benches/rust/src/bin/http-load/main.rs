//! Posts telemetry over HTTP as fast as it is answered: the load for our listener and its peers.
//!
//! Connections are kept alive; each sends the next request once the last was answered. Prints what
//! was reached as JSON.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use flux_engine::{DevicesSettings, Engine, EngineSettings};
use hdrhistogram::Histogram;
use serde_json::json;

/// Posts telemetry, or serves it.
#[derive(Parser)]
struct Options {
    /// Serve instead: an engine over this directory, until standard input ends.
    #[arg(long, value_name = "DIRECTORY")]
    serve: Option<std::path::PathBuf>,
    /// Where to; where to listen with `--serve`.
    #[arg(long)]
    address: SocketAddr,
    /// The device's secret.
    #[arg(long, default_value = "")]
    token: String,
    /// What is configured with `--serve`: a file with the engine's document.
    #[arg(long)]
    document: Option<std::path::PathBuf>,
    /// Connections at the same time.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How long, s.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
}

type Failure = Box<dyn Error + Send + Sync>;

/// Reads one answer; its status.
fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<u16, Failure> {
    let mut chunk = [0; 4_096];
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") {
            let head = String::from_utf8_lossy(buffer.get(..end).unwrap_or_default()).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            let whole = end + 4 + length.unwrap_or(0);
            if buffer.len() >= whole {
                buffer.drain(..whole);
                return Ok(head.get(9..12).ok_or("no status")?.parse()?);
            }
        }
        match stream.read(&mut chunk)? {
            0 => return Err("the server closed the connection".into()),
            len => buffer.extend_from_slice(chunk.get(..len).unwrap_or_default()),
        }
    }
}

fn post(options: &Options, stop: &AtomicBool) -> Result<Histogram<u64>, Failure> {
    let mut stream = TcpStream::connect(options.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let body = r#"{"temperature": 21.5, "humidity": 40.25, "state": "running"}"#;
    let request = format!(
        "POST /device/v1/telemetry HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n\
         Authorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{body}",
        options.token,
        body.len()
    );
    let mut times = Histogram::new(3)?;
    let mut buffer = Vec::new();
    while !stop.load(Relaxed) {
        let sent = Instant::now();
        stream.write_all(request.as_bytes())?;
        let status = answer(&mut stream, &mut buffer)?;
        if status != 204 {
            return Err(format!("answered {status}").into());
        }
        times.record(u64::try_from(sent.elapsed().as_micros())?)?;
    }
    Ok(times)
}

/// The engine with a listener for devices, until nobody holds our standard input open any more.
fn serve(directory: &std::path::Path, options: &Options) -> Result<(), Failure> {
    let mut settings = EngineSettings::new(directory);
    settings.devices = Some(DevicesSettings {
        host: options.address.ip().to_string(),
        port: options.address.port(),
        ..DevicesSettings::default()
    });
    let engine = Engine::new(settings);
    let document = options.document.as_ref().ok_or("--serve needs --document")?;
    engine.apply(&std::fs::read_to_string(document)?)?;
    engine.start()?;
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    engine.stop();
    Ok(())
}

fn main() -> Result<(), Failure> {
    let options = Arc::new(Options::parse());
    if let Some(directory) = &options.serve {
        return serve(directory, &options);
    }
    let stop = Arc::new(AtomicBool::new(false));
    let from = Instant::now();
    let mut posting = Vec::new();
    for _ in 0..options.connections {
        let (options, stop) = (Arc::clone(&options), Arc::clone(&stop));
        posting.push(std::thread::spawn(move || post(&options, &stop)));
    }
    std::thread::sleep(Duration::from_secs(options.seconds));
    stop.store(true, Relaxed);
    let measured_s = from.elapsed().as_secs_f64();
    let mut all = Histogram::<u64>::new(3)?;
    for thread in posting {
        all.add(thread.join().map_err(|_| "a connection's thread panicked")??)?;
    }
    let ms = |part: f64| all.value_at_quantile(part) as f64 / 1e3;
    let report = json!({
        "connections": options.connections,
        "requests_per_s": (all.len() as f64 / measured_s).round(),
        "p50_ms": ms(0.5), "p99_ms": ms(0.99),
    });
    println!("{report}");
    Ok(())
}
