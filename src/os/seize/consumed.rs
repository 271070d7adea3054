//! How many bytes a process has read off a socket, as the kernel counts them.

use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::AddressFamily;
use rustix::net::sockopt;

/// Where `struct tcp_info` of linux/tcp.h has `tcpi_bytes_received`. Its first byte is the state.
const BYTES_RECEIVED: usize = 128;
const ESTABLISHED: u8 = 1;
/// How often the counts are compared while bytes come in.
const ATTEMPTS: usize = 4;
/// `SO_PEEK_OFF` of an adopted unix socket. The kernel lowers it by each byte that is read.
const PEEK_START: c_int = c_int::MAX;

/// What was read of a socket, and what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Bytes that were ever read (TCP), or since [`count_from_here`] (unix).
    pub(super) read: u64,
    /// Bytes that wait to be read.
    pub(super) unread: u64,
}

/// Whether it is a unix socket.
pub(super) fn is_unix(fd: BorrowedFd<'_>) -> Option<bool> {
    sockopt::socket_domain(fd).ok().map(|domain| domain == AddressFamily::UNIX)
}

/// Prepares a socket for [`counts`]. `is_new`: nobody has read from it. Returns what counts as read
/// by now; `None`: nobody knows.
pub(super) fn count_from_here(fd: BorrowedFd<'_>, is_unix: bool, is_new: bool) -> Option<u64> {
    if is_unix {
        let set = set_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, PEEK_START);
        return set.then_some(0);
    }
    if is_new { Some(0) } else { counts(fd).map(|counts| counts.read) }
}

/// Returns the counts of a connection that neither side has ended. Safe in a signal handler. No
/// other thread may read from the socket meanwhile; the network may add to it.
pub(super) fn counts(fd: BorrowedFd<'_>) -> Option<Counts> {
    if is_unix(fd)? { unix_counts(fd) } else { tcp_counts(fd) }
}

fn tcp_counts(fd: BorrowedFd<'_>) -> Option<Counts> {
    for _ in 0..ATTEMPTS {
        let before = bytes_received(fd)?;
        let unread = unread(fd)?;
        if bytes_received(fd)? == before {
            return Some(Counts { read: before.checked_sub(unread)?, unread });
        }
    }
    None
}

/// Returns `None` unless the connection is established.
fn bytes_received(fd: BorrowedFd<'_>) -> Option<u64> {
    let mut info = [0; BYTES_RECEIVED + size_of::<u64>()];
    let length = get_option(fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    let (received, _) = info[BYTES_RECEIVED..].as_chunks::<8>();
    let received = received.first().map(|bytes| u64::from_ne_bytes(*bytes))?;
    (length == info.len() && info[0] == ESTABLISHED).then_some(received)
}

fn unix_counts(fd: BorrowedFd<'_>) -> Option<Counts> {
    let ended = PollFlags::RDHUP | PollFlags::HUP;
    let at_once = Timespec::default();
    if rustix::event::poll(&mut [PollFd::from_borrowed_fd(fd, ended)], Some(&at_once)) != Ok(0) {
        return None;
    }
    let unread = unread(fd)?;
    let mut offset = [0; size_of::<c_int>()];
    get_option(fd, libc::SOL_SOCKET, libc::SO_PEEK_OFF, &mut offset)?;
    let offset = c_int::from_ne_bytes(offset);
    // At 0 the kernel stops counting.
    (offset > 0).then(|| Counts { read: (PEEK_START - offset) as u64, unread })
}

/// Returns how many bytes wait to be read.
pub(super) fn unread(fd: BorrowedFd<'_>) -> Option<u64> {
    rustix::io::ioctl_fionread(fd).ok()
}

/// Returns the kernel's number of this socket, which no other socket ever gets; 0: it has none.
pub(super) fn cookie(fd: BorrowedFd<'_>) -> u64 {
    sockopt::socket_cookie(fd).unwrap_or(0)
}

fn get_option(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &mut [u8]) -> Option<usize> {
    let mut length = value.len() as libc::socklen_t;
    let pointer = value.as_mut_ptr().cast::<c_void>();
    // SAFETY: the kernel writes at most `length` bytes, which `value` has.
    let got = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, pointer, &raw mut length) };
    (got == 0).then_some(length as usize)
}

fn set_option(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: c_int) -> bool {
    let (pointer, length) = ((&raw const value).cast::<c_void>(), size_of::<c_int>());
    // SAFETY: the kernel reads `length` bytes, the size of `value`.
    let set = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length as u32) };
    set == 0
}
