//! What is in a message, written by the publisher and found again by the subscriber.
//!
//! Owns the template and the marks in it. Must never keep state between messages: whether a
//! message passes the rule follows from its source and number alone, so both ends agree.

use memchr::memmem::Finder;

use crate::failure::Failure;

/// Longest payload, bytes.
const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// The rule under measurement passes values above this.
const THRESHOLD_HUNDREDTHS: u64 = 3_000;

/// What a subscriber finds in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The publisher.
    pub(crate) source: u32,
    /// Its message, counted from 0.
    pub(crate) seq: u64,
    /// When it was written, monotonic ns of this machine.
    pub(crate) sent_ns: u64,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(Vec<u8>),
    Source,
    Seq,
    SentNs,
    Temperature,
}

/// A payload with marks in it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
    /// Length that shorter payloads are filled up to, with blanks: JSON allows them at the end.
    bytes_min: usize,
    /// Of 65 536 messages, those that pass.
    passing: u64,
    finders: [Finder<'static>; 3],
}

impl Template {
    /// About 75 bytes.
    pub(crate) const DEFAULT: &'static str =
        r#"{"n":{n},"seq":{seq},"sent_ns":{sent_ns},"temperature":{temperature}}"#;

    pub(crate) fn new(text: &str, bytes_min: usize, pass_ratio: f64) -> Result<Self, Failure> {
        if bytes_min > PAYLOAD_BYTES_MAX || text.len() > PAYLOAD_BYTES_MAX {
            let text = format!("a payload has at most {PAYLOAD_BYTES_MAX} bytes");
            return Err(Failure::Options(text));
        }
        let finders = ["\"n\":", "\"seq\":", "\"sent_ns\":"].map(Finder::new);
        let passing = (pass_ratio * 65_536.0).round() as u64;
        let template = Self { pieces: pieces(text), bytes_min, passing, finders };
        let (sample, mut out) = (Stamp { source: 7, seq: 11, sent_ns: 13 }, Vec::new());
        template.write(sample, &mut out);
        if template.read(&out) != Some(sample) {
            let text = r#"--payload needs "n":{n}, "seq":{seq} and "sent_ns":{sent_ns} in it"#;
            return Err(Failure::Options(text.to_owned()));
        }
        Ok(template)
    }

    /// Whether this message is above the threshold.
    pub(crate) fn passes(&self, source: u32, seq: u64) -> bool {
        mix(source, seq) & 0xFFFF < self.passing
    }

    /// Writes one payload behind what is in `out`.
    pub(crate) fn write(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let before = out.len();
        let mut number = itoa::Buffer::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text),
                Piece::Source => out.extend_from_slice(number.format(stamp.source).as_bytes()),
                Piece::Seq => out.extend_from_slice(number.format(stamp.seq).as_bytes()),
                Piece::SentNs => out.extend_from_slice(number.format(stamp.sent_ns).as_bytes()),
                Piece::Temperature => self.temperature(stamp, out),
            }
        }
        if out.len() < before + self.bytes_min {
            out.resize(before + self.bytes_min, b' ');
        }
    }

    /// 30.01 to 59.99 where the message passes, else 0.00 to 30.00.
    fn temperature(&self, stamp: Stamp, out: &mut Vec<u8>) {
        let random = mix(stamp.source, stamp.seq) >> 16;
        let hundredths = if self.passes(stamp.source, stamp.seq) {
            THRESHOLD_HUNDREDTHS + 1 + random % 2_999
        } else {
            random % (THRESHOLD_HUNDREDTHS + 1)
        };
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(number.format(hundredths / 100).as_bytes());
        let rest = (hundredths % 100) as u8;
        out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
    }

    /// Finds the marks again, wherever they stand and whoever wrote the JSON anew.
    pub(crate) fn read(&self, payload: &[u8]) -> Option<Stamp> {
        let mut from = 0;
        let [source, seq, sent_ns] = &self.finders;
        // In the order written they follow one another, and each search is short.
        let mut field = |finder: &Finder<'_>| {
            let key = finder.needle().len();
            let rest = payload.get(from..).unwrap_or_default();
            let (start, rest) = match finder.find(rest) {
                Some(at) => (from + at + key, rest.get(at + key..)?),
                None => {
                    let at = finder.find(payload)?;
                    (at + key, payload.get(at + key..)?)
                }
            };
            let (value, digits) = number(rest)?;
            from = start + digits;
            Some(value)
        };
        let source = u32::try_from(field(source)?).ok()?;
        Some(Stamp { source, seq: field(seq)?, sent_ns: field(sent_ns)? })
    }
}

/// A whole number, perhaps behind blanks, and how many bytes it took.
fn number(text: &[u8]) -> Option<(u64, usize)> {
    let blanks = text.iter().take_while(|byte| **byte == b' ').count();
    let digits = text.get(blanks..)?.iter().take_while(|byte| byte.is_ascii_digit());
    let (mut value, mut count) = (0u64, 0);
    for digit in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
        count += 1;
    }
    (count > 0).then_some((value, blanks + count))
}

fn pieces(text: &str) -> Vec<Piece> {
    let marks = [
        ("{n}", Piece::Source),
        ("{seq}", Piece::Seq),
        ("{sent_ns}", Piece::SentNs),
        ("{temperature}", Piece::Temperature),
    ];
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let next = marks
            .iter()
            .filter_map(|(mark, piece)| rest.find(mark).map(|at| (at, mark.len(), piece)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, len, piece)) = next else { break };
        let (before, from_mark) = rest.split_at(at);
        pieces.push(Piece::Text(before.as_bytes().to_vec()));
        pieces.push(piece.clone());
        rest = from_mark.split_at(len).1;
    }
    pieces.push(Piece::Text(rest.as_bytes().to_vec()));
    pieces
}

/// SplitMix64 (Steele, Lea, Flood, 2014) over source and number: the same at both ends.
fn mix(source: u32, seq: u64) -> u64 {
    let mut z = (u64::from(source) << 40) ^ seq.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(template: &Template, stamp: Stamp) -> Vec<u8> {
        let mut out = Vec::new();
        template.write(stamp, &mut out);
        out
    }

    #[test]
    fn what_was_written_is_found_again() {
        let template = Template::new(Template::DEFAULT, 0, 0.5).unwrap();
        for (source, seq, sent_ns) in [(0, 0, 0), (999, 12_345_678, u64::MAX)] {
            let stamp = Stamp { source, seq, sent_ns };
            assert_eq!(template.read(&written(&template, stamp)), Some(stamp));
        }
    }

    #[test]
    fn fields_are_found_in_any_order_and_with_blanks() {
        let template = Template::new(Template::DEFAULT, 0, 1.0).unwrap();
        let other = br#"{"sent_ns": 3, "values": {"seq":2, "n" :9}, "n": 1}"#;
        let stamp = Stamp { source: 1, seq: 2, sent_ns: 3 };
        assert_eq!(template.read(other), Some(stamp));
        assert_eq!(template.read(br#"{"n":1,"seq":2}"#), None);
        assert_eq!(template.read(br#"{"n":99999999999,"seq":2,"sent_ns":1}"#), None);
    }

    #[test]
    fn payloads_are_json_and_filled_up() {
        let template = Template::new(Template::DEFAULT, 128, 0.5).unwrap();
        let payload = written(&template, Stamp { source: 3, seq: 9, sent_ns: 27 });
        assert_eq!(payload.len(), 128);
        let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        assert_eq!(value["seq"], 9);
    }

    #[test]
    fn the_share_that_passes_is_the_share_above_the_threshold() {
        for ratio in [0.0, 0.5, 1.0] {
            let template = Template::new(Template::DEFAULT, 0, ratio).unwrap();
            let mut passed = 0;
            for seq in 0..10_000 {
                let payload = written(&template, Stamp { source: 5, seq, sent_ns: 1 });
                let value: serde_json::Value = serde_json::from_slice(&payload).unwrap();
                let above = value["temperature"].as_f64().unwrap() > 30.0;
                assert_eq!(above, template.passes(5, seq));
                passed += u32::from(above);
            }
            let share = f64::from(passed) / 10_000.0;
            assert!((share - ratio).abs() < 0.02, "{share} for {ratio}");
        }
    }
}
