//! How a master becomes the holder of its pid once another one has taken over, and what masters
//! tell the holder. `holder_program` is what it becomes.
//!
//! Others know that pid: a container ends with its process 1, and a shell waits for its job. So the
//! old master becomes that program by exec.
//!
//! What always holds: the present master is only signalled by its pidfd, never by a number that may
//! be another's by now; and no signal is lost. From [`pass_on_all`] on a signal is passed on by its
//! handler, on whatever thread that runs. The thread that becomes the program blocks all signals
//! before: what comes once the others have ended waits for the program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet};
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::process::{PidfdFlags, Signal};

use super::channel::Channel;

/// The command of the program.
pub const COMMAND: &str = "hold";
/// What stands before the pid of a master that was started to take over.
pub(super) const CANDIDATE: &str = "candidate ";

/// What this process becomes when it ends.
static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
/// The master that goes on when this one ends.
static SUCCESSOR: Mutex<Option<Arc<OwnedFd>>> = Mutex::new(None);

struct Plan {
    /// The present master.
    master: u32,
    pidfd: Arc<OwnedFd>,
    /// Where it tells of another one.
    socket: Channel,
}

/// Has [`pass_on`] signal this process, and [`become_planned`] hold this pid for it, if there is a
/// socket on which it tells of another one.
pub fn plan(master: u32, pidfd: &Arc<OwnedFd>, socket: Option<Channel>) {
    let plan = socket.map(|socket| Plan { master, pidfd: Arc::clone(pidfd), socket });
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = plan;
    *SUCCESSOR.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(pidfd));
}

/// Sends a signal to the master that goes on, if there is one.
pub fn pass_on(number: i32) {
    let successor = SUCCESSOR.lock().unwrap_or_else(PoisonError::into_inner);
    if let (Some(pidfd), Some(signal)) = (&*successor, Signal::from_named_raw(number)) {
        // It may have ended.
        let _ = rustix::process::pidfd_send_signal(pidfd, signal);
    }
}

/// The pidfd of the master that goes on, for the handler of signals.
static SUCCESSOR_FD: AtomicI32 = AtomicI32::new(-1);

/// Has each signal that would end this process passed on to the master that goes on, if there is
/// one, by the handler of the signal itself. For the last moments of this process.
pub fn pass_on_all() -> io::Result<()> {
    let successor = SUCCESSOR.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(pidfd) = successor else { return Ok(()) };
    SUCCESSOR_FD.store(pidfd.as_raw_fd(), Ordering::SeqCst);
    // The number stays this pidfd's until the process has ended.
    std::mem::forget(pidfd);
    let action =
        SigAction::new(SigHandler::Handler(on_signal), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [nix::sys::signal::SIGINT, nix::sys::signal::SIGTERM, nix::sys::signal::SIGHUP] {
        // SAFETY: the handler makes one system call, and keeps `errno`.
        unsafe { nix::sys::signal::sigaction(signal, &action) }?;
    }
    Ok(())
}

extern "C" fn on_signal(signal: i32) {
    let before = nix::errno::Errno::last_raw();
    let pidfd = SUCCESSOR_FD.load(Ordering::SeqCst);
    // SAFETY: no memory is passed. It may have ended.
    unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd, signal, 0, 0) };
    nix::errno::Errno::set_raw(before);
}

/// The program of the holder, open: a deploy may remove its file.
static PROGRAM: OnceLock<OwnedFd> = OnceLock::new();

/// Makes `program`, the command line, available for a holder.
pub fn prepare(program: &Path) -> io::Result<()> {
    let program = rustix::fs::open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let _ = PROGRAM.set(program);
    Ok(())
}

/// Whether this process could become a holder.
pub fn is_prepared() -> bool {
    PROGRAM.get().is_some()
}

/// Becomes the holder that was planned, if one was. Returns only without one, or if that fails.
pub fn become_planned() -> Option<io::Error> {
    let plan = PLAN.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    Some(become_holder(&plan))
}

fn become_holder(plan: &Plan) -> io::Error {
    let Some(program) = PROGRAM.get() else { return io::ErrorKind::NotFound.into() };
    match arguments(program, plan) {
        Ok((program, args)) => match nix::unistd::execve(&program, &args, &[] as &[CString]) {
            Ok(never) => match never {},
            Err(error) => error.into(),
        },
        Err(error) => error,
    }
}

/// Returns the program and its arguments, and blocks all signals until it runs.
fn arguments(program: &OwnedFd, plan: &Plan) -> io::Result<(CString, [CString; 5])> {
    let text = |text: String| CString::new(text).map_err(|_| io::ErrorKind::InvalidInput);
    let program = text(format!("/proc/self/fd/{}", program.as_raw_fd()))?;
    let args = [
        text("cluster2".to_owned())?,
        text(COMMAND.to_owned())?,
        text(plan.master.to_string())?,
        text(plan.socket.as_fd().as_raw_fd().to_string())?,
        text(plan.pidfd.as_raw_fd().to_string())?,
    ];
    SigSet::all().thread_set_mask()?;
    super::spawn::keep_from_children();
    rustix::io::fcntl_setfd(&plan.socket, FdFlags::empty())?;
    rustix::io::fcntl_setfd(&plan.pidfd, FdFlags::empty())?;
    // A deploy may remove the old directory.
    let _ = std::env::set_current_dir("/");
    Ok((program, args))
}

/// Tells the holder who was started to take over. It goes on if this process dies. Withdrawn by any
/// later message.
pub fn offer(holder: &Channel, pid: u32, pidfd: BorrowedFd<'_>) -> io::Result<()> {
    holder.send(format!("{CANDIDATE}{pid}").as_bytes(), &[pidfd])
}

/// Tells the holder who is master now.
pub fn tell(holder: &Channel, pid: u32, pidfd: BorrowedFd<'_>) -> io::Result<()> {
    holder.send(pid.to_string().as_bytes(), &[pidfd])
}

/// Tells the holder that this process is master again.
pub fn tell_own(holder: &Channel) -> io::Result<()> {
    let own = rustix::process::pidfd_open(rustix::process::getpid(), PidfdFlags::empty())?;
    tell(holder, std::process::id(), own.as_fd())
}
