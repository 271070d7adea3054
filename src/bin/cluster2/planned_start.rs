//! The next start of an app that has failed, as its parent announces it in the app's `pids`.
//!
//! What always holds: an announcement counts only while the parent that made it lives and waits, by
//! a lock of that parent; and `cluster2 stop` and `shutdown` call the start off by removing it.

use std::path::Path;

use cluster2_rs::os::directory::{Directory, Lock};
use cluster2_rs::os::process::Identity;

/// The announcement, in the app's `pids`.
const NAME: &str = "next-start";

/// A start that is announced. It is announced no more once this is dropped.
pub(crate) struct PlannedStart {
    directory: Directory,
    lock: Lock,
}

impl PlannedStart {
    /// Announces a start. `None` if the app has no directory to do so.
    pub(crate) fn announce(pids: &Path) -> Option<Self> {
        let directory = Directory::open(pids).ok()?;
        let lock = directory.lock(NAME, Identity::of(std::process::id()).ok()?).ok()??;
        Some(Self { directory, lock })
    }

    /// Whether a command has called it off.
    pub(crate) fn is_called_off(&self) -> bool {
        matches!(self.directory.has_lock(NAME, &self.lock), Ok(false))
    }
}

impl Drop for PlannedStart {
    fn drop(&mut self) {
        if !self.is_called_off() {
            let _ = self.directory.remove(NAME);
        }
    }
}

/// Whether the parent of the app with this directory is about to start it again.
pub(crate) fn is_announced(pids: &Path) -> bool {
    Directory::open(pids).and_then(|directory| directory.is_locked(NAME)).unwrap_or(false)
}

/// Calls the next start of the app off. Returns `false` if none was announced.
pub(crate) fn call_off(pids: &Path) -> bool {
    let Ok(directory) = Directory::open(pids) else { return false };
    directory.is_locked(NAME).unwrap_or(false) && directory.remove(NAME).is_ok()
}
