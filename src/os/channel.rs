//! The channel between master and worker: a SEQPACKET socket pair, on which messages keep their
//! borders and carry descriptors (`SCM_RIGHTS`).
//!
//! No call waits except those whose names say so, and they have a deadline. The master keeps a
//! second descriptor of the worker's end, so that it can read back what the worker has not taken.
//!
//! What always holds: a message is taken with all of its descriptors, or stays where it is. When a
//! message is received, the kernel closes the descriptors that it cannot install; a message that is
//! peeked at keeps them. So `receive` peeks first, and takes the message off only once this process
//! has all of its descriptors. Where two processes have the same end, only one may receive at a
//! time: see `Row::claim`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use tokio::io::unix::AsyncFd;

use super::{descriptors, timespec};

/// The most descriptors in one message; the kernel's own limit is 253.
pub const MAX_FDS: usize = 32;
/// The longest message in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// Whether a message was not sent for a reason that passes: there is no room, or too many
/// descriptors of this user are in flight (`ETOOMANYREFS`).
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

/// Whether a message was not sent because one of its descriptors is not open (`EBADF`).
pub fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EBADF)
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message with its descriptors.
#[derive(Debug)]
pub struct ReceivedMessage<'a> {
    /// Never empty.
    pub bytes: &'a [u8],
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// A message as `recvmsg` returns it.
struct Message {
    length: usize,
    fds: Vec<OwnedFd>,
    /// Whether it has more bytes than were read.
    truncated: bool,
    /// Whether it has more descriptors than were installed.
    cut: bool,
}

impl Channel {
    /// Returns a connected pair, close-on-exec and non-blocking.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(a), Self(b)))
    }

    /// Sends all or nothing. `WouldBlock` when the channel is full; the descriptors stay the
    /// caller's. `InvalidInput` for a message that is empty or too long.
    pub fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        if bytes.is_empty() || bytes.len() > MAX_BYTES || fds.len() > MAX_FDS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut space = [MaybeUninit::uninit(); ANCILLARY];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        rustix::net::sendmsg(&self.0, &[IoSlice::new(bytes)], &mut ancillary, flags)?;
        Ok(())
    }

    /// As [`Self::send`], for descriptors that JavaScript owns and that Rust knows only by their
    /// numbers.
    pub fn send_numbers(&self, bytes: &[u8], fds: &[i32]) -> io::Result<()> {
        let fds = fds.iter().map(|fd| descriptors::by_number(*fd)).collect::<io::Result<Vec<_>>>();
        self.send(bytes, &fds?)
    }

    /// Takes one message with its descriptors. `Ok(None)`: the other side is gone. `WouldBlock`:
    /// there is no message. `QuotaExceeded`: this process has no room for the descriptors; the
    /// message stays where it is. `InvalidData`: a message with more bytes or descriptors than
    /// allowed; it is lost, its descriptors are closed.
    pub fn receive<'a>(
        &self,
        buffer: &'a mut [u8; MAX_BYTES],
    ) -> io::Result<Option<ReceivedMessage<'a>>> {
        let Message { length, fds, truncated, cut } = self.read(buffer, RecvFlags::PEEK)?;
        let too_many = fds.len() > MAX_FDS || (cut && fds.len() == MAX_FDS);
        if (cut && !too_many) || !descriptors::leave_room(&fds) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        if length == 0 {
            return Ok(None);
        }
        rustix::net::recv(&self.0, &mut [0; 1], RecvFlags::DONTWAIT)?;
        if truncated || too_many {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Some(ReceivedMessage { bytes: &buffer[..length], fds }))
    }

    /// As [`Self::receive`], for messages that are of use without their descriptors: those for
    /// which there is no room are closed.
    pub fn receive_lossy<'a>(
        &self,
        buffer: &'a mut [u8; MAX_BYTES],
    ) -> io::Result<Option<ReceivedMessage<'a>>> {
        let Message { length, fds, truncated, .. } = self.read(buffer, RecvFlags::empty())?;
        if truncated {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((length > 0).then(|| ReceivedMessage { bytes: &buffer[..length], fds }))
    }

    fn read(&self, buffer: &mut [u8; MAX_BYTES], how: RecvFlags) -> io::Result<Message> {
        let mut space = [MaybeUninit::uninit(); ANCILLARY];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = how | RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let received =
            rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags)?;
        let mut fds = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        let truncated = received.flags.contains(ReturnFlags::TRUNC);
        Ok(Message {
            length: received.bytes,
            fds,
            truncated,
            cut: received.flags.contains(ReturnFlags::CTRUNC),
        })
    }

    /// Waits until there is a message, or the other side is gone. Returns `false` at `deadline`.
    pub fn wait_readable(&self, deadline: Instant) -> io::Result<bool> {
        self.wait(PollFlags::IN, deadline)
    }

    /// Waits until there is room for a message, or the other side is gone. Returns `false` at
    /// `deadline`.
    pub fn wait_writable(&self, deadline: Instant) -> io::Result<bool> {
        self.wait(PollFlags::OUT, deadline)
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = timespec(deadline.saturating_duration_since(Instant::now()));
            match rustix::event::poll(&mut [PollFd::new(&self.0, what)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Returns a second descriptor of the same end, for which a tokio task can wait.
    pub fn watchable(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let fd = self.0.try_clone()?;
        // SAFETY: an `OwnedFd` is open, and stays the same descriptor while the `AsyncFd` holds it.
        Ok(unsafe { AsyncFd::register(fd) }?)
    }

    /// Returns a second descriptor of the same end.
    pub fn duplicate(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl From<Channel> for OwnedFd {
    fn from(channel: Channel) -> Self {
        channel.0
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
#[path = "channel_tests.rs"]
mod tests;
