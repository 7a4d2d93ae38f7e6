//! Chunks: up to [`POINTS_MAX`] points of one series, column by column.
//!
//! Owns the layout of a chunk and [`Points`], what it is in memory. Points are in strictly ascending
//! order of time. Must never panic on any bytes, nor take memory that their number does not bound.
//!
//! ```text
//! chunk     = points · flags · times · kinds · values… · positions
//! times     = unit (0 ns, 1 µs, 2 ms, 3 s) · whole numbers
//! kinds     = one for all, or with flag 1 whole numbers, one a point
//! values    = for each kind there is, in the order of their numbers, its column
//! positions = with flag 2: epochs · offsets, both whole numbers
//! ```
//! The unit is the largest that divides all times, so that clocks which tell milliseconds do not
//! cost nanoseconds. Positions are written only where the block does not say enough (see
//! `block`).

use flux_types::Position;

use crate::codec::texts::{self, Text};
use crate::codec::{Input, ints, put_varint, reals};
use crate::point::{Kind, RawPoint};

/// Most points of a chunk: bounds what a query decodes to get at one of them.
pub(crate) const POINTS_MAX: usize = 4096;
/// A chunk is closed once its texts have this many bytes.
pub(crate) const TEXT_BYTES_TARGET: usize = 256 << 10;

const MIXED_KINDS: u8 = 1;
const WITH_POSITIONS: u8 = 2;
const UNITS_NS: [i64; 4] = [1, 1_000, 1_000_000, 1_000_000_000];

/// The kinds of a chunk's values.
#[derive(Debug, Clone, PartialEq)]
enum Kinds {
    All(Kind),
    Each(Vec<Kind>),
}

/// The positions of a chunk's points.
#[derive(Debug, Clone, PartialEq)]
enum Positions {
    /// No more is known than that none is later than this.
    UpTo(Position),
    Each(Vec<Position>),
}

/// Points of one series in columns, in order of time, each time once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Points {
    ts: Vec<i64>,
    kinds: Kinds,
    bits: Vec<u64>,
    texts: Vec<Text>,
    text_bytes: usize,
    positions: Positions,
    /// At least one position is to be written down.
    exact: bool,
}

impl Points {
    pub(crate) fn new() -> Self {
        Self {
            ts: Vec::new(),
            kinds: Kinds::All(Kind::F64),
            bits: Vec::new(),
            texts: Vec::new(),
            text_bytes: 0,
            positions: Positions::Each(Vec::new()),
            exact: false,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ts.len()
    }

    /// No further point should be put in.
    pub(crate) fn is_full(&self) -> bool {
        self.ts.len() >= POINTS_MAX || self.text_bytes >= TEXT_BYTES_TARGET
    }

    pub(crate) fn times(&self) -> &[i64] {
        &self.ts
    }

    pub(crate) fn position(&self, index: usize) -> Position {
        match &self.positions {
            Positions::UpTo(bound) => *bound,
            Positions::Each(each) => each.get(index).copied().unwrap_or(Position::START),
        }
    }

    fn kind(&self, index: usize) -> Kind {
        match &self.kinds {
            Kinds::All(kind) => *kind,
            Kinds::Each(each) => each.get(index).copied().unwrap_or(Kind::F64),
        }
    }

    pub(crate) fn get(&self, index: usize) -> Option<RawPoint> {
        let (ts, bits) = (*self.ts.get(index)?, *self.bits.get(index)?);
        let kind = self.kind(index);
        let text = if kind.is_text() {
            Some(Text::clone(self.texts.get(usize::try_from(bits).ok()?)?))
        } else {
            None
        };
        let exact = matches!(self.positions, Positions::Each(_));
        Some(RawPoint { ts, position: self.position(index), exact, kind, bits, text })
    }

    /// Puts a point in; `exact`: its position must be written down.
    pub(crate) fn push(&mut self, point: RawPoint, exact: bool) {
        let RawPoint { ts, position, kind, bits, text, .. } = point;
        let bits = match text {
            Some(text) => self.put_text(text),
            None => bits,
        };
        self.put_kind(kind);
        self.ts.push(ts);
        self.bits.push(bits);
        if let Positions::Each(each) = &mut self.positions {
            each.push(position);
        }
        self.exact |= exact;
    }

    fn put_text(&mut self, text: Text) -> u64 {
        if self.texts.last().is_none_or(|last| *last != text) {
            self.text_bytes += text.len();
            self.texts.push(text);
        }
        self.texts.len() as u64 - 1
    }

    fn put_kind(&mut self, kind: Kind) {
        if self.ts.is_empty() {
            self.kinds = Kinds::All(kind);
        }
        if let Kinds::All(all) = self.kinds
            && all != kind
        {
            self.kinds = Kinds::Each(vec![all; self.ts.len()]);
        }
        if let Kinds::Each(each) = &mut self.kinds {
            each.push(kind);
        }
    }

    /// Empties it, keeping its memory.
    pub(crate) fn clear(&mut self) {
        self.ts.clear();
        self.bits.clear();
        self.texts.clear();
        self.text_bytes = 0;
        self.exact = false;
        match &mut self.positions {
            Positions::Each(each) => each.clear(),
            Positions::UpTo(_) => self.positions = Positions::Each(Vec::new()),
        }
    }

    /// Writes the chunk; with `positions` also where none has to be.
    pub(crate) fn encode(&self, positions: bool, out: &mut Vec<u8>) {
        let positions = if positions || self.exact { WITH_POSITIONS } else { 0 };
        let mixed = if matches!(self.kinds, Kinds::Each(_)) { MIXED_KINDS } else { 0 };
        put_varint(out, self.len() as u64);
        out.push(mixed | positions);
        self.encode_times(out);
        self.encode_values(out);
        if let (WITH_POSITIONS, Positions::Each(each)) = (positions, &self.positions) {
            let epochs: Vec<i64> = each.iter().map(|p| i64::from(p.epoch)).collect();
            let offsets: Vec<i64> = each.iter().map(|p| p.offset.cast_signed()).collect();
            ints::encode(&epochs, out);
            ints::encode(&offsets, out);
        }
    }

    fn encode_times(&self, out: &mut Vec<u8>) {
        let divides = |unit: &i64| self.ts.iter().all(|ts| ts % unit == 0);
        let code = UNITS_NS.iter().rposition(divides).unwrap_or(0);
        out.push(code as u8);
        match UNITS_NS.get(code) {
            Some(unit) if code > 0 => {
                let scaled: Vec<i64> = self.ts.iter().map(|ts| ts / unit).collect();
                ints::encode(&scaled, out);
            }
            _ => ints::encode(&self.ts, out),
        }
    }

    fn encode_values(&self, out: &mut Vec<u8>) {
        match &self.kinds {
            Kinds::All(kind) => {
                out.push(*kind as u8);
                self.encode_column(*kind, &self.bits, out);
            }
            Kinds::Each(kinds) => {
                let numbers: Vec<i64> = kinds.iter().map(|kind| *kind as i64).collect();
                ints::encode(&numbers, out);
                for kind in Kind::ALL {
                    let of_kind = kinds.iter().zip(&self.bits).filter(|(k, _)| **k == kind);
                    let column: Vec<u64> = of_kind.map(|(_, bits)| *bits).collect();
                    if !column.is_empty() {
                        self.encode_column(kind, &column, out);
                    }
                }
            }
        }
    }

    fn encode_column(&self, kind: Kind, bits: &[u64], out: &mut Vec<u8>) {
        match kind {
            Kind::F64 => reals::encode(bits, out),
            Kind::Bool | Kind::I64 | Kind::Time => {
                let numbers: Vec<i64> = bits.iter().map(|bits| bits.cast_signed()).collect();
                ints::encode(&numbers, out);
            }
            Kind::Str | Kind::Bytes | Kind::Json => {
                texts::encode(&self.texts, bits.iter().copied(), out);
            }
        }
    }

    /// Reads a chunk whose points are not later than `up_to` where it does not say; `None` when the
    /// bytes are not one.
    pub(crate) fn decode(bytes: &[u8], up_to: Position) -> Option<Self> {
        let mut input = Input::new(bytes);
        let count = input.count().filter(|count| (1..=POINTS_MAX).contains(count))?;
        let flags = input.u8().filter(|flags| flags & !(MIXED_KINDS | WITH_POSITIONS) == 0)?;
        let ts = decode_times(&mut input, count)?;
        let mut points = Self { ts, positions: Positions::UpTo(up_to), ..Self::new() };
        if flags & MIXED_KINDS == 0 {
            let kind = Kind::from_number(i64::from(input.u8()?))?;
            points.kinds = Kinds::All(kind);
            points.bits = points.decode_column(&mut input, kind, count)?;
        } else {
            points.decode_mixed(&mut input, count)?;
        }
        if flags & WITH_POSITIONS != 0 {
            points.positions = Positions::Each(decode_positions(&mut input, count)?);
            points.exact = true;
        }
        input.is_empty().then_some(points)
    }

    fn decode_mixed(&mut self, input: &mut Input<'_>, count: usize) -> Option<()> {
        let numbers = ints::decode(input, count)?;
        let kinds: Vec<Kind> = numbers.into_iter().map(Kind::from_number).collect::<Option<_>>()?;
        self.bits = vec![0; count];
        for kind in Kind::ALL {
            let count = kinds.iter().filter(|k| **k == kind).count();
            if count > 0 {
                let column = self.decode_column(input, kind, count)?;
                let places = kinds.iter().zip(&mut self.bits).filter(|(k, _)| **k == kind);
                places.zip(column).for_each(|((_, place), bits)| *place = bits);
            }
        }
        self.kinds = Kinds::Each(kinds);
        Some(())
    }

    fn decode_column(
        &mut self,
        input: &mut Input<'_>,
        kind: Kind,
        count: usize,
    ) -> Option<Vec<u64>> {
        match kind {
            Kind::F64 => reals::decode(input, count),
            Kind::Bool | Kind::I64 | Kind::Time => {
                let numbers = ints::decode(input, count)?;
                Some(numbers.into_iter().map(i64::cast_unsigned).collect())
            }
            Kind::Str | Kind::Bytes | Kind::Json => texts::decode(input, count, &mut self.texts),
        }
    }
}

fn decode_times(input: &mut Input<'_>, count: usize) -> Option<Vec<i64>> {
    let unit = *UNITS_NS.get(usize::from(input.u8()?))?;
    let mut times = ints::decode(input, count)?;
    if unit > 1 {
        for ts in &mut times {
            *ts = ts.checked_mul(unit)?;
        }
    }
    let ascending = times.iter().zip(times.iter().skip(1)).all(|(a, b)| a < b);
    ascending.then_some(times)
}

fn decode_positions(input: &mut Input<'_>, count: usize) -> Option<Vec<Position>> {
    let epochs = ints::decode(input, count)?;
    let offsets = ints::decode(input, count)?;
    let both = epochs.into_iter().zip(offsets);
    both.map(|(epoch, offset)| {
        Some(Position { epoch: u32::try_from(epoch).ok()?, offset: offset.cast_unsigned() })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const UP_TO: Position = Position { epoch: 9, offset: 9 };

    fn point(ts: i64, offset: u64, kind: Kind, bits: u64, text: Option<&[u8]>) -> RawPoint {
        let position = Position { epoch: 3, offset };
        RawPoint { ts, position, exact: true, kind, bits, text: text.map(Text::from) }
    }

    fn all(points: &Points) -> Vec<RawPoint> {
        (0..points.len()).map(|i| points.get(i).unwrap()).collect()
    }

    /// What is compared: not where a text lies in memory.
    fn plain(points: &[RawPoint], positions: bool) -> Vec<RawPoint> {
        let mut points = points.to_vec();
        for point in &mut points {
            if point.text.is_some() {
                point.bits = 0;
            }
            if !positions {
                (point.position, point.exact) = (UP_TO, false);
            }
        }
        points
    }

    fn round_trip(given: &[RawPoint], positions: bool) -> Vec<u8> {
        let mut points = Points::new();
        given.iter().for_each(|point| points.push(point.clone(), false));
        let mut bytes = Vec::new();
        points.encode(positions, &mut bytes);
        let back = Points::decode(&bytes, UP_TO).unwrap();
        assert_eq!(plain(&all(&back), positions), plain(given, positions));
        bytes
    }

    fn mixed() -> Vec<RawPoint> {
        (0..70_i64)
            .map(|i| {
                let (ts, offset) = (i * 1_000_000 - 5_000_000, i.cast_unsigned() * 3);
                let bits = i.cast_unsigned();
                match i % 7 {
                    0 => point(ts, offset, Kind::Bool, bits % 2, None),
                    1 => point(ts, offset, Kind::I64, (-i).cast_unsigned(), None),
                    2 => point(ts, offset, Kind::F64, 2.5_f64.to_bits(), None),
                    3 => point(ts, offset, Kind::Time, bits, None),
                    4 => point(ts, offset, Kind::Str, 0, Some(b"on")),
                    5 => point(ts, offset, Kind::Bytes, 0, Some(&[i as u8])),
                    _ => point(ts, offset, Kind::Json, 0, Some(b"null")),
                }
            })
            .collect()
    }

    #[test]
    fn whole_numbers_among_reals_keep_their_kind() {
        let given: Vec<RawPoint> = (0..100)
            .map(|i: u8| {
                let ts = i64::from(i) * 1_000_000_000;
                if i.is_multiple_of(10) {
                    point(ts, 0, Kind::I64, u64::from(i), None)
                } else {
                    point(ts, 0, Kind::F64, (f64::from(i) / 10.0).to_bits(), None)
                }
            })
            .collect();
        round_trip(&given, false);
    }

    #[test]
    fn every_kind_comes_back_with_and_without_positions() {
        round_trip(&mixed(), false);
        round_trip(&mixed(), true);
    }

    #[test]
    fn times_are_written_in_their_unit() {
        let len = |unit: i64| {
            let jitter = |i: i64| (i * 1000 + (i * 7919) % 5) * unit;
            let given: Vec<RawPoint> =
                (0..1000).map(|i| point(jitter(i), 0, Kind::Bool, 1, None)).collect();
            round_trip(&given, false).len()
        };
        let ms = len(1_000_000);
        assert!(ms < 700, "{ms}");
        assert_eq!(len(1_000).abs_diff(ms), 0);
    }

    #[test]
    fn one_position_that_must_be_known_makes_all_be_written() {
        let mut points = Points::new();
        for i in 0..5 {
            points.push(point(i, i.cast_unsigned(), Kind::Bool, 1, None), i == 3);
        }
        let mut bytes = Vec::new();
        points.encode(false, &mut bytes);
        let back = Points::decode(&bytes, UP_TO).unwrap();
        assert_eq!(back.position(4), Position { epoch: 3, offset: 4 });
    }

    #[test]
    fn chunk_that_is_cut_anywhere_is_refused() {
        let bytes = round_trip(&mixed(), true);
        for len in 0..bytes.len() {
            assert_eq!(Points::decode(&bytes[..len], UP_TO), None, "{len}");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert_eq!(Points::decode(&longer, UP_TO), None);
    }

    #[test]
    fn points_out_of_order_are_no_chunk() {
        let mut points = Points::new();
        for ts in [1, 3, 2] {
            points.push(point(ts, 0, Kind::Bool, 1, None), false);
        }
        let mut bytes = Vec::new();
        points.encode(false, &mut bytes);
        assert_eq!(Points::decode(&bytes, UP_TO), None);
    }

    proptest! {
        #[test]
        fn hostile_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Points::decode(&bytes, UP_TO);
        }

        #[test]
        fn flipped_bytes_never_panic(at in 0_usize..2000, mask in 1_u8..) {
            let mut bytes = round_trip(&mixed(), true);
            let at = at % bytes.len();
            bytes[at] ^= mask;
            let _ = Points::decode(&bytes, UP_TO);
        }
    }
}
