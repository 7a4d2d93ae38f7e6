//! Where the engine in a process of its own is: the example `crash_child`, built if it has to be.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// The example beside this test's own binary. `cargo test` builds both; `cargo test --test …` only
/// the test, and then it is built from here.
pub(crate) fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let own = std::env::current_exe().unwrap();
        let profile_dir = own.parent().unwrap().parent().unwrap();
        let child = profile_dir.join("examples/crash_child");
        // none is older than any
        if changed(&child) < changed(&own) {
            build(profile_dir);
        }
        assert!(child.is_file(), "{} was not built", child.display());
        child
    })
}

fn build(profile_dir: &Path) {
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--package", env!("CARGO_PKG_NAME"), "--example", "crash_child"])
        .args(["--profile", profile, "--target-dir"])
        .arg(profile_dir.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .unwrap();
    assert!(built.success(), "the example crash_child does not build");
}
