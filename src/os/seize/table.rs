//! What is known of each connection, by its descriptor's number.
//!
//! A line of 64 bytes for each. JavaScript writes doubles there, one store for a request; the
//! signal handler reads them on the same thread, other threads only to guess what is worth an
//! order.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, compiler_fence};

use rustix::mm::{MapFlags, ProtFlags};

use super::consumed;
use super::given::Given;

/// Descriptors from this number on are never seized.
const SLOTS: usize = 65_536;
const CELLS: usize = 8;
/// Bytes of the whole table. Untouched pages take no memory.
pub const TABLE_BYTES: usize = SLOTS * CELLS * size_of::<u64>();

/// The cells of a line; `lib/http/idle-marks.js` knows the first six.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub(super) enum Cell {
    /// Bytes read when it became idle; negative: it is not idle.
    Idle,
    /// Bytes read of it before it came to this process; negative: unknown.
    Base,
    /// The past that it is given away with.
    Stage,
    Timeout,
    Requests,
    /// See [`MarkState`].
    State,
    Listener,
    /// The socket's cookie, as an integer; 0: nothing was adopted under the number.
    Cookie,
}

/// Where a connection was, and is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MarkState {
    /// It came from a client.
    New,
    /// It came from another worker.
    Moved,
    /// It was taken, and under the number is a socket at its end.
    Taken,
}

/// The table; it lives as long as the process.
#[derive(Debug)]
pub struct Table {
    base: NonNull<AtomicU64>,
    /// One more than the highest number that was adopted.
    end: AtomicUsize,
    /// The listener whose connection was adopted last, plus 1, and whether it is a unix socket:
    /// to ask the kernel each time would cost as much as all else here.
    last: [AtomicU64; 2],
}

// SAFETY: the mapping is never unmapped, belongs to no thread, and is only accessed by atomics.
unsafe impl Send for Table {}
// SAFETY: as above.
unsafe impl Sync for Table {}

impl Table {
    /// Makes the table of this process.
    pub(crate) fn create() -> io::Result<&'static Self> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses the address, so that it overlaps no other memory.
        let base = unsafe {
            rustix::mm::mmap_anonymous(std::ptr::null_mut(), TABLE_BYTES, protection, flags)
        }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Box::leak(Box::new(Self {
            base,
            end: AtomicUsize::new(0),
            last: [const { AtomicU64::new(0) }; 2],
        })))
    }

    /// Returns its address, for JavaScript: [`TABLE_BYTES`] bytes that stay mapped.
    pub fn address(&self) -> *mut u8 {
        self.base.as_ptr().cast()
    }

    fn cell(&self, slot: usize, cell: Cell) -> &AtomicU64 {
        debug_assert!(slot < SLOTS);
        // SAFETY: `slot_of` keeps `slot` below SLOTS, so that the cell lies in the mapping.
        let cell = unsafe { self.base.add(slot * CELLS + cell as usize) };
        // SAFETY: the mapping is never unmapped; the cell is aligned, and atomic.
        unsafe { cell.as_ref() }
    }

    fn number(&self, slot: usize, cell: Cell) -> f64 {
        f64::from_bits(self.cell(slot, cell).load(Ordering::Relaxed))
    }

    fn set(&self, slot: usize, cell: Cell, value: f64) {
        self.cell(slot, cell).store(value.to_bits(), Ordering::Relaxed);
    }

    /// Enters a connection that has come to this process, and that nothing has read here. If it
    /// `is_idle`, it counts as that until JavaScript gets it. Called on the JavaScript thread.
    pub(crate) fn adopt(&self, fd: BorrowedFd<'_>, past: &Given, is_idle: bool) {
        let Some(slot) = slot_of(fd.as_raw_fd()) else { return };
        self.set(slot, Cell::Idle, -1.0);
        let state = if past.stage == 0 { MarkState::New } else { MarkState::Moved };
        self.set_state(slot, state);
        let cookie = consumed::cookie(fd);
        self.cell(slot, Cell::Cookie).store(cookie, Ordering::Relaxed);
        let is_new = state == MarkState::New;
        let read = self
            .is_unix(fd, past.listener)
            .and_then(|is_unix| consumed::count_from_here(fd, is_unix, is_new));
        let base = read.map_or(-1.0, |read| read as f64);
        let Given { listener, stage, timeout, requests, .. } = *past;
        let numbers = [
            (Cell::Base, base),
            (Cell::Stage, f64::from(stage)),
            (Cell::Timeout, f64::from(timeout)),
            (Cell::Requests, f64::from(requests)),
            (Cell::Listener, f64::from(listener)),
            (Cell::Idle, if is_idle { base } else { -1.0 }),
        ];
        numbers.into_iter().for_each(|(cell, value)| self.set(slot, cell, value));
        self.end.fetch_max(slot + 1, Ordering::Relaxed);
    }

    /// Whether the connections of a listener are unix sockets, as this one is.
    fn is_unix(&self, fd: BorrowedFd<'_>, listener: u32) -> Option<bool> {
        let [last, kind] = &self.last;
        let number = u64::from(listener) + 1;
        if last.load(Ordering::Relaxed) != number {
            kind.store(u64::from(consumed::is_unix(fd)?), Ordering::Relaxed);
            last.store(number, Ordering::Relaxed);
        }
        Some(kind.load(Ordering::Relaxed) != 0)
    }

    /// From now on the connection of this number is not taken. Returns `false` if it was. Called on
    /// the JavaScript thread.
    pub(crate) fn claim(&self, fd: i32) -> bool {
        let Some(slot) = slot_of(fd) else { return true };
        self.set(slot, Cell::Idle, -1.0);
        // The handler runs on this thread, at any moment.
        compiler_fence(Ordering::SeqCst);
        !self.is_at(slot, MarkState::Taken)
    }

    /// Whether the connection of this number was taken.
    #[cfg(test)]
    pub(super) fn is_taken(&self, fd: i32) -> bool {
        slot_of(fd).is_some_and(|slot| self.is_at(slot, MarkState::Taken))
    }

    fn set_state(&self, slot: usize, state: MarkState) {
        self.set(slot, Cell::State, f64::from(state as u8));
    }

    fn is_at(&self, slot: usize, state: MarkState) -> bool {
        self.number(slot, Cell::State) == f64::from(state as u8)
    }

    /// Returns the numbers of the connections that are marked as idle. Without `moved`, it leaves
    /// out those that came from another worker and were not used since.
    pub(super) fn idle(&self, moved: bool) -> impl Iterator<Item = i32> {
        let slots = 0..self.end.load(Ordering::Relaxed);
        let is_unused = |slot, read| {
            self.is_at(slot, MarkState::Moved) && read == self.number(slot, Cell::Base)
        };
        let is_wanted = move |slot: &usize| {
            self.marked(*slot).is_some_and(|(read, _)| moved || !is_unused(*slot, read))
        };
        slots.filter(is_wanted).map(|slot| slot as i32)
    }

    /// Returns the bytes read that were written down, and the cookie. `None`: it is not idle.
    fn marked(&self, slot: usize) -> Option<(f64, u64)> {
        let idle = self.number(slot, Cell::Idle);
        let cookie = self.cell(slot, Cell::Cookie).load(Ordering::Relaxed);
        (idle >= 0.0 && cookie != 0).then_some((idle, cookie))
    }

    /// Returns what to give a connection away with, if all of it is with the kernel, and something
    /// waits on it, unless `any`. Safe in a signal handler on the JavaScript thread.
    pub(super) fn examine(&self, fd: BorrowedFd<'_>, since: u32, any: bool) -> Option<Given> {
        let slot = slot_of(fd.as_raw_fd())?;
        let (idle, cookie) = self.marked(slot)?;
        if consumed::cookie(fd) != cookie {
            return None;
        }
        let counts = consumed::counts(fd)?;
        if counts.read as f64 != idle || (counts.unread == 0 && !any) {
            return None;
        }
        let number = |cell| self.number(slot, cell).max(0.0) as u32;
        Some(Given {
            listener: number(Cell::Listener),
            stage: number(Cell::Stage),
            since,
            timeout: number(Cell::Timeout),
            requests: number(Cell::Requests),
        })
    }

    /// The connection lives on elsewhere.
    pub(super) fn set_taken(&self, fd: i32) {
        let Some(slot) = slot_of(fd) else { return };
        self.set(slot, Cell::Idle, -1.0);
        self.cell(slot, Cell::Cookie).store(0, Ordering::Relaxed);
        self.set_state(slot, MarkState::Taken);
    }

    #[cfg(test)]
    pub(super) fn mark(&self, fd: i32, read: f64) {
        self.set(fd as usize, Cell::Idle, read);
    }

    #[cfg(test)]
    pub(super) fn forget_cookie(&self, fd: i32) {
        self.cell(fd as usize, Cell::Cookie).store(1, Ordering::Relaxed);
    }
}

fn slot_of(fd: i32) -> Option<usize> {
    usize::try_from(fd).ok().filter(|slot| *slot < SLOTS)
}
