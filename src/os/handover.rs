//! The process of an heir, and what it inherits from the master that started it.
//!
//! A master is started by a fork, as any program is by another: a working directory of its own and
//! further descriptors need that. It happens once in an upgrade.
//!
//! | descriptor | what |
//! | --- | --- |
//! | 2 | a pipe to the predecessor, until the heir takes what it inherits |
//! | 3 | messages of the two masters |
//! | 4 | connections |
//! | 5 | the standard error that the heir gets |
//! | 6 | the holder of the first master's pid, if there is one |

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io::{self, PipeReader};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use nix::sys::signal::SigSet;
use rustix::io::FdFlags;
use rustix::net::SocketType;
use rustix::process::{Pid, PidfdFlags};

use super::channel::Channel;
use super::descriptors::by_number;
use super::process;
use super::spawn::{Child, keep_from_children};

/// The variable that says what a process inherits from the master before it.
pub const VARIABLE: &str = "CLUSTER2_HEIR";
/// Its value in an heir.
const IS_HEIR: &str = "1";
/// Its value in a master that has started again in its process, below a holder.
const IS_HELD: &str = "held";
const MESSAGES: RawFd = 3;
const CONNECTIONS: RawFd = 4;
const ERRORS: RawFd = 5;
const HOLDER: RawFd = 6;
const STDIN: RawFd = 0;
const STDOUT: RawFd = 1;
const STDERR: RawFd = 2;

/// A program to run.
#[derive(Debug, Clone)]
pub struct HeirCommand {
    /// The program, searched in the `PATH` of `env` unless it has a slash, and its arguments.
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<OsString, OsString>,
    /// Working directory.
    pub cwd: PathBuf,
}

/// Starts `command` with these ends. Returns its process, and what it writes to standard error
/// until it is a master. `adopted`: it is not a child of this process, but of the process that
/// adopts orphans, as a service manager does: that one waits only for a main process that is its
/// own child.
pub fn start(
    command: &HeirCommand,
    messages: &Channel,
    connections: &Channel,
    holder: Option<BorrowedFd<'_>>,
    adopted: bool,
) -> io::Result<(Child, PipeReader)> {
    let (lines, errors) = io::pipe()?;
    let standard = by_number(STDERR)?;
    // Node marks its standard descriptors close-on-exec.
    let passed = [
        (STDIN, Some(by_number(STDIN)?)),
        (STDOUT, Some(by_number(STDOUT)?)),
        (MESSAGES, Some(messages.as_fd())),
        (CONNECTIONS, Some(connections.as_fd())),
        (ERRORS, Some(standard)),
        (HOLDER, holder),
    ];
    // What `Command` opens itself must not have one of those numbers.
    let mut occupied = vec![std::fs::File::open("/dev/null")?];
    while occupied.last().is_some_and(|file| file.as_raw_fd() <= HOLDER) {
        occupied.push(std::fs::File::open("/dev/null")?);
    }
    let above = |fd| rustix::io::fcntl_dupfd_cloexec(fd, HOLDER + 1);
    let mut sources: Vec<(RawFd, OwnedFd)> = Vec::new();
    for (target, fd) in passed {
        match fd.map(above) {
            Some(Err(rustix::io::Errno::BADF)) => {}
            Some(source) => sources.push((target, source?)),
            None => {}
        }
    }
    keep_from_children();
    let (program, args) = command.args.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut starting = Command::new(program);
    starting
        .args(args)
        .env_clear()
        .envs(&command.env)
        .env(VARIABLE, IS_HEIR)
        .current_dir(&command.cwd);
    starting.stderr(Stdio::from(errors));
    let moves: Vec<_> = sources.iter().map(|(target, fd)| (fd.as_raw_fd(), *target)).collect();
    let place = move || {
        for (source, target) in &moves {
            // SAFETY: no memory is passed. Sources are above all targets, so none is overwritten.
            if unsafe { libc::dup2(*source, *target) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: between fork and exec it only calls `dup2`, which is async-signal-safe, and allocates
    // nothing.
    unsafe { starting.pre_exec(place) };
    if adopted {
        return Ok((start_adopted(starting)?, lines));
    }
    let child = starting.spawn()?;
    let pid = to_pid(child.id())?;
    // The number cannot have been reused: only this process may reap its child, and it has not.
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::NONBLOCK).inspect_err(|_| {
        if let Err(error) = process::discard_by_number(pid) {
            tracing::error!(%error, "cannot end a process that is not supervised");
        }
    })?;
    Ok((Child { pid: child.id(), pidfd }, lines))
}

/// How long an heir that has ended can still be found by its number.
const PIDFD_WITHIN: Duration = Duration::from_millis(200);

/// Starts it by a process in between, which stays until the pidfd is open: until then the heir has
/// a parent that does not reap it, so that its number is its own.
fn start_adopted(mut starting: Command) -> io::Result<Child> {
    let (mut pids, their_pids) = io::pipe()?;
    let report = their_pids.as_raw_fd();
    // Not `fork`, after which libuv closes descriptors whose numbers are the heir's by now.
    let fork = move || {
        // SAFETY: no memory is passed. This process has a single thread.
        match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            0 => Ok(()),
            heir => stay_between(report, heir as libc::pid_t),
        }
    };
    // SAFETY: between fork and exec it only makes system calls, and allocates nothing.
    unsafe { starting.pre_exec(fork) };
    let spawned = starting.spawn();
    drop(their_pids);
    let mut between = spawned?;
    let mut number = [0; 4];
    let opened = io::Read::read_exact(&mut pids, &mut number).and_then(|()| {
        let pid = i32::from_ne_bytes(number).unsigned_abs();
        let pidfd = rustix::process::pidfd_open(to_pid(pid)?, PidfdFlags::NONBLOCK)?;
        Ok(Child { pid, pidfd })
    });
    between.kill()?;
    between.wait()?;
    opened
}

/// Tells the pid of the heir, and waits to be killed. If the heir cannot be executed, it ends, and
/// the standard library waits for the end of this process. An heir that ends by itself stays a
/// zombie for long enough to open its pidfd.
fn stay_between(report: RawFd, heir: libc::pid_t) -> ! {
    // Signals to its group are for other processes. It has handlers of the master until it ends.
    let _ = SigSet::all().thread_set_mask();
    let number = heir.to_ne_bytes();
    // SAFETY: the bytes live for the call.
    unsafe { libc::write(report, number.as_ptr().cast(), number.len()) };
    // SAFETY: nothing of this process uses its descriptors any more.
    unsafe { libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0) };
    let mut end = MaybeUninit::uninit();
    let how = libc::WEXITED | libc::WNOWAIT;
    // SAFETY: the place can be written.
    unsafe { libc::waitid(libc::P_PID, heir.unsigned_abs(), end.as_mut_ptr(), how) };
    std::thread::sleep(PIDFD_WITHIN);
    // SAFETY: nothing of the other process, whose copy this is, may run at its end.
    unsafe { libc::_exit(0) }
}

fn to_pid(number: u32) -> io::Result<Pid> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What an heir inherits.
#[derive(Debug)]
pub struct Inheritance {
    /// The heir's end for messages.
    pub messages: Channel,
    /// The heir's end for connections.
    pub connections: Channel,
    /// What standard error becomes.
    errors: Option<OwnedFd>,
}

static INHERITANCE: Mutex<Option<Inheritance>> = Mutex::new(None);
/// Where to tell the holder of the first master's pid who is master.
static HELD_BY: OnceLock<Channel> = OnceLock::new();

/// Takes over the descriptors of an heir, close-on-exec, and keeps them for [`claim`] and
/// [`holder`]. Does nothing in any other process. Only the first call in a process may do
/// something.
pub fn receive() {
    let mut place = INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner);
    if place.is_some() || HELD_BY.get().is_some() {
        return;
    }
    let inherits = env::var_os(VARIABLE).unwrap_or_default();
    if inherits == IS_HEIR {
        *place = inherit();
    }
    if (place.is_some() || inherits == IS_HELD)
        && let Some(holder) = is_ours(HOLDER).and_then(|()| take(HOLDER))
    {
        let _ = HELD_BY.set(Channel::from(holder));
    }
}

fn inherit() -> Option<Inheritance> {
    is_ours(MESSAGES)?;
    is_ours(CONNECTIONS)?;
    Some(Inheritance {
        messages: Channel::from(take(MESSAGES)?),
        connections: Channel::from(take(CONNECTIONS)?),
        errors: take(ERRORS),
    })
}

/// Whether a descriptor is one end of a channel that this user has made.
fn is_ours(fd: RawFd) -> Option<()> {
    let fd = by_number(fd).ok()?;
    let kind = rustix::net::sockopt::socket_type(fd).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(fd).ok()?;
    (kind == SocketType::SEQPACKET && peer.uid == rustix::process::geteuid()).then_some(())
}

/// Returns a channel to the holder of the first master's pid, if this master is below one.
pub fn holder() -> Option<Channel> {
    let copy = HELD_BY.get()?.as_fd().try_clone_to_owned();
    copy.map(Channel::from)
        .inspect_err(|error| tracing::error!(%error, "the holder will not learn who is master"))
        .ok()
}

/// Has `command`, by which this process becomes another program, stay below the same holder.
pub fn stay_held(command: &mut Command) {
    command.env_remove(VARIABLE);
    let Some(holder) = HELD_BY.get() else { return };
    let source = holder.as_fd().as_raw_fd();
    let place = move || {
        // SAFETY: no memory is passed. Nothing of this process uses its descriptors any more.
        if unsafe { libc::dup2(source, HOLDER) } < 0 {
            return Err(io::Error::last_os_error());
        }
        // Where it had that number already, it is still closed on exec.
        Ok(rustix::io::fcntl_setfd(by_number(HOLDER)?, FdFlags::empty())?)
    };
    command.env(VARIABLE, IS_HELD);
    // SAFETY: it only makes system calls, and allocates nothing.
    unsafe { command.pre_exec(place) };
}

fn take(fd: RawFd) -> Option<OwnedFd> {
    rustix::io::fcntl_setfd(by_number(fd).ok()?, FdFlags::CLOEXEC).ok()?;
    // SAFETY: open, as the call above showed, and passed to this process by its predecessor. It is
    // taken once, under the lock.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Returns what this process inherits as an heir, once. Standard error becomes the real one.
pub fn claim() -> Option<Inheritance> {
    let mut claimed = INHERITANCE.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    if let Some(errors) = claimed.errors.take()
        && let Err(error) = rustix::stdio::dup2_stderr(errors)
    {
        tracing::warn!(%error, "standard error stays with the former master");
    }
    Some(claimed)
}
