//! Starts worker processes.
//!
//! posix_spawn, never fork: Node is multithreaded and large, so that nothing may run between fork and exec, and the
//! cost must not grow with the master's memory (nodejs/node#14917). The child gets standard input, output and error
//! (this process's own, or files for the last two), the four descriptors named here, an empty signal mask and default signal handling; all else is close-on-exec.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags};

use crate::os::process;

const STDOUT_FD: i32 = 1;
const STDERR_FD: i32 = 2;
/// Node's own IPC, as `NODE_CHANNEL_FD` says.
pub const IPC_FD: i32 = 3;
/// The channel.
pub const CHANNEL_FD: i32 = 4;
/// The scoreboard.
pub const SCOREBOARD_FD: i32 = 5;
/// Orders and reports.
pub const ORDERS_FD: i32 = 6;

/// What to run: an absolute program, its arguments (the first is its own name) and its whole environment.
#[derive(Debug)]
pub struct Command {
    /// Absolute path.
    pub program: CString,
    /// `argv`.
    pub args: Vec<CString>,
    /// `NAME=value` each.
    pub env: Vec<CString>,
}

/// A child that exists; its end can be waited for on `pidfd`.
#[derive(Debug)]
pub struct Child {
    /// Its process id.
    pub pid: u32,
    /// Refers to this very process, whatever happens to the number.
    pub pidfd: OwnedFd,
}

/// Starts `command` with `fds` as descriptors 3 to 6, and `output`, if given, as standard output and error.
pub fn spawn(
    command: &Command,
    fds: [BorrowedFd<'_>; 4],
    output: Option<[BorrowedFd<'_>; 2]>,
) -> io::Result<Child> {
    let output = output.map(|[out, err]| [(STDOUT_FD, out), (STDERR_FD, err)]);
    let own = [IPC_FD, CHANNEL_FD, SCOREBOARD_FD, ORDERS_FD].into_iter().zip(fds);
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
    // What these took is free for the pidfd: where descriptors are lacking, nothing was started.
    drop(sources);
    // The number cannot have been reused: only this process may reap its child, and it has not.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).inspect_err(|_| {
        // Another thread took it all meanwhile. Without a pidfd nobody would hear of the child's end.
        if let Err(error) = process::discard_by_number(pid) {
            tracing::error!(%error, pid = pid.as_raw_nonzero(), "cannot end a process that nobody attends to");
        }
    })?;
    Ok(Child { pid: pid.as_raw_nonzero().get() as u32, pidfd })
}

/// The descriptors that a child gets, `passed` and this process's standard ones, each with its number in the child. All of them are
/// above those numbers: so no dup2 overwrites the source of the next, and none is onto itself, which before glibc 2.29
/// does not take the mark close-on-exec away, and Node marks its standard descriptors too.
fn sources(passed: Vec<(i32, BorrowedFd<'_>)>) -> io::Result<Vec<(i32, OwnedFd)>> {
    let above = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, ORDERS_FD + 1);
    let mut sources = Vec::new();
    for standard in
        (0..IPC_FD).filter(|standard| passed.iter().all(|(target, _)| target != standard))
    {
        // SAFETY: borrowed for this one call, which fails if nothing is open under the number.
        #[allow(unsafe_code)]
        match above(unsafe { BorrowedFd::borrow_raw(standard) }) {
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

/// In the child: takes the passed descriptors over, marked close-on-exec. Fails on a second call, and where a descriptor
/// is not open.
pub fn inherited<const N: usize>(fds: [i32; N]) -> io::Result<[OwnedFd; N]> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    for fd in fds {
        // SAFETY: borrowed for this one call, which fails if nothing is open under the number.
        #[allow(unsafe_code)]
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)?;
    }
    // SAFETY: open, as was just seen, and this process's own since exec: Node does not know them, and the flag above lets
    // this code run only once.
    #[allow(unsafe_code)]
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// Marks every descriptor above standard error close-on-exec: also those that this process inherited itself, of which
/// Node at its start marks only the lowest.
fn keep_from_children() {
    // SAFETY: changes no memory and closes nothing; descriptors are only marked.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, IPC_FD, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::descriptors::alone::alone;
    use crate::os::descriptors::alone::leave;
    use crate::os::process::Exited;
    use crate::os::process::reap;
    use rustix::process::WaitOptions;
    use std::io::Read;
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn shell(script: &str) -> Command {
        let text = |t: &str| CString::new(t).unwrap();
        Command {
            program: text("/bin/sh"),
            args: vec![text("sh"), text("-c"), text(script)],
            env: vec![text("PATH=/usr/bin:/bin"), text("GREETING=hello")],
        }
    }

    fn wait(child: &Child) -> Exited {
        use rustix::event::PollFd;
        use rustix::event::PollFlags;
        use rustix::event::Timespec;
        use rustix::event::poll;
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        assert_eq!(
            poll(&mut [PollFd::new(&child.pidfd, PollFlags::IN)], Some(&limit)).unwrap(),
            1,
            "child hangs"
        );
        reap(&child.pidfd).unwrap().expect("has ended")
    }

    #[test]
    fn the_child_gets_the_four_descriptors_its_environment_and_nothing_else() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let leak = std::fs::File::open("/dev/null").unwrap();
        let script = "read line <&4; echo $GREETING $line $(ls /proc/self/fd | tr '\\n' ' ') >&3";
        ours.write_all(b"world\n").unwrap();
        let child = spawn(&shell(script), [theirs.as_fd(); 4], None).unwrap();
        drop(theirs);
        let mut text = String::new();
        ours.read_to_string(&mut text).unwrap();
        assert_eq!(wait(&child), Exited::Code(0));
        drop(leak);
        // `ls` itself opens the directory as one more.
        assert!(text.starts_with("hello world 0 1 2 3 4 5 6"), "{text}");
        assert!(text.split(' ').count() <= 2 + 8 + 1, "a descriptor leaked: {text}");
    }

    #[test]
    fn nothing_that_a_child_gets_has_one_of_the_numbers_that_it_gets_there() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let all = |passed: &[i32]| {
            let sources =
                sources(passed.iter().map(|target| (*target, null.as_fd())).collect()).unwrap();
            assert!(sources.iter().all(|(_, fd)| fd.as_raw_fd() > ORDERS_FD));
            sources.into_iter().map(|(target, _)| target).collect::<Vec<i32>>()
        };
        assert_eq!(all(&[3, 4, 5, 6]), [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(all(&[3, 4, 5, 6, 1, 2]), [0, 3, 4, 5, 6, 1, 2]);
    }

    #[test]
    fn where_descriptors_are_lacking_there_is_a_child_that_can_be_waited_for_or_none_at_all() {
        alone(
            "os::spawn::tests::where_descriptors_are_lacking_there_is_a_child_that_can_be_waited_for_or_none_at_all",
            || {
                let null = std::fs::File::open("/dev/null").unwrap();
                let is_childless = || {
                    rustix::process::waitpid(None, WaitOptions::NOHANG).err()
                        == Some(rustix::io::Errno::CHILD)
                };
                let mut started = 0;
                for free in 0..20 {
                    leave(free);
                    if let Ok(child) = spawn(&shell("exit 7"), [null.as_fd(); 4], None) {
                        assert_eq!(wait(&child), Exited::Code(7));
                        started += 1;
                    }
                    assert!(is_childless(), "with {free} free");
                }
                assert!((10..20).contains(&started), "{started}");
                let sleeper = || spawn(&shell("sleep 60"), [null.as_fd(); 4], None).unwrap();
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
        let fds = [null.as_fd(); 4];
        assert_eq!(wait(&spawn(&shell("exit 7"), fds, None).unwrap()), Exited::Code(7));
        assert_eq!(wait(&spawn(&shell("kill -KILL $$"), fds, None).unwrap()), Exited::Signal(9));
        let mut missing = shell("");
        missing.program = CString::new("/does/not/exist").unwrap();
        assert_eq!(spawn(&missing, fds, None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
