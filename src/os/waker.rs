//! Descriptors by which one thread or process wakes the event loop of another one (eventfd).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};

/// Can be read once it was woken, until it is cleared.
#[derive(Debug)]
pub struct Waker(OwnedFd);

impl Waker {
    /// Returns one that was not woken.
    pub fn new() -> io::Result<Self> {
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?))
    }

    /// Returns one that was woken.
    pub fn woken() -> io::Result<Self> {
        let waker = Self::new()?;
        waker.wake();
        Ok(waker)
    }

    /// Wakes whatever polls it. Never blocks.
    pub fn wake(&self) {
        // A full counter is a wake-up that has not been seen yet.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Cannot be read any more, until it is woken again.
    pub fn clear(&self) {
        // It fails if it was not woken.
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }

    /// Returns another descriptor of the same waker.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<OwnedFd> for Waker {
    fn from(fd: OwnedFd) -> Self {
        Self(fd)
    }
}
