//! Other processes: reaping our own children, and signalling exactly the process that is meant.
//!
//! libuv owns SIGCHLD and waits only for its own children; so do we, by pidfd. A process that is known only by a number
//! from a file is signalled through a pidfd after its start time matched, so that a reused number is never hit.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitOptions};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long a killed process may take to its end.
const DISCARD_WITHIN: Duration = Duration::from_secs(2);

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exited {
    /// It returned this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

/// A pidfd that a tokio task can wait for: it becomes readable when the process ends.
pub fn watchable(pidfd: Arc<OwnedFd>) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an `OwnedFd` is open and stays the same descriptor for as long as the `AsyncFd` holds it.
    #[allow(unsafe_code)]
    let watchable = unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) };
    Ok(watchable?)
}

/// Reaps a child that has ended; `None` while it lives.
pub fn reap(pidfd: impl AsFd) -> io::Result<Option<Exited>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let Some(status) = rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options)? else {
        return Ok(None);
    };
    Ok(Some(match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Exited::Code(code),
        (None, Some(signal)) => Exited::Signal(signal),
        (None, None) => return Err(io::ErrorKind::InvalidData.into()),
    }))
}

/// Ends a child that nobody can attend to, and reaps it, so that it is neither left running nor as a zombie.
pub fn discard(pidfd: impl AsFd) -> io::Result<()> {
    kill(&pidfd)?;
    let limit = rustix::event::Timespec { tv_sec: DISCARD_WITHIN.as_secs() as i64, tv_nsec: 0 };
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&limit))?;
    reap(&pidfd)?.map(drop).ok_or_else(|| io::ErrorKind::TimedOut.into())
}

/// As `discard`, for a child of which there is no pidfd. Its number is its own, since nobody has reaped it.
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

/// Reaps the children that have ended of which this thread is the parent. In process 1 of a pid namespace the main thread is the
/// parent of all whose own parents are gone; workers are children of the thread that started them, and are left to it.
pub fn reap_adopted() {
    // SAFETY: no memory is passed; only children of this thread are waited for, of which nobody else keeps a pidfd or waits.
    #[allow(unsafe_code)]
    while unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG | libc::__WNOTHREAD) } > 0
    {
    }
}

/// The name of a signal, `SIGKILL`; real-time signals have none of their own.
pub fn signal_name(number: i32) -> &'static str {
    nix::sys::signal::Signal::try_from(number).map_or("SIGRT", nix::sys::signal::Signal::as_str)
}

/// Sends SIGKILL. A process that is gone already is as good as killed.
pub fn kill(pidfd: impl AsFd) -> io::Result<()> {
    signal(pidfd, Signal::KILL)
}

/// From now on this thread waits for a processor until one is free or its turn comes (`SCHED_BATCH`), instead of taking it from
/// whoever works as soon as there is something to do. Threads that have another policy than the usual one keep it.
pub fn let_others_work() -> io::Result<()> {
    let (mut policy, mut parameters) = (0, MaybeUninit::<libc::sched_param>::uninit());
    // SAFETY: of this very thread; the two places are written and not read.
    #[allow(unsafe_code)]
    let read = unsafe {
        libc::pthread_getschedparam(libc::pthread_self(), &mut policy, parameters.as_mut_ptr())
    };
    if read != 0 || policy != libc::SCHED_OTHER {
        return Ok(());
    }
    // SAFETY: of this very thread, with the parameters that it has, which were read above.
    #[allow(unsafe_code)]
    let set = unsafe {
        libc::pthread_setschedparam(libc::pthread_self(), libc::SCHED_BATCH, parameters.as_ptr())
    };
    if set == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(set)) }
}

/// Blocks no signal in this thread, and in those that it starts: a mask survives exec.
pub fn unblock_signals() -> io::Result<()> {
    Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?)
}

/// Ends this process at once with an exit code, without anything that others have left for its end.
pub fn end_now(code: i32) -> ! {
    // SAFETY: no memory is passed, and nothing of this process runs afterwards.
    #[allow(unsafe_code)]
    unsafe {
        libc::_exit(code)
    }
}

/// Ends this process as nothing else can, whatever its event loop does.
pub fn kill_self() {
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
}

/// Sends SIGTERM; as `kill`.
pub fn terminate(pidfd: impl AsFd) -> io::Result<()> {
    signal(pidfd, Signal::TERM)
}

fn signal(pidfd: impl AsFd, signal: Signal) -> io::Result<()> {
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => Ok(other?),
    }
}

/// Whether the process has ended, even if nobody has reaped it yet.
fn has_ended(pidfd: impl AsFd) -> bool {
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Resident memory (bytes) and processor time (milliseconds) of this process.
pub fn usage() -> (u64, f64) {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages
        .and_then(|text| text.split_ascii_whitespace().nth(1)?.parse::<u64>().ok())
        .unwrap_or(0);
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let cpu = time.tv_sec as f64 * 1e3 + time.tv_nsec as f64 / 1e6;
    (pages * rustix::param::page_size() as u64, cpu)
}

/// The operating system with its release and machine, `Linux 6.1.0 x86_64`.
pub fn system_name() -> String {
    let name = rustix::system::uname();
    let part = |part: &std::ffi::CStr| part.to_string_lossy().into_owned();
    [part(name.sysname()), part(name.release()), part(name.machine())].join(" ")
}

/// Name of the machine.
pub fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
}

/// A process as a pid file names it: the number alone would not be enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    pub started: u64,
}

impl Identity {
    /// That of a living process.
    pub fn of(pid: u32) -> io::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The name in parentheses may itself hold spaces and parentheses; fields are counted from the last one.
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let started = fields.split_ascii_whitespace().nth(19).and_then(|field| field.parse().ok());
        Ok(Self { pid, started: started.ok_or(io::ErrorKind::InvalidData)? })
    }

    /// A pidfd of exactly this process, or `None` when it is gone, even if its number lives on.
    pub fn open(self) -> io::Result<Option<OwnedFd>> {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(None);
        };
        let pidfd = match rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK) {
            Ok(pidfd) => pidfd,
            Err(rustix::io::Errno::SRCH | rustix::io::Errno::INVAL) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after opening: now the number cannot change its owner under us any more.
        match Self::of(self.pid) {
            Ok(found) if found == self && !has_ended(&pidfd) => Ok(Some(pidfd)),
            _ => Ok(None),
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
}
