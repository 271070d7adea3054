//! News of the end of a process before it is gone.
//!
//! The kernel frees the memory of a process before a pidfd becomes readable, which takes 3 ms of a
//! small Node process. Before that it marks the robust locks that the threads of the process held,
//! and wakes who waits for them. So a worker's main thread holds one in the worker's row, and a
//! thread of the master waits for all of these.
//!
//! What always holds: this is news that a process ends, never a fact to end its supervision by; a
//! pidfd still tells when and how. Nothing that a worker writes into a row has another effect on
//! the master than wrong news of its worker, which is killed then. Before Linux 5.16 there is no
//! such news, and none of more than 127 processes.
//!
//! futex(2), get_robust_list(2); kernel/futex/core.c (`handle_futex_death`), kernel/exit.c
//! (`exit_mm`).

use std::collections::BTreeMap;
use std::io;
use std::mem::{self, MaybeUninit};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::thread::futex::{self, ClockId, Flags, Wait, WaitFlags, WaitPtr, WaitvFlags};

use super::scoreboard::{LOCK_CELLS, Row};
use super::thread;

/// 32-bit words of the lock. The C library decides which of them the kernel knows.
const WORDS: usize = LOCK_CELLS * 2;
const _: () = assert!(size_of::<libc::pthread_mutex_t>() <= WORDS * size_of::<u32>());

/// For how many futexes a thread can wait at once (`FUTEX_WAITV_MAX`).
const MOST: usize = 128;

/// Has the calling thread hold the lock of its process's row, which was cleared, until it ends.
pub(crate) fn hold(row: &Row) -> io::Result<()> {
    let lock = row.lock_address().cast::<libc::pthread_mutex_t>();
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    // SAFETY: the place can be written.
    check(unsafe { libc::pthread_mutexattr_init(attributes) })?;
    // SAFETY: initialized above, as for the next one.
    check(unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) })?;
    // SAFETY: as above.
    check(unsafe { libc::pthread_mutexattr_setrobust(attributes, libc::PTHREAD_MUTEX_ROBUST) })?;
    // The C library keeps the address until the thread ends.
    mem::forget(row.clone());
    // SAFETY: aligned, large enough, mapped for ever, and nobody else's.
    check(unsafe { libc::pthread_mutex_init(lock, attributes) })?;
    let words = words(row);
    let thread = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    let names_thread = || words.each_ref().map(|word| word.load(Ordering::Relaxed) == thread);
    // The number of a thread can be that of a type of locks.
    let before = names_thread();
    // SAFETY: initialized above.
    check(unsafe { libc::pthread_mutex_trylock(lock) })?;
    let mut changes = before.into_iter().zip(names_thread());
    let place = changes.position(|(before, after)| after && !before);
    let place = place.ok_or(io::ErrorKind::Unsupported)?;
    // Otherwise the kernel would wake nobody.
    words[place].fetch_or(futex::WAITERS, Ordering::AcqRel);
    row.lock_place().store(place as u64 + 1, Ordering::Release);
    Ok(())
}

fn check(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

fn words(row: &Row) -> &[AtomicU32; WORDS] {
    // SAFETY: as many bytes, which stay mapped while `row` lives; aligned, and only read and
    // written by atomics and by the C library of the worker.
    unsafe { &*row.lock_address().cast() }
}

/// The word of a lock that the kernel marks; `None` if its worker does not hold it yet.
fn marked_word(row: &Row) -> Option<&AtomicU32> {
    let place = usize::try_from(row.lock_place().load(Ordering::Acquire)).ok()?;
    words(row).get(place.checked_sub(1)?)
}

/// Tells of processes that they end. The thread that waits for them ends when this is dropped.
#[derive(Debug)]
pub(crate) struct ExitNews(Arc<Watched>);

#[derive(Debug)]
struct Watched {
    /// By the numbers that their owner gave them. `None`: there is nobody left who wants to know.
    rows: Mutex<Option<BTreeMap<u32, Row>>>,
    /// Counts the changes of `rows`.
    changes: AtomicU32,
}

impl ExitNews {
    /// Starts the thread. It calls `tell` with the number of each row whose process ends: once
    /// after each `add`.
    pub(crate) fn start(tell: impl Fn(u32) + Send + 'static) -> io::Result<Self> {
        let rows = Mutex::new(Some(BTreeMap::new()));
        let watched = Arc::new(Watched { rows, changes: AtomicU32::new(0) });
        let same = Arc::clone(&watched);
        let run = move || {
            if let Err(error) = same.watch(&tell) {
                tracing::debug!(%error, "no early news of the ends of workers");
            }
        };
        thread::start("cluster2-exits", run)?;
        Ok(Self(watched))
    }

    /// Watches the process that has this row and holds its lock.
    pub(crate) fn add(&self, number: u32, row: &Row) {
        self.0.change(|rows| drop(rows.insert(number, row.clone())));
    }

    /// Watches a process no more. Must be called before another process gets its row.
    pub(crate) fn remove(&self, number: u32) {
        self.0.change(|rows| drop(rows.remove(&number)));
    }
}

impl Drop for ExitNews {
    fn drop(&mut self) {
        *self.0.rows() = None;
        self.0.wake();
    }
}

impl Watched {
    fn rows(&self) -> MutexGuard<'_, Option<BTreeMap<u32, Row>>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<u32, Row>)) {
        self.rows().as_mut().map(change);
        self.wake();
    }

    /// Has the thread look at `rows` again.
    fn wake(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        // It fails for no reason that one could do anything about.
        let _ = futex::wake(&self.changes, Flags::PRIVATE, 1);
    }

    fn watch(&self, tell: &impl Fn(u32)) -> rustix::io::Result<()> {
        loop {
            let changes = self.changes.load(Ordering::Acquire);
            let Some(rows) = self.rows().clone() else { return Ok(()) };
            let mut waits = vec![wait(&self.changes, changes, WaitFlags::PRIVATE)];
            for (number, row) in &rows {
                let Some(word) = marked_word(row) else { continue };
                let value = word.load(Ordering::Acquire);
                if value & futex::OWNER_DIED != 0 {
                    self.change(|rows| drop(rows.remove(number)));
                    tell(*number);
                } else if waits.len() < MOST {
                    waits.push(wait(word, value, WaitFlags::empty()));
                }
            }
            match futex::waitv(&waits, WaitvFlags::empty(), None, ClockId::Monotonic) {
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Waits as long as `word` is `value`. `sharing`: whether it is of this process alone.
fn wait(word: &AtomicU32, value: u32, sharing: WaitFlags) -> Wait {
    let mut wait = Wait::new();
    wait.val = value.into();
    wait.uaddr = WaitPtr::new(word.as_ptr().cast());
    wait.flags = WaitFlags::SIZE_U32 | sharing;
    wait
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
    use std::time::Duration;

    use super::super::scoreboard::Scoreboard;
    use super::*;

    const SOON: Duration = Duration::from_secs(5);
    const NEVER: Duration = Duration::from_millis(100);

    fn watched() -> (Arc<Scoreboard>, ExitNews, Receiver<u32>) {
        let (sender, news) = mpsc::channel();
        let exits = ExitNews::start(move |number| {
            let _ = sender.send(number);
        })
        .unwrap();
        (Scoreboard::alone(200).unwrap(), exits, news)
    }

    /// The kernel knows these locks by thread: one that ends is as good as a process.
    fn holder(row: Row) -> mpsc::Sender<()> {
        let (end, ended) = mpsc::channel::<()>();
        let (held, is_held) = mpsc::channel();
        std::thread::spawn(move || {
            hold(&row).unwrap();
            held.send(()).unwrap();
            let _ = ended.recv();
        });
        is_held.recv_timeout(SOON).unwrap();
        end
    }

    #[test]
    fn each_end_is_told_once() {
        let (board, exits, news) = watched();
        let rows: Vec<Row> = (0..3).filter_map(|index| board.row(index)).collect();
        let mut holders: Vec<_> = rows.iter().cloned().map(holder).collect();
        for (number, row) in (10..).zip(&rows) {
            exits.add(number, row);
            exits.add(number, row);
        }
        assert_eq!(news.recv_timeout(NEVER), Err(RecvTimeoutError::Timeout));
        drop(holders.remove(1));
        assert_eq!(news.recv_timeout(SOON), Ok(11));
        drop(holders);
        let mut others = [news.recv_timeout(SOON).unwrap(), news.recv_timeout(SOON).unwrap()];
        others.sort_unstable();
        assert_eq!(others, [10, 12]);
        assert_eq!(news.recv_timeout(NEVER), Err(RecvTimeoutError::Timeout));
        drop(exits);
        assert_eq!(news.recv_timeout(SOON), Err(RecvTimeoutError::Disconnected), "it has ended");
    }

    #[test]
    fn who_has_ended_before_it_is_watched_is_told_too() {
        let (board, exits, news) = watched();
        let row = board.row(0).unwrap();
        drop(holder(row.clone()));
        exits.add(1, &row);
        assert_eq!(news.recv_timeout(SOON), Ok(1));
    }

    #[test]
    fn a_row_is_used_again_after_its_process() {
        let (board, exits, news) = watched();
        let row = board.row(0).unwrap();
        for number in 1..4 {
            row.clear();
            exits.add(number, &row);
            let holder = holder(row.clone());
            exits.add(number, &row);
            drop(holder);
            assert_eq!(news.recv_timeout(SOON), Ok(number));
            exits.remove(number);
        }
    }

    #[test]
    fn what_a_worker_writes_there_harms_nobody_else() {
        let (board, exits, news) = watched();
        let (broken, sound) = (board.row(0).unwrap(), board.row(1).unwrap());
        let sound_one = holder(sound.clone());
        exits.add(1, &broken);
        exits.add(2, &sound);
        for place in [1, 12, 13, u64::MAX] {
            broken.lock_place().store(place, Ordering::Release);
            for word in words(&broken) {
                word.store(!futex::OWNER_DIED, Ordering::Release);
            }
            exits.add(1, &broken);
        }
        drop(sound_one);
        assert_eq!(news.recv_timeout(SOON), Ok(2));
    }

    #[test]
    fn more_than_one_call_can_wait_for_are_no_trouble() {
        let (board, exits, news) = watched();
        let rows: Vec<Row> = (0..200).filter_map(|index| board.row(index)).collect();
        let holders: Vec<_> = rows.iter().cloned().map(holder).collect();
        (0..).zip(&rows).for_each(|(number, row)| exits.add(number, row));
        drop(holders);
        let mut told: Vec<u32> = (0..200).map(|_| news.recv_timeout(SOON).unwrap()).collect();
        told.sort_unstable();
        assert!(told.into_iter().eq(0..200));
    }
}
