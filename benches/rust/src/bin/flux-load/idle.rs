//! What a connection costs a server that has nothing to do for it.
//!
//! Opens connections one after the other and looks at the server's memory at a tenth of them and
//! at all: the slope leaves out what the server needs anyway.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use flux_mqtt::codec::{Packet, frame};
use serde::Serialize;

use crate::failure::Failure;
use crate::identity::Role;
use crate::link::{put_connect, put_subscribe};
use crate::machine::usage;
use crate::options::Plan;

/// Memory is looked at once it has not grown for so long.
const SETTLED: Duration = Duration::from_millis(500);
const SETTLED_WAIT_MAX: Duration = Duration::from_secs(10);

/// What idle connections cost.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Idle {
    pub(crate) connections: u32,
    /// Each with a subscription of its own.
    pub(crate) subscribed: bool,
    pub(crate) connects_per_s: f64,
    pub(crate) rss_before_bytes: u64,
    pub(crate) rss_at_a_tenth_bytes: u64,
    pub(crate) rss_at_all_bytes: u64,
    pub(crate) bytes_per_connection: f64,
    /// Of the server, while nothing is sent.
    pub(crate) cpu_percent: f64,
}

/// Opens the plan's publishers, and leaves them alone.
pub(crate) fn idle(plan: &Plan, subscribe: bool) -> Result<Idle, Failure> {
    let rss_before_bytes = settled(plan)?;
    let mut streams = Vec::new();
    let tenth = plan.publishers.div_ceil(10);
    let mut open = |upto: u32| -> Result<(), Failure> {
        for n in streams.len() as u32..upto {
            streams.push(connection(plan, n, subscribe)?);
        }
        Ok(())
    };
    open(tenth)?;
    let rss_at_a_tenth_bytes = settled(plan)?;
    let begun = Instant::now();
    open(plan.publishers)?;
    let took = begun.elapsed().as_secs_f64().max(1e-9);
    let rss_at_all_bytes = settled(plan)?;
    let more = f64::from(plan.publishers - tenth).max(1.0);
    let grown = rss_at_all_bytes.saturating_sub(rss_at_a_tenth_bytes) as f64;
    let (before, watched) = (usage(plan.server_pid)?, Instant::now());
    std::thread::sleep(plan.duration);
    let busy = usage(plan.server_pid)?.cpu.saturating_sub(before.cpu).as_secs_f64();
    Ok(Idle {
        connections: plan.publishers,
        subscribed: subscribe,
        connects_per_s: more / took,
        rss_before_bytes,
        rss_at_a_tenth_bytes,
        rss_at_all_bytes,
        bytes_per_connection: grown / more,
        cpu_percent: 100.0 * busy / watched.elapsed().as_secs_f64(),
    })
}

/// The server's memory once it no longer grows.
fn settled(plan: &Plan) -> Result<u64, Failure> {
    let until = Instant::now() + SETTLED_WAIT_MAX;
    let mut before = usage(plan.server_pid)?.rss_bytes;
    loop {
        std::thread::sleep(SETTLED);
        let now = usage(plan.server_pid)?.rss_bytes;
        if now <= before || Instant::now() > until {
            return Ok(now);
        }
        before = now;
    }
}

fn connection(plan: &Plan, n: u32, subscribe: bool) -> Result<TcpStream, Failure> {
    let failed = |source| Failure::Connect { number: n, source };
    let mut stream =
        TcpStream::connect_timeout(&plan.address, plan.connect_timeout).map_err(failed)?;
    stream.set_read_timeout(Some(plan.connect_timeout)).map_err(failed)?;
    let mut out = BytesMut::new();
    put_connect(plan, Role::Publisher, n, &mut out)?;
    ask(plan, &mut stream, &out, n)?;
    if subscribe {
        out.clear();
        put_subscribe(plan, n, &mut out)?;
        ask(plan, &mut stream, &out, n)?;
    }
    Ok(stream)
}

/// Sends a packet and waits for the answer.
fn ask(plan: &Plan, stream: &mut TcpStream, bytes: &[u8], n: u32) -> Result<(), Failure> {
    let failed = |source| Failure::Connect { number: n, source };
    let refused = |text: String| Failure::NotReady {
        up: u64::from(n),
        all: u64::from(plan.publishers),
        seconds: plan.connect_timeout.as_secs(),
        refused: Some(text),
    };
    stream.write_all(bytes).map_err(failed)?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 1_024]);
    loop {
        let read = stream.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            return Err(refused("the server closed the connection".to_owned()));
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let unfit = |error: flux_mqtt::Error| refused(error.to_string());
        let Some(frame) = frame(&answer, 64 << 10).map_err(unfit)? else { continue };
        return match Packet::decode(plan.version, &frame).map_err(unfit)? {
            Packet::Connack(connack) if connack.code != 0 => {
                Err(refused(format!("CONNACK {:#04x}", connack.code)))
            }
            Packet::Suback(suback) if suback.codes.iter().any(|code| *code >= 0x80) => {
                Err(refused("SUBACK with a refusal".to_owned()))
            }
            Packet::Connack(_) | Packet::Suback(_) => Ok(()),
            other => Err(refused(format!("an unexpected packet: {other:?}"))),
        };
    }
}
