//! Compiled code on disk: taken when it is whole and ours, compiled anew when it is anything else.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod guests;

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use flux_wasm::{CacheStats, Context, Limits, Options, Package, Plugins, Sink};

fn open(store: &Path) -> Plugins {
    Plugins::open(Options::new(Limits::default()).storing(store)).unwrap()
}

/// Installs the registers' guest, sees that it works, and tells what the cache did.
fn load(store: &Path) -> CacheStats {
    let plugins = open(store);
    plugins.install("p", &Package::new(guests::registers())).unwrap();
    let mut sink = Sink::default();
    let mut lease = plugins.get("p").unwrap().lease().unwrap();
    let outcome = lease.decode(&Context::default(), &[0; 8], &mut sink).unwrap();
    assert_eq!(outcome.messages, 1);
    plugins.cache_stats()
}

fn entries(store: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(store.join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "cwasm"))
        .collect();
    found.sort();
    found
}

fn stats(hits: u64, misses: u64, refused: u64) -> CacheStats {
    CacheStats { hits, misses, refused, unwritten: 0 }
}

#[test]
fn code_is_compiled_once_and_taken_from_disk_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 0));
    assert_eq!(load(place.path()), stats(1, 0, 0));
    assert_eq!(entries(place.path()).len(), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.path().join("cache")), 0o700);
    assert_eq!(mode(&place.path().join("cache/secret")), 0o600);
    assert_eq!(mode(&entries(place.path())[0]), 0o600);
}

#[test]
fn an_entry_changed_or_cut_anywhere_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    load(place.path());
    let entry = &entries(place.path())[0];
    let whole = fs::read(entry).unwrap();
    let len = whole.len();
    let mut wrong: Vec<Vec<u8>> = [0, 1, 7, 8, 9, 39, 40, 41, len / 2, len - 1]
        .into_iter()
        .map(|at| whole[..at].to_vec())
        .collect();
    for at in [0, 7, 8, 39, 40, 41, 64, len / 3, len / 2, len - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        wrong.push(flipped);
    }
    wrong.push([whole.clone(), vec![0]].concat());
    wrong.push(vec![0; len]);
    for bytes in wrong {
        fs::write(entry, &bytes).unwrap();
        assert_eq!(load(place.path()), stats(0, 1, 1), "{} bytes", bytes.len());
        assert_eq!(fs::read(entry).unwrap().len(), len, "it is written anew");
    }
    assert_eq!(load(place.path()), stats(1, 0, 0));
}

#[test]
fn an_entry_of_another_module_under_this_ones_name_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    load(place.path());
    let ours = entries(place.path())[0].clone();
    open(place.path()).install("q", &Package::new(guests::parrot())).unwrap();
    let other = entries(place.path()).into_iter().find(|path| *path != ours).unwrap();
    fs::copy(&other, &ours).unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 1), "a good seal, but of other content");
}

#[test]
fn an_entry_that_others_may_write_or_that_is_a_link_is_not_believed() {
    let place = tempfile::tempdir().unwrap();
    load(place.path());
    let entry = &entries(place.path())[0];
    fs::set_permissions(entry, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 1));
    let elsewhere = place.path().join("elsewhere");
    fs::rename(entry, &elsewhere).unwrap();
    symlink(&elsewhere, entry).unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 1));
}

#[test]
fn without_its_secret_or_with_another_nothing_is_believed() {
    let place = tempfile::tempdir().unwrap();
    load(place.path());
    let secret = place.path().join("cache/secret");
    fs::remove_file(&secret).unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 1));
    fs::write(&secret, b"torn").unwrap();
    assert_eq!(load(place.path()), stats(0, 1, 1));
    assert_eq!(load(place.path()), stats(1, 0, 0));
}

#[test]
fn a_directory_that_others_may_enter_is_not_used() {
    let place = tempfile::tempdir().unwrap();
    let cache = place.path().join("cache");
    fs::create_dir(&cache).unwrap();
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(load(place.path()), stats(0, 0, 0), "it works without a cache");
    assert!(entries(place.path()).is_empty());
}

#[test]
fn a_cache_that_cannot_be_written_costs_no_more_than_compiling() {
    let place = tempfile::tempdir().unwrap();
    load(place.path());
    let entry = entries(place.path())[0].clone();
    fs::remove_file(&entry).unwrap();
    // a directory stands where the entry should go
    fs::create_dir(&entry).unwrap();
    fs::create_dir(entry.join("x")).unwrap();
    let plugins = open(place.path());
    plugins.install("p", &Package::new(guests::registers())).unwrap();
    let stats = plugins.cache_stats();
    assert_eq!((stats.misses, stats.unwritten), (1, 1));
}

#[test]
fn the_oldest_entries_go_when_there_is_no_room() {
    let place = tempfile::tempdir().unwrap();
    let mut limits = Limits::default();
    limits.cache_bytes_max = 60_000;
    let plugins = Plugins::open(Options::new(limits).storing(place.path())).unwrap();
    for n in 0..12 {
        let wasm = guests::decoding(&format!("(i64.const 0) (drop (i32.const {n}))"));
        plugins.install(&format!("p{n}"), &Package::new(wasm)).unwrap();
    }
    let held: u64 = entries(place.path()).iter().map(|p| fs::metadata(p).unwrap().len()).sum();
    assert!(held <= 60_000, "{held}");
    assert!(!entries(place.path()).is_empty());
}
