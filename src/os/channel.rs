//! The channel between master and worker: a SEQPACKET socket pair, on which messages keep their borders and carry
//! descriptors (`SCM_RIGHTS`).
//!
//! No call waits except those whose names say so, and they have a deadline. The master keeps a second descriptor of the worker's end: what the worker has not taken
//! can so be read back.
//!
//! What always holds: a message is taken with all of its descriptors, or stays where it is. The kernel closes what
//! it cannot install when a message is received, but a message that is peeked at keeps its descriptors whatever fits. So
//! `receive` peeks first, and takes the message off only once this process has all of its descriptors. Only one
//! may receive at a time at an end that two processes have: see `Row::claim`.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::os::descriptors;

/// The most descriptors in one message; the kernel's own limit is 253.
pub const MAX_FDS: usize = 32;
/// The longest message in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(MAX_FDS));

/// Whether a message was not sent for a reason that passes: there is no room, or this user has too many descriptors under
/// way (`ETOOMANYREFS`).
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ETOOMANYREFS)
}

/// One end of a channel.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// A message that came.
#[derive(Debug)]
pub struct Received<'a> {
    /// Its bytes; never empty.
    pub bytes: &'a [u8],
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

/// What the kernel says of a message.
struct Message {
    length: usize,
    fds: Vec<OwnedFd>,
    /// It has more bytes than were read.
    truncated: bool,
    /// It has more descriptors than were installed.
    cut: bool,
}

impl Channel {
    /// A connected pair, close-on-exec and non-blocking.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (a, b) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(a), Self(b)))
    }

    /// Sends all or nothing. `WouldBlock` when the channel is full; the descriptors stay the caller's.
    /// `InvalidInput` for an empty or too long message.
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

    /// As `send`, for a descriptor that JavaScript holds and that Rust knows only by its number.
    pub fn send_number(&self, bytes: &[u8], fd: i32) -> io::Result<()> {
        if fd < 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: borrowed for this one call, which only hands the number to the kernel, and fails if nothing is open
        // under it.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        self.send(bytes, &[fd])
    }

    /// Takes one message with its descriptors. `Ok(None)`: the other side is gone. `WouldBlock`: nothing is there.
    /// `QuotaExceeded`: this process has no room for the descriptors; the message stays where it is. `InvalidData`: a
    /// message with more bytes or descriptors than allowed; it is lost, its descriptors are closed.
    pub fn receive<'a>(&self, buffer: &'a mut [u8; MAX_BYTES]) -> io::Result<Option<Received<'a>>> {
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
        Ok(Some(Received { bytes: &buffer[..length], fds }))
    }

    /// As `receive`, for messages that are good without their descriptors: those for which there is no room are closed.
    pub fn receive_lossy<'a>(
        &self,
        buffer: &'a mut [u8; MAX_BYTES],
    ) -> io::Result<Option<Received<'a>>> {
        let Message { length, fds, truncated, .. } = self.read(buffer, RecvFlags::empty())?;
        if truncated {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok((length > 0).then(|| Received { bytes: &buffer[..length], fds }))
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

    /// Waits until something can be read, or the other side is gone. False: `deadline` came first.
    pub fn wait_readable(&self, deadline: Instant) -> io::Result<bool> {
        self.wait(PollFlags::IN, deadline)
    }

    /// Waits until there is room for a message, or the other side is gone. False: `deadline` came first.
    pub fn wait_writable(&self, deadline: Instant) -> io::Result<bool> {
        self.wait(PollFlags::OUT, deadline)
    }

    fn wait(&self, what: PollFlags, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            match rustix::event::poll(&mut [PollFd::new(&self.0, what)], Some(&left)) {
                Ok(ready) => return Ok(ready > 0),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A second descriptor of the same end.
    pub fn duplicate(&self) -> io::Result<Self> {
        self.0.try_clone().map(Self)
    }
}

impl From<OwnedFd> for Channel {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use crate::os::channel::descriptors::alone::alone;

    use super::*;
    use crate::os::channel::descriptors::alone::leave;
    use std::fs::File;
    use std::io::Read;
    use std::io::Seek;
    use std::io::Write;

    #[test]
    fn a_message_keeps_its_border_and_its_descriptors() {
        let (master, worker) = Channel::pair().unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"through the channel").unwrap();
        master.send(b"one", &[file.as_fd(), file.as_fd()]).unwrap();
        master.send(b"two", &[]).unwrap();

        let mut buffer = [0; MAX_BYTES];
        let received = worker.receive(&mut buffer).unwrap().unwrap();
        assert_eq!((received.bytes, received.fds.len()), (&b"one"[..], 2));
        let mut copy = File::from(received.fds.into_iter().next().unwrap());
        let mut text = String::new();
        copy.rewind().unwrap();
        copy.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through the channel");
        assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"two");
        assert_eq!(worker.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_was_not_taken_can_be_read_back_once() {
        let (master, worker) = Channel::pair().unwrap();
        let kept = worker.duplicate().unwrap();
        let mut buffer = [0; MAX_BYTES];
        master.send(b"a", &[]).unwrap();
        master.send(b"b", &[]).unwrap();
        assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"a");
        drop(worker);
        assert_eq!(kept.receive(&mut buffer).unwrap().unwrap().bytes, b"b", "survives the worker");
        assert_eq!(kept.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_message_stays_until_there_is_room_for_all_of_its_descriptors() {
        alone(
            "os::channel::tests::a_message_stays_until_there_is_room_for_all_of_its_descriptors",
            || {
                let (master, worker) = Channel::pair().unwrap();
                let (client, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
                master.send(b"connections", &[theirs.as_fd(); MAX_FDS]).unwrap();
                master.send(b"behind", &[]).unwrap();
                drop(theirs);
                let mut buffer = [0; MAX_BYTES];
                for free in [0, 1, 4, 5, MAX_FDS - 1, MAX_FDS, MAX_FDS + 3] {
                    leave(free);
                    assert_eq!(
                        worker.receive(&mut buffer).unwrap_err().kind(),
                        io::ErrorKind::QuotaExceeded,
                        "{free} free"
                    );
                    assert_eq!(
                        descriptors::room(MAX_FDS, worker.as_fd()),
                        free.saturating_sub(4).min(MAX_FDS)
                    );
                }
                leave(MAX_FDS + 4);
                let received = worker.receive(&mut buffer).unwrap().unwrap();
                assert_eq!((received.bytes, received.fds.len()), (&b"connections"[..], MAX_FDS));
                let first = received.fds.into_iter().next().unwrap();
                // Not even one is needed for what comes without.
                leave(0);
                assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"behind");
                // Nobody else has kept the connection.
                let mut stream = std::os::unix::net::UnixStream::from(first);
                stream.write_all(b"!").unwrap();
                drop(stream);
                let mut text = String::new();
                (&client).read_to_string(&mut text).unwrap();
                assert_eq!(text, "!");
            },
        );
    }

    #[test]
    fn what_is_good_without_its_descriptors_comes_without_them() {
        alone(
            "os::channel::tests::what_is_good_without_its_descriptors_comes_without_them",
            || {
                let (master, worker) = Channel::pair().unwrap();
                master.send(b"order", &[worker.as_fd()]).unwrap();
                master.send(b"order", &[worker.as_fd()]).unwrap();
                let mut buffer = [0; MAX_BYTES];
                leave(0);
                let received = worker.receive_lossy(&mut buffer).unwrap().unwrap();
                assert_eq!((received.bytes, received.fds.len()), (&b"order"[..], 0));
                leave(1);
                assert_eq!(worker.receive_lossy(&mut buffer).unwrap().unwrap().fds.len(), 1);
                drop(master);
                assert!(worker.receive_lossy(&mut buffer).unwrap().is_none());
            },
        );
    }

    #[test]
    fn more_descriptors_than_allowed_are_no_lack_of_room() {
        let (master, worker) = Channel::pair().unwrap();
        let control = [worker.as_fd(); MAX_FDS + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS + 1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(&control)));
        rustix::net::sendmsg(
            &master.0,
            &[IoSlice::new(b"too many")],
            &mut ancillary,
            SendFlags::empty(),
        )
        .unwrap();
        master.send(b"next", &[]).unwrap();
        let mut buffer = [0; MAX_BYTES];
        assert_eq!(worker.receive(&mut buffer).unwrap_err().kind(), io::ErrorKind::InvalidData);
        assert_eq!(worker.receive(&mut buffer).unwrap().unwrap().bytes, b"next");
    }

    #[test]
    fn a_full_channel_would_block_and_a_lost_master_is_an_end() {
        let (master, worker) = Channel::pair().unwrap();
        let full =
            (0..1_000_000).find_map(|_| master.send(&[7; 1000], &[]).err()).expect("fills up");
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        drop(master);
        let mut buffer = [0; MAX_BYTES];
        while worker.receive(&mut buffer).unwrap().is_some() {}
    }
}
