//! Guests the tests run, written as WebAssembly text.
#![allow(dead_code, unreachable_pub)] // each test uses its own

use std::sync::Arc;
use std::time::Duration;

use flux_wasm::{Limits, Options, Package, Plugin, Plugins};

/// An allocator with stack discipline: what was allocated last and is freed first gives its room
/// back. Counts what is not freed in `$live`.
pub const ALLOC: &str = r#"
  (global $top (mut i32) (i32.const 65536))
  (global $live (mut i32) (i32.const 0))
  (func $alloc (export "alloc") (param $len i32) (result i32) (local $at i32) (local $end i32)
    (local.set $at (global.get $top))
    (local.set $end
      (i32.and (i32.add (i32.add (local.get $at) (local.get $len)) (i32.const 7)) (i32.const -8)))
    (if (i32.gt_u (local.get $end) (i32.mul (memory.size) (i32.const 65536)))
      (then
        (if (i32.lt_s (memory.grow (i32.const 33)) (i32.const 0))
          (then (return (i32.const 0))))))
    (global.set $top (local.get $end))
    (global.set $live (i32.add (global.get $live) (i32.const 1)))
    (local.get $at))
"#;

/// Its counterpart.
pub const DEALLOC: &str = r#"
  (func $dealloc (export "dealloc") (param $ptr i32) (param $len i32)
    (global.set $live (i32.sub (global.get $live) (i32.const 1)))
    (if (i32.eq
          (i32.and (i32.add (i32.add (local.get $ptr) (local.get $len)) (i32.const 7))
            (i32.const -8))
          (global.get $top))
      (then (global.set $top (local.get $ptr)))))
"#;

/// Parameters and result of every function that is called.
pub const CALL: &str = "(param $ctx i32) (param $ctx_len i32) (param $ptr i32) (param $len i32) \
                        (result i64)";

/// The whole module of pieces, with three pages of memory.
pub fn module(pieces: &[&str]) -> Vec<u8> {
    let head = r#"(module
  (import "flux" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 3)
  (func (export "abi_version") (result i32) (i32.const 1))"#;
    wat(&format!("{head}\n{}\n)", pieces.join("\n")))
}

/// A module of which only `decode` is out of the ordinary.
pub fn decoding(body: &str) -> Vec<u8> {
    module(&[ALLOC, DEALLOC, &format!("(func (export \"decode\") {CALL} {body})")])
}

/// WebAssembly text as bytes.
pub fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Returns its input as its output, freshly allocated. `decode_batch` too, behind its count.
pub fn parrot() -> Vec<u8> {
    let copy = format!(
        r#"(func $copy {CALL} (local $out i32)
    (if (i32.eqz (local.get $len)) (then (return (i64.const 0))))
    (local.set $out (call $alloc (local.get $len)))
    (if (i32.eqz (local.get $out)) (then (unreachable)))
    (memory.copy (local.get $out) (local.get $ptr) (local.get $len))
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $out)) (i64.const 32))
      (i64.extend_i32_u (local.get $len))))
  (export "decode" (func $copy))
  (export "encode" (func $copy))
  (export "on_msg" (func $copy))
  (export "on_action" (func $copy))"#
    );
    module(&[ALLOC, DEALLOC, &copy])
}

/// Returns its context as its output, for tests to look at what guests are told. Borrowed.
pub fn mirror() -> Vec<u8> {
    decoding(
        r"(i64.or (i64.const 0x8000000000000000) (i64.or
            (i64.shl (i64.extend_i32_u (local.get $ctx)) (i64.const 32))
            (i64.extend_i32_u (local.get $ctx_len))))",
    )
}

/// Four big-endian registers of 16 bits into the values a, b, c, d, whole numbers; in a buffer of
/// its own, which it lends. Also as a batch.
pub fn registers() -> Vec<u8> {
    wat(include_str!("registers.wat"))
}

/// Speaks ABI 0: logs what it gets; an empty message fails.
pub fn abi_zero() -> Vec<u8> {
    let on_msg = r#"
  (func (export "on_msg") (param $ptr i32) (param $len i32) (result i32)
    (call $info (local.get $ptr) (local.get $len))
    (i32.ne (local.get $len) (i32.const 0)))"#;
    let head = r#"(module (import "env" "log_info" (func $info (param i32 i32)))
  (memory (export "memory") 3)"#;
    wat(&format!("{head}\n{ALLOC}\n{DEALLOC}\n{on_msg})"))
}

/// A set with one plugin, named `p`.
pub fn plugin_within(wasm: Vec<u8>, limits: Limits) -> (Plugins, Arc<Plugin>) {
    let plugins = Plugins::open(Options::new(limits)).unwrap();
    plugins.install("p", &Package::new(wasm)).unwrap();
    let plugin = plugins.get("p").unwrap();
    (plugins, plugin)
}

/// The same within the default limits.
pub fn plugin(wasm: Vec<u8>) -> (Plugins, Arc<Plugin>) {
    plugin_within(wasm, Limits::default())
}

/// Limits under which no breaker opens.
pub fn patient() -> Limits {
    let mut limits = Limits::default();
    limits.breaker.deadlines_max = u32::MAX;
    limits.breaker.failures_max = u32::MAX;
    limits.breaker.busy_share_max = 1000.0;
    limits
}

/// How long a call may take that is stopped at its deadline: two ticks more, and what a busy machine
/// adds.
pub fn contained() -> Duration {
    let slack = Duration::from_millis(if cfg!(debug_assertions) { 60 } else { 20 });
    Duration::from_millis(Limits::default().deadline_ms + 2) + slack
}
