//! Pid files: whatever lies in the directory, nobody is found to run there whose lock is not held,
//! and nothing panics.

#![no_main]

use std::sync::LazyLock;

use cluster2_rs::os::directory::Directory;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

static DIRECTORY: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

fuzz_target!(|bytes: &[u8]| {
    let path = DIRECTORY.path();
    std::fs::write(path.join("master.lock"), bytes).unwrap();
    let directory = Directory::open(path).unwrap();
    if let Some(identity) = directory.read_identity("master.lock") {
        assert!(identity.pid > 0);
    }
    assert!(!directory.is_locked("master.lock").unwrap());
});
