//! Processes: reaping our own children, and signalling exactly the intended process.
//!
//! libuv owns SIGCHLD and waits only for its own children; so do we, by pidfd. A process that is
//! known only by a number from a file is signalled through a pidfd after its start time matched, so
//! that a reused number is never hit.

use std::fmt::Display;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::readable::is_readable;
use super::timespec;

/// `PF_EXITING` of the kernel's `sched.h`, in field 9 of `/proc/<pid>/stat`.
const PF_EXITING: u64 = 0x4;
/// How long a killed process may take to end.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// Returns a pidfd that a tokio task can wait for: it becomes readable when the process ends.
pub fn watchable(pidfd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` is open, and stays the same descriptor while the `AsyncFd` holds it.
    let watchable = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watchable?)
}

/// Reaps a child that has ended; `None` while it lives.
pub fn reap(pidfd: impl AsFd) -> io::Result<Option<ExitStatus>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options)? else {
        return Ok(None);
    };
    Ok(Some(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code(code),
        (None, Some(signal)) => ExitStatus::Signal(signal),
        (None, None) => return Err(io::ErrorKind::InvalidData.into()),
    }))
}

/// Kills and reaps a child that cannot be supervised, so that neither it nor a zombie is left.
pub fn discard(pidfd: impl AsFd) -> io::Result<()> {
    kill(&pidfd)?;
    let limit = timespec(DISCARD_WITHIN);
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&limit))?;
    reap(&pidfd)?.map(drop).ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// As [`discard`], for a child without a pidfd. Its number is its own, because it is not reaped
/// yet.
pub fn discard_by_number(child: Pid) -> io::Result<()> {
    rustix::process::kill_process(child, Signal::KILL)?;
    let deadline = Instant::now() + DISCARD_WITHIN;
    while rustix::process::waitpid(Some(child), WaitOptions::NOHANG)?.is_none() {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Reaps the children of this thread that have ended. In process 1 of a pid namespace the main
/// thread is the parent of all processes whose own parents are gone. Workers are children of the
/// thread that started them, which reaps them.
pub fn reap_adopted() {
    let flags = libc::WNOHANG | libc::__WNOTHREAD;
    // SAFETY: no memory is passed.
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), flags) } > 0 {}
}

/// Returns the name of a signal, `SIGKILL`; `SIGRT` for all real-time signals.
pub fn signal_name(number: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(number).map_or("SIGRT", nix::sys::signal::Signal::as_str)
}

/// Sends SIGKILL. A process that is gone already counts as killed.
pub fn kill(pidfd: impl AsFd) -> io::Result<()> {
    signal(pidfd, Signal::KILL)
}

/// Has this thread wait for a free processor or for its turn (`SCHED_BATCH`), instead of preempting
/// a busy thread as soon as there is something to do. Threads with another policy than the default
/// keep theirs.
pub fn let_others_work() -> io::Result<()> {
    let (mut policy, mut parameters) = (0, MaybeUninit::<libc::sched_param>::uninit());
    // SAFETY: it takes nothing, and always succeeds.
    let this = unsafe { libc::pthread_self() };
    let place = parameters.as_mut_ptr();
    // SAFETY: this thread exists; both places can be written.
    let read = unsafe { libc::pthread_getschedparam(this, &mut policy, place) };
    if read != 0 || policy != libc::SCHED_OTHER {
        return Ok(());
    }
    // SAFETY: this thread exists; its parameters were written above.
    let set = unsafe { libc::pthread_setschedparam(this, libc::SCHED_BATCH, place) };
    if set == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(set)) }
}

/// Blocks no signal in this thread and in those that it starts: a mask survives exec.
pub fn unblock_signals() -> io::Result<()> {
    Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
}

/// Ends this process at once with an exit code, without running exit handlers.
pub fn end_now(code: i32) -> ! {
    // SAFETY: no memory is passed, and nothing of this process runs afterwards.
    unsafe { libc::_exit(code) }
}

/// Kills this process, whatever its event loop does.
pub fn kill_self() {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
}

/// Sends SIGTERM; otherwise as [`kill`].
pub fn terminate(pidfd: impl AsFd) -> io::Result<()> {
    signal(pidfd, Signal::TERM)
}

/// Sends a signal by its number; otherwise as [`kill`].
pub fn send_signal(pidfd: impl AsFd, number: i32) -> io::Result<()> {
    signal(pidfd, Signal::from_named_raw(number).ok_or(io::ErrorKind::InvalidInput)?)
}

fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether the process has ended, even if it is not reaped yet.
fn has_ended(pidfd: impl AsFd) -> bool {
    is_readable(pidfd).unwrap_or(false)
}

/// Whether process `pid`, a child of this one, is stopped (SIGSTOP, a debugger).
pub(crate) fn is_stopped(pid: u32) -> bool {
    stat_field::<char>(pid, 3).is_ok_and(|state| matches!(state, 'T' | 't'))
}

/// Returns the resident memory (bytes) and processor time (milliseconds) of this process.
pub fn usage() -> (u64, f64) {
    (resident_memory("self").unwrap_or(0), processor_time())
}

/// Returns the processor time of this process, milliseconds.
pub fn processor_time() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6
}

/// Returns the resident memory of a process, bytes. `process`: its pid, or `self`.
pub(super) fn resident_memory(process: impl Display) -> Option<u64> {
    let memory = std::fs::read_to_string(format!("/proc/{process}/statm")).ok()?;
    let pages: u64 = memory.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// Returns the operating system with its release and machine, `Linux 6.1.0 x86_64`.
pub fn system_name() -> String {
    let name = rustix::system::uname();
    let part = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    [part(name.sysname()), part(name.release()), part(name.machine())].join(" ")
}

/// Returns the name of the machine.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// Whether a process has begun to end, or is gone. The kernel says so before it closes its files.
pub(crate) fn is_ending(pid: u32) -> bool {
    stat_field::<u64>(pid, 9).map_or(true, |flags| flags & PF_EXITING != 0)
}

/// Returns a field of `/proc/<pid>/stat`, by its number in proc_pid_stat(5), from 3 on.
pub(super) fn stat_field<T: FromStr>(pid: u32, number: usize) -> io::Result<T> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in parentheses may hold spaces and parentheses: count fields from the last one.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = fields.split_ascii_whitespace().nth(number - 3);
    let value = field.and_then(|field| field.parse().ok());
    value.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// A process as a pid file names it. The number alone is not enough, because it can be reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

impl Identity {
    /// Returns the identity of a living process.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self { pid, started: stat_field(pid, 22)? })
    }

    /// Opens a pidfd of exactly this process. `None`: it is gone, even if its number was reused.
    pub fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after opening: from now on the pidfd cannot refer to another process.
        match Self::of(self.pid) {
            Ok(found) if found == self && !has_ended(&pidfd) => Ok(Some(pidfd)),
            _ => Ok(None),
        }
    }

    /// Waits until it is gone, with all that it had open, or `limit` is over. Does not wait where
    /// it cannot be opened.
    pub fn wait_for_end(self, limit: Duration) {
        let Ok(Some(pidfd)) = self.open() else { return };
        let deadline = Instant::now() + limit;
        loop {
            let left = timespec(deadline.saturating_duration_since(Instant::now()));
            match rustix::event::poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&left)) {
                // A signal, such as a profiler's.
                Err(rustix::io::Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_thread_that_asks_waits_for_its_turn() {
        let policy = || {
            let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            stat.rsplit(')').next().unwrap().split(' ').nth(39).unwrap().parse::<i32>().unwrap()
        };
        let patient = std::thread::spawn(move || {
            let_others_work().unwrap();
            policy()
        });
        assert_eq!((patient.join().unwrap(), policy()), (libc::SCHED_BATCH, libc::SCHED_OTHER));
    }

    #[test]
    fn a_process_is_ending_once_it_was_killed() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        assert!(!is_ending(child.id()) && !is_ending(std::process::id()));
        child.kill().unwrap();
        let pidfd = rustix::process::pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let mut ended = [PollFd::from_borrowed_fd(pidfd.as_ref().unwrap().as_fd(), PollFlags::IN)];
        rustix::event::poll(&mut ended, None).unwrap();
        assert!(is_ending(child.id()), "before it is reaped");
        child.wait().unwrap();
        assert!(is_ending(child.id()), "and afterwards");
    }

    #[test]
    fn a_process_is_found_by_number_and_start_time_together() {
        let me = Identity::of(std::process::id()).unwrap();
        assert!(me.open().unwrap().is_some());
        assert!(
            Identity { started: me.started + 1, ..me }.open().unwrap().is_none(),
            "same number, another process"
        );
        assert!(Identity { pid: 0, started: 0 }.open().unwrap().is_none());
        assert!(Identity { pid: u32::MAX, started: 0 }.open().unwrap().is_none());
    }
    #[test]
    fn the_end_of_another_process_is_waited_for_and_no_longer_than_the_limit() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let identity = Identity::of(child.id()).unwrap();
        identity.wait_for_end(Duration::ZERO);
        assert!(child.try_wait().unwrap().is_none(), "the limit is over");
        let waiting = std::thread::spawn(move || identity.wait_for_end(Duration::from_secs(30)));
        child.kill().unwrap();
        waiting.join().unwrap();
        assert!(child.try_wait().unwrap().is_some(), "it was waited for");
        identity.wait_for_end(Duration::from_secs(30));
    }
}
