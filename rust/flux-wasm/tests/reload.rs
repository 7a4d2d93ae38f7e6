//! Plugins that come, are replaced, go wrong and go away while they are called.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use flux_types::Value;
use flux_wasm::{
    Context, Health, Limits, Options, Package, PluginError, PluginStatus, Plugins, Sink,
};
use guests::{ALLOC, CALL, DEALLOC, module};

/// A guest that answers with one value, `version`.
fn answering(version: u8) -> Vec<u8> {
    let decode = format!(
        r#"(data (i32.const 4096) "\01\01\1e\00\00\00\00\00\00\00\00\00\00\00\80\00\00\01\00\07version\02\{version:02x}\00\00\00\00\00\00\00")
           (func (export "decode") {CALL} (i64.const 0x8000100000000024))"#
    );
    module(&[ALLOC, DEALLOC, &decode])
}

fn vectors(version: u8) -> Vec<u8> {
    format!(
        r#"[{{"name": "it tells its version", "input": {{"hex": "00"}},
             "expect": {{"messages": [{{"values": {{"version": {version}}}}}]}}}}]"#
    )
    .into_bytes()
}

/// Which version answers.
fn version(plugins: &Plugins, id: &str) -> Result<i64, PluginError> {
    let plugin = plugins.get(id).ok_or_else(|| PluginError::Unknown { id: id.to_owned() })?;
    let mut sink = Sink::default();
    plugin.lease()?.decode(&Context::default(), &[0], &mut sink)?;
    let message = sink.items().next().unwrap().messages().next().unwrap();
    match message.values().next() {
        Some((_, Value::I64(version))) => Ok(version),
        other => panic!("{other:?}"),
    }
}

/// A set that looks at its directory only when told to.
fn open(place: &Path) -> Plugins {
    fs::create_dir_all(place.join("plugins")).unwrap();
    let mut options = Options::new(Limits::default())
        .watching(place.join("plugins"))
        .storing(place.join("store"));
    options.watch_every = Duration::ZERO;
    Plugins::open(options).unwrap()
}

fn put(place: &Path, name: &str, bytes: &[u8]) {
    fs::write(place.join("plugins").join(name), bytes).unwrap();
}

fn reload(plugins: &Plugins) -> Vec<PluginStatus> {
    plugins.reload().unwrap()
}

#[test]
fn a_file_put_into_the_directory_runs_and_its_successor_takes_over() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    assert!(plugins.list().is_empty());
    put(place.path(), "meter.wasm", &answering(1));
    assert_eq!(reload(&plugins).len(), 1);
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    let before = plugins.get("meter").unwrap();
    put(place.path(), "meter.wasm", &answering(2));
    reload(&plugins);
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
    assert!(std::sync::Arc::ptr_eq(&before, &plugins.get("meter").unwrap()));
    assert!(reload(&plugins).is_empty(), "nothing changed, nothing is looked at");
}

#[test]
fn the_directory_is_watched() {
    let place = tempfile::tempdir().unwrap();
    let mut options = Options::new(Limits::default()).watching(place.path().join("plugins"));
    options.watch_every = Duration::from_millis(20);
    let plugins = Plugins::open(options).unwrap();
    fs::create_dir(place.path().join("plugins")).unwrap(); // it may come later
    put(place.path(), "meter.wasm", &answering(3));
    let start = Instant::now();
    while version(&plugins, "meter").ok() != Some(3) {
        assert!(start.elapsed().as_secs() < 20);
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_version_whose_vectors_fail_is_refused_and_the_old_one_runs_on() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    let first = Package::new(answering(1)).with_vectors(vectors(1));
    let status = plugins.install("meter", &first).unwrap();
    assert_eq!(status.vectors, Some((1, 1)));
    let error =
        plugins.install("meter", &Package::new(answering(2)).with_vectors(vectors(1))).unwrap_err();
    assert!(matches!(error, PluginError::SelfTest { total: 1, .. }), "{error}");
    assert!(error.to_string().contains("it tells its version"), "{error}");
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    assert!(
        plugins.status("meter").unwrap().problems.is_empty(),
        "an upload that failed is told to who uploads"
    );
    // the same by way of the directory: the vectors of version 1 still lie there
    put(place.path(), "meter.wasm", &answering(2));
    let status = &reload(&plugins)[0];
    assert_eq!(status.health, Health::Running);
    assert_eq!(status.problems[0].code, "plugin.self_test");
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    // until the vectors come as well
    put(place.path(), "meter.vectors.json", &vectors(2));
    let status = &reload(&plugins)[0];
    assert!(status.problems.is_empty(), "{status:?}");
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
}

#[test]
fn after_a_restart_the_last_version_that_worked_runs_while_the_newest_does_not() {
    let place = tempfile::tempdir().unwrap();
    open(place.path()).install("meter", &Package::new(answering(1))).unwrap();
    put(place.path(), "meter.wasm", b"\0asm of no version");
    let plugins = open(place.path());
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    let status = plugins.status("meter").unwrap();
    assert_eq!(status.problems[0].code, "plugin.compile");
    put(place.path(), "meter.wasm", &answering(3));
    reload(&plugins);
    assert_eq!(version(&plugins, "meter").unwrap(), 3);
}

#[test]
fn rolling_back_is_there_and_back_and_outlives_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    plugins.install("meter", &Package::new(answering(1)).with_vectors(vectors(1))).unwrap();
    let error = plugins.rollback("meter").unwrap_err();
    assert!(matches!(error, PluginError::NoPrevious { .. }), "{error}");
    put(place.path(), "meter.wasm", &answering(2));
    put(place.path(), "meter.vectors.json", &vectors(2));
    reload(&plugins);
    assert!(plugins.status("meter").unwrap().has_previous);
    plugins.rollback("meter").unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    let lying = fs::read(place.path().join("plugins/meter.vectors.json")).unwrap();
    assert_eq!(lying, vectors(1), "vectors go back with their version");
    drop(plugins);
    let plugins = open(place.path());
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    plugins.rollback("meter").unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
    plugins.rollback("meter").unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
}

#[test]
fn a_plugin_whose_file_is_gone_is_gone_and_its_holder_is_told() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    put(place.path(), "meter.wasm", &answering(1));
    reload(&plugins);
    let held = plugins.get("meter").unwrap();
    let lease = held.lease().unwrap();
    fs::remove_file(place.path().join("plugins/meter.wasm")).unwrap();
    reload(&plugins);
    assert!(plugins.get("meter").is_some(), "not at once");
    reload(&plugins);
    assert!(plugins.get("meter").is_none());
    assert!(matches!(held.lease(), Err(PluginError::Unknown { .. })));
    drop(lease);
    put(place.path(), "meter.wasm", &answering(2));
    reload(&plugins);
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
}

#[test]
fn removing_takes_the_files_too() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    plugins.install("meter", &Package::new(answering(1)).with_vectors(vectors(1))).unwrap();
    plugins.remove("meter").unwrap();
    assert!(plugins.get("meter").is_none());
    assert_eq!(fs::read_dir(place.path().join("plugins")).unwrap().count(), 0);
    assert!(matches!(plugins.remove("meter"), Err(PluginError::Unknown { .. })));
    assert!(open(place.path()).list().is_empty());
}

#[test]
fn two_files_of_one_name_are_both_left_alone_until_one_goes() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    put(place.path(), "meter.wasm", &answering(1));
    reload(&plugins);
    put(place.path(), "meter.WASM", &answering(2));
    reload(&plugins);
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    let status = plugins.status("meter").unwrap();
    assert_eq!(status.problems[0].code, "plugin.duplicate");
    fs::remove_file(place.path().join("plugins/meter.WASM")).unwrap();
    reload(&plugins);
    assert!(plugins.status("meter").unwrap().problems.is_empty());
}

#[test]
fn what_cannot_be_loaded_is_listed_with_the_reason() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    put(place.path(), "broken.wasm", b"no module");
    put(place.path(), "bad name.wasm", &answering(1));
    put(place.path(), "badly-described.wasm", &answering(1));
    put(place.path(), "badly-described.toml", b"mode = 7");
    reload(&plugins);
    for _ in 0..2 {
        let list = plugins.list();
        let told: Vec<_> = list
            .iter()
            .map(|status| (status.id.as_str(), status.health, status.problems[0].code.as_str()))
            .collect();
        let expected = [
            ("bad name.wasm", Health::Refused, "plugin.id"),
            ("badly-described", Health::Refused, "plugin.document"),
            ("broken", Health::Refused, "plugin.compile"),
        ];
        assert_eq!(told, expected, "also after the next look");
        reload(&plugins);
    }
    fs::remove_file(place.path().join("plugins/bad name.wasm")).unwrap();
    put(place.path(), "broken.wasm", &answering(4));
    reload(&plugins);
    assert_eq!(version(&plugins, "broken").unwrap(), 4);
    assert_eq!(plugins.list().len(), 2);
}

#[test]
fn names_that_could_leave_the_directory_are_refused() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    for id in ["", "../x", "a/b", ".hidden", "a b", "a\0", &"x".repeat(65), "a.vectors"] {
        let error = plugins.install(id, &Package::new(answering(1))).unwrap_err();
        assert!(matches!(error, PluginError::Id { .. }), "{id:?}: {error}");
    }
    assert_eq!(fs::read_dir(place.path().join("plugins")).unwrap().count(), 0);
}

#[test]
fn an_upload_that_cannot_be_written_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    plugins.install("meter", &Package::new(answering(1))).unwrap();
    // where the draft of the new module would be written stands a directory
    let draft = place.path().join("plugins/.meter.wasm.draft");
    fs::create_dir(&draft).unwrap();
    let error = plugins.install("meter", &Package::new(answering(2))).unwrap_err();
    assert!(matches!(error, PluginError::Store { .. }), "{error}");
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    assert_eq!(fs::read(place.path().join("plugins/meter.wasm")).unwrap(), answering(1));
    assert!(!plugins.status("meter").unwrap().has_previous);
    fs::remove_dir(&draft).unwrap();
    plugins.install("meter", &Package::new(answering(2))).unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
}

#[test]
fn a_version_that_cannot_be_kept_for_rollback_waits_until_it_can() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    plugins.install("meter", &Package::new(answering(1))).unwrap();
    // a file stands where earlier versions would be kept
    let kept = place.path().join("store/versions/meter");
    let aside = place.path().join("aside");
    fs::rename(&kept, &aside).unwrap();
    fs::write(&kept, b"").unwrap();
    put(place.path(), "meter.wasm", &answering(2));
    let status = &reload(&plugins)[0];
    assert_eq!(status.problems[0].code, "plugin.store");
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    fs::remove_file(&kept).unwrap();
    fs::rename(&aside, &kept).unwrap();
    reload(&plugins);
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
    assert!(plugins.status("meter").unwrap().has_previous);
}

#[test]
fn a_crash_between_any_two_steps_of_a_change_leaves_a_version_to_run() {
    for step in 0..4 {
        let place = tempfile::tempdir().unwrap();
        let plugins = open(place.path());
        for version in [1, 2] {
            plugins.install("meter", &Package::new(answering(version))).unwrap();
        }
        drop(plugins);
        // version 3 lies ready, and the change got so far
        let kept = place.path().join("store/versions/meter");
        fs::create_dir(kept.join("next")).unwrap();
        fs::write(kept.join("next/plugin.wasm"), answering(3)).unwrap();
        let moves = [("previous", "old"), ("current", "previous"), ("next", "current")];
        for (from, to) in &moves[..step] {
            fs::rename(kept.join(from), kept.join(to)).unwrap();
        }
        // what lies in the directory does not load: the last version has to
        put(place.path(), "meter.wasm", b"\0asm of no version");
        let plugins = open(place.path());
        let expected = if step < 2 { 2 } else { 3 };
        assert_eq!(version(&plugins, "meter").unwrap(), expected, "step {step}");
        plugins.rollback("meter").unwrap();
        assert_eq!(version(&plugins, "meter").unwrap(), expected - 1, "step {step}");
        assert!(!kept.join("next").exists() && !kept.join("old").exists(), "step {step}");
    }
}

#[test]
fn checking_a_package_changes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let plugins = open(place.path());
    let report = plugins.check(&Package::new(answering(2)).with_vectors(vectors(1))).unwrap();
    assert_eq!(report.functions, ["decode"]);
    assert_eq!(report.self_test.failures().len(), 1);
    assert!(plugins.list().is_empty());
    let error = plugins.check(&Package::new(answering(1)).with_vectors(b"{".to_vec())).unwrap_err();
    assert!(error.to_string().starts_with("the vectors: "), "{error}");
}

/// Replaces a plugin over and over while threads call it; no call may fail or go missing.
#[test]
fn reloading_under_load_loses_nothing() {
    let reloads: u64 =
        std::env::var("FLUX_RELOADS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let plugins = Plugins::open(Options::new(Limits::default())).unwrap();
    plugins.install("meter", &Package::new(answering(0))).unwrap();
    let done = AtomicBool::new(false);
    let called = AtomicU64::new(0);
    let newest = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let plugin = plugins.get("meter").unwrap();
                let mut sink = Sink::default();
                while !done.load(Ordering::Relaxed) {
                    let before = newest.load(Ordering::SeqCst);
                    let mut lease = plugin.lease().unwrap();
                    let mut seen = None;
                    for _ in 0..32 {
                        sink.clear();
                        lease.decode(&Context::default(), &[0], &mut sink).unwrap();
                        let message = sink.items().next().unwrap().messages().next().unwrap();
                        let value = message.values().next().unwrap().1;
                        assert!(
                            seen.is_none() || seen == Some(value.clone()),
                            "one version a batch"
                        );
                        seen = Some(value);
                        called.fetch_add(1, Ordering::Relaxed);
                    }
                    let Some(Value::I64(version)) = seen else { panic!() };
                    assert!(version.cast_unsigned() >= before.min(255), "never an older one");
                }
            });
        }
        for n in 1..=reloads {
            let version = u8::try_from(n.min(255)).unwrap();
            plugins.install("meter", &Package::new(answering(version))).unwrap();
            newest.store(n, Ordering::SeqCst);
        }
        done.store(true, Ordering::Relaxed);
    });
    let stats = plugins.get("meter").unwrap().stats();
    assert_eq!(stats.calls, called.load(Ordering::Relaxed));
    assert_eq!(stats.failures_total(), 0);
    println!("{reloads} reloads under {} calls", stats.calls);
}

#[test]
fn what_comes_with_the_program_is_loaded_once_it_is_wanted() {
    let place = tempfile::tempdir().unwrap();
    let bundled = place.path().join("bundled");
    fs::create_dir(&bundled).unwrap();
    fs::write(bundled.join("meter.wasm"), answering(1)).unwrap();
    let mut options = Options::new(Limits::default())
        .watching(place.path().join("plugins"))
        .bundling(&bundled)
        .storing(place.path().join("store"));
    options.watch_every = Duration::ZERO;
    let plugins = Plugins::open(options).unwrap();
    assert!(!place.path().join("plugins").exists(), "nothing is made for nothing");
    assert_eq!(plugins.status("meter").unwrap().health, Health::Available);
    assert!(plugins.get("meter").is_none());
    plugins.want("meter").unwrap();
    plugins.want("no_such").unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    // one of its name in the directory stands in for it, until it goes
    plugins.install("meter", &Package::new(answering(2))).unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 2);
    plugins.remove("meter").unwrap();
    assert_eq!(version(&plugins, "meter").unwrap(), 1);
    let list = plugins.list();
    assert_eq!((list.len(), list[0].health), (1, Health::Running));
}
