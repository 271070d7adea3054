//! Starts worker processes.
//!
//! posix_spawn, never fork: Node is multithreaded and large, so that nothing may run between fork
//! and exec, and the cost must not grow with the master's memory (nodejs/node#14917). The child
//! gets standard input, output and error (this process's own, or files for the last two), the seven
//! descriptors named here, an empty signal mask and default signal handling. All other descriptors
//! are close-on-exec.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags};

use super::descriptors::by_number;
use super::process;

const STDOUT_FD: i32 = 1;
const STDERR_FD: i32 = 2;
/// Node's own IPC, as `NODE_CHANNEL_FD` names it.
pub(crate) const IPC_FD: i32 = 3;
/// The channel, for connections.
pub(crate) const CHANNEL_FD: i32 = 4;
/// The scoreboard.
pub(crate) const SCOREBOARD_FD: i32 = 5;
/// Orders and reports.
pub(crate) const ORDERS_FD: i32 = 6;
/// What the worker executes: questions and answers.
pub(crate) const EXECUTION_FD: i32 = 7;
/// What wakes this worker's event loop.
pub(crate) const WAKER_FD: i32 = 8;
/// What is compiled of our JavaScript.
pub(crate) const CODE_FD: i32 = 9;
/// How many descriptors a worker inherits, from [`IPC_FD`] on.
pub(crate) const PASSED: usize = (CODE_FD - IPC_FD + 1) as usize;

/// A program to run, with its whole environment.
#[derive(Debug)]
pub(crate) struct SpawnCommand {
    /// Absolute path.
    pub program: CString,
    /// `argv`; the first is the program's own name.
    pub args: Vec<CString>,
    /// `NAME=value` each.
    pub env: Vec<CString>,
}

/// A child process, which ends when `pidfd` is readable.
#[derive(Debug)]
pub struct Child {
    pub pid: u32,
    /// Refers to this very process, even if its number is reused.
    pub pidfd: OwnedFd,
}

/// Starts `command` with `fds` as descriptors 3 to 9, and `output`, if any, as standard output and
/// error.
pub(crate) fn spawn(
    command: &SpawnCommand,
    fds: [BorrowedFd<'_>; PASSED],
    output: Option<[BorrowedFd<'_>; 2]>,
) -> io::Result<Child> {
    let output = output.map(|[out, err]| [(STDOUT_FD, out), (STDERR_FD, err)]);
    let own = (IPC_FD..=CODE_FD).zip(fds);
    let sources = sources(own.chain(output.into_iter().flatten()).collect())?;
    keep_from_children();
    let mut actions = PosixSpawnFileActions::init()?;
    for (target, source) in &sources {
        actions.add_dup2(source.as_raw_fd(), *target)?;
    }
    let mut attributes = PosixSpawnAttr::init()?;
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF,
    )?;
    attributes.set_sigmask(&SigSet::empty())?;
    attributes.set_sigdefault(&SigSet::all())?;

    let pid = posix_spawn(
        command.program.as_c_str(),
        &actions,
        &attributes,
        &command.args,
        &command.env,
    )?;
    let pid = Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidData)?;
    // Frees descriptors for the pidfd. Where descriptors are lacking, nothing was started.
    drop(sources);
    // The number cannot have been reused: only this process may reap its child, and it has not.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).inspect_err(|_| {
        // Another thread took them meanwhile. Without a pidfd the child's end would go unnoticed.
        if let Err(error) = process::discard_by_number(pid) {
            let pid = pid.as_raw_nonzero();
            tracing::error!(%error, pid, "cannot end a process that is not supervised");
        }
    })?;
    Ok(Child { pid: pid.as_raw_nonzero().get() as u32, pidfd })
}

/// Returns the descriptors for a child, `passed` and this process's standard ones, each with its
/// number in the child. All of them are above those numbers: so no dup2 overwrites the source of
/// the next, and none is onto itself. Before glibc 2.29, dup2 onto itself does not clear
/// close-on-exec, which Node sets on its standard descriptors too.
fn sources(passed: Vec<(i32, BorrowedFd<'_>)>) -> io::Result<Vec<(i32, OwnedFd)>> {
    let above = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, CODE_FD + 1);
    let mut sources = Vec::new();
    for standard in
        (0..IPC_FD).filter(|standard| passed.iter().all(|(target, _)| target != standard))
    {
        match above(by_number(standard)?) {
            Ok(copy) => sources.push((standard, copy)),
            Err(rustix::io::Errno::BADF) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for (target, fd) in passed {
        sources.push((target, above(fd)?));
    }
    Ok(sources)
}

/// In the child: takes over passed descriptors, and marks them close-on-exec. Fails if one of them
/// was taken before, or is not open.
pub(crate) fn inherited<const N: usize>(fds: [i32; N]) -> io::Result<[OwnedFd; N]> {
    /// A bit for each.
    static TAKEN: AtomicU32 = AtomicU32::new(0);
    let wanted = fds.iter().fold(0, |bits, fd| bits | 1 << fd);
    if TAKEN.fetch_or(wanted, Ordering::Relaxed) & wanted != 0 {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for fd in fds {
        rustix::io::fcntl_setfd(by_number(fd)?, FdFlags::CLOEXEC)?;
    }
    // SAFETY: open, as the call above showed, and this process's own since exec: Node does not know
    // them, and the bits above let this code run only once for each.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Marks every descriptor above standard error close-on-exec, also those that this process
/// inherited itself: Node at its start marks only the lowest of them.
pub(super) fn keep_from_children() {
    let (last, flags) = (libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: with this flag it changes no memory and closes nothing.
    unsafe { libc::syscall(libc::SYS_close_range, IPC_FD, last, flags) };
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::WaitOptions;

    use super::super::descriptors::alone::{alone, leave};
    use super::super::process::{ExitStatus, reap};
    use super::super::timespec;
    use super::*;

    fn shell(script: &str) -> SpawnCommand {
        let text = |t: &str| CString::new(t).unwrap();
        SpawnCommand {
            program: text("/bin/sh"),
            args: vec![text("sh"), text("-c"), text(script)],
            env: vec![text("PATH=/usr/bin:/bin"), text("GREETING=hello")],
        }
    }

    fn wait(child: &Child) -> ExitStatus {
        let limit = timespec(Duration::from_secs(10));
        assert_eq!(
            poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&limit)).unwrap(),
            1,
            "child hangs"
        );
        reap(&child.pidfd).unwrap().expect("has ended")
    }

    #[test]
    fn the_child_gets_the_seven_descriptors_its_environment_and_nothing_else() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let leak = std::fs::File::open("/dev/null").unwrap();
        let script = "read line <&4; echo $GREETING $line $(ls /proc/self/fd | tr '\\n' ' ') >&3";
        ours.write_all(b"world\n").unwrap();
        let child = spawn(&shell(script), [theirs.as_fd(); PASSED], None).unwrap();
        drop(theirs);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(wait(&child), ExitStatus::Code(0));
        drop(leak);
        // `ls` itself opens the directory as one more.
        assert_eq!(text.trim(), "hello world 0 1 10 2 3 4 5 6 7 8 9");
    }

    #[test]
    fn the_sources_of_a_childs_descriptors_have_other_numbers_than_their_targets() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let all = |passed: &[i32]| {
            let sources =
                sources(passed.iter().map(|target| (*target, null.as_fd())).collect()).unwrap();
            assert!(sources.iter().all(|(_, fd)| fd.as_raw_fd() > CODE_FD));
            sources.into_iter().map(|(target, _)| target).collect::<Vec<i32>>()
        };
        assert_eq!(all(&[3, 4, 5, 6, 7, 8]), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(all(&[3, 4, 5, 6, 7, 8, 1, 2]), [0, 3, 4, 5, 6, 7, 8, 1, 2]);
    }

    #[test]
    fn without_free_descriptors_there_is_a_child_to_wait_for_or_none() {
        alone(
            "os::spawn::tests::without_free_descriptors_there_is_a_child_to_wait_for_or_none",
            || {
                let null = std::fs::File::open("/dev/null").unwrap();
                let is_childless = || {
                    rustix::process::waitpid(None, WaitOptions::NOHANG).err()
                        == Some(rustix::io::Errno::CHILD)
                };
                let mut started = 0;
                for free in 0..24 {
                    leave(free);
                    if let Ok(child) = spawn(&shell("exit 7"), [null.as_fd(); PASSED], None) {
                        assert_eq!(wait(&child), ExitStatus::Code(7));
                        started += 1;
                    }
                    assert!(is_childless(), "with {free} free");
                }
                assert!((10..24).contains(&started), "{started}");
                let sleeper =
                    || spawn(&shell("exec sleep 60"), [null.as_fd(); PASSED], None).unwrap();
                process::discard(&sleeper().pidfd).unwrap();
                assert!(is_childless());
                process::discard_by_number(Pid::from_raw(sleeper().pid as i32).unwrap()).unwrap();
                assert!(is_childless());
            },
        );
    }

    #[test]
    fn exit_codes_and_signals_are_told_apart() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = [null.as_fd(); PASSED];
        assert_eq!(wait(&spawn(&shell("exit 7"), fds, None).unwrap()), ExitStatus::Code(7));
        let killed = spawn(&shell("kill -KILL $$"), fds, None).unwrap();
        assert_eq!(wait(&killed), ExitStatus::Signal(9));
        let mut missing = shell("");
        missing.program = CString::new("/does/not/exist").unwrap();
        assert_eq!(spawn(&missing, fds, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
