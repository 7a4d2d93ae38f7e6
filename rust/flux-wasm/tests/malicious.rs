//! Guests that mean harm, each contained: the call fails in time, with the right reason, and the
//! next plugin never notices.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::time::Instant;

use flux_types::Coded;
use flux_wasm::{
    BreakerState, Context, FailureReason, Limits, Options, Package, PluginError, Plugins, Sink,
    TripCause,
};
use guests::{ALLOC, CALL, DEALLOC, contained, decoding, module, patient, plugin_within};

/// Calls `decode` once and gives the failure, having seen that it took no longer than it may.
fn failure(wasm: Vec<u8>) -> PluginError {
    let (_plugins, plugin) = plugin_within(wasm, patient());
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    let start = Instant::now();
    let error = lease.decode(&Context::default(), &[0; 64], &mut sink).unwrap_err();
    assert!(start.elapsed() < contained(), "{error} took {:?}", start.elapsed());
    assert_eq!(sink.items().len(), 0, "a failed call leaves nothing");
    error
}

/// Why a module is refused when it is installed.
fn refusal(wasm: Vec<u8>) -> PluginError {
    let plugins = Plugins::open(Options::new(Limits::default())).unwrap();
    let start = Instant::now();
    let error = plugins.install("p", &Package::new(wasm)).unwrap_err();
    assert!(plugins.get("p").is_none(), "what is refused is not there");
    assert!(start.elapsed().as_secs() < 10, "{error} took {:?}", start.elapsed());
    error
}

const FOREVER: &str = "(loop $endless (br $endless)) (unreachable)";

#[test]
fn an_endless_decode_is_stopped_at_its_deadline() {
    let error = failure(decoding(FOREVER));
    assert!(matches!(error, PluginError::Deadline { .. }), "{error}");
    assert_eq!(error.reason(), FailureReason::Deadline);
}

#[test]
fn an_endless_alloc_is_stopped_at_its_deadline() {
    let alloc = format!("(func (export \"alloc\") (param i32) (result i32) {FOREVER})");
    let dealloc = "(func (export \"dealloc\") (param i32 i32))";
    let decode = format!("(func (export \"decode\") {CALL} (i64.const 0))");
    let error = failure(module(&[&alloc, dealloc, &decode]));
    assert!(error.to_string().starts_with("alloc took longer"), "{error}");
}

#[test]
fn an_endless_dealloc_is_stopped_at_its_deadline() {
    let dealloc = format!("(func (export \"dealloc\") (param i32 i32) {FOREVER})");
    // an empty output that the host has to give back
    let decode = format!("(func (export \"decode\") {CALL} (i64.const 0x100000000001))");
    let error = failure(module(&["(data (i32.const 4096) \"\\01\")", ALLOC, &dealloc, &decode]));
    assert!(error.to_string().starts_with("dealloc took longer"), "{error}");
}

#[test]
fn a_start_function_that_never_ends_is_refused_when_it_is_loaded() {
    for start in [
        format!("(func $s {FOREVER}) (start $s)"),
        format!("(func (export \"_initialize\") {FOREVER})"),
    ] {
        let decode = format!("(func (export \"decode\") {CALL} (i64.const 0))");
        let error = refusal(module(&[ALLOC, DEALLOC, &decode, &start]));
        assert!(matches!(error, PluginError::Deadline { .. }), "{error}");
    }
}

#[test]
fn a_slow_abi_version_and_a_slow_describe_are_refused_when_they_are_loaded() {
    let describe = format!("(func (export \"describe\") {CALL} {FOREVER})");
    let decode = format!("(func (export \"decode\") {CALL} (i64.const 0))");
    let error = refusal(module(&[ALLOC, DEALLOC, &decode, &describe]));
    assert!(error.to_string().starts_with("describe took longer"), "{error}");
    let text = format!(
        "(module (memory (export \"memory\") 3) {ALLOC} {DEALLOC} {decode}
           (func (export \"abi_version\") (result i32) {FOREVER}))"
    );
    let error = refusal(guests::wat(&text));
    assert!(error.to_string().starts_with("abi_version took longer"), "{error}");
}

#[test]
fn recursion_without_end_uses_up_its_stack_and_nobody_elses() {
    let deep = "(func $deep (param i32) (result i32)
        (i32.add (call $deep (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))";
    let decode =
        format!("(func (export \"decode\") {CALL} (i64.extend_i32_u (call $deep (i32.const 0))))");
    let error = failure(module(&[ALLOC, DEALLOC, deep, &decode]));
    assert!(matches!(error, PluginError::Stack { .. }), "{error}");
}

#[test]
fn memory_without_end_is_refused_and_named() {
    let error = failure(decoding(
        "(loop $l (if (i32.ge_s (memory.grow (i32.const 16)) (i32.const 0)) (then (br $l))))
         (unreachable)",
    ));
    assert!(error.to_string().contains("max_memory_bytes"), "{error}");
    let error = refusal(guests::wat("(module (memory (export \"memory\") 300))"));
    let text = error.to_string();
    assert!(text.contains("19660800 bytes of memory, more than max_memory_bytes"), "{text}");
}

#[test]
fn tables_without_end_are_refused_and_named() {
    let table = "(table $t 1 funcref)";
    let decode = format!(
        "(func (export \"decode\") {CALL}
           (loop $l (if (i32.ge_s (table.grow $t (ref.null func) (i32.const 100)) (i32.const 0))
             (then (br $l))))
           (unreachable))"
    );
    let error = failure(module(&[ALLOC, DEALLOC, table, &decode]));
    assert!(error.to_string().contains("max_table_elements"), "{error}");
    let error = refusal(module(&["(table 5000 funcref)"]));
    assert!(error.to_string().contains("5000 table elements"), "{error}");
    let error = refusal(module(&["(table 1 funcref) (table 1 funcref)"]));
    assert!(error.to_string().contains("2 tables, more than max_tables = 1"), "{error}");
}

#[test]
fn forged_outputs_are_refused_wherever_they_point() {
    let memory = 3_u64 * 65_536;
    let owned = |ptr: u64, len: u64| ptr << 32 | len;
    for (what, result) in [
        ("beyond the memory", owned(memory, 1)),
        ("across its end", owned(memory - 4, 8)),
        ("of a length that overflows", owned(memory - 1, 0xffff_ffff)),
        ("at the highest address", owned(0x7fff_ffff, 0xffff_ffff)),
        ("negative and lent", u64::MAX),
        ("of all the address space", owned(0, 0xffff_ffff)),
    ] {
        let error = failure(decoding(&format!("(i64.const {result:#x})")));
        assert!(matches!(error, PluginError::Pointer { .. }), "{what}: {error}");
        assert_eq!(error.reason(), FailureReason::Pointer);
    }
}

#[test]
fn an_output_within_an_input_has_to_be_lent() {
    let within = "(i64.shl (i64.extend_i32_u (i32.add (local.get $ptr) (i32.const 8)))
        (i64.const 32))";
    let error = failure(decoding(&format!("(i64.or {within} (i64.const 16))")));
    assert!(matches!(error, PluginError::Overlap), "{error}");
    let lent = format!("(i64.or (i64.or {within} (i64.const 16)) (i64.const 0x8000000000000000))");
    let error = failure(decoding(&lent));
    assert!(error.to_string().contains("begins with 0x00"), "it is looked at as it is: {error}");
}

#[test]
fn an_alloc_that_lies_is_found_out() {
    let dealloc = "(func (export \"dealloc\") (param i32 i32))";
    let decode = format!("(func (export \"decode\") {CALL} (i64.const 0))");
    for (answer, expected) in
        [("-1", "plugin.pointer"), ("0", "plugin.memory"), ("196600", "plugin.pointer")]
    {
        let alloc =
            format!("(func (export \"alloc\") (param i32) (result i32) (i32.const {answer}))");
        let error = failure(module(&[&alloc, dealloc, &decode]));
        assert_eq!(error.code(), expected, "{error}");
    }
}

#[test]
fn two_inputs_at_one_place_harm_nobody_but_the_guest() {
    let alloc = "(func (export \"alloc\") (param i32) (result i32) (i32.const 4096))";
    let dealloc = "(func (export \"dealloc\") (param i32 i32))";
    let decode = format!("(func (export \"decode\") {CALL} (i64.const 0))");
    let (_plugins, plugin) = plugin_within(module(&[alloc, dealloc, &decode]), patient());
    let mut sink = Sink::default();
    let outcome = plugin.lease().unwrap().decode(&Context::default(), &[7; 64], &mut sink);
    assert_eq!(outcome.unwrap().messages, 0);
}

#[test]
fn an_output_larger_than_the_limit_is_refused_and_given_back() {
    // 2 MiB, allocated as they should be
    let huge = "(i64.or (i64.shl (i64.extend_i32_u (call $alloc (i32.const 2097152)))
        (i64.const 32)) (i64.const 2097152))";
    let (_plugins, plugin) = plugin_within(decoding(huge), patient());
    let mut sink = Sink::default();
    for _ in 0..40 {
        let error =
            plugin.lease().unwrap().decode(&Context::default(), &[0], &mut sink).unwrap_err();
        assert!(error.to_string().contains("output_bytes_max = 1048576"), "{error}");
    }
}

#[test]
fn a_trap_costs_the_instance_and_the_next_call_has_another() {
    // traps for an input that begins with 1
    let body = "(if (i32.eq (i32.load8_u (local.get $ptr)) (i32.const 1)) (then (unreachable)))
        (i64.const 0)";
    let (_plugins, plugin) = plugin_within(decoding(body), patient());
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    for round in 0..20 {
        let error = lease.decode(&Context::default(), &[1], &mut sink).unwrap_err();
        assert!(matches!(error, PluginError::Trap { .. }), "{error}");
        lease.decode(&Context::default(), &[0], &mut sink).unwrap();
        assert_eq!(sink.items().len(), round + 1);
    }
    drop(lease);
    assert_eq!(plugin.stats().discarded, 20);
    assert_eq!(plugin.stats().failures[FailureReason::Trap as usize], 20);
}

#[test]
fn a_log_from_outside_the_memory_ends_the_call() {
    for (ptr, len) in [(0x7fff_ffff_u32, 1_u32), (0, u32::MAX), (u32::MAX, u32::MAX), (196_608, 1)]
    {
        let body = format!(
            "(call $log (i32.const 2) (i32.const {}) (i32.const {})) (i64.const 0)",
            ptr.cast_signed(),
            len.cast_signed()
        );
        let error = failure(decoding(&body));
        assert!(error.to_string().starts_with("a line of log at"), "{error}");
    }
}

#[test]
fn what_plugins_are_not_given_cannot_be_imported() {
    let importing = |import: &str| {
        refusal(guests::wat(&format!(
            "(module (import {import}) (memory (export \"memory\") 1)
               (func (export \"abi_version\") (result i32) (i32.const 1))
               (func (export \"alloc\") (param i32) (result i32) (i32.const 8))
               (func (export \"dealloc\") (param i32 i32))
               (func (export \"decode\") {CALL} (i64.const 0)))"
        )))
        .to_string()
    };
    let wasi = importing(
        "\"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32))",
    );
    assert!(
        wasi.contains("wasi_snapshot_preview1.fd_write, which plugins are not given"),
        "{wasi}"
    );
    assert!(wasi.contains("wasm32-unknown-unknown"), "{wasi}");
    let undefined = importing("\"env\" \"sqrtq\" (func (param f64) (result f64))");
    assert!(undefined.contains("a symbol nobody defined"), "{undefined}");
    let old = importing("\"env\" \"log_info\" (func (param i32 i32))");
    assert!(old.contains("ABI 1 logs by flux.log"), "{old}");
    let signature = importing("\"flux\" \"log\" (func (param i32 i32))");
    assert!(signature.contains("as (i32, i32), not as (i32, i32, i32)"), "{signature}");
    let global = importing("\"flux\" \"log\" (global i32)");
    assert!(global.contains("as a global"), "{global}");
    let memory =
        refusal(guests::wat("(module (import \"env\" \"memory\" (memory 1)))")).to_string();
    assert!(memory.contains("env.memory, which plugins are not given"), "{memory}");
}

#[test]
fn everything_that_is_missing_or_wrong_is_told_at_once() {
    let error = refusal(guests::wat(
        "(module
           (func (export \"abi_version\") (result i64) (i64.const 1))
           (func (export \"alloc\") (param i64) (result i32) (i32.const 8))
           (global (export \"dealloc\") i32 (i32.const 0))
           (func (export \"encode\") (param i32) (result i64) (i64.const 0)))",
    ));
    let PluginError::Interface { problems } = &error else { panic!("{error}") };
    let all = error.to_string();
    assert_eq!(problems.len(), 6, "{all}");
    for part in [
        "does not export memory",
        "exports abi_version as () -> i64, not as () -> i32",
        "exports alloc as (i64) -> i32, not as (i32) -> i32",
        "exports dealloc as a global",
        "does not export decode(i32, i32, i32, i32) -> i64",
        "exports encode as (i32) -> i64",
    ] {
        assert!(all.contains(part), "{part:?} is not in {all}");
    }
    assert!(problems.iter().all(|problem| problem.hint.is_some()));
}

#[test]
fn proposals_plugins_do_not_have_are_refused_by_name() {
    let export = "(memory (export \"memory\") 1)";
    for (text, reason) in [
        ("(module (memory (export \"memory\") i64 1))".to_owned(), "memory64"),
        ("(module (memory (export \"memory\") 1 2 shared))".to_owned(), "thread"),
        (format!("(module {export} (memory 1))"), "memor"),
        (format!("(module {export} (func $f (return_call $f)))"), "tail call"),
        (format!("(module {export} (type (struct (field i32))))"), "gc"),
        (format!("(module {export} (tag (param i32)))"), "exception"),
        (
            format!(
                "(module {export} (func (param v128 v128 v128) (result v128)
                   local.get 0 local.get 1 local.get 2 f32x4.relaxed_madd))"
            ),
            "relaxed",
        ),
    ] {
        let error = refusal(guests::wat(&text));
        let PluginError::Compile { message } = &error else { panic!("{text}: {error}") };
        assert!(message.to_lowercase().contains(reason), "{text}: {message}");
    }
}

#[test]
fn an_abi_of_the_future_is_refused() {
    let text = format!(
        "(module (memory (export \"memory\") 3) {ALLOC} {DEALLOC}
           (func (export \"abi_version\") (result i32) (i32.const 2))
           (func (export \"decode\") {CALL} (i64.const 0)))"
    );
    let error = refusal(guests::wat(&text));
    assert!(error.to_string().contains("abi_version returns 2; this host speaks 1"), "{error}");
}

#[test]
fn what_is_no_webassembly_is_refused() {
    let error = refusal(b"#!/bin/sh\n".to_vec());
    assert!(error.to_string().contains("does not begin as WebAssembly does"), "{error}");
    let mut cut = guests::parrot();
    cut.truncate(cut.len() / 2);
    assert!(matches!(refusal(cut), PluginError::Compile { .. }));
    let error = refusal(vec![0; 5 << 20]);
    assert!(matches!(error, PluginError::TooLarge { bytes: 5_242_880, .. }), "{error}");
}

#[test]
fn a_plugin_that_keeps_reaching_its_deadline_is_set_aside_and_tried_again() {
    let mut limits = Limits::default();
    limits.breaker.cool_down_ms = 50;
    // endless for an input that begins with 1
    let body = format!(
        "(if (i32.eq (i32.load8_u (local.get $ptr)) (i32.const 1)) (then {FOREVER})) (i64.const 0)"
    );
    let (_plugins, plugin) = plugin_within(decoding(&body), limits);
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    for _ in 0..3 {
        lease.decode(&Context::default(), &[1], &mut sink).unwrap_err();
    }
    let start = Instant::now();
    let error = lease.decode(&Context::default(), &[0], &mut sink).unwrap_err();
    assert!(
        matches!(error, PluginError::Tripped { cause: TripCause::DeadlinesMax, .. }),
        "{error}"
    );
    drop(lease);
    assert!(matches!(plugin.lease(), Err(PluginError::Tripped { .. })));
    assert!(matches!(plugin.breaker(), BreakerState::Open { .. }));
    // waits for the cool-down, by asking
    let mut lease = loop {
        match plugin.lease() {
            Ok(lease) => break lease,
            Err(error) => assert!(matches!(error, PluginError::Tripped { .. }), "{error}"),
        }
        assert!(start.elapsed().as_secs() < 10);
        std::thread::yield_now();
    };
    assert!(start.elapsed().as_millis() >= 49);
    lease.decode(&Context::default(), &[0], &mut sink).unwrap();
    assert_eq!(plugin.breaker(), BreakerState::Closed);
    assert_eq!(plugin.trips(), 1);
}

#[test]
fn calls_that_are_only_slow_are_set_aside_when_they_take_too_much_of_a_core() {
    let mut limits = Limits::default();
    limits.breaker.window_ms = 200;
    limits.deadline_ms = 50;
    // some ten million rounds: several milliseconds, well below the deadline
    let slow = "(local $n i32) (local.set $n (i32.const 6000000))
        (loop $l (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) (i64.const 0)";
    let (_plugins, plugin) = plugin_within(decoding(slow), limits);
    let mut sink = Sink::default();
    let start = Instant::now();
    let error = loop {
        assert!(start.elapsed().as_secs() < 20, "{:?}", plugin.stats());
        let called = plugin.lease().and_then(|mut lease| {
            sink.clear();
            lease.decode(&Context::default(), &[0], &mut sink)
        });
        match called {
            Ok(_) | Err(PluginError::Deadline { .. }) => {}
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, PluginError::Tripped { cause: TripCause::BusyShareMax, .. }),
        "{error}"
    );
}
