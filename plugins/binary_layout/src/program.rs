//! Layouts as they are carried out: names are numbers, and everything is known to fit.

use std::collections::BTreeMap;

use flux_plugin_sdk::Scale;

use crate::bits::Span;
use crate::clock::Clock;
use crate::settings::{ChecksumType, DeviceFormat, Endian};

/// Where something is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// From the beginning of the frame, or of the group.
    Start(usize),
    /// So many bytes before the end of the frame.
    End(usize),
}

impl Place {
    /// `None`: before the frame.
    pub(crate) const fn within(self, base: usize, frame: usize) -> Option<usize> {
        match self {
            Self::Start(offset) => base.checked_add(offset),
            Self::End(offset) => frame.checked_sub(offset),
        }
    }
}

/// How much there is of something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Amount {
    Fixed(usize),
    /// As much as the field of this number says.
    Slot(usize),
    End,
}

/// A field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// `None`: behind the one before.
    pub(crate) place: Option<Place>,
    pub(crate) when: Option<When>,
    pub(crate) kind: Kind,
    /// `None`: it is no value.
    pub(crate) name: Option<Name>,
    /// Where its number is kept for other fields.
    pub(crate) slot: Option<usize>,
    pub(crate) repeat: Option<Repeat>,
}

/// What a value is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) before: String,
    /// What is behind the number of the repetition; `None`: there is no number.
    pub(crate) after: Option<String>,
    /// Whether it can come again in one frame.
    pub(crate) repeats: bool,
}

/// When a field is there.
#[derive(Debug, Clone)]
pub(crate) struct When {
    pub(crate) what: Condition,
    pub(crate) mask: u64,
    pub(crate) equals: Vec<u64>,
}

/// What a condition looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Condition {
    Slot(usize),
    Byte(Place),
}

/// How often a field is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    pub(crate) count: Amount,
    /// At least one; `None`: they follow one another.
    pub(crate) stride: Option<usize>,
    pub(crate) from: u32,
}

/// What a field is.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Whole {
        bytes: usize,
        endian: Endian,
        signed: bool,
        convert: Convert,
    },
    /// `first`: counted from the place; or from where the field before ended.
    Bits {
        first: Option<u32>,
        width: u32,
        order: crate::settings::BitOrder,
        signed: bool,
        is_bool: bool,
        convert: Convert,
    },
    /// A byte that is not zero.
    Bool,
    Float {
        bytes: usize,
        endian: Endian,
        scale: Scale,
    },
    Decimal {
        bytes: usize,
        endian: Endian,
        convert: Convert,
    },
    Text(Amount),
    Hex(Amount),
    Bytes(Amount),
    Time(Clock),
    Pad(Amount),
    Group {
        fields: Vec<Field>,
        ts: Option<Moment>,
    },
    Switch {
        on: usize,
        cases: BTreeMap<u64, Vec<Field>>,
        otherwise: Option<Vec<Field>>,
    },
}

/// What becomes of a whole number.
#[derive(Debug, Clone)]
pub(crate) struct Convert {
    /// Bits that count; `None`: all.
    pub(crate) mask: Option<u64>,
    pub(crate) shift: u32,
    /// Numbers that say nothing was measured.
    pub(crate) nulls: Vec<u64>,
    pub(crate) labels: BTreeMap<u64, String>,
    pub(crate) scale: Scale,
}

impl Convert {
    pub(crate) fn apply(&self, raw: u64) -> u64 {
        self.mask.map_or(raw, |mask| raw & mask) >> self.shift
    }
}

/// Where and how a moment is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) place: Place,
    pub(crate) clock: Clock,
}

/// Where and how a device's key is written.
#[derive(Debug, Clone)]
pub(crate) struct Device {
    pub(crate) place: Place,
    pub(crate) bytes: usize,
    pub(crate) format: DeviceFormat,
    pub(crate) endian: Endian,
    pub(crate) prefix: String,
}

/// A checksum.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum {
    pub(crate) kind: ChecksumType,
    pub(crate) place: Place,
    pub(crate) from: Place,
    /// `None`: itself.
    pub(crate) to: Option<Place>,
    pub(crate) endian: Endian,
}

impl Checksum {
    /// Where it is and what it covers; `None` if the frame is too short.
    pub(crate) fn span(&self, frame: usize) -> Option<(usize, std::ops::Range<usize>)> {
        let at = self.place.within(0, frame).filter(|at| at + self.kind.bytes() <= frame)?;
        let from = self.from.within(0, frame)?;
        let to = self.to.map_or(Some(at), |to| to.within(0, frame))?;
        (from <= to && to <= frame).then_some((at, from..to))
    }

    /// Bytes at the end of a frame that are its, and nothing else's.
    pub(crate) fn at_end(&self) -> usize {
        match self.place {
            Place::End(bytes) if bytes == self.kind.bytes() => bytes,
            _ => 0,
        }
    }
}

/// Bytes that tell a variant.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) place: Place,
    pub(crate) bytes: Vec<u8>,
    /// As many.
    pub(crate) mask: Vec<u8>,
}

impl Head {
    pub(crate) fn fits(&self, frame: &[u8]) -> bool {
        let at = self.place.within(0, frame.len());
        let found = at.and_then(|at| frame.get(at..)?.get(..self.bytes.len()));
        found.is_some_and(|found| {
            found.iter().zip(&self.bytes).zip(&self.mask).all(|((a, b), mask)| (a ^ b) & mask == 0)
        })
    }
}

/// A kind of frame.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) length: Option<usize>,
    pub(crate) fields: Vec<Field>,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) device: Option<Device>,
    pub(crate) ts: Option<Moment>,
    /// Numbers that fields keep for others.
    pub(crate) slots: usize,
}

/// All kinds of frame.
#[derive(Debug)]
pub(crate) struct Program {
    /// What there is if there are no variants; its fields come first in every variant.
    pub(crate) base: Layout,
    /// Their own fields, and everything else of theirs.
    pub(crate) variants: Vec<(Head, Layout)>,
    pub(crate) commands: BTreeMap<String, Command>,
}

/// A frame to write.
#[derive(Debug)]
pub(crate) struct Command {
    /// What stands there before the parameters are written.
    pub(crate) template: Vec<u8>,
    pub(crate) params: Vec<Param>,
    pub(crate) checksum: Option<Checksum>,
}

/// A parameter of a command.
#[derive(Debug)]
pub(crate) struct Param {
    pub(crate) name: String,
    /// From the beginning of the frame; it fits.
    pub(crate) at: usize,
    /// `None` for whole bytes.
    pub(crate) span: Option<Span>,
    pub(crate) kind: Kind,
    /// What stands there if nothing is given.
    pub(crate) default: Option<flux_plugin_sdk::Json>,
}
