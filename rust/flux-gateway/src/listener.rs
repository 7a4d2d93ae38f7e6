//! A listener's settings: which product comes in there, and how its devices are told apart.

use std::sync::Arc;

use flux_types::{Key, Problem, TenantId};
use serde::{Deserialize, Serialize};

use crate::framing::{FramingEntry, FramingSpec};
use crate::limits::{HEADS_MAX, NETWORKS_MAX, WORD_BYTES_MAX};
use crate::network::Network;
use crate::pattern::Pattern;
use crate::settings::Report;

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// Streams.
    Tcp,
    /// Datagrams: each is a frame.
    Udp,
}

/// What happens when a device connects that is connected already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Takeover {
    /// The new connection takes over; the old one is closed.
    #[default]
    New,
    /// The new connection is refused for as long as the old one lives.
    Old,
}

/// A listener as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerEntry {
    /// What people call it; unique.
    pub name: String,
    /// What it speaks.
    pub protocol: Transport,
    /// Address to listen on.
    #[serde(default = "loopback")]
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
    /// Whose devices come in here.
    #[serde(default = "default_tenant")]
    pub tenant: TenantId,
    /// The key of the product of all devices that come in here.
    #[serde(default)]
    pub product: Option<String>,
    /// Products by how the first bytes begin.
    #[serde(default)]
    pub heads: Vec<HeadEntry>,
    /// How devices are told apart.
    pub identify: IdentifyEntry,
    /// How frames are told apart here, whatever the product says.
    #[serde(default)]
    pub framing: Option<FramingEntry>,
    /// How long a new connection may take until its device is known, ms.
    #[serde(default = "registration_timeout_ms")]
    pub registration_timeout_ms: u64,
    /// What happens when a device connects twice.
    #[serde(default)]
    pub takeover: Takeover,
    /// Connections, or sources of datagrams, at the same time.
    #[serde(default = "connections_max")]
    pub connections_max: usize,
    /// Connections at the same time from one address; 0 is no limit.
    #[serde(default)]
    pub connections_per_ip_max: usize,
    /// Frames per second from one source, with a burst of one second; 0 is no limit.
    #[serde(default)]
    pub frames_per_s_max: u32,
}

/// A product by how the first bytes begin, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadEntry {
    /// How they begin.
    pub prefix: Pattern,
    /// The product's key.
    pub product: String,
}

/// By what devices are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The first packet of a connection says who it is.
    Registration,
    /// Each frame says whose it is.
    Field,
    /// The peer's address, which a device has in its tag `address`.
    Address,
}

/// How a word stands in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As UTF-8 text; blanks and NUL around it do not count.
    #[default]
    Text,
    /// As bytes, which as lower-case hexadecimal digits are the word.
    Hex,
}

/// How devices are told apart, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentifyEntry {
    /// By what.
    pub by: By,
    /// What the packet has to begin with; the rest is counted from behind it.
    #[serde(default)]
    pub prefix: Pattern,
    /// Where the device's key begins.
    #[serde(default)]
    pub offset: usize,
    /// How long it is; to the packet's end, or to `separator`, when left out.
    #[serde(default)]
    pub length: Option<usize>,
    /// How it is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// What stands between the device's key and its secret.
    #[serde(default)]
    pub separator: Option<Pattern>,
    /// The packet is JSON, and the device's key stands there: `device.id`.
    #[serde(default)]
    pub path: Option<String>,
    /// The packet is JSON, and the device's secret stands there.
    #[serde(default)]
    pub secret_path: Option<String>,
    /// Where the device's secret begins.
    #[serde(default)]
    pub secret_offset: Option<usize>,
    /// How long it is; to the packet's end when left out.
    #[serde(default)]
    pub secret_length: Option<usize>,
    /// Networks whose peers are believed without a secret.
    #[serde(default)]
    pub allow: Vec<Network>,
    /// What is sent back to a device that was recognised.
    #[serde(default)]
    pub answer: Pattern,
    /// How the registration packet is told from what follows; as the frames when left out.
    #[serde(default)]
    pub framing: Option<FramingEntry>,
}

fn loopback() -> String {
    "127.0.0.1".to_owned()
}

fn default_tenant() -> TenantId {
    TenantId::DEFAULT
}

fn registration_timeout_ms() -> u64 {
    10_000
}

fn connections_max() -> usize {
    10_000
}

/// How devices are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identify {
    /// By what.
    pub by: By,
    /// What the packet has to begin with.
    pub prefix: Pattern,
    /// Where the word stands, behind the prefix.
    pub word: Where,
    /// How it is written.
    pub encoding: Encoding,
    /// Where the secret stands; `None` where there is none.
    pub secret: Option<Where>,
    /// Networks whose peers are believed without a secret.
    pub allow: Vec<Network>,
    /// What is sent back.
    pub answer: Pattern,
    /// How the registration packet is told from what follows.
    pub framing: Option<Arc<FramingSpec>>,
}

/// Where something stands in a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Where {
    /// Bytes from an offset: as many, or to the end.
    Bytes {
        /// The first.
        offset: usize,
        /// How many.
        length: Option<usize>,
    },
    /// Before the first separator behind the offset.
    Before {
        /// The first byte.
        offset: usize,
        /// What ends it.
        separator: Pattern,
    },
    /// Behind that separator.
    Behind {
        /// Where the separator is looked for from.
        offset: usize,
        /// What it follows.
        separator: Pattern,
    },
    /// In JSON, at these names.
    Path(Vec<String>),
}

/// A listener's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSpec {
    /// What people call it.
    pub name: Arc<str>,
    /// Whose devices come in here.
    pub tenant: TenantId,
    /// What it speaks.
    pub transport: Transport,
    /// The product of all devices that come in here.
    pub product: Option<String>,
    /// Products by how the first bytes begin, the longest first.
    pub heads: Vec<HeadEntry>,
    /// How devices are told apart.
    pub identify: Identify,
    /// How frames are told apart here.
    pub framing: Option<Arc<FramingSpec>>,
    /// How long a new connection may take until its device is known, ms.
    pub registration_timeout_ms: u64,
    /// What happens when a device connects twice.
    pub takeover: Takeover,
    /// Connections, or sources, at the same time.
    pub connections_max: usize,
    /// Connections at the same time from one address; 0 is no limit.
    pub connections_per_ip_max: usize,
    /// Frames per second from one source; 0 is no limit.
    pub frames_per_s_max: u32,
}

impl ListenerEntry {
    /// Checks it.
    ///
    /// # Errors
    /// Everything that is wrong, with pointers relative to it.
    pub fn compile(&self) -> Result<ListenerSpec, Vec<Problem>> {
        let mut report = Report::default();
        let proper = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.chars().all(proper) {
            report.wrong("/name", "has 1 to 64 letters, digits, `_` and `-`");
        }
        let timeout = (100, 600_000);
        report.range("/registration_timeout_ms", self.registration_timeout_ms, timeout);
        report.range("/connections_max", self.connections_max as u64, (1, 4_000_000));
        self.products(&mut report);
        let framing = self.framing.as_ref().and_then(|entry| report.framing("/framing", entry));
        let identify = self.identify.compile(&mut report);
        let mut heads = self.heads.clone();
        heads.sort_by_key(|head| std::cmp::Reverse(head.prefix.len()));
        if !report.0.is_empty() {
            return Err(report.0);
        }
        Ok(ListenerSpec {
            name: self.name.as_str().into(),
            tenant: self.tenant,
            transport: self.protocol,
            product: self.product.clone(),
            heads,
            identify,
            framing,
            registration_timeout_ms: self.registration_timeout_ms,
            takeover: self.takeover,
            connections_max: self.connections_max,
            connections_per_ip_max: self.connections_per_ip_max,
            frames_per_s_max: self.frames_per_s_max,
        })
    }

    fn products(&self, report: &mut Report) {
        report.count("/heads", self.heads.len(), HEADS_MAX);
        match (&self.product, self.heads.is_empty()) {
            (Some(_), false) => report.wrong("/heads", "give either `product` or `heads`"),
            (None, true) => report.wrong("/product", "is needed, or `heads`"),
            _ => {}
        }
        let keys = self.product.iter().map(|key| ("/product".to_owned(), key));
        let heads = self.heads.iter().enumerate();
        let of_heads =
            heads.map(|(index, head)| (format!("/heads/{index}/product"), &head.product));
        for (pointer, key) in keys.chain(of_heads) {
            if let Err(error) = Key::new(key) {
                report.wrong(&pointer, error.to_string());
            }
        }
        for (index, head) in self.heads.iter().enumerate() {
            if head.prefix.is_empty() {
                report.wrong(&format!("/heads/{index}/prefix"), "has at least one byte");
            }
            if self.heads.iter().take(index).any(|before| before.prefix == head.prefix) {
                report.wrong(&format!("/heads/{index}/prefix"), "stands twice");
            }
        }
    }
}

impl IdentifyEntry {
    fn compile(&self, report: &mut Report) -> Identify {
        let secret = self.secret();
        report.count("/identify/allow", self.allow.len(), NETWORKS_MAX);
        if self.by != By::Address && secret.is_none() && self.allow.is_empty() {
            let message = "anybody could say to be anybody: have devices give their secret \
                           (`separator`, `secret_offset` or `secret_path`), or name the networks \
                           that are believed";
            report.wrong("/identify/allow", message);
        }
        if self.by == By::Field && secret.is_some() {
            report.wrong("/identify/by", "a field of each frame carries no secret: use `allow`");
        }
        if self.length.is_some_and(|length| length == 0 || length > WORD_BYTES_MAX) {
            report.wrong("/identify/length", format!("give 1 to {WORD_BYTES_MAX}"));
        }
        if self.separator.as_ref().is_some_and(Pattern::is_empty) {
            report.wrong("/identify/separator", "has at least one byte");
        }
        let json = self.path.is_some() || self.secret_path.is_some();
        let bytes = self.length.is_some() || self.secret_offset.is_some() || self.offset > 0;
        if json && (bytes || self.separator.is_some() || self.path.is_none()) {
            report.wrong("/identify/path", "stands with `secret_path` alone, not beside offsets");
        }
        let framing = self.framing.as_ref();
        let framing = framing.and_then(|entry| report.framing("/identify/framing", entry));
        Identify {
            by: self.by,
            prefix: self.prefix.clone(),
            word: self.word(),
            encoding: self.encoding,
            secret,
            allow: self.allow.clone(),
            answer: self.answer.clone(),
            framing,
        }
    }

    fn word(&self) -> Where {
        let offset = self.offset;
        match (&self.path, &self.separator) {
            (Some(path), _) => Where::Path(path.split('.').map(str::to_owned).collect()),
            (None, Some(separator)) if self.length.is_none() => {
                Where::Before { offset, separator: separator.clone() }
            }
            _ => Where::Bytes { offset, length: self.length },
        }
    }

    fn secret(&self) -> Option<Where> {
        if let Some(path) = &self.secret_path {
            return Some(Where::Path(path.split('.').map(str::to_owned).collect()));
        }
        if let Some(offset) = self.secret_offset {
            return Some(Where::Bytes { offset, length: self.secret_length });
        }
        let separator = self.separator.clone()?;
        Some(Where::Behind { offset: self.offset, separator })
    }
}
