//! Listening sockets that a service manager opened and passed on (`LISTEN_FDS`): socket activation.
//!
//! They are looked at once and stay open for as long as this process lives, so that whoever starts a second cluster in it finds them
//! too; each user gets a descriptor of its own. They are shared with the service manager, whose they remain: nothing is ever
//! done to them that would outlive this process.

use std::env;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

use rustix::io::FdFlags;

/// The first descriptor that is passed.
const FIRST: i32 = 3;
/// More than anybody passes; a wrong number must not make us look at every descriptor there could be.
const MOST: i32 = 1024;

/// A descriptor that was passed, whatever it is.
#[derive(Debug)]
pub struct Passed {
    /// It.
    pub fd: OwnedFd,
    /// What the service manager calls it; sockets that have no name are called `unknown`.
    pub name: String,
}

/// What was passed to this very process, close-on-exec. Reads the environment at the first call, which must be made where nothing
/// else changes it.
pub fn passed() -> &'static [Passed] {
    static PASSED: OnceLock<Vec<Passed>> = OnceLock::new();
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
    // SAFETY: borrowed for this one call, which fails if nothing is open under the number.
    #[allow(unsafe_code)]
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    rustix::io::fcntl_setfd(borrowed, FdFlags::CLOEXEC)?;
    // SAFETY: open, as was just seen, and passed to this process by its service manager; it is taken once, and never closed.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
