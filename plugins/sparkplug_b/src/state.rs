//! What is remembered of edge nodes between calls, in the source's state that the host keeps.
//!
//! Owns its layout: for each edge node the numbers that count its messages, for each of its devices
//! a table of what its birth defined. Names share their beginnings with the one before, because
//! metrics stand in folders. Must never grow beyond [`STATE_BYTES_MAX`], trust the bytes it reads,
//! or hold anything that is not in them.
//!
//! ```text
//! state:  u8 version, nodes
//! node:   u8 flags (1 bdSeq known, 2 seq known), varint bdSeq, u8 seq, varint asked_ms,
//!         group, edge, varint count, scopes
//! scope:  u8 flags (1 names are needed, 2 some quality is bad), device, varint bytes, metrics
//! metric: u8 datatype | 0x40 bad quality | 0x80 has an alias, [varint alias],
//!         u8 shared, u8 rest, rest of the name
//! text:   u8 bytes, UTF-8
//! ```

use std::borrow::Cow;

use flux_plugin_sdk::warn;

use crate::wire::put_varint;

/// Bytes the host keeps for a source.
pub(crate) const STATE_BYTES_MAX: usize = 64 * 1024;
/// Bytes of a metric's name; a value's name has no more.
pub(crate) const NAME_BYTES_MAX: usize = 255;
/// Edge nodes that are remembered without a birth, so that they are not asked for it at every
/// message.
const UNBORN_MAX: usize = 16;

const VERSION: u8 = 1;
const BD_SEQ_KNOWN: u8 = 1;
const SEQ_KNOWN: u8 = 2;
const NAMES_NEEDED: u8 = 1;
const ANY_BAD: u8 = 2;
const DATATYPE: u8 = 0x3f;
const BAD: u8 = 0x40;
const ALIASED: u8 = 0x80;

/// The edge nodes of a source: mostly one.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct State<'s> {
    pub(crate) nodes: Vec<Node<'s>>,
}

/// An edge node.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Node<'s> {
    group: Cow<'s, str>,
    edge: Cow<'s, str>,
    pub(crate) bd_seq: Option<u64>,
    /// Of the last message.
    pub(crate) seq: Option<u8>,
    /// When it was asked for its births; 0: never.
    pub(crate) asked_ms: u64,
    pub(crate) scopes: Vec<Scope<'s>>,
}

/// A device of an edge node, or the node itself: what its birth defined.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Scope<'s> {
    /// Empty: the edge node itself.
    pub(crate) device: Cow<'s, str>,
    /// Its table had no room: data have to name their metrics.
    pub(crate) names_needed: bool,
    /// Whether a metric's last known quality is other than good.
    pub(crate) any_bad: bool,
    table: Cow<'s, [u8]>,
}

/// What a birth defined of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metric {
    pub(crate) datatype: u8,
    pub(crate) alias: Option<u64>,
    pub(crate) bad: bool,
    /// Where it stands in the table.
    place: usize,
}

struct Cursor<'s> {
    bytes: &'s [u8],
}

/// Not one of ours. There is nothing to say about where: nobody can mend it.
struct Broken;

impl<'s> Cursor<'s> {
    fn take(&mut self, len: usize) -> Result<&'s [u8], Broken> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(Broken)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn u8(&mut self) -> Result<u8, Broken> {
        self.take(1).map(|taken| taken[0])
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0;
        for place in 0..10 {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    fn text(&mut self) -> Result<Cow<'s, str>, Broken> {
        let len = self.u8()?;
        let bytes = self.take(len.into())?;
        std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| Broken)
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // ids and names are bounded by 255 before they come here
    out.push(text.len().min(255) as u8);
    out.extend_from_slice(&text.as_bytes()[..text.len().min(255)]);
}

impl<'s> State<'s> {
    /// What an earlier call left. What cannot be read is as good as none: the births that follow
    /// make up for it.
    pub(crate) fn read(bytes: &'s [u8]) -> Self {
        if bytes.is_empty() {
            return Self::default();
        }
        Self::try_read(bytes).unwrap_or_else(|Broken| {
            warn!("the state of {} bytes is not readable, and is begun anew", bytes.len());
            Self::default()
        })
    }

    fn try_read(bytes: &'s [u8]) -> Result<Self, Broken> {
        let mut cursor = Cursor { bytes };
        if cursor.u8()? != VERSION {
            return Err(Broken);
        }
        let mut nodes = Vec::new();
        while !cursor.bytes.is_empty() {
            nodes.push(Node::read(&mut cursor)?);
        }
        Ok(Self { nodes })
    }

    /// Its bytes; none where nothing is remembered.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if !self.nodes.is_empty() {
            out.reserve(self.nodes.iter().map(Node::size).sum());
            out.push(VERSION);
            self.nodes.iter().for_each(|node| node.write(&mut out));
        }
        out
    }

    /// An edge node.
    pub(crate) fn node(&self, group: &str, edge: &str) -> Option<&Node<'s>> {
        self.nodes.iter().find(|node| node.is(group, edge))
    }

    /// The place of an edge node, which is made if there is none.
    pub(crate) fn place(&mut self, group: &str, edge: &str) -> usize {
        if let Some(place) = self.nodes.iter().position(|node| node.is(group, edge)) {
            return place;
        }
        let unborn = |node: &Node<'_>| node.scopes.is_empty();
        if self.nodes.iter().filter(|node| unborn(node)).count() >= UNBORN_MAX {
            if let Some(oldest) = self.nodes.iter().position(unborn) {
                self.nodes.remove(oldest);
            }
        }
        let (group, edge) = (group.to_owned().into(), edge.to_owned().into());
        self.nodes.push(Node { group, edge, ..Node::default() });
        self.nodes.len() - 1
    }

    /// Forgets edge nodes that have no birth, where there is no room for them.
    pub(crate) fn forget_unborn(&mut self) {
        self.nodes.retain(|node| !node.scopes.is_empty());
    }

    /// Forgets an edge node, and gives what was remembered.
    pub(crate) fn remove(&mut self, group: &str, edge: &str) -> Option<Node<'s>> {
        let place = self.nodes.iter().position(|node| node.is(group, edge))?;
        Some(self.nodes.remove(place))
    }
}

impl<'s> Node<'s> {
    fn is(&self, group: &str, edge: &str) -> bool {
        self.group == group && self.edge == edge
    }

    /// Its group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Its name in the group.
    pub(crate) fn edge(&self) -> &str {
        &self.edge
    }

    fn read(cursor: &mut Cursor<'s>) -> Result<Self, Broken> {
        let flags = cursor.u8()?;
        let (bd_seq, seq, asked_ms) = (cursor.varint()?, cursor.u8()?, cursor.varint()?);
        let mut node = Self {
            bd_seq: (flags & BD_SEQ_KNOWN != 0).then_some(bd_seq),
            seq: (flags & SEQ_KNOWN != 0).then_some(seq),
            asked_ms,
            group: cursor.text()?,
            edge: cursor.text()?,
            scopes: Vec::new(),
        };
        for _ in 0..cursor.varint()? {
            node.scopes.push(Scope::read(cursor)?);
        }
        Ok(node)
    }

    fn write(&self, out: &mut Vec<u8>) {
        let known = |known: bool, flag| if known { flag } else { 0 };
        out.push(known(self.bd_seq.is_some(), BD_SEQ_KNOWN) | known(self.seq.is_some(), SEQ_KNOWN));
        put_varint(out, self.bd_seq.unwrap_or(0));
        out.push(self.seq.unwrap_or(0));
        put_varint(out, self.asked_ms);
        put_text(out, &self.group);
        put_text(out, &self.edge);
        put_varint(out, self.scopes.len() as u64);
        self.scopes.iter().for_each(|scope| scope.write(out));
    }

    fn size(&self) -> usize {
        let scopes = self.scopes.iter().map(|s| s.table.len() + s.device.len() + 6);
        64 + self.group.len() + self.edge.len() + scopes.sum::<usize>()
    }

    /// A device of it, or itself.
    pub(crate) fn scope(&self, device: &str) -> Option<&Scope<'s>> {
        self.scopes.iter().find(|scope| scope.device == device)
    }

    /// The same, to be changed.
    pub(crate) fn scope_mut(&mut self, device: &str) -> Option<&mut Scope<'s>> {
        self.scopes.iter_mut().find(|scope| scope.device == device)
    }

    /// Takes a birth in place of the one before.
    pub(crate) fn set_scope(&mut self, scope: Scope<'s>) {
        match self.scopes.iter_mut().find(|known| known.device == scope.device) {
            Some(known) => *known = scope,
            None => self.scopes.push(scope),
        }
    }

    /// Forgets a device, and gives what was remembered.
    pub(crate) fn remove_scope(&mut self, device: &str) -> Option<Scope<'s>> {
        let place = self.scopes.iter().position(|scope| scope.device == device)?;
        Some(self.scopes.remove(place))
    }
}

impl<'s> Scope<'s> {
    /// Of this device, with what its birth defines.
    pub(crate) fn new(device: &str, table: Table) -> Self {
        let device = device.to_owned().into();
        let (any_bad, table) = (table.any_bad, table.bytes.into());
        Self { device, any_bad, table, ..Self::default() }
    }

    /// Of this device, whose table has no room.
    pub(crate) fn without_table(device: &str) -> Self {
        Self { device: device.to_owned().into(), names_needed: true, ..Self::default() }
    }

    /// Bytes of its table.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table.len()
    }

    fn read(cursor: &mut Cursor<'s>) -> Result<Self, Broken> {
        let flags = cursor.u8()?;
        let device = cursor.text()?;
        let len = usize::try_from(cursor.varint()?).map_err(|_| Broken)?;
        Ok(Self {
            device,
            names_needed: flags & NAMES_NEEDED != 0,
            any_bad: flags & ANY_BAD != 0,
            table: cursor.take(len)?.into(),
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.names_needed { NAMES_NEEDED } else { 0 };
        out.push(flags | if self.any_bad { ANY_BAD } else { 0 });
        put_text(out, &self.device);
        put_varint(out, self.table.len() as u64);
        out.extend_from_slice(&self.table);
    }

    /// Calls `found` with every metric and the bytes of its name, until it says that this is
    /// enough. One pass, whatever is looked for.
    pub(crate) fn each(&self, mut found: impl FnMut(Metric, &[u8]) -> bool) {
        let mut name = Vec::with_capacity(NAME_BYTES_MAX);
        let mut cursor = Cursor { bytes: &self.table };
        while !cursor.bytes.is_empty() {
            let place = self.table.len() - cursor.bytes.len();
            let Ok(metric) = read_metric(&mut cursor, place, &mut name) else { break };
            if !found(metric, &name) {
                break;
            }
        }
    }

    /// Remembers whether a metric's quality is bad.
    pub(crate) fn set_bad(&mut self, metric: Metric, bad: bool) {
        if metric.bad == bad {
            return;
        }
        if let Some(byte) = self.table.to_mut().get_mut(metric.place) {
            *byte = (*byte & !BAD) | if bad { BAD } else { 0 };
        }
        self.any_bad |= bad;
    }
}

fn read_metric(
    cursor: &mut Cursor<'_>,
    place: usize,
    name: &mut Vec<u8>,
) -> Result<Metric, Broken> {
    let kind = cursor.u8()?;
    let alias = if kind & ALIASED == 0 { None } else { Some(cursor.varint()?) };
    let (shared, rest) = (cursor.u8()?, cursor.u8()?);
    if usize::from(shared) > name.len() {
        return Err(Broken);
    }
    name.truncate(shared.into());
    name.extend_from_slice(cursor.take(rest.into())?);
    Ok(Metric { datatype: kind & DATATYPE, alias, bad: kind & BAD != 0, place })
}

/// What a birth defines, being put together.
#[derive(Debug, Default)]
pub(crate) struct Table {
    bytes: Vec<u8>,
    before: String,
    any_bad: bool,
}

impl Table {
    /// Adds a metric. Its name has at most [`NAME_BYTES_MAX`] bytes.
    pub(crate) fn push(&mut self, name: &str, alias: Option<u64>, datatype: u8, bad: bool) {
        let pairs = self.before.bytes().zip(name.bytes());
        let shared = pairs.take_while(|(a, b)| a == b).count();
        let rest = &name.as_bytes()[shared..];
        let (Ok(shared), Ok(len)) = (u8::try_from(shared), u8::try_from(rest.len())) else {
            return;
        };
        let flags = if alias.is_some() { ALIASED } else { 0 } | if bad { BAD } else { 0 };
        self.bytes.push(datatype & DATATYPE | flags);
        self.any_bad |= bad;
        if let Some(alias) = alias {
            put_varint(&mut self.bytes, alias);
        }
        self.bytes.extend_from_slice(&[shared, len]);
        self.bytes.extend_from_slice(rest);
        name.clone_into(&mut self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(scope: &Scope<'_>) -> Vec<(String, Option<u64>, u8, bool)> {
        let mut found = Vec::new();
        scope.each(|metric, name| {
            let name = String::from_utf8(name.to_vec()).unwrap();
            found.push((name, metric.alias, metric.datatype, metric.bad));
            true
        });
        found
    }

    fn sample() -> State<'static> {
        let mut table = Table::default();
        table.push("Outputs/LEDs/Green", Some(1), 11, false);
        table.push("Outputs/LEDs/Yellow", Some(300), 11, false);
        table.push("Température", None, 10, false);
        table.push("Tempêratures", Some(u64::MAX), 34, false);
        let mut state = State::default();
        let place = state.place("group", "edge");
        let node = &mut state.nodes[place];
        (node.bd_seq, node.seq, node.asked_ms) = (Some(7), Some(255), 1_700_000_000_000);
        node.set_scope(Scope::new("", table));
        node.set_scope(Scope::without_table("large"));
        state.place("group", "other");
        state
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let state = sample();
        let bytes = state.write();
        let read = State::read(&bytes);
        assert_eq!(read, state);
        let scope = read.node("group", "edge").and_then(|node| node.scope("")).unwrap();
        assert_eq!(
            metrics(scope),
            [
                ("Outputs/LEDs/Green".to_owned(), Some(1), 11, false),
                ("Outputs/LEDs/Yellow".to_owned(), Some(300), 11, false),
                ("Température".to_owned(), None, 10, false),
                ("Tempêratures".to_owned(), Some(u64::MAX), 34, false),
            ]
        );
    }

    #[test]
    fn shared_beginnings_of_names_are_kept_once() {
        let mut table = Table::default();
        for index in 0..1000 {
            table.push(
                &format!("Line 1/Cell 3/Robot 7/Axis {index:04}/Torque"),
                Some(index),
                10,
                false,
            );
        }
        assert!(table.bytes.len() < 17 * 1000, "{} bytes", table.bytes.len());
    }

    #[test]
    fn quality_is_remembered_in_place() {
        let mut state = sample();
        let scope = state.nodes[0].scope_mut("").unwrap();
        let mut second = None;
        scope.each(|metric, name| {
            second = Some(metric).filter(|_| name.ends_with(b"Yellow"));
            second.is_none()
        });
        scope.set_bad(second.unwrap(), true);
        assert!(scope.any_bad);
        assert_eq!(
            metrics(scope).iter().map(|(.., bad)| *bad).collect::<Vec<_>>(),
            [false, true, false, false]
        );
    }

    #[test]
    fn bytes_that_are_no_state_are_begun_anew() {
        let bytes = sample().write();
        for len in 1..bytes.len() {
            // a state cut where an edge node ends is one of fewer nodes
            let read = State::read(&bytes[..len]);
            assert!(read.nodes.len() < 2, "{len}");
        }
        for index in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[index / 8] ^= 1 << (index % 8);
            for node in State::read(&flipped).nodes {
                node.scopes.iter().for_each(|scope| scope.each(|_, _| true));
            }
        }
        assert_eq!(State::read(&[9, 9, 9]), State::default());
        // counts are not believed
        assert_eq!(State::read(b"\x01\0\0\0\0\x01g\x01e\xff\xff\xff\xff\x0f"), State::default());
    }

    #[test]
    fn edge_nodes_without_births_are_bounded() {
        let mut state = State::default();
        for index in 0..1000 {
            state.place("g", &index.to_string());
        }
        assert_eq!(state.nodes.len(), UNBORN_MAX);
        assert!(state.node("g", "999").is_some());
    }
}
