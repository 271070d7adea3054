//! One order to give connections away, as the ordering thread and the signal handler share it.
//!
//! What always holds: the ordering thread writes an order only while none is armed and the last one
//! is done. It belongs to the one that disarms it: the handler, or the ordering thread that takes
//! it back.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, AtomicUsize, Ordering};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// The most connections in one order.
pub(super) const MAX_ORDERED: usize = 512;
/// Spare sockets at their end that are kept for the next order.
const MAX_SPARE: usize = 32;

#[derive(Debug)]
pub(super) struct Order {
    pub(super) armed: AtomicBool,
    pub(super) done: AtomicBool,
    /// The turn of the event loop that it is meant for.
    pub(super) turn: AtomicU64,
    fds: [AtomicI32; MAX_ORDERED],
    count: AtomicUsize,
    /// Sockets at their end. The handler uses them up from the last one on.
    dead: [AtomicI32; MAX_ORDERED],
    dead_count: AtomicUsize,
    /// How many connections were ever taken.
    pub(super) taken: AtomicU64,
}

impl Order {
    pub(super) const fn new() -> Self {
        Self {
            armed: AtomicBool::new(false),
            done: AtomicBool::new(true),
            turn: AtomicU64::new(0),
            fds: [const { AtomicI32::new(-1) }; MAX_ORDERED],
            count: AtomicUsize::new(0),
            dead: [const { AtomicI32::new(-1) }; MAX_ORDERED],
            dead_count: AtomicUsize::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Writes down the numbers of an order, and gets as many sockets at their end. Returns `false`
    /// if there is none.
    pub(super) fn prepare(&self, fds: &[i32], turn: u64) -> bool {
        let count = fds.len().min(MAX_ORDERED);
        fds.iter().zip(&self.fds).for_each(|(fd, place)| place.store(*fd, Ordering::Relaxed));
        self.count.store(count, Ordering::Relaxed);
        self.turn.store(turn, Ordering::Relaxed);
        while self.dead_left() < count {
            let Some(dead) = dead_socket() else { break };
            let index = self.dead_count.fetch_add(1, Ordering::Relaxed);
            self.dead[index].store(dead.into_raw_fd(), Ordering::Relaxed);
        }
        self.dead_left() > 0
    }

    pub(super) fn fds(&self) -> impl Iterator<Item = i32> {
        let count = self.count.load(Ordering::Relaxed).min(MAX_ORDERED);
        self.fds.iter().take(count).map(|fd| fd.load(Ordering::Relaxed))
    }

    pub(super) fn dead_left(&self) -> usize {
        self.dead_count.load(Ordering::Relaxed)
    }

    /// Returns the number of a socket at its end, which is the caller's from then on.
    pub(super) fn take_dead(&self) -> Option<i32> {
        let last = self.dead_left().checked_sub(1)?;
        self.dead_count.store(last, Ordering::Relaxed);
        self.dead.get(last).map(|dead| dead.load(Ordering::Relaxed))
    }

    /// Closes spare sockets beyond a few.
    pub(super) fn trim(&self, close: impl Fn(i32)) {
        while self.dead_left() > MAX_SPARE {
            self.take_dead().into_iter().for_each(&close);
        }
    }
}

/// Returns a socket whose other end is closed.
fn dead_socket() -> Option<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    pair.ok().map(|(dead, _)| dead)
}
