//! Who a packet is from: the word in it, and whether that word is believed.

use std::net::IpAddr;

use bytes::Bytes;
use flux_types::TenantId;
use memchr::memmem;

use crate::limits::WORD_BYTES_MAX;
use crate::listener::{Encoding, Identify, Where};
use crate::pattern::to_hex;
use crate::ports::{Directory, LinkDevice};

/// Why a packet is nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Stranger {
    /// No word stands where it should.
    #[error("the packet names no device")]
    NoWord,
    /// No device has that key.
    #[error("no device has the key that was given")]
    Unknown,
    /// The secret is not the device's, and the network is not believed.
    #[error("the device's secret is wrong, and its network is not on the list")]
    NotEntitled,
}

impl Stranger {
    /// A word for metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoWord => "no_word",
            Self::Unknown => "unknown_device",
            Self::NotEntitled => "not_entitled",
        }
    }
}

impl Identify {
    /// The device a packet is from.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn device(
        &self,
        packet: &[u8],
        tenant: TenantId,
        peer: IpAddr,
        directory: &dyn Directory,
    ) -> Result<LinkDevice, Stranger> {
        let rest = packet.strip_prefix(self.prefix.as_bytes()).ok_or(Stranger::NoWord)?;
        let word = self.word.find(rest).and_then(|bytes| self.read(&bytes));
        let word = word.ok_or(Stranger::NoWord)?;
        let device = directory.by_key(tenant, &word).ok_or(Stranger::Unknown)?;
        let secret = self.secret.as_ref().and_then(|place| place.find(rest));
        let proven =
            secret.is_some_and(|secret| directory.accepts_secret(device.id, trimmed(&secret)));
        if proven || self.allow.iter().any(|network| network.contains(peer)) {
            Ok(device)
        } else {
            Err(Stranger::NotEntitled)
        }
    }

    fn read(&self, bytes: &[u8]) -> Option<String> {
        let word = match self.encoding {
            Encoding::Text => std::str::from_utf8(trimmed(bytes)).ok()?.to_owned(),
            Encoding::Hex => to_hex(bytes),
        };
        (!word.is_empty() && word.len() <= WORD_BYTES_MAX).then_some(word)
    }
}

/// Without blanks, line ends and NUL around it: fields of fixed width are filled up with them.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let filler = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0;
    let start = bytes.iter().position(|byte| !filler(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !filler(byte)).map_or(start, |last| last + 1);
    bytes.get(start..end).unwrap_or_default()
}

impl Where {
    fn find(&self, packet: &[u8]) -> Option<Bytes> {
        let part = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
        match self {
            Self::Bytes { offset, length } => {
                let rest = packet.get(*offset..)?;
                match length {
                    Some(length) => rest.get(..*length).map(part),
                    None => Some(part(rest)),
                }
            }
            Self::Before { offset, separator } => {
                let rest = packet.get(*offset..)?;
                let end = memmem::find(rest, separator.as_bytes()).unwrap_or(rest.len());
                rest.get(..end).map(part)
            }
            Self::Behind { offset, separator } => {
                let rest = packet.get(*offset..)?;
                let at = memmem::find(rest, separator.as_bytes())?;
                rest.get(at + separator.len()..).map(part)
            }
            Self::Path(names) => {
                let json: serde_json::Value = serde_json::from_slice(packet).ok()?;
                let found = names.iter().try_fold(&json, |value, name| value.get(name))?;
                match found {
                    serde_json::Value::String(text) => Some(part(text.as_bytes())),
                    serde_json::Value::Number(number) => Some(part(number.to_string().as_bytes())),
                    _ => None,
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use flux_types::{DeviceId, Key, ProductId};
    use serde_json::json;

    use super::*;
    use crate::listener::{ListenerEntry, ListenerSpec};
    use crate::ports::LinkProduct;
    use crate::settings::LinkSpec;

    /// Devices `dtu-1`, `dtu-2` and `0102ff` of the product `dtu`, each with its key reversed as
    /// its secret; `dtu-1` has the address 127.0.0.9.
    pub(crate) struct Site {
        product: LinkProduct,
        devices: Vec<LinkDevice>,
    }

    impl Site {
        pub(crate) fn new(link: serde_json::Value) -> Self {
            let link = Arc::new(LinkSpec::from_json(&link).unwrap());
            let product = LinkProduct { id: ProductId::random(), link };
            let device = |key: &str| LinkDevice {
                id: DeviceId::random(),
                key: Key::new(key).unwrap(),
                product: product.id,
            };
            let devices = ["dtu-1", "dtu-2", "0102ff"].map(device).to_vec();
            Self { product, devices }
        }

        pub(crate) fn device(&self, key: &str) -> LinkDevice {
            self.by_key(TenantId::DEFAULT, key).unwrap()
        }
    }

    impl Directory for Site {
        fn product(&self, _: TenantId, key: &str) -> Option<LinkProduct> {
            (key == "dtu").then(|| self.product.clone())
        }
        fn product_of(&self, product: ProductId) -> Option<LinkProduct> {
            (product == self.product.id).then(|| self.product.clone())
        }
        fn device(&self, id: DeviceId) -> Option<LinkDevice> {
            self.devices.iter().find(|device| device.id == id).cloned()
        }
        fn by_key(&self, _: TenantId, key: &str) -> Option<LinkDevice> {
            self.devices.iter().find(|device| device.key.as_str() == key).cloned()
        }
        fn by_address(&self, _: TenantId, peer: SocketAddr) -> Option<LinkDevice> {
            (peer.ip().to_string() == "127.0.0.9").then(|| self.device("dtu-1"))
        }
        fn accepts_secret(&self, device: DeviceId, secret: &[u8]) -> bool {
            let key = self.devices.iter().find(|known| known.id == device).unwrap().key.to_string();
            secret.iter().rev().eq(key.as_bytes())
        }
    }

    pub(crate) fn listener(identify: serde_json::Value) -> ListenerSpec {
        let entry: ListenerEntry = serde_json::from_value(json!({
            "name": "test", "protocol": "tcp", "port": 0, "product": "dtu", "identify": identify,
        }))
        .unwrap();
        entry.compile().unwrap()
    }

    fn device(identify: serde_json::Value, packet: &[u8]) -> Result<String, Stranger> {
        let site = Site::new(json!({}));
        let peer = "10.1.2.3".parse().unwrap();
        let identify = listener(identify).identify;
        let found = identify.device(packet, TenantId::DEFAULT, peer, &site);
        found.map(|device| device.key.to_string())
    }

    #[test]
    fn the_word_is_found_where_it_stands() {
        let allow = json!(["10.0.0.0/8"]);
        let whole = json!({"by": "registration", "allow": allow});
        assert_eq!(device(whole.clone(), b"dtu-1"), Ok("dtu-1".to_owned()));
        assert_eq!(device(whole.clone(), b" dtu-1\r\n\0"), Ok("dtu-1".to_owned()));
        assert_eq!(device(whole.clone(), b"dtu-9"), Err(Stranger::Unknown));
        assert_eq!(device(whole.clone(), b""), Err(Stranger::NoWord));
        assert_eq!(device(whole, b"\xff\xfe"), Err(Stranger::NoWord));
        let hex = json!({"by": "registration", "encoding": "hex", "offset": 1, "length": 3,
                         "prefix": "hex:7e", "allow": allow});
        assert_eq!(device(hex.clone(), b"\x7e\x00\x01\x02\xff\x99"), Ok("0102ff".to_owned()));
        assert_eq!(device(hex.clone(), b"\x7d\x00\x01\x02\xff"), Err(Stranger::NoWord));
        assert_eq!(device(hex, b"\x7e\x00\x01"), Err(Stranger::NoWord));
        let path = json!({"by": "registration", "path": "a.id", "allow": allow});
        assert_eq!(device(path.clone(), br#"{"a": {"id": "dtu-2"}}"#), Ok("dtu-2".to_owned()));
        assert_eq!(device(path, b"{"), Err(Stranger::NoWord));
    }

    #[test]
    fn somebody_else_s_name_needs_their_secret() {
        let separated = json!({"by": "registration", "separator": ","});
        assert_eq!(device(separated.clone(), b"dtu-1,1-utd\r\n"), Ok("dtu-1".to_owned()));
        assert_eq!(device(separated.clone(), b"dtu-1,2-utd"), Err(Stranger::NotEntitled));
        assert_eq!(device(separated, b"dtu-1"), Err(Stranger::NotEntitled));
        let path = json!({"by": "registration", "path": "id", "secret_path": "key"});
        let packet = br#"{"id": "dtu-1", "key": "1-utd"}"#;
        assert_eq!(device(path.clone(), packet), Ok("dtu-1".to_owned()));
        assert_eq!(device(path, br#"{"id": "dtu-1"}"#), Err(Stranger::NotEntitled));
        let placed = json!({"by": "registration", "length": 5, "secret_offset": 5});
        assert_eq!(device(placed, b"dtu-21utd"), Err(Stranger::NotEntitled));
        let networks = json!({"by": "registration", "allow": ["192.168.0.0/16"]});
        assert_eq!(device(networks, b"dtu-1"), Err(Stranger::NotEntitled));
    }

    #[test]
    fn a_listener_that_believes_anybody_is_refused() {
        let entry: ListenerEntry = serde_json::from_value(json!({
            "name": "no space", "protocol": "udp", "port": 0,
            "heads": [{"prefix": "", "product": "a/b"}], "product": "dtu",
            "identify": {"by": "registration", "length": 0, "path": "x"},
        }))
        .unwrap_or_else(|_| panic!("it is well-formed"));
        let problems = entry.compile().unwrap_err();
        let pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        for pointer in [
            "/name",
            "/heads",
            "/heads/0/product",
            "/heads/0/prefix",
            "/identify/allow",
            "/identify/length",
            "/identify/path",
        ] {
            assert!(pointers.contains(&pointer), "{pointer} in {pointers:?}");
        }
    }
}
