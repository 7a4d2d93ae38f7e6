//! The configuration's file.

#![allow(clippy::unwrap_used)] // this is a test, helpers and all

mod site;

use std::fs;

use flux_registry::{ConfigurationFile, FileError, compile};
use flux_types::{Coded, Generation};
use serde_json::json;
use site::{Scripts, apply, id, registry, site};

#[test]
fn what_is_saved_is_loaded() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path().join("configuration"));
    assert_eq!(file.load().unwrap(), None);
    file.save(&site()).unwrap();
    let document = file.load().unwrap().unwrap();
    assert_eq!(document, site().to_document());
    assert_eq!(compile(document, &Scripts).unwrap().to_document(), site().to_document());
    assert_eq!(file.load_previous().unwrap(), None);
}

#[test]
fn previous_configuration_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    let registry = registry();
    for generation in 1..4 {
        file.save(&registry.current()).unwrap();
        let loaded = |document: Option<flux_registry::Document>| document.map(|d| d.generation.0);
        assert_eq!(loaded(file.load().unwrap()), Some(generation));
        assert_eq!(loaded(file.load_previous().unwrap()), Some(generation - 1).filter(|g| *g > 0));
        apply(&registry, json!({"env": {"n": generation}}), json!({})).unwrap();
    }
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "no litter");
}

#[test]
fn what_a_crash_left_half_written_is_no_harm() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    file.save(&site()).unwrap();
    fs::write(directory.path().join("current.json.new"), b"{\"format\":1,\"docu").unwrap();
    assert_eq!(file.load().unwrap().unwrap().generation, Generation(1));
    file.save(&site()).unwrap();
    assert_eq!(file.load().unwrap().unwrap().generation, Generation(1));
}

#[test]
fn any_changed_byte_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    file.save(&site()).unwrap();
    let good = fs::read(file.current_path()).unwrap();
    let end = good.iter().rposition(|byte| *byte == b'}').unwrap();
    for place in (0..end).step_by(7) {
        let mut bad = good.clone();
        bad[place] ^= 1;
        fs::write(file.current_path(), &bad).unwrap();
        assert!(file.load().is_err(), "byte {place}");
    }
    for length in [0, 1, good.len() / 2, end] {
        fs::write(file.current_path(), &good[..length]).unwrap();
        assert_eq!(file.load().unwrap_err().code(), "config.file.damaged", "{length} bytes");
    }
}

#[test]
fn later_format_is_told_from_damage() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    file.save(&site()).unwrap();
    let text = fs::read_to_string(file.current_path()).unwrap();
    fs::write(file.current_path(), text.replacen("\"format\":1", "\"format\":2", 1)).unwrap();
    assert!(matches!(file.load(), Err(FileError::Format { format: 2, known: 1, .. })));
}

#[test]
fn disk_that_refuses_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    file.save(&site()).unwrap();
    fs::create_dir(directory.path().join("current.json.new")).unwrap();
    let error = file.save(&site()).unwrap_err();
    assert_eq!(error.code(), "config.file.io");
    assert!(file.load().unwrap().is_some());
}

#[cfg(unix)]
#[test]
fn only_its_owner_reads_it() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = ConfigurationFile::new(directory.path());
    fs::write(directory.path().join("current.json.new"), b"left behind").unwrap();
    file.save(&site()).unwrap();
    let mode = fs::metadata(file.current_path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(fs::read_to_string(file.current_path()).unwrap().contains(&id(11)));
}
