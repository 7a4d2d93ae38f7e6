//! How bytes lie in a segment file.
//!
//! Owns the layout of segment headers, frames and records, and their checksums. Must never read or
//! write a file itself, nor panic on any input.
//!
//! ```text
//! segment   = header block (4096) · the same again · frames, zeros after the last · fixed size
//! frame     = header (56) · records · zeros to the next multiple of 64
//! record    = header (28) · body
//! ```
//! A frame holds whole batches, so its checksum makes a batch all or nothing. The first frame of
//! each commit begins at a multiple of `commit_align_bytes`: a write never touches a sector that
//! holds acknowledged records. Each frame says up to which record everything was synced when it was
//! written: the *commit mark*, by which damage to acknowledged records is told from a torn tail.
//! All checksums are CRC32C, begun from a number made of the segment's random salt, epoch and base:
//! what a recycled file held before never validates. All numbers are little endian.

use flux_types::Position;

use crate::clock::Stamp;

/// The version of segment files this program writes.
pub(crate) const SEGMENT_VERSION: u32 = 1;
/// Room for the segment header and its copy, bytes: whole blocks, so that no frame shares their
/// sectors.
pub(crate) const HEADER_BYTES: usize = 2 * HEADER_BLOCK_BYTES;
/// Bytes from the header to its copy: without a header the salt, and so the segment, is lost.
const HEADER_BLOCK_BYTES: usize = 4096;
/// Bytes before a frame's records.
pub(crate) const FRAME_HEADER_BYTES: usize = 56;
/// Frames begin at multiples of this: resynchronising looks at these places only.
pub(crate) const FRAME_ALIGN: usize = 64;
/// Bytes before a record's body.
pub(crate) const RECORD_HEADER_BYTES: usize = 28;
/// A frame is closed once it has this many bytes of records: what one flipped bit can cost.
pub(crate) const FRAME_TARGET_BYTES: usize = 16 * 1024;

const SEGMENT_MAGIC: [u8; 8] = *b"FLUXLOG\n";
const SEGMENT_FIELDS_BYTES: usize = 180;
const FRAME_MAGIC: [u8; 4] = *b"\xF1ux\xFA";

/// `bytes` rounded up to a multiple of `align`, a power of two.
pub(crate) const fn align_up(bytes: u64, align: u64) -> u64 {
    (bytes + align - 1) & !(align - 1)
}

/// What a segment's first block says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// The log it belongs to.
    pub(crate) log_id: u128,
    pub(crate) epoch: u32,
    /// Offset of its first record.
    pub(crate) base: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) salt: u64,
    pub(crate) commit_align: u32,
    /// When it was begun.
    pub(crate) started: Stamp,
    /// The last record before it in the whole log.
    pub(crate) previous: Position,
    /// Epoch and base of the segment before it; epoch 0: none.
    pub(crate) previous_segment: SegmentKey,
    /// When the last record before it was written, as far as known.
    pub(crate) previous_end: Stamp,
}

/// Names a segment: epoch and offset of its first record.
pub(crate) type SegmentKey = (u32, u64);

/// Why a segment header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    Foreign,
    Newer(u32),
    Damaged,
}

impl SegmentHeader {
    pub(crate) fn key(&self) -> SegmentKey {
        (self.epoch, self.base)
    }

    /// What every checksum in this segment begins from.
    pub(crate) fn seed(&self) -> u32 {
        let mut bytes = Writer(Vec::with_capacity(36));
        bytes.u64(self.salt);
        bytes.u32(self.epoch);
        bytes.u64(self.base);
        bytes.u128(self.log_id);
        crc32c::crc32c(&bytes.0)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(HEADER_BYTES));
        out.0.extend_from_slice(&SEGMENT_MAGIC);
        out.u32(SEGMENT_VERSION);
        out.u32(self.epoch);
        out.u128(self.log_id);
        out.u64(self.base);
        out.u64(self.segment_bytes);
        out.u64(self.salt);
        out.u32(self.commit_align);
        out.u32(self.previous.epoch);
        out.u64(self.previous.offset);
        out.u32(self.previous_segment.0);
        out.u32(0);
        out.u64(self.previous_segment.1);
        out.stamp(self.started);
        out.stamp(self.previous_end);
        out.0.resize(SEGMENT_FIELDS_BYTES, 0);
        let crc = crc32c::crc32c(&out.0);
        out.u32(crc);
        out.0.resize(HEADER_BLOCK_BYTES, 0);
        out.0.repeat(2)
    }

    /// The header in a segment's first [`HEADER_BYTES`], or its copy when it is damaged.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, HeaderFault> {
        match Self::decode_block(bytes) {
            Err(fault @ (HeaderFault::Damaged | HeaderFault::Foreign)) => {
                let copy = bytes.get(HEADER_BLOCK_BYTES..).unwrap_or_default();
                Self::decode_block(copy).map_err(|_| fault)
            }
            known => known,
        }
    }

    fn decode_block(bytes: &[u8]) -> Result<Self, HeaderFault> {
        let magic = bytes.get(..8).ok_or(HeaderFault::Damaged)?;
        if magic != SEGMENT_MAGIC {
            // All zeros is a header that never reached the disk, not somebody else's file.
            let blank = magic.iter().all(|b| *b == 0);
            return Err(if blank { HeaderFault::Damaged } else { HeaderFault::Foreign });
        }
        Self::decode_fields(bytes.get(8..).unwrap_or_default(), bytes)
    }

    fn decode_fields(fields: &[u8], all: &[u8]) -> Result<Self, HeaderFault> {
        let mut from = Parser(fields);
        let version = from.u32().ok_or(HeaderFault::Damaged)?;
        if version > SEGMENT_VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let crc = all
            .get(SEGMENT_FIELDS_BYTES..)
            .and_then(|rest| Parser(rest).u32())
            .ok_or(HeaderFault::Damaged)?;
        let covered = all.get(..SEGMENT_FIELDS_BYTES).ok_or(HeaderFault::Damaged)?;
        if crc32c::crc32c(covered) != crc || version == 0 {
            return Err(HeaderFault::Damaged);
        }
        Self::parse(&mut from).ok_or(HeaderFault::Damaged)
    }

    fn parse(from: &mut Parser<'_>) -> Option<Self> {
        let epoch = from.u32()?;
        let log_id = from.u128()?;
        let base = from.u64()?;
        let segment_bytes = from.u64()?;
        let salt = from.u64()?;
        let commit_align = from.u32()?;
        let previous = Position { epoch: from.u32()?, offset: from.u64()? };
        let previous_epoch = from.u32()?;
        from.u32()?;
        let previous_segment = (previous_epoch, from.u64()?);
        let started = from.stamp()?;
        let previous_end = from.stamp()?;
        Some(Self {
            log_id,
            epoch,
            base,
            segment_bytes,
            salt,
            commit_align,
            started,
            previous,
            previous_segment,
            previous_end,
        })
    }
}

/// What stands before a frame's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Checksum of the records.
    pub(crate) payload_crc: u32,
    /// Bytes of records.
    pub(crate) len: u32,
    /// Records; 0 in a frame that carries a commit mark alone.
    pub(crate) count: u32,
    /// Offset of the first record, or of the record that would come next.
    pub(crate) first: u64,
    /// Every record of the log up to this offset was synced when this was written.
    pub(crate) mark: u64,
    /// When it was written: wall and monotonic time of the segment's boot.
    pub(crate) wall_ns: i64,
    pub(crate) mono_ns: u64,
}

impl FrameHeader {
    pub(crate) fn encode(&self, seed: u32) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        let (start, fields) = out.split_at_mut(8);
        start[..4].copy_from_slice(&FRAME_MAGIC);
        fields[0..4].copy_from_slice(&self.payload_crc.to_le_bytes());
        fields[4..8].copy_from_slice(&self.len.to_le_bytes());
        fields[8..12].copy_from_slice(&self.count.to_le_bytes());
        fields[16..24].copy_from_slice(&self.first.to_le_bytes());
        fields[24..32].copy_from_slice(&self.mark.to_le_bytes());
        fields[32..40].copy_from_slice(&self.wall_ns.to_le_bytes());
        fields[40..48].copy_from_slice(&self.mono_ns.to_le_bytes());
        let crc = crc32c::crc32c_append(seed, fields);
        start[4..8].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// The header at the beginning of `bytes`, if its own checksum holds.
    ///
    /// The header has a checksum apart from the records', so that bodies made to look like frames
    /// cannot make resynchronising sum megabytes at every step.
    pub(crate) fn decode(seed: u32, bytes: &[u8]) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        if header.get(..4)? != FRAME_MAGIC {
            return None;
        }
        let crc = Parser(header.get(4..8)?).u32()?;
        let fields = header.get(8..)?;
        if crc32c::crc32c_append(seed, fields) != crc {
            return None;
        }
        let mut from = Parser(fields);
        let (payload_crc, len, count) = (from.u32()?, from.u32()?, from.u32()?);
        from.u32()?;
        let (first, mark) = (from.u64()?, from.u64()?);
        let wall_ns = from.u64()?.cast_signed();
        Some(Self { payload_crc, len, count, first, mark, wall_ns, mono_ns: from.u64()? })
    }

    /// Offset of the last record; one before `first` for a mark alone.
    pub(crate) fn last(&self) -> u64 {
        self.first.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    /// Bytes from the frame's beginning to where the next may begin.
    pub(crate) fn span(&self) -> u64 {
        align_up(FRAME_HEADER_BYTES as u64 + u64::from(self.len), FRAME_ALIGN as u64)
    }
}

/// What stands before a record's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) len: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) tenant: u32,
    pub(crate) wall_ns: i64,
    pub(crate) mono_ns: u64,
}

impl RecordHeader {
    #[inline]
    pub(crate) fn encode(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut out = [0; RECORD_HEADER_BYTES];
        out[0..4].copy_from_slice(&self.len.to_le_bytes());
        out[4] = self.kind;
        out[5] = self.flags;
        out[8..12].copy_from_slice(&self.tenant.to_le_bytes());
        out[12..20].copy_from_slice(&self.wall_ns.to_le_bytes());
        out[20..28].copy_from_slice(&self.mono_ns.to_le_bytes());
        out
    }

    #[inline]
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER_BYTES] = bytes.first_chunk()?;
        let mut from = Parser(bytes);
        let len = from.u32()?;
        let (kind, flags) = (bytes[4], bytes[5]);
        from.u32()?;
        let tenant = from.u32()?;
        let wall_ns = from.u64()?.cast_signed();
        Some(Self { len, kind, flags, tenant, wall_ns, mono_ns: from.u64()? })
    }
}

/// Whether `payload` is exactly `count` records.
pub(crate) fn holds_records(payload: &[u8], count: u32) -> bool {
    let mut rest = payload;
    for _ in 0..count {
        let Some(header) = RecordHeader::decode(rest) else { return false };
        match rest.get(RECORD_HEADER_BYTES + header.len as usize..) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Puts numbers behind one another.
pub(crate) struct Writer(pub(crate) Vec<u8>);

impl Writer {
    pub(crate) fn u32(&mut self, v: u32) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, v: u64) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    pub(crate) fn u128(&mut self, v: u128) {
        self.0.extend_from_slice(&v.to_le_bytes());
    }

    pub(crate) fn stamp(&mut self, v: Stamp) {
        self.u128(v.boot_id);
        self.u64(v.wall_ns.cast_unsigned());
        self.u64(v.mono_ns);
    }
}

/// Takes numbers off the front.
pub(crate) struct Parser<'a>(pub(crate) &'a [u8]);

impl Parser<'_> {
    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        self.take().map(u128::from_le_bytes)
    }

    pub(crate) fn stamp(&mut self) -> Option<Stamp> {
        Some(Stamp {
            boot_id: self.u128()?,
            wall_ns: self.u64()?.cast_signed(),
            mono_ns: self.u64()?,
        })
    }
}

/// `segment-<epoch>-<base>.flog`, padded so that names sort as positions do.
pub(crate) fn segment_name(key: SegmentKey) -> String {
    format!("segment-{:010}-{:020}.flog", key.0, key.1)
}

/// The key in a segment's name.
pub(crate) fn parse_segment_name(name: &str) -> Option<SegmentKey> {
    let (epoch, base) = name.strip_prefix("segment-")?.strip_suffix(".flog")?.split_once('-')?;
    Some((epoch.parse().ok()?, base.parse().ok()?))
}
