//! Measures an echo of 75-byte messages through a worker, and beside it through plain tokio with a
//! task and a buffer for each connection: `echo_throughput [connections] [in_flight] [seconds]`,
//! default 100 1 3.
//!
//! `in_flight` messages go together in one segment. The server has one thread; its CPU time per
//! message is what counts, the rate is bound by the clients (a process of their own).

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flux_net::{
    CloseReason, ConnectionHandle, Context, Limits, Listeners, Peer, Protocol, Server,
    ServerConfig, Verdict, WorkerProtocol, WorkerWaker,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const MESSAGE_LEN: usize = 75;

struct Echo;

impl Protocol for Echo {
    type Worker = Self;
    fn worker(&self, _: WorkerWaker) -> Self {
        Self
    }
}

impl WorkerProtocol for Echo {
    type Connection = ();
    fn on_open(&mut self, _: Peer, _: ConnectionHandle, cx: &mut Context<'_>) {
        cx.established();
    }
    fn on_bytes(&mut self, (): &mut (), input: &mut BytesMut, cx: &mut Context<'_>) -> Verdict {
        cx.output.extend_from_slice(input);
        input.clear();
        cx.set_timer(cx.now() + Duration::from_secs(90));
        Verdict::Continue
    }
    fn on_ready(&mut self, (): &mut (), _: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }
    fn on_timer(&mut self, (): &mut (), _: &mut Context<'_>) -> Verdict {
        Verdict::Close
    }
    fn on_close(&mut self, (): (), _: CloseReason) {}
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Two threads drive the connections: each sends on all of its share, then reads from all.
fn clients(
    address: SocketAddr,
    connections: usize,
    in_flight: usize,
    time: Duration,
) -> Result<u64, Failure> {
    let messages = AtomicU64::new(0);
    std::thread::scope(|scope| -> Result<(), Failure> {
        let drive = |share: usize| -> Result<(), Failure> {
            let mut streams = Vec::new();
            for _ in 0..share {
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                streams.push(stream);
            }
            let mut buffer = vec![b'm'; MESSAGE_LEN * in_flight];
            let began = Instant::now();
            while began.elapsed() < time {
                for stream in &mut streams {
                    stream.write_all(&buffer)?;
                }
                for stream in &mut streams {
                    stream.read_exact(&mut buffer)?;
                }
                messages.fetch_add((share * in_flight) as u64, Ordering::Relaxed);
            }
            Ok(())
        };
        let half = connections / 2;
        let other = scope.spawn(move || drive(half));
        drive(connections - half)?;
        other.join().map_err(|_| "a client thread panicked")?
    })?;
    Ok(messages.into_inner())
}

/// User and system time of this process so far.
fn cpu_time() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name")?;
    let field = |n: usize| rest.split_ascii_whitespace().nth(n).and_then(|f| f.parse::<u64>().ok());
    let ticks = field(11).ok_or("no utime")? + field(12).ok_or("no stime")?;
    Ok(Duration::from_millis(ticks * 10))
}

fn plain_tokio() -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(async move {
                    let mut buffer = vec![0; 8_192];
                    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
                        if stream.write_all(&buffer[..len]).await.is_err() {
                            break;
                        }
                    }
                });
            }
        })
    });
    Ok(address)
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number =
        |n: usize, default: usize| arguments.get(n).map_or(Ok(default), |a| a.parse::<usize>());
    if let Some(address) = arguments.get(3) {
        let (connections, in_flight) = (number(0, 1)?, number(1, 1)?);
        let time = Duration::from_secs(number(2, 1)? as u64);
        println!("{}", clients(address.parse()?, connections, in_flight, time)?);
        return Ok(());
    }
    let (connections, in_flight, seconds) = (number(0, 100)?, number(1, 1)?, number(2, 3)?);
    let limits = Limits { accept_rate_max: 0, ..Limits::default() };
    let config = ServerConfig { name: "echo".to_owned(), workers: 1, limits };
    let server = Server::start(Listeners::bind(&["127.0.0.1:0".parse()?])?, &config, Echo)?;
    let tokio = plain_tokio()?;
    for round in 0..3 {
        for (name, address) in [("flux-net", server.local_addresses()[0]), ("tokio", tokio)] {
            let before = cpu_time()?;
            let output = Command::new(std::env::current_exe()?)
                .args([connections, in_flight, seconds].map(|n| n.to_string()))
                .arg(address.to_string())
                .output()?;
            let messages: u64 = String::from_utf8(output.stdout)?.trim().parse()?;
            let cpu = cpu_time()? - before;
            println!(
                "round {round} {name:>8}: {:>9.0} messages/s, {:.2} µs of server CPU each",
                messages as f64 / seconds as f64,
                cpu.as_secs_f64() * 1e6 / messages as f64
            );
        }
    }
    Ok(())
}
