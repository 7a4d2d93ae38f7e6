//! Many calls leave the guest's and the host's memory as they were.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use flux_wasm::{Context, Settings, Sink};
use guests::{parrot, patient, plugin, plugin_within};
use serde_json::json;

/// Calls that a short run makes; `FLUX_LEAK_CALLS` asks for more.
fn calls() -> usize {
    let asked = std::env::var("FLUX_LEAK_CALLS").ok().and_then(|text| text.parse().ok());
    asked.unwrap_or(if cfg!(debug_assertions) { 30_000 } else { 300_000 })
}

/// Bytes of memory this process has.
fn resident_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = text.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}

#[test]
fn what_a_guest_allocates_is_given_back_whatever_its_answer_is_worth() {
    let (plugins, plugin) = plugin_within(parrot(), patient());
    let mut sink = Sink::default();
    let settings = [json!({"a": 1}), json!({"b": "x".repeat(5000)})].map(|s| Settings::new(&s));
    let blank = vec![b' '; 100_000];
    let answers: [&[u8]; 5] = [
        br#"{"values":{"t":1}}"#,
        br#"{"error":{"code":"c","text":"t"}}"#,
        br#"{"state":"AAAA","frames":["AAAA"]}"#,
        b"",
        &blank,
    ];
    let mut run = |calls: usize| {
        for _ in 0..calls / 64 {
            let mut lease = plugin.lease().unwrap();
            for n in 0..64 {
                sink.clear();
                let settings = settings[n % 2].view();
                let context = Context { settings, source: "s".into(), ..Context::default() };
                lease.decode(&context, answers[n % answers.len()], &mut sink).unwrap();
            }
        }
        plugins.status("p").unwrap().idle_bytes
    };
    let warm = run(640);
    assert_eq!(run(calls() / 10), warm, "the guest's memory has not grown");
    let stats = plugin.stats();
    assert_eq!((stats.recycled, stats.discarded), (0, 0), "by its own tidiness, not by recycling");
}

#[test]
fn a_refused_answer_is_given_back_as_well() {
    // garbage spoils its instance, so each call has another; the host must not keep anything
    let (_plugins, plugin) = plugin_within(parrot(), patient());
    let mut sink = Sink::default();
    let mut run = |calls: usize| {
        for _ in 0..calls {
            let mut lease = plugin.lease().unwrap();
            lease.decode(&Context::default(), b"garbage", &mut sink).unwrap_err();
        }
        resident_bytes()
    };
    let warm = run(2_000);
    let after = run(calls() / 10);
    assert!(after < warm + (8 << 20), "{warm} bytes became {after}");
}

#[test]
fn many_calls_leave_the_host_as_it_was() {
    let (plugins, plugin) = plugin(guests::registers());
    let mut sink = Sink::default();
    let mut run = |calls: usize| {
        for _ in 0..calls / 100 {
            let mut lease = plugin.lease().unwrap();
            for n in 0..100_u8 {
                sink.clear();
                lease.decode(&Context::default(), &[n; 8], &mut sink).unwrap();
            }
        }
        (resident_bytes(), plugins.status("p").unwrap().idle_bytes)
    };
    let (warm, guest) = run(10_000);
    let (after, guest_after) = run(calls());
    assert_eq!(guest_after, guest, "the guest's memory is flat");
    assert!(after < warm + (4 << 20), "{warm} bytes became {after}");
    println!("{} calls: resident {warm} -> {after}, guest {guest} -> {guest_after}", calls());
}

#[test]
fn ever_new_names_do_not_pile_up() {
    let (_plugins, plugin) = plugin(parrot());
    let mut sink = Sink::default();
    let mut lease = plugin.lease().unwrap();
    for n in 0..20_000 {
        sink.clear();
        let output = format!("{{\"device_id\":\"d{n}\",\"values\":{{\"v{n}\":1}}}}");
        lease.decode(&Context::default(), output.as_bytes(), &mut sink).unwrap();
    }
    sink.clear();
    assert!(sink.names_len() <= 4096 + 2, "{}", sink.names_len());
}
