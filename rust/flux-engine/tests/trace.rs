//! The promise as the operating system sees it: between reading a PUBLISH from the socket and
//! writing its PUBACK, a sync of the log has begun and ended.
//!
//! Needs `strace` (Debian package of that name) and leave to trace one's own children.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod child;
mod client;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use client::Client;

/// One system call that ended, by the places in the trace where it began and ended.
#[derive(Debug)]
struct Call {
    began: usize,
    ended: usize,
    /// Name and arguments, as `strace` writes them.
    text: String,
}

/// Joins what `strace` cuts in two where threads take turns:
/// `12 fdatasync(7 <unfinished ...>` and `12 <... fdatasync resumed>) = 0`.
fn calls(trace: &str) -> Vec<Call> {
    let mut begun: Vec<(&str, usize, &str)> = Vec::new();
    let mut calls = Vec::new();
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        if let Some(head) = call.strip_suffix("<unfinished ...>") {
            begun.push((thread, at, head));
        } else if call.starts_with("<... ") {
            let Some(index) = begun.iter().position(|(other, ..)| *other == thread) else {
                continue;
            };
            let (_, began, head) = begun.remove(index);
            let tail = call.split_once("resumed>").map_or("", |(_, tail)| tail);
            calls.push(Call { began, ended: at, text: format!("{head}{tail}") });
        } else {
            calls.push(Call { began: at, ended: at, text: call.to_owned() });
        }
    }
    calls.sort_by_key(|call| call.ended);
    calls
}

/// Bytes as `strace -xx` writes them.
fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

#[test]
fn puback_is_written_after_a_sync_that_began_after_its_publish_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let mut traced = Command::new("strace")
        .args(["-f", "-xx", "-s", "200", "-e"])
        .arg("trace=read,recvfrom,recvmsg,write,writev,sendto,sendmsg,fdatasync,fsync")
        .arg("-o")
        .arg(&trace)
        .arg(child::path())
        .arg(dir.path().join("data"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("strace is installed (Debian package `strace`)");
    let mut line = String::new();
    BufReader::new(traced.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().parse().expect("the child listens: may strace trace here?");
    let mut client = Client::try_anonymous(address, "tracer").expect("the server accepts us");
    let payloads: Vec<String> =
        (1..=5).map(|n| format!("{{\"seq\": {n}, \"traced\": 1}}")).collect();
    for payload in &payloads {
        client.publish("v1/devices/c0/telemetry", payload.as_bytes(), 1);
    }
    drop(client);
    drop(traced.stdin.take()); // the end of its input stops it in order
    assert!(traced.wait().unwrap().success());

    let text = std::fs::read_to_string(&trace).unwrap();
    let calls = calls(&text);
    let ended_well = |call: &Call| call.text.trim_end().ends_with("= 0");
    for (payload, id) in payloads.iter().zip(1_u16..) {
        let published = escaped(payload.as_bytes());
        let read = calls
            .iter()
            .find(|call| {
                let reads = call.text.starts_with("read") || call.text.starts_with("recv");
                reads && call.text.contains(&published)
            })
            .unwrap_or_else(|| panic!("the PUBLISH {id} was not read:\n{text}"));
        // PUBACK [MQTT-3.4]: type 4, two bytes follow, the packet identifier
        let id = id.to_be_bytes();
        let puback = escaped(&[0x40, 0x02, id[0], id[1]]);
        let written = calls
            .iter()
            .find(|call| {
                let writes = call.text.starts_with("write") || call.text.starts_with("send");
                writes && call.ended > read.ended && call.text.contains(&puback)
            })
            .unwrap_or_else(|| panic!("the PUBACK {id:?} was not written:\n{text}"));
        let synced = calls.iter().any(|call| {
            call.text.starts_with("fdatasync(")
                && call.began > read.ended
                && call.ended < written.began
                && ended_well(call)
        });
        assert!(synced, "no fdatasync between {read:?} and {written:?}");
    }
}
