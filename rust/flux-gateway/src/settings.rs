//! How a product's devices are spoken with: the `link` object of a product.
//!
//! Owns its shape, its defaults and its limits; everything that is wrong is told at once, with
//! pointers relative to the object.

use std::collections::BTreeSet;
use std::sync::Arc;

use flux_types::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::framing::{FramingEntry, FramingSpec};
use crate::limits::{
    COMMAND_NAME_BYTES_MAX, EVERY_MS_RANGE, GAP_MS_MAX, HEARTBEATS_MAX, IDLE_TIMEOUT_MS_RANGE,
    IN_FLIGHT_RANGE, POLLS_MAX, RETRIES_MAX, TIMEOUT_MS_RANGE,
};
use crate::pattern::Pattern;

/// A product's `link` as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    /// How frames are told apart.
    #[serde(default)]
    pub framing: Option<FramingEntry>,
    /// Packets that only say "still here".
    #[serde(default)]
    pub heartbeats: Vec<HeartbeatEntry>,
    /// Where to connect to, with `{tag}` for what a device's tags say: `tcp://{host}:{port}`.
    #[serde(default)]
    pub connect: Option<String>,
    /// Whether one request at a time is under way on a line, and a frame that answers none is not
    /// taken; where it is left out, so it is where there is a poll plan or `connect`.
    #[serde(default)]
    pub half_duplex: Option<bool>,
    /// Requests under way at once on a line that is not half-duplex.
    #[serde(default = "in_flight_max")]
    pub in_flight_max: usize,
    /// How long an answer may take, ms.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// How often a request is sent again.
    #[serde(default)]
    pub retries: u32,
    /// The pause between an answer and the next request, ms.
    #[serde(default)]
    pub gap_ms: u64,
    /// What is asked of each device, again and again.
    #[serde(default)]
    pub poll: Vec<PollEntry>,
    /// How long a connection may be silent before it is closed, ms.
    #[serde(default = "idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// How long a device without a connection of its own counts as online after it was heard, ms.
    #[serde(default)]
    pub silent_after_ms: Option<u64>,
}

/// A heartbeat as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatEntry {
    /// The packet, byte by byte; recognised between frames, with or without a frame around it.
    #[serde(default)]
    pub exact: Option<Pattern>,
    /// How the frame begins.
    #[serde(default)]
    pub prefix: Option<Pattern>,
    /// What is sent back.
    #[serde(default)]
    pub answer: Option<Pattern>,
}

/// One request of a poll plan as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollEntry {
    /// What people call it; unique in the plan.
    pub name: String,
    /// The command, in the words of the product's protocol.
    pub command: String,
    /// Its parameters.
    #[serde(default)]
    pub params: Map<String, Value>,
    /// How often, ms.
    pub every_ms: u64,
    /// How long an answer may take, ms; the link's when left out.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// How often it is sent again; the link's when left out.
    #[serde(default)]
    pub retries: Option<u32>,
}

fn in_flight_max() -> usize {
    4
}

fn timeout_ms() -> u64 {
    1_000
}

fn idle_timeout_ms() -> u64 {
    600_000
}

/// How a product's devices are spoken with.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkSpec {
    /// How frames are told apart; the listener's where there is none.
    pub framing: Option<Arc<FramingSpec>>,
    /// Packets that only say "still here".
    pub heartbeats: Vec<Heartbeat>,
    /// Where to connect to.
    pub connect: Option<ConnectTemplate>,
    /// Requests under way at once on a line: 1 where it is half-duplex.
    pub in_flight_max: usize,
    /// Whether one request at a time is under way, and every frame answers it or nobody.
    pub half_duplex: bool,
    /// How long an answer to a command may take, ms.
    pub timeout_ms: u64,
    /// How often a command is sent again.
    pub retries: u32,
    /// The pause between an answer and the next request, ms.
    pub gap_ms: u64,
    /// The poll plan.
    pub polls: Vec<Arc<PollSpec>>,
    /// How long a connection may be silent, ms.
    pub idle_timeout_ms: u64,
    /// How long a device without a connection counts as online after it was heard, ms.
    pub silent_after_ms: Option<u64>,
}

/// A packet that only says "still here".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its bytes, or how it begins.
    pub pattern: Pattern,
    /// Whether the pattern is all of it.
    pub exact: bool,
    /// What is sent back; may be nothing.
    pub answer: Pattern,
}

/// One request of a poll plan.
#[derive(Debug, Clone, PartialEq)]
pub struct PollSpec {
    /// What people call it.
    pub name: Arc<str>,
    /// `{"command", "params"}`.
    pub command: Value,
    /// How often, ms.
    pub every_ms: u64,
    /// How long an answer may take, ms.
    pub timeout_ms: u64,
    /// How often it is sent again.
    pub retries: u32,
}

impl LinkSpec {
    /// Reads and checks a product's `link`.
    ///
    /// # Errors
    /// Everything that is wrong, with pointers relative to it.
    pub fn from_json(json: &Value) -> Result<Self, Vec<Problem>> {
        let entry: LinkEntry = serde_path_to_error::deserialize(json).map_err(|error| {
            let pointer = pointer_of(error.path());
            vec![Problem::new("link.malformed", error.inner().to_string()).at(pointer)]
        })?;
        entry.compile()
    }
}

/// RFC 6901: each segment after `/`, with `~` and `/` escaped.
pub(crate) fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

impl LinkEntry {
    /// Checks it.
    ///
    /// # Errors
    /// Everything that is wrong, with pointers relative to it.
    pub fn compile(&self) -> Result<LinkSpec, Vec<Problem>> {
        let mut report = Report::default();
        let framing = self.framing.as_ref().and_then(|entry| report.framing("/framing", entry));
        let connect = self.connect.as_deref().and_then(|text| {
            ConnectTemplate::parse(text).map_err(|why| report.wrong("/connect", why)).ok()
        });
        if self.connect.is_some() && self.framing.is_none() {
            report.wrong("/framing", "is needed where we connect: no listener has one for it");
        }
        report.range("/in_flight_max", self.in_flight_max as u64, IN_FLIGHT_RANGE);
        report.range("/timeout_ms", self.timeout_ms, TIMEOUT_MS_RANGE);
        report.range("/retries", u64::from(self.retries), (0, RETRIES_MAX));
        report.range("/gap_ms", self.gap_ms, (0, GAP_MS_MAX));
        report.range("/idle_timeout_ms", self.idle_timeout_ms, IDLE_TIMEOUT_MS_RANGE);
        if let Some(silent_after_ms) = self.silent_after_ms {
            report.range("/silent_after_ms", silent_after_ms, IDLE_TIMEOUT_MS_RANGE);
        }
        let heartbeats = self.heartbeats(&mut report);
        let polls = self.polls(&mut report);
        if !report.0.is_empty() {
            return Err(report.0);
        }
        let asked = !self.poll.is_empty() || self.connect.is_some();
        let half_duplex = self.half_duplex.unwrap_or(asked);
        Ok(LinkSpec {
            framing,
            heartbeats,
            connect,
            in_flight_max: if half_duplex { 1 } else { self.in_flight_max },
            half_duplex,
            timeout_ms: self.timeout_ms,
            retries: self.retries,
            gap_ms: self.gap_ms,
            polls,
            idle_timeout_ms: self.idle_timeout_ms,
            silent_after_ms: self.silent_after_ms,
        })
    }

    fn heartbeats(&self, report: &mut Report) -> Vec<Heartbeat> {
        report.count("/heartbeats", self.heartbeats.len(), HEARTBEATS_MAX);
        let mut all = Vec::new();
        for (index, entry) in self.heartbeats.iter().enumerate() {
            let pointer = format!("/heartbeats/{index}");
            let (pattern, exact) = match (&entry.exact, &entry.prefix) {
                (Some(exact), None) => (exact, true),
                (None, Some(prefix)) => (prefix, false),
                _ => {
                    report.wrong(&pointer, "give either `exact` or `prefix`");
                    continue;
                }
            };
            if pattern.is_empty() {
                report.wrong(&pointer, "a heartbeat has at least one byte");
            }
            let answer = entry.answer.clone().unwrap_or_default();
            all.push(Heartbeat { pattern: pattern.clone(), exact, answer });
        }
        all
    }

    fn polls(&self, report: &mut Report) -> Vec<Arc<PollSpec>> {
        report.count("/poll", self.poll.len(), POLLS_MAX);
        let mut names = BTreeSet::new();
        let mut all = Vec::new();
        for (index, entry) in self.poll.iter().enumerate() {
            let at = |field: &str| format!("/poll/{index}/{field}");
            for (field, text) in [("name", &entry.name), ("command", &entry.command)] {
                if text.is_empty() || text.len() > COMMAND_NAME_BYTES_MAX {
                    report.wrong(&at(field), format!("has 1 to {COMMAND_NAME_BYTES_MAX} bytes"));
                }
            }
            if !names.insert(entry.name.as_str()) {
                report.wrong(&at("name"), format!("`{}` stands twice", entry.name));
            }
            let timeout_ms = entry.timeout_ms.unwrap_or(self.timeout_ms);
            let retries = entry.retries.unwrap_or(self.retries);
            report.range(&at("every_ms"), entry.every_ms, EVERY_MS_RANGE);
            report.range(&at("timeout_ms"), timeout_ms, TIMEOUT_MS_RANGE);
            report.range(&at("retries"), u64::from(retries), (0, RETRIES_MAX));
            all.push(Arc::new(PollSpec {
                name: entry.name.as_str().into(),
                command: serde_json::json!({"command": entry.command, "params": entry.params}),
                every_ms: entry.every_ms,
                timeout_ms,
                retries,
            }));
        }
        all
    }
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub(crate) struct Report(pub(crate) Vec<Problem>);

impl Report {
    pub(crate) fn wrong(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(Problem::new("link.invalid", message).at(pointer));
    }

    pub(crate) fn range(&mut self, pointer: &str, given: u64, (least, most): (u64, u64)) {
        if given < least || given > most {
            self.wrong(pointer, format!("{given} is out of range: give {least} to {most}"));
        }
    }

    pub(crate) fn count(&mut self, pointer: &str, given: usize, most: usize) {
        if given > most {
            self.wrong(pointer, format!("{given} are more than {most}"));
        }
    }

    pub(crate) fn framing(
        &mut self,
        pointer: &str,
        entry: &FramingEntry,
    ) -> Option<Arc<FramingSpec>> {
        match entry.compile() {
            Ok(spec) => Some(Arc::new(spec)),
            Err(problems) => {
                let placed = problems.into_iter().map(|problem| {
                    let at = format!("{pointer}{}", problem.pointer);
                    problem.at(at)
                });
                self.0.extend(placed);
                None
            }
        }
    }
}

/// Where to connect to, with places for a device's tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectTemplate {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Tag(String),
}

/// The scheme of a TCP connection.
const TCP: &str = "tcp://";

impl ConnectTemplate {
    /// Reads `tcp://host:port`, where `{name}` stands for a tag.
    ///
    /// # Errors
    /// What is wrong, as a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let example = "write it like tcp://{host}:{port} or tcp://10.0.0.5:502";
        let rest = text.strip_prefix(TCP).ok_or(example)?;
        let mut parts = Vec::new();
        let mut left = rest;
        while let Some((before, after)) = left.split_once('{') {
            let (name, behind) = after.split_once('}').ok_or("a `{` is not closed")?;
            let proper = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(proper) {
                return Err(format!("`{{{name}}}` names no tag"));
            }
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Tag(name.to_owned()));
            left = behind;
        }
        if !left.is_empty() {
            parts.push(Part::Text(left.to_owned()));
        }
        let plain = rest.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != '/');
        if parts.is_empty() || !plain {
            return Err(example.to_owned());
        }
        if parts.iter().all(|part| matches!(part, Part::Text(_))) {
            split_host(rest)?;
        }
        Ok(Self { parts })
    }

    /// The host and port for one device.
    ///
    /// # Errors
    /// Which tag is missing, or why what comes out is no address.
    pub fn render<'t>(
        &self,
        tag: impl Fn(&str) -> Option<&'t str>,
    ) -> Result<(String, u16), String> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Tag(name) => {
                    text.push_str(tag(name).ok_or(format!("the device has no tag `{name}`"))?);
                }
            }
        }
        split_host(&text)
    }
}

/// Host and port of `host:port` or `[v6]:port`.
fn split_host(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("`{text}` is no host and port, like 10.0.0.5:502");
    let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let proper = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
    let host = match bare {
        Some(host) => host,
        None if host.contains(':') => return Err(wrong()),
        None => host,
    };
    if host.is_empty() || host.len() > 253 || !host.chars().all(proper) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_link_has_defaults_for_all_but_what_it_is_about() {
        let link = LinkSpec::from_json(&json!({
            "framing": {"type": "length", "offset": 4, "width": 2},
            "connect": "tcp://{host}:{port}",
            "poll": [{"name": "meters", "command": "read_holding", "params": {"address": 0},
                      "every_ms": 1000}],
        }))
        .unwrap();
        assert!(link.half_duplex && link.in_flight_max == 1);
        assert_eq!((link.polls[0].timeout_ms, link.polls[0].retries), (1_000, 0));
        assert_eq!(link.polls[0].command["params"], json!({"address": 0}));
    }

    #[test]
    fn everything_that_is_wrong_is_told_with_its_place() {
        let problems = LinkSpec::from_json(&json!({
            "framing": {"type": "fixed", "length": 0},
            "heartbeats": [{"exact": "a", "prefix": "b"}, {"exact": ""}],
            "connect": "udp://x",
            "timeout_ms": 0,
            "poll": [{"name": "a", "command": "c", "every_ms": 1},
                     {"name": "a", "command": "", "every_ms": 1000, "retries": 99}],
        }))
        .unwrap_err();
        let mut pointers: Vec<&str> = problems.iter().map(|p| p.pointer.as_str()).collect();
        pointers.sort_unstable();
        let expected = [
            "/connect",
            "/framing/length",
            "/heartbeats/0",
            "/heartbeats/1",
            "/poll/0/every_ms",
            "/poll/0/timeout_ms",
            "/poll/1/command",
            "/poll/1/name",
            "/poll/1/retries",
            "/poll/1/timeout_ms",
            "/timeout_ms",
        ];
        assert_eq!(pointers, expected);
        let unknown = LinkSpec::from_json(&json!({"framin": {}})).unwrap_err();
        assert!(unknown[0].message.contains("framin"));
        let inner = LinkSpec::from_json(&json!({"poll": [{"name": 5}]})).unwrap_err();
        assert_eq!(inner[0].pointer, "/poll/0/name");
    }

    #[test]
    fn an_address_is_made_of_tags() {
        let template = ConnectTemplate::parse("tcp://{host}:{port}").unwrap();
        let tags = |name: &str| match name {
            "host" => Some("10.0.0.5"),
            "port" => Some("502"),
            _ => None,
        };
        assert_eq!(template.render(tags), Ok(("10.0.0.5".to_owned(), 502)));
        assert!(template.render(|_| None).unwrap_err().contains("no tag `host`"));
        assert!(template.render(|_| Some("x y")).is_err());
        let v6 = ConnectTemplate::parse("tcp://[{host}]:502").unwrap();
        assert_eq!(v6.render(|_| Some("fd00::5")), Ok(("fd00::5".to_owned(), 502)));
        for wrong in
            ["", "tcp://", "http://a:1", "tcp://a", "tcp://a:0", "tcp://{:1", "tcp://a/b:1"]
        {
            assert!(ConnectTemplate::parse(wrong).is_err(), "{wrong}");
        }
    }
}
