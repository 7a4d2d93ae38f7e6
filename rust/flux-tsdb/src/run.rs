//! Runs: points of one series in the order they came.
//!
//! Owns their form in memory and their order when they are read: by time, of one time the latest
//! position. A run is never changed once it is shared.

use flux_types::Position;

use crate::chunk::Points;
use crate::codec::texts::Text;
use crate::point::{Kind, RawPoint};

/// Points after which a run is closed and from then on shared instead of copied.
pub(crate) const RUN_POINTS_MAX: usize = 1024;

/// A point in a head: 32 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeadPoint {
    pub(crate) ts: i64,
    /// The value, or which of the run's texts it is.
    pub(crate) bits: u64,
    pub(crate) offset: u64,
    pub(crate) epoch: u32,
    pub(crate) kind: Kind,
}

pub(crate) const POINT_BYTES: usize = size_of::<HeadPoint>();
const _: () = assert!(POINT_BYTES == 32);

impl HeadPoint {
    /// What stands where no point is.
    pub(crate) const NONE: Self = Self { ts: 0, bits: 0, offset: 0, epoch: 0, kind: Kind::F64 };

    fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }
}

/// What a shared text takes beside its bytes.
const SHARED_BYTES: usize = 32;

/// Texts of a run's points.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    all: Vec<Text>,
    bytes: usize,
}

impl Texts {
    /// Which one it is, and by how many bytes there are more.
    pub(crate) fn put(&mut self, text: Text) -> (u64, usize) {
        let before = self.bytes();
        // a state that stays is one text
        if self.all.last().is_none_or(|last| *last != text) {
            self.bytes += text.len() + SHARED_BYTES;
            self.all.push(text);
        }
        (self.all.len() as u64 - 1, self.bytes() - before)
    }

    /// Memory they take, by capacity.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.all.capacity() * size_of::<Text>()
    }

    pub(crate) fn raw(&self, point: &HeadPoint) -> RawPoint {
        let HeadPoint { ts, bits, kind, .. } = *point;
        let text = if kind.is_text() {
            usize::try_from(bits).ok().and_then(|index| self.all.get(index)).cloned()
        } else {
            None
        };
        RawPoint { ts, position: point.position(), exact: true, kind, bits, text }
    }
}

/// A run that no longer grows.
#[derive(Debug)]
pub(crate) struct Run {
    points: Vec<HeadPoint>,
    texts: Texts,
    ascending: bool,
    min_ts: i64,
    max_ts: i64,
}

impl Run {
    /// `ascending`: each point is later than the one before.
    pub(crate) fn new(points: Vec<HeadPoint>, texts: Texts, ascending: bool) -> Self {
        let bounds = if ascending {
            points.first().zip(points.last()).map(|(first, last)| (first.ts, last.ts))
        } else {
            let times = || points.iter().map(|point| point.ts);
            times().min().zip(times().max())
        };
        let (min_ts, max_ts) = bounds.unwrap_or((i64::MAX, i64::MIN));
        Self { points, texts, ascending, min_ts, max_ts }
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    pub(crate) fn min_ts(&self) -> i64 {
        self.min_ts
    }

    pub(crate) fn max_ts(&self) -> i64 {
        self.max_ts
    }

    /// Each point is later than the one before.
    pub(crate) fn is_ascending(&self) -> bool {
        self.ascending
    }

    /// Memory it takes, by capacity.
    pub(crate) fn bytes(&self) -> usize {
        self.points.capacity() * POINT_BYTES + self.texts.bytes()
    }

    /// The point that is last by time and, among those of one time, by position.
    pub(crate) fn last(&self) -> Option<RawPoint> {
        let last = if self.ascending {
            self.points.last()
        } else {
            self.points.iter().max_by_key(|point| (point.ts, point.position()))
        };
        last.map(|point| self.texts.raw(point))
    }

    /// Visits the points as they came.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(RawPoint)) {
        self.points.iter().for_each(|point| visit(self.texts.raw(point)));
    }

    /// The points in order of time; of those of one time the one with the latest position, and of
    /// those of one message the last.
    pub(crate) fn settled(&self) -> Points {
        let mut settled = Points::new();
        if self.ascending {
            self.for_each(|point| settled.push(point, false));
            return settled;
        }
        let mut order: Vec<&HeadPoint> = self.points.iter().collect();
        // stable: among equals the one that came last stays last
        order.sort_by_key(|point| (point.ts, point.position()));
        let later = order.iter().skip(1).map(|point| Some(point.ts)).chain([None]);
        for (point, next) in order.iter().zip(later) {
            if next != Some(point.ts) {
                settled.push(self.texts.raw(point), false);
            }
        }
        settled
    }

    /// No point is beyond that position.
    pub(crate) fn is_within(&self, cut: Position) -> bool {
        self.points.iter().all(|point| point.position() <= cut)
    }

    /// What is not beyond a position, and what is; order is kept on both sides.
    pub(crate) fn split(&self, cut: Position) -> (Self, Self) {
        let side = |wanted: bool| {
            let (mut points, mut texts) = (Vec::new(), Texts::default());
            for point in self.points.iter().filter(|point| (point.position() <= cut) == wanted) {
                let mut point = *point;
                if let Some(text) = self.texts.raw(&point).text {
                    point.bits = texts.put(text).0;
                }
                points.push(point);
            }
            // what is in order stays so when some of it goes
            Self::new(points, texts, self.ascending)
        };
        (side(true), side(false))
    }
}
