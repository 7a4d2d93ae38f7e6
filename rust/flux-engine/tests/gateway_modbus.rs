//! Real Modbus slaves, pymodbus's, polled and written to: over Modbus TCP, which we connect to, and
//! as RTU frames through a DTU that connects to us.
#![allow(clippy::unwrap_used, clippy::expect_used)] // whole files of tests

mod site;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use flux_engine::{Engine, GatewayPlugins};
use flux_gateway::{CodecError, Frame, FrameScanner, LineCodec, Reply, Scan};
use flux_types::{DeviceId, ProductId, TenantId};
use serde_json::{Value, json};
use site::{
    TENANT, address, device, document, eventually, is_online, metric, product, send, settings,
    stream,
};

/// pymodbus in a process of its own; it ends with its standard input.
struct Slaves {
    process: Child,
    address: SocketAddr,
}

impl Slaves {
    fn start(framer: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let python = std::env::var_os("PYTHON_BIN").map(PathBuf::from);
        let python = python.unwrap_or_else(|| root.join(".venv/bin/python"));
        let mut process = Command::new(&python)
            .arg(root.join("rust/flux-engine/tests/modbus/server.py"))
            .arg(framer)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; run `make test`", python.display()));
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port: u16 = line.trim().parse().expect("pymodbus is installed; run `make test`");
        Self { process, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Slaves {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// Modbus functions 3 and 6, as RTU frames or within Modbus TCP's header (MODBUS Application
/// Protocol V1.1b3, sections 6.3 and 6.6; MODBUS over Serial Line V1.02, section 2.5.1).
struct Modbus {
    rtu: bool,
    transaction: AtomicU16,
}

fn crc(bytes: &[u8]) -> [u8; 2] {
    let step = |crc: u16, _| if crc & 1 == 1 { crc >> 1 ^ 0xa001 } else { crc >> 1 };
    let sum = bytes.iter().fold(0xffff_u16, |crc, byte| (0..8).fold(crc ^ u16::from(*byte), step));
    sum.to_le_bytes()
}

impl Modbus {
    /// Unit and PDU of a frame, if it is whole.
    fn open<'f>(&self, frame: &'f [u8]) -> Option<&'f [u8]> {
        if !self.rtu {
            return frame.get(6..);
        }
        let (body, sum) = frame.split_last_chunk::<2>()?;
        (crc(body) == *sum).then_some(body)
    }
}

impl LineCodec for Modbus {
    fn encode(&self, _: TenantId, _: DeviceId, command: &Value) -> Result<Vec<Frame>, CodecError> {
        let number = |name: &str| {
            let given = command["params"][name].as_u64().and_then(|n| u16::try_from(n).ok());
            given.ok_or_else(|| CodecError::new("params", format!("{name} is needed")))
        };
        let (function, second) = match command["command"].as_str() {
            Some("read_holding") => (3, number("count")?),
            Some("write_register") => (6, number("value")?),
            _ => return Err(CodecError::new("unknown_command", "no such command")),
        };
        let mut body = vec![number("unit")? as u8, function];
        body.extend(number("address")?.to_be_bytes());
        body.extend(second.to_be_bytes());
        if self.rtu {
            body.extend(crc(&body));
            return Ok(vec![Bytes::from(body)]);
        }
        let transaction = self.transaction.fetch_add(1, Ordering::Relaxed);
        let mut frame = transaction.to_be_bytes().to_vec();
        frame.extend([0, 0, 0, 6]);
        frame.extend(body);
        Ok(vec![Bytes::from(frame)])
    }

    fn check_reply(&self, _: DeviceId, request: &[u8], frame: &[u8]) -> Reply {
        if !self.rtu && request.get(..2) != frame.get(..2) {
            return Reply::NotMine;
        }
        let (Some(asked), Some(said)) = (self.open(request), self.open(frame)) else {
            return Reply::NotMine;
        };
        match said {
            [unit, function, rest @ ..] if *unit == asked[0] && *function == asked[1] => {
                let data = if *function == 3 { &rest[1..] } else { &rest[2..] };
                let pairs = data.chunks_exact(2);
                Reply::Ok(pairs.map(|pair| json!(u16::from_be_bytes([pair[0], pair[1]]))).collect())
            }
            [unit, function, code] if *unit == asked[0] && *function == asked[1] | 0x80 => {
                Reply::Failed(format!("exception_{code}"), "the slave refused".to_owned())
            }
            _ => Reply::NotMine,
        }
    }
}

impl FrameScanner for Modbus {
    fn scan(&self, _: ProductId, bytes: &[u8]) -> Scan {
        let len = match bytes {
            [_] => return Scan::NeedMore,
            [_, 3] => return Scan::NeedMore,
            [_, 3, count, ..] => 5 + usize::from(*count),
            [_, 6, ..] => 8,
            [_, 0x83 | 0x86, ..] => 5,
            _ => return Scan::Skip(1),
        };
        match bytes.get(..len).and_then(|frame| frame.split_last_chunk::<2>()) {
            None => Scan::NeedMore,
            Some((body, sum)) if crc(body) == *sum => Scan::Frame(len),
            Some(_) => Scan::Skip(1),
        }
    }
}

fn meter(number: u32, framing: Value, connect: Option<&str>) -> Value {
    let poll = json!([{"name": "power", "command": "read_holding", "every_ms": 100,
                       "params": {"unit": number, "address": 0, "count": 4}}]);
    let mut link = json!({"framing": framing, "timeout_ms": 1000, "poll": poll});
    if let Some(connect) = connect {
        link["connect"] = json!(connect);
    }
    product(number, &format!("meter-{number}"), json!({"link": link}))
}

fn engine(directory: &Path, rtu: bool, document: &str) -> Engine {
    let listener = json!([{"name": "dtu", "protocol": "tcp", "port": 0, "product": "dtu",
        "identify": {"by": "registration", "allow": ["127.0.0.1"], "length": 5,
                     "framing": {"type": "fixed", "length": 5}}}]);
    let engine = Engine::new(settings(directory, listener));
    let modbus = Arc::new(Modbus { rtu, transaction: AtomicU16::new(1) });
    engine
        .set_gateway_plugins(GatewayPlugins { codec: Some(modbus.clone()), scanner: Some(modbus) });
    engine.apply(document).unwrap();
    engine.start().unwrap();
    engine
}

fn ask(engine: &Engine, device: &str, command: &str, params: Value) -> (String, Value) {
    let id = engine.send_command(TENANT, device, command, params, None).unwrap().to_string();
    eventually("the command has ended", || {
        let found = engine.command(TENANT, &id).unwrap();
        let status = found["status"].as_str().unwrap().to_owned();
        ["succeeded", "failed"]
            .contains(&status.as_str())
            .then(|| (status, found["result"].clone()))
    })
}

/// What both ways have in common, once the slaves are reached.
fn works(engine: &Engine) {
    eventually("both answer", || {
        (is_online(engine, "m-1") && is_online(engine, "m-2")).then_some(())
    });
    let read = json!({"unit": 2, "address": 3, "count": 2});
    let succeeded = |value| ("succeeded".to_owned(), value);
    assert_eq!(ask(engine, "m-2", "read_holding", read.clone()), succeeded(json!([203, 204])));
    let write = json!({"unit": 2, "address": 3, "value": 777});
    assert_eq!(ask(engine, "m-2", "write_register", write), succeeded(json!([777])));
    assert_eq!(ask(engine, "m-2", "read_holding", read), succeeded(json!([777, 204])));
    let beyond = json!({"unit": 1, "address": 5000, "count": 1});
    let (status, result) = ask(engine, "m-1", "read_holding", beyond);
    assert_eq!((status.as_str(), &result["code"]), ("failed", &json!("exception_2")));
    let nobody = json!({"unit": 9, "address": 0, "count": 1});
    let (status, _) = ask(engine, "m-1", "read_holding", nobody);
    assert_eq!(status, "failed", "whether it is silent or says so is the slave's affair");
    let (status, result) = ask(engine, "m-1", "dance", json!({}));
    assert_eq!((status.as_str(), &result["code"]), ("failed", &json!("unknown_command")));
    let answered = metric(engine, "flux_gateway_requests_answered_total");
    eventually("the polls go on", || {
        (metric(engine, "flux_gateway_requests_answered_total") > answered + 4.0).then_some(())
    });
}

#[test]
fn a_modbus_tcp_server_is_connected_to_polled_and_written_to() {
    let (slaves, dir) = (Slaves::start("socket"), tempfile::tempdir().unwrap());
    let framing = json!({"type": "length", "offset": 4, "width": 2, "frame_bytes_max": 260});
    let connect = "tcp://{host}:{port}";
    let at = json!({"host": "127.0.0.1", "port": slaves.address.port().to_string()});
    let products =
        json!([meter(1, framing.clone(), Some(connect)), meter(2, framing, Some(connect))]);
    let devices = json!([device(1, "m-1", 1, at.clone()), device(2, "m-2", 2, at)]);
    let engine = engine(dir.path(), false, &document(1, products, devices));
    works(&engine);
    assert!(engine.stop());
}

#[test]
fn rtu_slaves_behind_a_dtu_are_polled_and_written_to() {
    let (slaves, dir) = (Slaves::start("rtu"), tempfile::tempdir().unwrap());
    let framing = json!({"type": "plugin", "frame_bytes_max": 260});
    let dtu = product(3, "dtu", json!({"link": {"framing": framing.clone()}}));
    let products = json!([meter(1, framing.clone(), None), meter(2, framing, None), dtu]);
    let line = json!({"line": "dtu-1"});
    let devices = json!([
        device(1, "m-1", 1, line.clone()),
        device(2, "m-2", 2, line),
        device(3, "dtu-1", 3, json!({}))
    ]);
    let engine = engine(dir.path(), true, &document(1, products, devices));
    let mut to_us = stream(address(&engine, "dtu"));
    send(&mut to_us, "dtu-1");
    let to_slaves = TcpStream::connect(slaves.address).unwrap();
    let pump = |mut from: TcpStream, mut to: TcpStream, piece: usize| {
        std::thread::spawn(move || {
            let mut buffer = vec![0; piece];
            // byte by byte one way: no frame comes in one piece
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if to.write_all(&buffer[..len]).is_err() {
                    return;
                }
            }
        })
    };
    to_us.set_read_timeout(None).unwrap();
    pump(to_us.try_clone().unwrap(), to_slaves.try_clone().unwrap(), 256);
    pump(to_slaves.try_clone().unwrap(), to_us.try_clone().unwrap(), 1);
    works(&engine);
    assert!(is_online(&engine, "dtu-1"));
    let _ = to_us.shutdown(std::net::Shutdown::Both);
    let _ = to_slaves.shutdown(std::net::Shutdown::Both);
    assert!(engine.stop());
}
