//! Whether a SIGHUP means that the terminal is gone, or is a request.
//!
//! When a terminal ends, the kernel sends the signal, or the shell that led the session passes it
//! on. Only a signal's handler learns its sender. The command line has a handler of its own. Node's
//! is libuv's, which ignores the sender; ours is put before it, remembers the sender, and then
//! calls libuv's, for which nothing changes.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// This process's terminal at the start.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    had_one: bool,
    ignored: bool,
}

impl Terminal {
    /// Describes the terminal now. Call it before there is a handler for SIGHUP.
    pub fn at_start() -> Self {
        let ignored = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
            let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        });
        Self {
            had_one: has_terminal(),
            ignored: ignored.unwrap_or(0) & 1 << (libc::SIGHUP - 1) != 0,
        }
    }

    /// Whether a SIGHUP of this sender means that the terminal is gone.
    pub fn is_gone(self, sender: SignalSender) -> bool {
        match sender {
            SignalSender::Kernel => true,
            // When a shell passes it on, all processes of its session have lost the terminal.
            SignalSender::Process(pid) => {
                self.had_one && Some(pid) == session_leader() && !has_terminal()
            }
            SignalSender::Unknown => false,
        }
    }

    /// Whether the process outlives its terminal (`nohup`).
    pub fn may_go(self) -> bool {
        self.ignored
    }
}

/// The sender of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalSender {
    /// The kernel itself.
    Kernel,
    /// The process with this pid.
    Process(i32),
    /// It was not remembered.
    Unknown,
}

const UNKNOWN: i32 = 0;
const KERNEL: i32 = -1;
static LAST_SENDER: AtomicI32 = AtomicI32::new(UNKNOWN);
/// The handler that was there before ours.
static PREVIOUS: AtomicUsize = AtomicUsize::new(0);

/// Puts a handler before the present one of SIGHUP, for [`last_sender`]. Does nothing if there is
/// none, or another kind than libuv's.
pub fn remember_sender() -> io::Result<()> {
    let mut found = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set, and the place can be written.
    if unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and wrote it.
    let mut action = unsafe { found.assume_init() };
    let none = [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
    if none || action.sa_flags & libc::SA_SIGINFO != 0 {
        return Ok(());
    }
    PREVIOUS.store(action.sa_sigaction, Ordering::Release);
    action.sa_sigaction = on_hang_up as *const () as usize;
    action.sa_flags |= libc::SA_SIGINFO;
    // SAFETY: the handler does only what a signal handler may do; mask and other flags stay.
    if unsafe { libc::sigaction(libc::SIGHUP, &action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

unsafe extern "C" fn on_hang_up(
    signal: libc::c_int,
    info: *mut libc::siginfo_t,
    _context: *mut libc::c_void,
) {
    // SAFETY: the kernel passes a valid `siginfo_t`.
    let info = unsafe { &*info };
    let sender = if info.si_code > 0 {
        KERNEL
    } else {
        // SAFETY: with a code up to 0 a process sent the signal, and the union holds its pid.
        unsafe { info.si_pid() }
    };
    // A terminal that is gone stays gone, whatever is sent before the sender is read.
    let _ = LAST_SENDER.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        (last != KERNEL).then_some(sender)
    });
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: it was this signal's handler, neither of the two special values, and takes only the
    // number, because it was set without SA_SIGINFO.
    let previous: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(previous) };
    previous(signal);
}

/// Returns the sender of the last SIGHUP.
pub fn last_sender() -> SignalSender {
    match LAST_SENDER.load(Ordering::Relaxed) {
        UNKNOWN => SignalSender::Unknown,
        KERNEL => SignalSender::Kernel,
        pid => SignalSender::Process(pid),
    }
}

fn has_terminal() -> bool {
    // `tty_nr`, the fifth after the name in parentheses; 0 without a terminal.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_ascii_whitespace().nth(4).is_some_and(|number| number != "0")
}

/// Returns the pid of the leader of this session. `None` if it is in another pid namespace, as for
/// a process that `docker exec` or a build runner started: the kernel returns 0 then, and names no
/// sender in that namespace either.
fn session_leader() -> Option<i32> {
    nix::unistd::getsid(None).ok().map(nix::unistd::Pid::as_raw).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_not_a_hang_up() {
        let terminal = Terminal { had_one: true, ignored: false };
        assert!(terminal.is_gone(SignalSender::Kernel));
        assert!(!terminal.is_gone(SignalSender::Unknown));
        let outside = SignalSender::Process(0);
        assert!(!terminal.is_gone(outside), "a sender outside of the pid namespace");
        let Some(leader) = session_leader() else { return };
        assert!(!terminal.is_gone(SignalSender::Process(leader + 1)));
        assert_eq!(terminal.is_gone(SignalSender::Process(leader)), !has_terminal());
        let without = Terminal { had_one: false, ignored: false };
        assert!(!without.is_gone(SignalSender::Process(leader)), "it cannot have lost one");
    }
}
