//! How frames are told apart, as it is configured.

use flux_types::Problem;
use serde::{Deserialize, Serialize};

use crate::pattern::Pattern;

/// The largest frame a framing may allow, bytes.
pub const FRAME_BYTES_CEILING: usize = 1 << 20;
/// The longest idle gap, ms.
const GAP_MS_CEILING: u64 = 60_000;

/// What is done with bytes that are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnGarbage {
    /// Skip to where a frame may begin again; counted.
    #[default]
    Resync,
    /// Close the connection.
    Close,
}

/// Which byte of a length comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endian {
    /// The most significant.
    #[default]
    Big,
    /// The least significant.
    Little,
}

/// The kinds of framing by their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KindName {
    Fixed,
    Delimiter,
    Length,
    Idle,
    Plugin,
}

/// A framing as it is written: every kind's fields side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FramingEntry {
    #[serde(rename = "type")]
    kind: KindName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delimiter: Option<Pattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keep: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    width: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    endian: Option<Endian>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    adjustment: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    header: Option<Pattern>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gap_ms: Option<u64>,
    #[serde(default = "frame_bytes_max")]
    frame_bytes_max: usize,
    #[serde(default)]
    on_garbage: OnGarbage,
}

fn frame_bytes_max() -> usize {
    4096
}

/// How frames are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FramingSpec {
    /// By what.
    pub kind: FramingKind,
    /// The largest frame, bytes, its delimiter not counted.
    pub frame_bytes_max: usize,
    /// What is done with bytes that are no frame.
    pub on_garbage: OnGarbage,
}

/// By what frames are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramingKind {
    /// Each has `length` bytes and begins with `header` (which may be empty).
    Fixed {
        /// Bytes of a frame.
        length: usize,
        /// How each begins.
        header: Pattern,
    },
    /// Each is followed by `delimiter`. Empty ones are passed over.
    Delimiter {
        /// What stands behind each.
        delimiter: Pattern,
        /// Whether it is part of the frame.
        keep: bool,
    },
    /// Each says how long it is: `offset + width + length + adjustment` bytes in all.
    Length(LengthField),
    /// Each is followed by silence.
    Idle {
        /// How long, ms.
        gap_ms: u64,
    },
    /// The product's plugin finds them.
    Plugin,
}

/// Where a frame says how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LengthField {
    /// Bytes before the field.
    pub offset: usize,
    /// Bytes of the field: 1, 2 or 4.
    pub width: usize,
    /// Which of them comes first.
    pub endian: Endian,
    /// What is added to what the field says to have the number of bytes behind the field.
    pub adjustment: i64,
    /// How each frame begins.
    pub header: Pattern,
}

impl FramingEntry {
    /// Checks it; tells everything that is wrong, with pointers relative to it.
    ///
    /// # Errors
    /// All problems.
    pub fn compile(&self) -> Result<FramingSpec, Vec<Problem>> {
        let mut problems = Problems::default();
        if self.frame_bytes_max == 0 || self.frame_bytes_max > FRAME_BYTES_CEILING {
            problems.add("/frame_bytes_max", format!("give 1 to {FRAME_BYTES_CEILING}"));
        }
        self.refuse_strangers(&mut problems);
        let kind = match self.kind {
            KindName::Fixed => self.fixed(&mut problems),
            KindName::Delimiter => self.delimiter(&mut problems),
            KindName::Length => self.length_field(&mut problems),
            KindName::Idle => self.idle(&mut problems),
            KindName::Plugin => Some(FramingKind::Plugin),
        };
        match kind {
            Some(kind) if problems.0.is_empty() => Ok(FramingSpec {
                kind,
                frame_bytes_max: self.frame_bytes_max,
                on_garbage: self.on_garbage,
            }),
            _ => Err(problems.0),
        }
    }

    fn refuse_strangers(&self, problems: &mut Problems) {
        let fits = |kinds: &[KindName]| kinds.contains(&self.kind);
        let given: [(&str, bool, &[KindName]); 9] = [
            ("length", self.length.is_some(), &[KindName::Fixed]),
            ("delimiter", self.delimiter.is_some(), &[KindName::Delimiter]),
            ("keep", self.keep.is_some(), &[KindName::Delimiter]),
            ("offset", self.offset.is_some(), &[KindName::Length]),
            ("width", self.width.is_some(), &[KindName::Length]),
            ("endian", self.endian.is_some(), &[KindName::Length]),
            ("adjustment", self.adjustment.is_some(), &[KindName::Length]),
            ("header", self.header.is_some(), &[KindName::Fixed, KindName::Length]),
            ("gap_ms", self.gap_ms.is_some(), &[KindName::Idle]),
        ];
        for (name, is_given, kinds) in given {
            if is_given && !fits(kinds) {
                problems.add(&format!("/{name}"), "does not belong to this type of framing");
            }
        }
    }

    fn fixed(&self, problems: &mut Problems) -> Option<FramingKind> {
        let header = self.header.clone().unwrap_or_default();
        let Some(length) = self.length else {
            problems.add("/length", "is needed: the bytes of each frame");
            return None;
        };
        if length == 0 || length > self.frame_bytes_max {
            problems.add("/length", "give 1 to frame_bytes_max");
        }
        if header.len() > length {
            problems.add("/header", "is longer than the frame");
        }
        Some(FramingKind::Fixed { length, header })
    }

    fn delimiter(&self, problems: &mut Problems) -> Option<FramingKind> {
        match &self.delimiter {
            Some(delimiter) if !delimiter.is_empty() => Some(FramingKind::Delimiter {
                delimiter: delimiter.clone(),
                keep: self.keep.unwrap_or(false),
            }),
            _ => {
                problems
                    .add("/delimiter", "is needed: what stands behind each frame, like \"\\n\"");
                None
            }
        }
    }

    fn length_field(&self, problems: &mut Problems) -> Option<FramingKind> {
        let Some(offset) = self.offset else {
            problems.add("/offset", "is needed: the bytes before the length field");
            return None;
        };
        let width = usize::from(self.width.unwrap_or(2));
        if ![1, 2, 4].contains(&width) {
            problems.add("/width", "give 1, 2 or 4");
        }
        if offset + width > self.frame_bytes_max {
            problems.add("/offset", "lies beyond frame_bytes_max");
        }
        let header = self.header.clone().unwrap_or_default();
        if header.len() > offset {
            problems.add("/header", "reaches into the length field");
        }
        let (endian, adjustment) =
            (self.endian.unwrap_or_default(), i64::from(self.adjustment.unwrap_or(0)));
        Some(FramingKind::Length(LengthField { offset, width, endian, adjustment, header }))
    }

    fn idle(&self, problems: &mut Problems) -> Option<FramingKind> {
        match self.gap_ms {
            Some(gap_ms) if (1..=GAP_MS_CEILING).contains(&gap_ms) => {
                Some(FramingKind::Idle { gap_ms })
            }
            _ => {
                problems.add("/gap_ms", format!("is needed: 1 to {GAP_MS_CEILING} ms of silence"));
                None
            }
        }
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(Problem::new("link.framing", message).at(pointer));
    }
}
