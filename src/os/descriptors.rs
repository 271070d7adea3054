//! How many more descriptors this process can open.
//!
//! The kernel gives each new descriptor the lowest free number, and none from the limit on. So the
//! number of a new descriptor shows how many are left, and nothing has to be counted.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Numbers that are left for everything else that the process opens.
const MARGIN: usize = 4;

/// Returns the number from which on a new descriptor shows that there is no room for `wanted` more.
pub(crate) fn last(wanted: usize) -> usize {
    limit().saturating_sub(wanted + MARGIN)
}

/// Returns the limit of this process; an administrator may change it at any time.
pub(crate) fn limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| limit as usize)
}

/// Whether there is room for more beside `fds`, the newest descriptors.
pub(crate) fn leave_room(fds: &[OwnedFd]) -> bool {
    fds.is_empty() || {
        let last = last(0);
        fds.iter().all(|fd| (fd.as_raw_fd() as usize) < last)
    }
}

/// Whether there is room for `wanted` more, by the number of the next one alone. `like` as for
/// [`room`].
pub(crate) fn leave_room_for(wanted: usize, like: BorrowedFd<'_>) -> bool {
    rustix::io::fcntl_dupfd_cloexec(like, 0)
        .is_ok_and(|next| (next.as_raw_fd() as usize) < last(wanted))
}

/// Returns for how many more descriptors there is room, up to `wanted`. `like` is any descriptor:
/// copies of it are opened, and closed again.
pub(crate) fn room(wanted: usize, like: BorrowedFd<'_>) -> usize {
    let mut copies = Vec::new();
    while copies.len() < wanted {
        match rustix::io::fcntl_dupfd_cloexec(like, 0) {
            Ok(copy) if leave_room(std::slice::from_ref(&copy)) => copies.push(copy),
            _ => break,
        }
    }
    copies.len()
}

/// Borrows a descriptor that Rust knows only by its number, for one system call, which fails if
/// nothing is open under the number. `InvalidInput`: the number is negative.
pub(crate) fn by_number<'a>(fd: i32) -> io::Result<BorrowedFd<'a>> {
    if fd < 0 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: not negative. The callers in this room pass it to one system call only, which fails
    // if nothing is open under the number.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

#[cfg(test)]
#[path = "alone_tests.rs"]
pub(crate) mod alone;

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::alone::{alone, leave};
    use super::*;

    #[test]
    fn there_is_room_up_to_a_margin() {
        alone("os::descriptors::tests::there_is_room_up_to_a_margin", || {
            let null = std::fs::File::open("/dev/null").unwrap();
            for (free, room_left) in [(0, 0), (4, 0), (5, 1), (14, 10), (100, 32)] {
                leave(free);
                assert_eq!(room(32, null.as_fd()), room_left, "{free} free");
                assert_eq!(leave_room_for(10, null.as_fd()), free > 14, "{free} free");
                let copies: Vec<_> = (0..free).map(|_| null.try_clone().unwrap()).collect();
                assert!(
                    null.try_clone().is_err(),
                    "nothing was kept, and no more is free: {}",
                    copies.len()
                );
            }
        });
    }
}
