//! The instrument, measured: a broker that misbehaves on purpose, and what `flux-load` says of it.

#![allow(clippy::unwrap_used)] // its helpers are tests too

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;

use bytes::BytesMut;
use flux_mqtt::codec::{Ack, Connack, Packet, Properties, Publish, Reason, Suback, Version, frame};
use flux_types::Qos;
use serde_json::Value;

const VERSION: Version = Version::V311;

/// What the broker does with the message of that number.
type Fate = fn(u64) -> Vec<u64>;

/// Where deliveries go; the payloads kept are those held back for later.
#[derive(Default)]
struct Deliveries {
    subscriber: Option<TcpStream>,
    kept: Vec<(u64, Vec<u8>)>,
}

impl Deliveries {
    fn publish(&mut self, payload: &[u8]) {
        let Some(stream) = &mut self.subscriber else { return };
        let packet = Packet::Publish(Publish {
            dup: false,
            qos: Qos::AtMostOnce,
            retain: false,
            topic: "t",
            packet_id: None,
            properties: Properties::default(),
            payload,
        });
        let mut out = BytesMut::new();
        packet.encode(VERSION, &mut out).unwrap();
        let _ = stream.write_all(&out);
    }

    /// Delivers what the fate names: this message, an earlier one kept, or nothing.
    fn handle(&mut self, fate: Fate, payload: &[u8]) {
        let value: Value = serde_json::from_slice(payload).unwrap();
        let seq = value["seq"].as_u64().unwrap();
        self.kept.push((seq, payload.to_vec()));
        for wanted in fate(seq) {
            let found = self.kept.iter().find(|(kept, _)| *kept == wanted);
            if let Some((_, payload)) = found.cloned() {
                self.publish(&payload);
            }
        }
        if self.kept.len() > 16 {
            self.kept.remove(0);
        }
    }
}

fn serve(mut stream: TcpStream, fate: Fate, deliveries: &Mutex<Deliveries>) {
    let (mut input, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        let Ok(read @ 1..) = stream.read(&mut buffer) else { return };
        input.extend_from_slice(&buffer[..read]);
        let mut out = BytesMut::new();
        let mut used = 0;
        while let Some(frame) = frame(&input[used..], 1 << 20).unwrap() {
            let reply = match Packet::decode(VERSION, &frame).unwrap() {
                Packet::Connect(_) => Some(Packet::Connack(Connack {
                    session_present: false,
                    code: 0,
                    properties: Properties::default(),
                })),
                Packet::Subscribe(subscribe) => {
                    deliveries.lock().unwrap().subscriber = Some(stream.try_clone().unwrap());
                    let properties = Properties::default();
                    let codes = &[0];
                    Some(Packet::Suback(Suback {
                        packet_id: subscribe.packet_id,
                        properties,
                        codes,
                    }))
                }
                Packet::Publish(publish) => {
                    deliveries.lock().unwrap().handle(fate, publish.payload);
                    publish.packet_id.map(|id| Packet::Puback(Ack::new(id, Reason::SUCCESS)))
                }
                _ => None,
            };
            if let Some(reply) = reply {
                reply.encode(VERSION, &mut out).unwrap();
            }
            used += frame.len;
        }
        input.drain(..used);
        if stream.write_all(&out).is_err() {
            return;
        }
    }
}

/// A broker on a free port; its threads end with the connections.
fn broker(fate: Fate) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let deliveries = Arc::new(Mutex::new(Deliveries::default()));
        for stream in listener.incoming().flatten() {
            let deliveries = Arc::clone(&deliveries);
            thread::spawn(move || serve(stream, fate, &deliveries));
        }
    });
    port
}

fn load(port: u16, more: &[&str]) -> (Output, Value) {
    at_rate(port, "2000", more)
}

fn at_rate(port: u16, rate: &str, more: &[&str]) -> (Output, Value) {
    let output = Command::new(env!("CARGO_BIN_EXE_flux-load"))
        .args(["--port", &port.to_string(), "--json", "--fail-on-loss", "--rate", rate])
        .args(["--publishers", "1", "--duration", "0.5", "--warmup", "0.1", "--drain", "2"])
        .args(more)
        .output()
        .unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output, report)
}

#[test]
fn a_faithful_broker_loses_nothing() {
    let port = broker(|seq| vec![seq]);
    for qos in ["0", "1"] {
        let (output, report) = load(port, &["--qos", qos, "--subscribe-qos", "0"]);
        assert_eq!(output.status.code(), Some(0), "{report}");
        assert!(report["sent"].as_u64().unwrap() > 300);
        assert_eq!(report["received"], report["sent"]);
        assert_eq!(report["lost"], 0);
        let acked = if qos == "1" { report["sent"].clone() } else { 0.into() };
        assert_eq!(report["acked"], acked);
    }
}

#[test]
fn a_lost_message_is_counted_and_ends_the_run_with_1() {
    let port = broker(|seq| if seq % 100 == 7 { vec![] } else { vec![seq] });
    let (output, report) = load(port, &[]);
    assert_eq!(output.status.code(), Some(1));
    let sent = report["sent"].as_u64().unwrap();
    assert_eq!(report["lost"].as_u64().unwrap(), (sent + 92) / 100);
}

#[test]
fn a_doubled_message_is_not_taken_for_a_lost_one() {
    let port = broker(|seq| if seq == 50 { vec![50, 50] } else { vec![seq] });
    let (output, report) = load(port, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&report["lost"], &report["faults"]["duplicates"]), (&0.into(), &1.into()));
}

#[test]
fn messages_that_change_places_are_seen() {
    let port = broker(|seq| match seq {
        60 => vec![],
        61 => vec![61, 60],
        other => vec![other],
    });
    let (output, report) = load(port, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!((&report["lost"], &report["faults"]["out_of_order"]), (&0.into(), &1.into()));
}

#[test]
fn a_message_the_rule_should_hold_back_is_seen() {
    let port = broker(|seq| vec![seq]);
    let (output, report) = load(port, &["--pass-ratio", "0.5", "--expect", "passing"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["lost"], 0);
    assert!(report["faults"]["unexpected"].as_u64().unwrap() > 100);
}

#[test]
fn a_saturated_run_goes_on_after_a_loss() {
    let port = broker(|seq| if seq < 400 { vec![] } else { vec![seq] });
    let (_, report) = at_rate(port, "0", &["--outstanding", "400"]);
    assert_eq!(report["lost"], 400);
    assert!(report["received"].as_u64().unwrap() > 400, "{report}");
}

#[test]
fn a_server_that_is_not_there_is_told_apart_from_loss() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (output, _) = load(port, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("could not be made"));
}

#[test]
fn another_machine_is_not_loaded() {
    let output = Command::new(env!("CARGO_BIN_EXE_flux-load"))
        .args(["--host", "192.0.2.1", "--rate", "1"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("only loopback"));
}
