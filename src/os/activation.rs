//! Listening sockets that a service manager opened and passed on (`LISTEN_FDS`): socket activation.
//!
//! They are taken once and stay open as long as this process lives, so that a second cluster in it
//! finds them too; each user gets a descriptor of its own. They still belong to the service
//! manager: nothing is ever done to them that would outlive this process.

use std::env;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::FdFlags;

use super::descriptors::by_number;

/// The first descriptor that is passed.
const FIRST: i32 = 3;
/// More than any service manager passes. A wrong number must not make us try every descriptor.
const MOST: i32 = 1024;

/// A descriptor that was passed, of any kind.
#[derive(Debug)]
pub(crate) struct Passed {
    pub fd: OwnedFd,
    /// Its name in the service manager; `unknown` if it has none.
    pub name: String,
}

static PASSED: OnceLock<Vec<Passed>> = OnceLock::new();

/// Takes what another master got from the service manager, in place of what was passed to this very
/// process. Has no effect after the first call of [`passed`].
pub(crate) fn adopt(adopted: Vec<Passed>) {
    let _ = PASSED.set(adopted);
}

/// Returns what was passed to this very process, close-on-exec. Reads the environment at the first
/// call, which must be made while nothing changes it.
pub(crate) fn passed() -> &'static [Passed] {
    PASSED.get_or_init(|| {
        let number = |name| env::var(name).ok().and_then(|text: String| text.parse::<i32>().ok());
        if number("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
            return Vec::new();
        }
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').filter(|name| !name.is_empty());
        let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, MOST);
        let take = |fd| Some((take(fd).ok()?, names.next().unwrap_or("unknown").to_owned()));
        (FIRST..FIRST + count).map_while(take).map(|(fd, name)| Passed { fd, name }).collect()
    })
}

fn take(fd: i32) -> io::Result<OwnedFd> {
    rustix::io::fcntl_setfd(by_number(fd)?, FdFlags::CLOEXEC)?;
    // SAFETY: open, as the call above showed, and passed to this process by its service manager. It
    // is taken once, and never closed.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
