//! The epoll of Node's own event loop, for what libuv cannot poll.
//!
//! libuv has no `EPOLLEXCLUSIVE`, and an epoll of our own inside libuv's loses that flag. But libuv
//! finds the handler of an event by the descriptor in the event's data. So a descriptor that is
//! added to libuv's epoll in the name of a watched one calls that one's handler. libuv does not
//! document this: test it in each process before relying on it.
//!
//! What always holds: a descriptor is taken off before it is closed, because other processes have
//! the same socket, and closing alone would not end the watch.

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use rustix::event::epoll::{self, EventFlags};

use super::descriptors::by_number;
use super::uv;

/// The epoll of an event loop, and the watched descriptor whose handler is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopEpoll {
    backend: c_int,
    carrier: c_int,
}

impl LoopEpoll {
    /// `carrier` is watched by a [`uv::Poll`] of the same loop, which stays.
    pub(crate) fn of(event_loop: *mut c_void, carrier: impl AsFd) -> io::Result<Self> {
        let carrier = carrier.as_fd().as_raw_fd();
        let backend = uv::epoll_of(event_loop).ok_or(io::ErrorKind::Unsupported)?;
        Ok(Self { backend, carrier })
    }

    /// Polls `socket` for reading. `exclusive`: an event wakes not all processes that poll it so,
    /// but one, the first in the kernel's list.
    pub(crate) fn add(&self, socket: impl AsFd, exclusive: bool) -> io::Result<()> {
        let flags = if exclusive { EventFlags::IN | EventFlags::EXCLUSIVE } else { EventFlags::IN };
        let data = epoll::EventData::new_u64(self.carrier as u64);
        Ok(epoll::add(by_number(self.backend)?, socket, data, flags)?)
    }

    /// Stops polling `socket`.
    pub(crate) fn remove(&self, socket: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(by_number(self.backend)?, socket)?)
    }
}
