//! Measures what an idle connection costs: `idle_connections [connections]`, default 5 000.
//!
//! Prints the resident memory per connection between a tenth of them and all: before anything was
//! sent, after each has sent and received 100 bytes, and how much CPU the server takes while all are
//! idle. The clients are a process of their own, so that theirs does not count.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flux_net::{
    CloseReason, ConnectionHandle, Context, Limits, Listeners, Peer, Protocol, Server,
    ServerConfig, Verdict, WorkerProtocol, WorkerWaker,
};

struct Echo;

impl Protocol for Echo {
    type Worker = Self;
    fn worker(&self, _: WorkerWaker) -> Self {
        Self
    }
}

impl WorkerProtocol for Echo {
    type Connection = ConnectionHandle;
    fn on_open(
        &mut self,
        _: Peer,
        handle: ConnectionHandle,
        cx: &mut Context<'_>,
    ) -> ConnectionHandle {
        cx.established();
        cx.set_timer(cx.now() + Duration::from_secs(90));
        handle
    }
    fn on_bytes(
        &mut self,
        _: &mut ConnectionHandle,
        input: &mut BytesMut,
        cx: &mut Context<'_>,
    ) -> Verdict {
        cx.output.extend_from_slice(input);
        input.clear();
        cx.set_timer(cx.now() + Duration::from_secs(90));
        Verdict::Continue
    }
    fn on_ready(&mut self, _: &mut ConnectionHandle, _: &mut Context<'_>) -> Verdict {
        Verdict::Continue
    }
    fn on_timer(&mut self, _: &mut ConnectionHandle, _: &mut Context<'_>) -> Verdict {
        Verdict::Close
    }
    fn on_close(&mut self, _: ConnectionHandle, _: CloseReason) {}
}

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// The clients: each line on the input is a number of connections to have, answered by a line once
/// each new one has echoed; the end of the input ends them.
fn clients(port: u16) -> Outcome {
    let mut streams: Vec<TcpStream> = Vec::new();
    for line in std::io::stdin().lines() {
        let line = line?;
        let (want, bytes) = line.split_once(' ').ok_or("two numbers")?;
        let (want, bytes): (usize, usize) = (want.parse()?, bytes.parse()?);
        while streams.len() < want {
            streams.push(TcpStream::connect(("127.0.0.1", port))?);
        }
        let mut buffer = vec![7; bytes];
        if bytes > 0 {
            for stream in &mut streams {
                stream.write_all(&buffer)?;
                stream.read_exact(&mut buffer)?;
            }
        }
        println!("ready");
    }
    Ok(())
}

fn resident_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.split_ascii_whitespace().next().ok_or("no figure")?.parse::<u64>()? * 1_024)
}

fn cpu_ticks() -> Result<u64, Box<dyn std::error::Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = stat.rsplit_once(')').ok_or("no name")?;
    let field = |n: usize| rest.split_ascii_whitespace().nth(n).and_then(|f| f.parse::<u64>().ok());
    Ok(field(11).ok_or("no utime")? + field(12).ok_or("no stime")?)
}

fn main() -> Outcome {
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next();
    if first.as_deref() == Some("--clients") {
        return clients(arguments.next().ok_or("a port")?.parse()?);
    }
    let connections: usize = first.map_or(Ok(5_000), |n| n.parse())?;
    let limits = Limits { accept_rate_max: 0, ..Limits::default() };
    let config = ServerConfig { name: "idle".to_owned(), workers: 2, limits };
    let server = Server::start(Listeners::bind(&["127.0.0.1:0".parse()?])?, &config, Echo)?;
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--clients", &server.local_addresses()[0].port().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut to = child.stdin.take().ok_or("no input")?;
    let mut from = child.stdout.take().ok_or("no output")?;
    let mut ask = |want: usize, bytes: usize| -> Outcome {
        writeln!(to, "{want} {bytes}")?;
        from.read_exact(&mut [0; 6])?;
        let until = Instant::now() + Duration::from_secs(30);
        while server.counters().snapshot().open < want as u64 {
            if Instant::now() > until {
                return Err("not all were accepted".into());
            }
            std::thread::yield_now();
        }
        Ok(())
    };
    let tenth = connections / 10;
    ask(tenth, 0)?;
    let before = resident_bytes()?;
    ask(connections, 0)?;
    let slope = |now: u64| now.saturating_sub(before) / (connections - tenth) as u64;
    println!("{connections} connections, silent: {} B each", slope(resident_bytes()?));
    ask(connections, 100)?;
    println!("after 100 B each way: {} B each", slope(resident_bytes()?));
    let (ticks, began) = (cpu_ticks()?, Instant::now());
    std::thread::sleep(Duration::from_secs(5));
    let idle = cpu_ticks()? - ticks;
    println!("idle CPU: {idle} ticks of 10 ms in {:.1} s", began.elapsed().as_secs_f64());
    println!("resident in all: {} KiB", resident_bytes()? / 1_024);
    drop(to);
    child.wait()?;
    Ok(())
}
