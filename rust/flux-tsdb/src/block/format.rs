//! Header and footer of a block file.
//!
//! Owns their layout. Must never panic on any bytes.

use flux_log::Stamp;
use flux_types::Position;

use super::{BlockId, BlockInfo};
use crate::codec::Input;

/// The version of block files this program writes.
pub(crate) const BLOCK_VERSION: u32 = 1;
pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const FOOTER_BYTES: usize = 192;

const HEADER_MAGIC: [u8; 8] = *b"FLUXTSB\n";
const FOOTER_MAGIC: [u8; 8] = *b"FLUXEND\n";
const FOOTER_FIELDS_BYTES: usize = FOOTER_BYTES - 12;

/// Why a block's header cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// A sound header of a version we do not know.
    Newer(u32),
    Damaged,
}

pub(crate) fn encode_header() -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&HEADER_MAGIC);
    out[8..12].copy_from_slice(&BLOCK_VERSION.to_le_bytes());
    let crc = crc32c::crc32c(&out[..12]);
    out[12..].copy_from_slice(&crc.to_le_bytes());
    out
}

pub(crate) fn check_header(bytes: &[u8]) -> Result<(), HeaderFault> {
    let mut input = Input::new(bytes);
    let magic = input.array::<8>();
    let (version, crc) = (input.u32(), input.u32());
    let sound = bytes.get(..12).map(crc32c::crc32c) == crc && magic == Some(HEADER_MAGIC);
    match version {
        Some(BLOCK_VERSION) if sound => Ok(()),
        Some(newer) if sound && newer > BLOCK_VERSION => Err(HeaderFault::Newer(newer)),
        _ => Err(HeaderFault::Damaged),
    }
}

/// What stands at the end of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) id: BlockId,
    pub(crate) info: BlockInfo,
    pub(crate) index_offset: u64,
    pub(crate) index_len: u64,
    pub(crate) index_crc: u32,
}

fn put_position(out: &mut Vec<u8>, position: Position) {
    out.extend_from_slice(&position.epoch.to_le_bytes());
    out.extend_from_slice(&position.offset.to_le_bytes());
}

fn take_position(input: &mut Input<'_>) -> Option<Position> {
    Some(Position { epoch: input.u32()?, offset: input.u64()? })
}

impl Footer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (id, info) = (&self.id, &self.info);
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        out.extend_from_slice(&self.index_offset.to_le_bytes());
        out.extend_from_slice(&self.index_len.to_le_bytes());
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.extend_from_slice(&id.generation.to_le_bytes());
        out.extend_from_slice(&id.first.to_le_bytes());
        out.extend_from_slice(&id.last.to_le_bytes());
        put_position(&mut out, info.from);
        put_position(&mut out, info.cut);
        let (lowest, newest) = info.exact.unwrap_or_default();
        put_position(&mut out, lowest);
        put_position(&mut out, newest);
        out.extend_from_slice(&info.level.to_le_bytes());
        out.extend_from_slice(&u32::from(info.exact.is_some()).to_le_bytes());
        out.extend_from_slice(&info.min_ts.to_le_bytes());
        out.extend_from_slice(&info.max_ts.to_le_bytes());
        out.extend_from_slice(&info.points.to_le_bytes());
        out.extend_from_slice(&info.written.boot_id.to_le_bytes());
        out.extend_from_slice(&info.written.wall_ns.to_le_bytes());
        out.extend_from_slice(&info.written.mono_ns.to_le_bytes());
        out.extend_from_slice(&info.store_age_ns.to_le_bytes());
        out.resize(FOOTER_FIELDS_BYTES, 0);
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&FOOTER_MAGIC);
        out
    }

    /// The footer in the last [`FOOTER_BYTES`] of a file, if they are whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let fields = bytes.get(..FOOTER_FIELDS_BYTES)?;
        let mut end = Input::new(bytes.get(FOOTER_FIELDS_BYTES..)?);
        if end.u32()? != crc32c::crc32c(fields) || end.array::<8>()? != FOOTER_MAGIC {
            return None;
        }
        let mut input = Input::new(fields);
        let (index_offset, index_len, index_crc) = (input.u64()?, input.u64()?, input.u32()?);
        let generation = input.u32()?;
        let id = BlockId { first: input.u64()?, last: input.u64()?, generation };
        let (from, cut) = (take_position(&mut input)?, take_position(&mut input)?);
        let exact = (take_position(&mut input)?, take_position(&mut input)?);
        let (level, any_exact) = (input.u32()?, input.u32()?);
        let mut signed = || input.u64().map(u64::cast_signed);
        let (min_ts, max_ts) = (signed()?, signed()?);
        let points = input.u64()?;
        let boot_id = input.array().map(u128::from_le_bytes)?;
        let wall_ns = input.u64()?.cast_signed();
        let written = Stamp { boot_id, wall_ns, mono_ns: input.u64()? };
        let info = BlockInfo {
            level,
            from,
            cut,
            exact: (any_exact == 1).then_some(exact),
            min_ts,
            max_ts,
            points,
            written,
            store_age_ns: input.u64()?,
        };
        Some(Self { id, info, index_offset, index_len, index_crc })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn footer() -> Footer {
        let at = |offset| Position { epoch: 7, offset };
        Footer {
            id: BlockId { first: 3, last: 9, generation: 2 },
            info: BlockInfo {
                level: 1,
                from: at(10),
                cut: at(20),
                exact: Some((at(5), at(30))),
                min_ts: -5,
                max_ts: i64::MAX,
                points: 1 << 40,
                written: Stamp { boot_id: u128::MAX - 1, wall_ns: -7, mono_ns: 8 },
                store_age_ns: 99,
            },
            index_offset: 1000,
            index_len: 50,
            index_crc: 0xDEAD_BEEF,
        }
    }

    #[test]
    fn footer_comes_back_and_any_flipped_bit_is_seen() {
        let footer = footer();
        let bytes = footer.encode();
        assert_eq!(bytes.len(), FOOTER_BYTES);
        assert_eq!(Footer::decode(&bytes), Some(footer));
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert_eq!(Footer::decode(&flipped), None, "byte {at}");
            }
        }
    }

    #[test]
    fn header_of_a_newer_version_is_told_from_a_damaged_one() {
        let header = encode_header();
        assert_eq!(check_header(&header), Ok(()));
        for at in 0..header.len() {
            let mut flipped = header;
            flipped[at] ^= 2;
            assert_eq!(check_header(&flipped), Err(HeaderFault::Damaged), "byte {at}");
        }
        let mut newer = header;
        newer[8] = 9;
        let crc = crc32c::crc32c(&newer[..12]);
        newer[12..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(check_header(&newer), Err(HeaderFault::Newer(9)));
        assert_eq!(check_header(&header[..15]), Err(HeaderFault::Damaged));
    }
}
