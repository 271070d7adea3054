//! Whether a SIGHUP says that the terminal is gone, and with it whoever looked on, or is somebody's request.
//!
//! The end of a terminal comes from the kernel, or from the shell that led its session and passes it on. Who sent a signal is
//! told to its handler only. The command line has a handler of its own; Node's is libuv's, which does not look, and gets one of
//! ours before it: that keeps the sender in mind, and then calls libuv's, for which nothing changes.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// What this process's terminal was at the start.
#[derive(Debug, Clone, Copy)]
pub struct Terminal {
    had_one: bool,
    ignored: bool,
}

impl Terminal {
    /// As it is now. To be called before there is a handler for SIGHUP.
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

    /// Whether a SIGHUP of this sender says that the terminal is gone.
    pub fn is_gone(self, sender: Sender) -> bool {
        match sender {
            Sender::Kernel => true,
            // A shell that passes it on has lost the terminal already, and so have all processes of its session.
            Sender::Process(pid) => {
                self.had_one && Some(pid) == session_leader() && !has_terminal()
            }
            Sender::Unknown => false,
        }
    }

    /// Whether the process is to outlive its terminal (`nohup`).
    pub fn may_go(self) -> bool {
        self.ignored
    }
}

/// Who sent a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// The kernel itself.
    Kernel,
    /// This process.
    Process(i32),
    /// Nobody kept it in mind.
    Unknown,
}

const UNKNOWN: i32 = 0;
const KERNEL: i32 = -1;
static LAST: AtomicI32 = AtomicI32::new(UNKNOWN);
/// The handler that was there before ours.
static PREVIOUS: AtomicUsize = AtomicUsize::new(0);

/// Puts a handler before the one of SIGHUP that there is, so that [`last`] knows. Where there is none, or another kind than
/// libuv's, nothing is done.
pub fn note_sender() -> io::Result<()> {
    let mut found = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is set; the place is written, and read only where the call succeeded.
    #[allow(unsafe_code)]
    let mut action = unsafe {
        if libc::sigaction(libc::SIGHUP, std::ptr::null(), found.as_mut_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        found.assume_init()
    };
    let none = [libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction);
    if none || action.sa_flags & libc::SA_SIGINFO != 0 {
        return Ok(());
    }
    PREVIOUS.store(action.sa_sigaction, Ordering::Release);
    action.sa_sigaction = note as *const () as usize;
    action.sa_flags |= libc::SA_SIGINFO;
    // SAFETY: the handler does only what a signal handler may do; mask and the other flags stay as they were.
    #[allow(unsafe_code)]
    if unsafe { libc::sigaction(libc::SIGHUP, &action, std::ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn note(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid `siginfo_t`; one with a code up to 0 was sent by a process and holds its pid.
    #[allow(unsafe_code)]
    let sender = unsafe { if (*info).si_code > 0 { KERNEL } else { (*info).si_pid() } };
    // A terminal that is gone stays gone, whatever is sent before somebody looks.
    let _ = LAST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
        (last != KERNEL).then_some(sender)
    });
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: it was this signal's handler, neither of the two special values, and takes the number alone (no SA_SIGINFO).
    #[allow(unsafe_code)]
    let previous: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(previous) };
    previous(signal);
}

/// Who sent the last SIGHUP.
pub fn last() -> Sender {
    match LAST.load(Ordering::Relaxed) {
        UNKNOWN => Sender::Unknown,
        KERNEL => Sender::Kernel,
        pid => Sender::Process(pid),
    }
}

fn has_terminal() -> bool {
    // `tty_nr`, the fifth after the name in parentheses; 0 without a terminal.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_ascii_whitespace().nth(4).is_some_and(|number| number != "0")
}

/// Returns the pid of the leader of this session. `None` if it lives in another pid namespace, as that of a process which
/// `docker exec` or a build runner started: the kernel says 0 then, and no signal names it as its sender either.
fn session_leader() -> Option<i32> {
    nix::unistd::getsid(None).ok().map(nix::unistd::Pid::as_raw).filter(|pid| *pid > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_no_hang_up() {
        let terminal = Terminal { had_one: true, ignored: false };
        assert!(terminal.is_gone(Sender::Kernel));
        assert!(!terminal.is_gone(Sender::Unknown));
        assert!(!terminal.is_gone(Sender::Process(0)), "a sender outside of the pid namespace");
        let Some(leader) = session_leader() else { return };
        assert!(!terminal.is_gone(Sender::Process(leader + 1)));
        assert_eq!(terminal.is_gone(Sender::Process(leader)), !has_terminal());
        let without = Terminal { had_one: false, ignored: false };
        assert!(!without.is_gone(Sender::Process(leader)), "it cannot have lost one");
    }
}
