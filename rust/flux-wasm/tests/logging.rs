//! What guests log, as it reaches the host's log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::io::Write;
use std::sync::{Arc, Mutex};

use flux_wasm::{Context, Limits, Sink};
use guests::{ALLOC, CALL, DEALLOC, module, plugin_within};
use tracing_subscriber::fmt::MakeWriter;

/// Keeps what is written.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Kept {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

/// Logs its input: the first byte is the level, the rest the text.
fn logger() -> Vec<u8> {
    let decode = format!(
        "(func (export \"decode\") {CALL}
           (call $log (i32.load8_u (local.get $ptr)) (i32.add (local.get $ptr) (i32.const 1))
             (i32.sub (local.get $len) (i32.const 1)))
           (i64.const 0))"
    );
    module(&[ALLOC, DEALLOC, &decode])
}

/// What is logged of these inputs under a filter, and the plugin's counters of lines.
fn logged(filter: &str, limits: Limits, inputs: &[&[u8]]) -> (Vec<String>, [u64; 3]) {
    let kept = Kept::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(kept.clone())
        .with_env_filter(filter)
        .without_time()
        .with_ansi(false)
        .finish();
    let (plugins, plugin) = plugin_within(logger(), limits);
    tracing::subscriber::with_default(subscriber, || {
        let mut lease = plugin.lease().unwrap();
        for input in inputs {
            lease.decode(&Context::default(), input, &mut Sink::default()).unwrap();
        }
    });
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let lines = text.lines().map(|line| line.trim().to_owned()).collect();
    (lines, plugins.status("p").unwrap().log_lines)
}

#[test]
fn all_five_levels_are_written_under_the_target_and_filtered_by_it() {
    let inputs: [&[u8]; 6] = [b"\0t", b"\x01d", b"\x02i", b"\x03w", b"\x04e", b"\x09none"];
    let (lines, counts) = logged("trace", Limits::default(), &inputs);
    let expected = [
        "TRACE wasm_plugin: t plugin=\"p\"",
        "DEBUG wasm_plugin: d plugin=\"p\"",
        "INFO wasm_plugin: i plugin=\"p\"",
        "WARN wasm_plugin: w plugin=\"p\"",
        "ERROR wasm_plugin: e plugin=\"p\"",
        "WARN wasm_plugin: none plugin=\"p\"",
    ];
    assert_eq!(lines, expected);
    assert_eq!(counts, [6, 0, 0]);
    let (lines, counts) = logged("info,wasm_plugin=warn", Limits::default(), &inputs);
    assert_eq!(lines, expected[3..]);
    assert_eq!(counts, [3, 0, 0], "what the filter drops is not even read");
}

#[test]
fn bad_utf8_is_replaced_and_counted_and_lines_cannot_be_forged() {
    let (lines, counts) =
        logged("trace", Limits::default(), &[b"\x02a\xff\xfeb", b"\x02x\nERROR root: gone"]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("a\u{fffd}\u{fffd}b"), "{lines:?}");
    assert!(lines[1].contains("x\\nERROR root: gone"), "{lines:?}");
    assert_eq!(counts, [2, 0, 1]);
}

#[test]
fn long_lines_are_cut_between_characters() {
    let mut input = vec![2, b'!'];
    input.extend("\u{e9}".repeat(5000).bytes());
    let (lines, counts) = logged("trace", Limits::default(), &[&input]);
    let text = lines[0].split_once(": ").unwrap().1;
    let text = text.split_once(" plugin=").unwrap().0;
    assert_eq!(text.len(), 4095, "4096 would cut a character in two");
    assert_eq!(counts, [1, 0, 0]);
}

#[test]
fn a_plugin_cannot_flood_the_log() {
    let inputs = vec![&b"\x02line"[..]; 1000];
    let (lines, [written, left_out, _]) = logged("trace", Limits::default(), &inputs);
    assert_eq!(written + left_out, 1000);
    let text: Vec<_> = lines.iter().filter(|line| line.contains(": line")).collect();
    assert_eq!(text.len() as u64, written);
    assert!(written <= 200, "100 a second, over at most two seconds: {written}");
}
