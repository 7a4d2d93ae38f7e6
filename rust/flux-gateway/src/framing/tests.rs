use std::sync::Arc;

use bytes::BytesMut;
use flux_types::ProductId;
use proptest::prelude::*;

use super::*;
use crate::ports::NoScanner;

fn spec(json: serde_json::Value) -> Arc<FramingSpec> {
    let entry: FramingEntry = serde_json::from_value(json).unwrap();
    Arc::new(entry.compile().unwrap())
}

/// What comes out when the stream arrives in these pieces: frames, and how many bytes were garbage.
fn cut(
    spec: &Arc<FramingSpec>,
    pieces: &[&[u8]],
    scanner: &dyn FrameScanner,
) -> (Vec<Vec<u8>>, u64) {
    let mut framer = Framer::new(Arc::clone(spec), ProductId::random());
    let mut input = BytesMut::new();
    let mut frames = Vec::new();
    for piece in pieces {
        input.extend_from_slice(piece);
        while let Ok(Some(frame)) = framer.next(&mut input, scanner) {
            frames.push(frame.to_vec());
        }
        let held = spec.frame_bytes_max + 64;
        assert!(input.len() <= held, "{} bytes are held", input.len());
    }
    (frames, framer.take_garbage())
}

fn whole(spec: &Arc<FramingSpec>, stream: &[u8]) -> Vec<Vec<u8>> {
    cut(spec, &[stream], &NoScanner).0
}

/// Frames of two bytes of header `aa`, a length and as many bytes.
struct Plugin;

impl FrameScanner for Plugin {
    fn scan(&self, _: ProductId, bytes: &[u8]) -> Scan {
        match bytes {
            [0xaa, len, rest @ ..] if rest.len() >= usize::from(*len) => {
                Scan::Frame(2 + usize::from(*len))
            }
            [0xaa, ..] => Scan::NeedMore,
            _ => Scan::Skip(bytes.iter().position(|b| *b == 0xaa).unwrap_or(bytes.len())),
        }
    }
}

fn specs() -> Vec<Arc<FramingSpec>> {
    [
        serde_json::json!({"type": "fixed", "length": 3}),
        serde_json::json!({"type": "fixed", "length": 4, "header": "hex:aa01"}),
        serde_json::json!({"type": "delimiter", "delimiter": "hex:00", "frame_bytes_max": 6}),
        serde_json::json!({"type": "delimiter", "delimiter": "hex:0001", "frame_bytes_max": 6}),
        serde_json::json!({"type": "delimiter", "delimiter": "hex:000000", "keep": true}),
        serde_json::json!({"type": "length", "offset": 0, "width": 1, "frame_bytes_max": 9}),
        serde_json::json!({"type": "length", "offset": 2, "width": 2, "header": "hex:aa",
                           "endian": "little", "adjustment": -1, "frame_bytes_max": 40}),
        serde_json::json!({"type": "plugin", "frame_bytes_max": 12}),
    ]
    .into_iter()
    .map(spec)
    .collect()
}

#[test]
fn fixed_frames_come_whole() {
    let spec = spec(serde_json::json!({"type": "fixed", "length": 3}));
    assert_eq!(whole(&spec, b"abcdefgh"), [b"abc", b"def"]);
}

#[test]
fn a_header_is_searched_for_after_garbage() {
    let spec = spec(serde_json::json!({"type": "fixed", "length": 3, "header": "hex:7e7e"}));
    let (frames, garbage) = cut(&spec, &[b"tail\x7e", b"\x7e\x01\x7e", b"\x7e\x02"], &NoScanner);
    assert_eq!(frames, [b"\x7e\x7e\x01", b"\x7e\x7e\x02"]);
    assert_eq!(garbage, 4);
}

#[test]
fn delimited_frames_lose_their_delimiter_and_empty_ones_are_frames_of_nothing() {
    let plain = spec(serde_json::json!({"type": "delimiter", "delimiter": "\r\n"}));
    assert_eq!(whole(&plain, b"one\r\n\r\ntwo\r\nthr"), [&b"one"[..], b"", b"two"]);
    let kept = spec(serde_json::json!({"type": "delimiter", "delimiter": ";", "keep": true}));
    assert_eq!(whole(&kept, b"a;b;"), [b"a;", b"b;"]);
}

#[test]
fn an_oversized_frame_goes_up_to_its_delimiter_and_the_next_is_kept() {
    let spec =
        spec(serde_json::json!({"type": "delimiter", "delimiter": "\n", "frame_bytes_max": 4}));
    let (frames, garbage) = cut(&spec, &[b"12345", b"6789\nok\n"], &NoScanner);
    assert_eq!(frames, [b"ok"]);
    assert_eq!(garbage, 10);
    assert_eq!(whole(&spec, b"1234\n"), [b"1234"]);
}

#[test]
fn a_length_field_counts_what_it_is_told_to() {
    // Modbus TCP: transaction, protocol, length (2 bytes, what follows), unit, PDU.
    let mbap = spec(serde_json::json!({"type": "length", "offset": 4, "width": 2,
                                       "frame_bytes_max": 260}));
    let frame = [0, 1, 0, 0, 0, 3, 17, 3, 2];
    assert_eq!(whole(&mbap, &[frame, frame].concat()), [frame, frame]);
    // a length that counts the whole frame
    let all = spec(serde_json::json!({"type": "length", "offset": 1, "width": 1,
                                      "adjustment": -2}));
    assert_eq!(whole(&all, &[9, 4, 1, 2, 9, 2]), [&[9, 4, 1, 2][..], &[9, 2]]);
}

#[test]
fn a_length_beyond_the_largest_frame_is_garbage_by_policy() {
    let entry = |policy: &str| {
        spec(serde_json::json!({"type": "length", "offset": 0, "width": 1,
            "frame_bytes_max": 4, "on_garbage": policy}))
    };
    assert_eq!(whole(&entry("resync"), &[200, 1, 7]), [[1, 7]]);
    let mut framer = Framer::new(entry("close"), ProductId::random());
    let mut input = BytesMut::from(&[200, 1, 7][..]);
    assert_eq!(framer.next(&mut input, &NoScanner), Err(Garbage));
    assert_eq!(framer.take_garbage(), 1);
}

#[test]
fn silence_ends_a_frame() {
    let spec = spec(serde_json::json!({"type": "idle", "gap_ms": 20, "frame_bytes_max": 4}));
    let mut framer = Framer::new(spec, ProductId::random());
    assert_eq!(framer.gap_ms(), Some(20));
    let mut input = BytesMut::from(&b"ab"[..]);
    assert_eq!(framer.next(&mut input, &NoScanner), Ok(None));
    input.extend_from_slice(b"cd");
    assert_eq!(framer.next(&mut input, &NoScanner), Ok(None));
    assert_eq!(framer.on_gap(&mut input).as_deref(), Some(&b"abcd"[..]));
    assert_eq!(framer.on_gap(&mut input), None);
    input.extend_from_slice(b"too long");
    assert_eq!(framer.next(&mut input, &NoScanner), Ok(None));
    input.extend_from_slice(b"x");
    assert_eq!(framer.next(&mut input, &NoScanner), Ok(None));
    assert_eq!(framer.on_gap(&mut input), None);
    assert_eq!(framer.take_garbage(), 9);
    input.extend_from_slice(b"ok");
    assert_eq!(framer.on_gap(&mut input).as_deref(), Some(&b"ok"[..]));
}

#[test]
fn a_plugin_that_never_decides_or_lies_is_contained() {
    struct Stuck(Scan);
    impl FrameScanner for Stuck {
        fn scan(&self, _: ProductId, _: &[u8]) -> Scan {
            self.0
        }
    }
    let spec = spec(serde_json::json!({"type": "plugin", "frame_bytes_max": 8}));
    let stream = [7; 100];
    for lie in [Scan::NeedMore, Scan::Frame(0), Scan::Frame(99), Scan::Skip(0), Scan::Skip(500)] {
        let (frames, garbage) = cut(&spec, &[&stream], &Stuck(lie));
        assert_eq!(frames.len(), 0, "{lie:?}");
        assert!(garbage > 92, "{lie:?}: {garbage}");
    }
}

#[test]
fn every_problem_of_a_framing_is_told_at_once() {
    let problems = |json: serde_json::Value| {
        let entry: FramingEntry = serde_json::from_value(json).unwrap();
        let problems = entry.compile().unwrap_err();
        problems.into_iter().map(|problem| problem.pointer).collect::<Vec<_>>()
    };
    let json = serde_json::json!({"type": "fixed", "gap_ms": 5, "frame_bytes_max": 0});
    assert_eq!(problems(json), ["/frame_bytes_max", "/gap_ms", "/length"]);
    let json = serde_json::json!({"type": "length", "offset": 1, "width": 3, "header": "abc"});
    assert_eq!(problems(json), ["/width", "/header"]);
    assert_eq!(problems(serde_json::json!({"type": "delimiter"})), ["/delimiter"]);
    assert_eq!(problems(serde_json::json!({"type": "idle", "gap_ms": 0})), ["/gap_ms"]);
}

proptest! {
    #[test]
    fn any_cutting_gives_the_same_frames(
        stream in prop::collection::vec(
            prop_oneof![Just(0_u8), Just(1), Just(2), Just(0xaa), any::<u8>()], 0..200),
        cuts in prop::collection::vec(0_usize..200, 0..40),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|at| at.min(stream.len())).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        for spec in specs() {
            let all = cut(&spec, &[&stream], &Plugin);
            prop_assert_eq!(&cut(&spec, &pieces, &Plugin), &all, "{:?}", spec);
            prop_assert_eq!(&cut(&spec, &bytes, &Plugin), &all, "{:?}", spec);
        }
    }
}
