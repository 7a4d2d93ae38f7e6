//! A small MQTT 3.1.1 client for tests: blocking, and independent of the crate under test, so that
//! what it sends is written out here byte by byte.
#![allow(dead_code, unreachable_pub)] // not every test file uses all of it

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    received: VecDeque<(String, Vec<u8>)>,
    next_id: u16,
}

const PATIENCE: Duration = Duration::from_secs(20);

fn text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap().to_be_bytes());
    out.extend_from_slice(text);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut length = body.len();
    loop {
        let byte = u8::try_from(length % 128).unwrap();
        length /= 128;
        out.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

impl Client {
    pub fn connect(address: SocketAddr, client_id: &str, user: &str, secret: &str) -> Self {
        Self::try_connect(address, client_id, user, secret).expect("the server accepts us")
    }

    pub fn try_connect(
        address: SocketAddr,
        client_id: &str,
        user: &str,
        secret: &str,
    ) -> Option<Self> {
        Self::sign_in(address, client_id, Some((user, secret)))
    }

    /// Connects without a name.
    pub fn try_anonymous(address: SocketAddr, client_id: &str) -> Option<Self> {
        Self::sign_in(address, client_id, None)
    }

    fn sign_in(
        address: SocketAddr,
        client_id: &str,
        credentials: Option<(&str, &str)>,
    ) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).unwrap();
        let (buffer, received) = (Vec::new(), VecDeque::new());
        let mut client = Self { stream, buffer, received, next_id: 0 };
        let mut body = Vec::new();
        text(&mut body, b"MQTT");
        let flags = if credentials.is_some() { 0b1100_0010 } else { 0b0000_0010 };
        body.extend_from_slice(&[4, flags, 0, 60]);
        text(&mut body, client_id.as_bytes());
        if let Some((user, secret)) = credentials {
            text(&mut body, user.as_bytes());
            text(&mut body, secret.as_bytes());
        }
        client.send(&packet(0x10, &body));
        let (first, body) = client.read_packet(PATIENCE)?;
        (first == 0x20 && body == [0, 0]).then_some(client)
    }

    fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    fn id(&mut self) -> u16 {
        self.next_id = self.next_id.wrapping_add(1).max(1);
        self.next_id
    }

    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        assert_eq!(self.subscribe_as(filter, qos), qos, "{filter}");
    }

    pub fn subscribe_code(&mut self, filter: &str) -> u8 {
        self.subscribe_as(filter, 1)
    }

    fn subscribe_as(&mut self, filter: &str, qos: u8) -> u8 {
        let id = self.id();
        let mut body = id.to_be_bytes().to_vec();
        text(&mut body, filter.as_bytes());
        body.push(qos);
        self.send(&packet(0x82, &body));
        let (_, body) = self.wait_for(0x90).expect("SUBACK");
        body[2]
    }

    pub fn publish(&mut self, topic: &str, payload: &[u8], qos: u8) {
        assert!(self.try_publish(topic, payload, qos), "{topic} is acknowledged");
    }

    /// Sends; with QoS 1 waits for the acknowledgement and tells whether it came.
    pub fn try_publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> bool {
        let id = self.send_publish(topic, payload, qos);
        qos == 0 || self.wait_for(0x40).is_some_and(|(_, body)| body[..2] == id.to_be_bytes())
    }

    /// Sends without waiting; tells the packet identifier.
    pub fn send_publish(&mut self, topic: &str, payload: &[u8], qos: u8) -> u16 {
        let id = self.id();
        let mut body = Vec::new();
        text(&mut body, topic.as_bytes());
        if qos > 0 {
            body.extend_from_slice(&id.to_be_bytes());
        }
        body.extend_from_slice(payload);
        self.send(&packet(0x30 | qos << 1, &body));
        id
    }

    /// The next message; acknowledges it.
    pub fn receive(&mut self, patience: Duration) -> Option<(String, Vec<u8>)> {
        let until = Instant::now() + patience;
        while self.received.is_empty() {
            let left = until.checked_duration_since(Instant::now())?;
            let (first, body) = self.read_packet(left)?;
            self.take(first, &body);
        }
        self.received.pop_front()
    }

    pub fn is_closed(&mut self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if self.read_packet(left).is_none() {
                return Instant::now() < until;
            }
        }
        false
    }

    /// The next acknowledgement of ours, whatever its identifier.
    pub fn acknowledged(&mut self) -> Option<u16> {
        let (_, body) = self.wait_for(0x40)?;
        Some(u16::from_be_bytes([body[0], body[1]]))
    }

    fn wait_for(&mut self, wanted: u8) -> Option<(u8, Vec<u8>)> {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            let (first, body) = self.read_packet(left)?;
            if first == wanted {
                return Some((first, body));
            }
            self.take(first, &body);
        }
    }

    fn take(&mut self, first: u8, body: &[u8]) {
        if first >> 4 != 3 {
            return;
        }
        let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
        let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
        let mut at = 2 + length;
        if first & 0b110 != 0 {
            let id = body[at..at + 2].to_vec();
            at += 2;
            self.send(&packet(0x40, &id));
        }
        self.received.push_back((topic, body[at..].to_vec()));
    }

    /// One whole packet: none when the connection ended or nothing came in time.
    fn read_packet(&mut self, patience: Duration) -> Option<(u8, Vec<u8>)> {
        let until = Instant::now() + patience;
        loop {
            if let Some(found) = self.split() {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now()).filter(|d| !d.is_zero())?;
            self.stream.set_read_timeout(Some(left)).unwrap();
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) | Err(_) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
            }
        }
    }

    fn split(&mut self) -> Option<(u8, Vec<u8>)> {
        let first = *self.buffer.first()?;
        let (mut length, mut at) = (0usize, 1);
        loop {
            let byte = *self.buffer.get(at)?;
            length |= usize::from(byte & 0x7f) << (7 * (at - 1));
            at += 1;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let body = self.buffer.get(at..at + length)?.to_vec();
        self.buffer.drain(..at + length);
        Some((first, body))
    }
}
