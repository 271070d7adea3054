//! Orders to the JavaScript thread, and the signal handler that obeys.

use std::ffi::c_int;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::event::epoll;

use super::consumed;
use super::given::Given;
use super::order::{MAX_ORDERED, Order};
use super::table::Table;
use crate::os::channel::{Channel, MAX_FDS};
use crate::os::descriptors::by_number;
use crate::os::{now, thread_state};

/// Writes the message for connections into the buffer, and returns its length. Runs in a signal
/// handler: it does not allocate.
pub(crate) type Encode = fn(&[Given], &mut [u8; FRAME]) -> usize;

/// The longest message of [`Encode`].
const FRAME: usize = 1024;
/// Nothing uses it in Node; by default it is ignored.
const SIGNAL: c_int = libc::SIGURG;

/// What takes connections out of this process.
#[derive(Debug)]
pub(crate) struct Seizer {
    table: &'static Table,
    /// Where connections go.
    channel: Arc<Channel>,
    /// The epoll of the event loop.
    backend: i32,
    /// The JavaScript thread.
    thread: i32,
    turns: &'static AtomicU64,
    encode: Encode,
    order: Order,
}

/// The one of this process, for the handler.
static CURRENT: AtomicPtr<Seizer> = AtomicPtr::new(std::ptr::null_mut());

impl Seizer {
    /// Called once in a process, on the JavaScript thread. `backend`: the epoll of its event loop,
    /// whose turns `turns` counts. Returns `None` if the process handles the signal otherwise.
    pub(crate) fn start(
        table: &'static Table,
        channel: Arc<Channel>,
        backend: i32,
        turns: &'static AtomicU64,
        encode: Encode,
    ) -> Option<&'static Self> {
        let found = action().ok()?;
        if ![libc::SIG_DFL, libc::SIG_IGN].contains(&found.sa_sigaction) {
            return None;
        }
        let thread = thread_state::this_thread();
        let order = Order::new();
        let seizer = Self { table, channel, backend, thread, turns, encode, order };
        let seizer: &'static Self = Box::leak(Box::new(seizer));
        CURRENT.store(std::ptr::from_ref(seizer).cast_mut(), Ordering::Release);
        handle_signal().ok().map(|()| seizer)
    }

    /// Returns at most `most` idle connections on which something waits, by their numbers. Without
    /// `moved`, it leaves out those that came from another worker and were not used since. Only a
    /// guess: the handler looks again.
    pub(crate) fn candidates(&self, moved: bool, most: usize) -> Vec<i32> {
        let waits = |fd: &i32| {
            let unread = by_number(*fd).ok().and_then(consumed::unread);
            unread.is_some_and(|unread| unread > 0 || CHAOS && fastrand::u8(..8) == 0)
        };
        self.table.idle(moved).filter(waits).take(most.min(MAX_ORDERED)).collect()
    }

    /// Orders the JavaScript thread to give away those of `fds` of which nothing was read, if its
    /// event loop has turned `turn` times. Not before [`Self::is_done`]. Returns `false` if nothing
    /// was ordered: the app handles the signal itself, or descriptors are lacking.
    pub(crate) fn order(&self, fds: &[i32], turn: u64) -> bool {
        if !is_ours() || !self.order.prepare(fds, turn) {
            return false;
        }
        self.order.done.store(false, Ordering::Relaxed);
        self.order.armed.store(true, Ordering::Release);
        let process = std::process::id();
        // SAFETY: sends a signal that this process handles to one of its own threads, which lives
        // as long as the process.
        let sent = unsafe { libc::syscall(libc::SYS_tgkill, process, self.thread, SIGNAL) };
        sent == 0 || !self.take_back()
    }

    /// Whether the last order was obeyed or taken back.
    pub(crate) fn is_done(&self) -> bool {
        let is_done = self.order.done.load(Ordering::Acquire);
        if is_done {
            self.order.trim(close);
        }
        is_done
    }

    /// Takes the order back. Returns `false` if it is being obeyed.
    pub(crate) fn take_back(&self) -> bool {
        let is_mine = self.order.armed.swap(false, Ordering::AcqRel);
        if is_mine {
            self.order.done.store(true, Ordering::Release);
        }
        is_mine
    }

    /// Returns how many connections were ever taken.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> u64 {
        self.order.taken.load(Ordering::Relaxed)
    }

    /// In the signal handler.
    fn obey(&self) {
        if thread_state::this_thread() != self.thread
            || !self.order.armed.swap(false, Ordering::AcqRel)
        {
            return;
        }
        let has_turned =
            self.turns.load(Ordering::Relaxed) != self.order.turn.load(Ordering::Relaxed);
        if CHAOS || !has_turned {
            self.give_away();
        }
        self.order.done.store(true, Ordering::Release);
    }

    fn give_away(&self) {
        let mut batch = Batch { fds: [-1; MAX_FDS], given: [Given::default(); MAX_FDS], count: 0 };
        let since = now() as u32;
        for fd in self.order.fds() {
            if self.order.dead_left() <= batch.count {
                break;
            }
            let Ok(number) = by_number(fd) else { continue };
            let Some(given) = self.table.examine(number, since, CHAOS) else { continue };
            (batch.fds[batch.count], batch.given[batch.count]) = (fd, given);
            batch.count += 1;
            if batch.count == MAX_FDS && !self.send(&mut batch) {
                return;
            }
        }
        self.send(&mut batch);
    }

    /// Returns `false` if there is no room, or no master: nothing was changed.
    fn send(&self, batch: &mut Batch) -> bool {
        let count = std::mem::take(&mut batch.count);
        if count == 0 {
            return true;
        }
        let mut frame = [0; FRAME];
        let length = (self.encode)(&batch.given[..count], &mut frame);
        // Any descriptor: those of the batch take the first places.
        let mut fds = [self.channel.as_fd(); MAX_FDS];
        for (number, fd) in fds.iter_mut().zip(&batch.fds[..count]) {
            let Ok(known) = by_number(*fd) else { return false };
            *number = known;
        }
        let Some(frame) = frame.get(..length) else { return false };
        if self.channel.send(frame, &fds[..count]).is_err() {
            return false;
        }
        batch.fds[..count].iter().for_each(|fd| self.cut(*fd));
        self.order.taken.fetch_add(count as u64, Ordering::Relaxed);
        true
    }

    /// Puts a socket at its end under the number of a connection that lives on elsewhere.
    fn cut(&self, fd: i32) {
        let numbers = by_number(self.backend).and_then(|epoll| Ok((epoll, by_number(fd)?)));
        let Ok((epoll, number)) = numbers else { return };
        let was_watched = epoll::delete(epoll, number).is_ok();
        if let Some(dead) = self.order.take_dead() {
            // SAFETY: `fd` is the connection's number on this thread, which is in the handler: its
            // owner goes on with whatever is under the number. `dead` is a socket of the order.
            let put = || unsafe { libc::dup3(dead, fd, libc::O_CLOEXEC) };
            // Both numbers are open, so that this fails only for reasons that pass.
            while put() < 0 {}
            close(dead);
        }
        if was_watched {
            // As libuv does, which finds the handle by the number.
            let data = epoll::EventData::new_u64(fd as u64);
            let _ = epoll::add(epoll, number, data, epoll::EventFlags::IN);
        }
        self.table.set_taken(fd);
    }
}

/// For tests, in a build of their own: connections are taken at any moment, not only from a stuck
/// event loop, and also those on which nothing waits.
pub(crate) const CHAOS: bool = cfg!(cluster2_chaos);

struct Batch {
    fds: [i32; MAX_FDS],
    given: [Given; MAX_FDS],
    count: usize,
}

fn close(fd: i32) {
    // SAFETY: the number is of a socket of `Order`, which nothing else knows.
    unsafe { libc::close(fd) };
}

extern "C" fn on_signal(_signal: c_int) {
    // SAFETY: points to this thread's `errno`.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    // SAFETY: null, or the seizer of `start`, which is never freed.
    if let Some(seizer) = unsafe { CURRENT.load(Ordering::Acquire).as_ref() } {
        seizer.obey();
    }
    // SAFETY: as above.
    unsafe { *errno = saved };
}

fn action() -> io::Result<libc::sigaction> {
    let mut found = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: changes nothing, and writes the present action into `found`.
    if unsafe { libc::sigaction(SIGNAL, std::ptr::null(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded.
    Ok(unsafe { found.assume_init() })
}

/// Whether the signal still comes to us.
fn is_ours() -> bool {
    action().is_ok_and(|found| found.sa_sigaction == on_signal as *const () as usize)
}

fn handle_signal() -> io::Result<()> {
    // SAFETY: all zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the mask is of this action.
    unsafe { libc::sigfillset(&raw mut action.sa_mask) };
    // SAFETY: the handler makes system calls only, and keeps `errno`.
    if unsafe { libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
