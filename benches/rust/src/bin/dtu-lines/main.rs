//! Many DTU lines polled once a second: how late requests go out, and what it takes.
//!
//! `dtu-lines [--lines 1000] [--every-ms 1000] [--seconds 30]` starts an engine in this process and as
//! many DTUs on a thread of their own, each a connection that registers and answers every request
//! with the values of a meter. What is polled is decoded, put on disk and kept as last values.

use std::collections::HashMap;
use std::error::Error;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use clap::Parser;
use flux_engine::{Engine, EngineSettings, GatewaySettings};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde_json::{Value, json};

/// Polls many DTU lines.
#[derive(Parser)]
struct Options {
    /// Connections, each a line with one meter.
    #[arg(long, default_value_t = 1_000)]
    lines: usize,
    /// How often each is asked, ms.
    #[arg(long, default_value_t = 1_000)]
    every_ms: u64,
    /// How long is measured, s.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
}

type Failure = Box<dyn Error + Send + Sync>;

fn document(options: &Options) -> String {
    let product = "00000001-0000-4000-8000-000000000001";
    let device = |n: usize| {
        json!({"id": format!("00000002-0000-4000-8000-{n:012x}"), "key": format!("dtu-{n}"),
               "product": product})
    };
    json!({
        "generation": 1,
        "tenants": [{"id": 1, "name": "default"}],
        "products": [{"id": product, "key": "dtu", "link": {
            "framing": {"type": "delimiter", "delimiter": "\n"},
            "poll": [{"name": "values", "command": "read", "every_ms": options.every_ms}],
        }}],
        "devices": (0..options.lines).map(device).collect::<Vec<Value>>(),
    })
    .to_string()
}

fn engine(options: &Options, directory: &std::path::Path) -> Result<Engine, Failure> {
    let mut settings = EngineSettings::new(directory);
    settings.gateway = Some(GatewaySettings {
        listeners: serde_json::from_value(json!([{
            "name": "dtu", "protocol": "tcp", "port": 0, "product": "dtu",
            "connections_max": options.lines + 16,
            "identify": {"by": "registration", "allow": ["127.0.0.1"]},
        }]))?,
        connections_max: options.lines + 64,
        ..GatewaySettings::default()
    });
    let engine = Engine::new(settings);
    engine.apply(&document(options))?;
    engine.start()?;
    Ok(engine)
}

/// The DTUs: each registers, and answers each line with one.
fn serve(
    address: SocketAddr,
    lines: usize,
    answered: &AtomicU64,
    stop: &AtomicBool,
) -> Result<(), Failure> {
    let mut poll = Poll::new()?;
    let mut streams = Vec::with_capacity(lines);
    for n in 0..lines {
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        stream.write_all(format!("dtu-{n}\n").as_bytes())?;
        poll.registry().register(&mut stream, Token(n), Interest::READABLE)?;
        streams.push(stream);
    }
    let mut events = Events::with_capacity(1_024);
    let mut buffer = [0; 4_096];
    while !stop.load(Relaxed) {
        poll.poll(&mut events, Some(Duration::from_millis(100)))?;
        for event in &events {
            let Some(stream) = streams.get_mut(event.token().0) else { continue };
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err("the engine closed a line".into()),
                    Ok(len) => {
                        let asked = buffer.iter().take(len).filter(|byte| **byte == b'\n').count();
                        for _ in 0..asked {
                            let count = answered.fetch_add(1, Relaxed);
                            let reply = format!("{{\"u\": 230.{}, \"i\": 5.5}}\n", count % 10);
                            stream.write_all(reply.as_bytes())?;
                        }
                    }
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
    Ok(())
}

/// Processor time of each of the engine's threads so far, by name without its number, ms.
fn thread_times() -> HashMap<String, u64> {
    let mut times = HashMap::new();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        let read = |name: &str| std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let name = read("comm").trim().trim_end_matches(|c: char| c.is_ascii_digit()).to_owned();
        let stat = read("stat");
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<&str> = after.split_ascii_whitespace().collect();
        // utime and stime, in clock ticks of 10 ms (proc(5))
        let ticks = |place: usize| fields.get(place).and_then(|t| t.parse::<u64>().ok());
        *times.entry(name).or_default() += 10 * (ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0));
    }
    times
}

/// The buckets of the lateness histogram: upper bound in seconds and the count up to it.
fn lateness(metrics: &str) -> Vec<(f64, f64)> {
    let name = "flux_gateway_poll_lateness_seconds_bucket{le=\"";
    let bucket = |line: &str| {
        let (bound, count) = line.strip_prefix(name)?.split_once("\"} ")?;
        Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
    };
    metrics.lines().filter_map(bucket).collect()
}

/// The bound under which that part of what came between two looks lies, ms.
fn quantile(before: &[(f64, f64)], after: &[(f64, f64)], part: f64) -> f64 {
    let grown: Vec<(f64, f64)> =
        before.iter().zip(after).map(|((_, b), (bound, a))| (*bound, a - b)).collect();
    let all = grown.last().map_or(0.0, |(_, count)| *count);
    let found = grown.iter().find(|(_, count)| *count >= part * all);
    found.map_or(f64::INFINITY, |(bound, _)| bound * 1e3)
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    let directory = tempfile::tempdir()?;
    let engine = engine(&options, directory.path())?;
    let address = engine.gateway_addresses().first().ok_or("no listener")?.1;
    let (answered, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let dtus = {
        let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
        std::thread::Builder::new()
            .name("dtus".to_owned())
            .spawn(move || serve(address, options.lines, &answered, &stop))?
    };
    // the first period is for coming up
    let warm_up = Instant::now() + Duration::from_millis(options.every_ms * 2 + 2_000);
    while Instant::now() < warm_up && !dtus.is_finished() {
        std::thread::sleep(Duration::from_millis(50));
    }
    let before = (lateness(&engine.metrics_text()?), thread_times(), answered.load(Relaxed));
    let from = Instant::now();
    std::thread::sleep(Duration::from_secs(options.seconds));
    let measured_s = from.elapsed().as_secs_f64();
    let after = (lateness(&engine.metrics_text()?), thread_times(), answered.load(Relaxed));
    stop.store(true, Relaxed);
    let outcome = dtus.join().map_err(|_| "the DTUs' thread panicked")?;
    engine.stop();
    outcome?;

    let percent: serde_json::Map<String, Value> = after
        .1
        .iter()
        .filter(|(name, _)| *name != "dtus")
        .map(|(name, ms)| {
            let used = ms.saturating_sub(before.1.get(name).copied().unwrap_or(0));
            (name.clone(), json!((used as f64 / 10.0 / measured_s * 100.0).round() / 100.0))
        })
        .filter(|(_, share)| share.as_f64() > Some(0.0))
        .collect();
    let late = |part| quantile(&before.0, &after.0, part);
    let report = json!({
        "lines": options.lines,
        "every_ms": options.every_ms,
        "polls_per_s": ((after.2 - before.2) as f64 / measured_s).round(),
        "lateness_ms_at_most": {"p50": late(0.5), "p99": late(0.99), "p999": late(0.999)},
        "cpu_percent_by_thread": percent,
        "cpu_percent": percent.values().filter_map(Value::as_f64).sum::<f64>(),
    });
    println!("{report:#}");
    Ok(())
}
