//! The process that keeps the pid of the first master, once another one has taken over.
//!
//! Others know that pid: a container ends with its process 1, and a shell waits for its job. So the
//! old master becomes this program by exec. It passes signals on to the present master, reaps what it
//! inherits, and ends as that master does.
//!
//! What always holds: a master is only signalled by its pidfd, never by a number that may be another's
//! by now; and no signal is lost. From [`pass_on_all`] on a signal is passed on by its handler, on
//! whatever thread that runs. The thread that becomes the program blocks all signals before: what
//! comes once the others have ended waits for the program.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};

use super::channel::{Channel, MAX_BYTES};
use super::descriptors::by_number;

/// The command of the program.
pub const COMMAND: &str = "hold";
/// `si_code` of signals that the kernel sends: a terminal sends them to the whole group.
const SI_KERNEL: i32 = 0x80;
/// What stands before the pid of a master that was started to take over.
const CANDIDATE: &str = "candidate ";

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

/// Holds the pid until the present master has ended. Returns its exit code, or 128 and the number
/// of its signal.
pub fn hold(master: u32, socket: i32, pidfd: i32) -> io::Result<u8> {
    let signals = SigSet::all();
    signals.thread_set_mask()?;
    // SAFETY: no memory is passed.
    unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) };
    let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    let news = Channel::from(take(socket)?);
    let pid = to_pid(master)?;
    // Opened when it was started: its number may be another's by now.
    let pidfd = take(pidfd)?;
    let mut held = Held {
        present: pid,
        pidfd,
        candidate: None,
        former: Vec::new(),
        code: None,
        signals,
        news,
    };
    loop {
        if let Some(code) = held.reap() {
            return Ok(code);
        }
        held.wait()?;
    }
}

fn take(socket: i32) -> io::Result<OwnedFd> {
    by_number(socket)?.try_clone_to_owned()
}

fn to_pid(number: u32) -> io::Result<Pid> {
    let pid = i32::try_from(number).ok().and_then(Pid::from_raw);
    pid.ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// What a holder knows.
struct Held {
    /// The present master.
    present: Pid,
    pidfd: OwnedFd,
    /// A master that the present one started to take over. If the present one dies, it goes on.
    candidate: Option<(Pid, OwnedFd)>,
    /// Former ones, whose workers may still drain.
    former: Vec<Pid>,
    /// How the present master ended.
    code: Option<u8>,
    signals: SignalFd,
    /// Pids of new masters.
    news: Channel,
}

impl Held {
    /// Reaps all children that have ended. Returns the code once no master is left.
    fn reap(&mut self) -> Option<u8> {
        self.learn();
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => self.reaped(pid, status),
                Ok(None) => return self.code.filter(|_| self.former.is_empty()),
                Err(_) => return Some(self.code.unwrap_or(1)),
            }
        }
    }

    fn reaped(&mut self, pid: Pid, status: WaitStatus) {
        if pid == self.present
            && let Some((candidate, pidfd)) = self.candidate.take_if(|(_, pidfd)| is_alive(pidfd))
        {
            (self.present, self.pidfd) = (candidate, pidfd);
        } else if pid == self.present {
            let signal = status.terminating_signal().map(|signal| 128 + signal);
            let code = signal.or(status.exit_status()).unwrap_or(1);
            self.code = u8::try_from(code).ok().or(Some(1));
        }
        self.former.retain(|former| *former != pid);
    }

    /// Reads who is master now.
    fn learn(&mut self) {
        let mut buffer = [0; MAX_BYTES];
        while let Ok(Some(received)) = self.news.receive(&mut buffer) {
            let text = std::str::from_utf8(received.bytes).unwrap_or_default();
            let candidate = text.strip_prefix(CANDIDATE);
            let pid = candidate.unwrap_or(text).parse().ok().and_then(|pid| to_pid(pid).ok());
            let news = pid.zip(received.fds.into_iter().next());
            if candidate.is_some() {
                self.candidate = news;
            } else if let Some((pid, pidfd)) = news {
                self.candidate = None;
                self.former.retain(|former| *former != pid);
                if self.code.is_none() {
                    self.former.push(self.present);
                }
                (self.present, self.pidfd, self.code) = (pid, pidfd, None);
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let (signals, news) = (self.signals.as_fd(), self.news.as_fd());
        let mut fds = [signals, news].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        // Without a master that could name another one, there is nothing to learn.
        let is_closed = self.is_deaf();
        let fds = if is_closed { &mut fds[..1] } else { &mut fds[..] };
        match rustix::event::poll(fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        while let Ok(Some(info)) = self.signals.read_signal() {
            self.on_signal(info.ssi_signo as i32, info.ssi_code);
        }
        Ok(())
    }

    /// Whether nobody has the other end of the socket any more.
    fn is_deaf(&self) -> bool {
        let mut fds = [PollFd::new(&self.news, PollFlags::IN)];
        let now = rustix::event::Timespec::default();
        rustix::event::poll(&mut fds, Some(&now)).is_ok()
            && fds[0].revents().contains(PollFlags::HUP)
    }

    fn on_signal(&mut self, signal: i32, code: i32) {
        if signal == libc::SIGCHLD {
            return;
        }
        if code != SI_KERNEL
            && let Some(signal) = Signal::from_named_raw(signal)
        {
            // It may have ended by now.
            let _ = rustix::process::pidfd_send_signal(&self.pidfd, signal);
        }
        if signal == libc::SIGTSTP {
            // The shell waits for its job to stop.
            let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
        }
    }
}

/// Whether a process has not ended yet.
fn is_alive(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd, PollFlags::IN)];
    let now = rustix::event::Timespec::default();
    rustix::event::poll(&mut fds, Some(&now)).is_ok_and(|ended| ended == 0)
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
