//! Records as they are given and as they are read.
//!
//! Owns [`Append`], [`Appended`], [`Batch`] and [`Record`]. Must never look into a body: what it
//! means is the caller's affair.

use bytes::Bytes;
use flux_types::{Position, TenantId};

use crate::format::{RECORD_HEADER_BYTES, RecordHeader};

/// One record to append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Append<'a> {
    /// What the body is; the caller's numbering.
    pub kind: u8,
    /// The caller's flags.
    pub flags: u8,
    /// Whose it is.
    pub tenant: TenantId,
    /// When it was received by the wall clock, ns since 1970.
    pub wall_ns: i64,
    /// When it was received by a monotonic clock, ns.
    pub mono_ns: u64,
    /// The body.
    pub body: &'a [u8],
    /// What follows the body without a gap: the record's body is both, one behind the other. Lets
    /// an envelope and a payload that lie apart be appended without joining them first.
    pub body_rest: &'a [u8],
}

impl<'a> Append<'a> {
    /// A record of one piece, without flags and times.
    #[must_use]
    pub fn new(kind: u8, tenant: TenantId, body: &'a [u8]) -> Self {
        Self { kind, flags: 0, tenant, wall_ns: 0, mono_ns: 0, body, body_rest: &[] }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body.len().saturating_add(self.body_rest.len())
    }
}

/// Where a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// The first record's position.
    pub first: Position,
    /// The last record's position. The batch is committed once this is.
    pub last: Position,
}

impl Appended {
    /// Position of record `index` of the batch, from 0; `None` past its end.
    #[must_use]
    pub fn position(&self, index: usize) -> Option<Position> {
        let offset = self.first.offset.checked_add(index as u64)?;
        (offset <= self.last.offset).then_some(Position { epoch: self.first.epoch, offset })
    }

    /// The position of each record, in the order they were given.
    pub fn positions(&self) -> impl Iterator<Item = Position> + use<> {
        let epoch = self.first.epoch;
        (self.first.offset..=self.last.offset).map(move |offset| Position { epoch, offset })
    }
}

/// A committed record, borrowed from its [`Batch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its position.
    pub position: Position,
    /// As appended.
    pub kind: u8,
    /// As appended.
    pub flags: u8,
    /// As appended.
    pub tenant: TenantId,
    /// As appended, ns since 1970.
    pub wall_ns: i64,
    /// As appended, ns.
    pub mono_ns: u64,
    /// The body. [`Batch::share`] makes it outlive the batch without copying.
    pub body: &'a [u8],
}

/// Some consecutive committed records, in one piece of memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Batch {
    first: Position,
    count: u32,
    bytes: Bytes,
}

impl Batch {
    /// `bytes` are `count` whole records, checked before.
    pub(crate) fn new(first: Position, count: u32, bytes: Bytes) -> Self {
        Self { first, count, bytes }
    }

    /// The batch without the records before `offset`.
    pub(crate) fn since(mut self, offset: u64) -> Self {
        while self.first.offset < offset && self.count > 0 {
            let Some(header) = RecordHeader::decode(&self.bytes) else { break };
            let bytes = RECORD_HEADER_BYTES + header.len as usize;
            self.bytes = self.bytes.slice(bytes.min(self.bytes.len())..);
            self.first.offset += 1;
            self.count -= 1;
        }
        self
    }

    /// Position of the first record.
    #[must_use]
    pub fn first(&self) -> Position {
        self.first
    }

    /// Position of the last record.
    #[must_use]
    pub fn last(&self) -> Position {
        let count = u64::from(self.count).saturating_sub(1);
        Position { epoch: self.first.epoch, offset: self.first.offset + count }
    }

    /// How many records; at least 1 in what a reader gives.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// No record is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records, in order.
    #[must_use]
    pub fn iter(&self) -> Records<'_> {
        Records { next: self.first, left: self.count, rest: &self.bytes }
    }

    /// A body that shares the batch's memory (all of it, up to the larger of a frame and
    /// `read_bytes`, stays alive with it). Empty if `record` is not of this batch.
    #[must_use]
    pub fn share(&self, record: &Record<'_>) -> Bytes {
        let start = self.bytes.as_ptr() as usize;
        let at = (record.body.as_ptr() as usize).wrapping_sub(start);
        match at.checked_add(record.body.len()) {
            Some(end) if end <= self.bytes.len() => self.bytes.slice(at..end),
            _ => Bytes::new(),
        }
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Record<'a>;
    type IntoIter = Records<'a>;

    fn into_iter(self) -> Records<'a> {
        self.iter()
    }
}

/// The records of a batch, one after the other.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    next: Position,
    left: u32,
    rest: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        if self.left == 0 {
            return None;
        }
        let header = RecordHeader::decode(self.rest)?;
        let after = self.rest.get(RECORD_HEADER_BYTES..)?;
        let (body, rest) = after.split_at_checked(header.len as usize)?;
        let position = self.next;
        self.next.offset += 1;
        self.left -= 1;
        self.rest = rest;
        Some(Record {
            position,
            kind: header.kind,
            flags: header.flags,
            tenant: TenantId(header.tenant),
            wall_ns: header.wall_ns,
            mono_ns: header.mono_ns,
            body,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Records<'_> {}
