//! Whether a SIGHUP means that the terminal is gone, or is a request.
//!
//! When a terminal ends, the kernel sends the signal, or a shell of the session passes it on. Only
//! a signal's handler learns its sender. The command line has a handler of its own. Node's is
//! libuv's, which ignores the sender; ours is put before it, remembers the sender, and then calls
//! libuv's, for which nothing changes.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

use super::process::{Identity, stat_field};

/// This process's terminal at the start.
#[derive(Debug, Clone)]
pub struct Terminal {
    had_one: bool,
    ignored: bool,
    /// Who may pass on that the terminal is gone: the leader of the session, which need not be an
    /// ancestor any more, and the ancestors in it. A shell that another one started leads none.
    shells: Vec<Identity>,
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
            shells: shells_of_session(),
        }
    }

    /// Whether a SIGHUP of this sender means that the terminal is gone.
    pub fn is_gone(&self, sender: SignalSender) -> bool {
        match sender {
            SignalSender::Kernel => true,
            // When a shell passes it on, all processes of its session have lost the terminal.
            SignalSender::Process(pid) => self.had_one && self.is_shell(pid) && !has_terminal(),
            SignalSender::Unknown => false,
        }
    }

    fn is_shell(&self, pid: u32) -> bool {
        // A shell that passes it on ends at once, so it may be gone by now.
        let is_same = |shell: &Identity| Identity::of(pid).map_or(true, |now| now == *shell);
        self.shells.iter().find(|shell| shell.pid == pid).is_some_and(is_same)
    }

    /// Whether the process outlives its terminal (`nohup`).
    pub fn may_go(&self) -> bool {
        self.ignored
    }
}

/// The sender of a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalSender {
    /// The kernel itself.
    Kernel,
    /// The process with this pid.
    Process(u32),
    /// It was not remembered, or is in another pid namespace.
    Unknown,
}

/// Fields of `/proc/<pid>/stat`.
const PARENT: usize = 4;
const SESSION: usize = 6;
const TTY: usize = 7;

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
        pid => SignalSender::Process(pid.cast_unsigned()),
    }
}

fn has_terminal() -> bool {
    stat_field::<i64>(std::process::id(), TTY).is_ok_and(|number| number != 0)
}

fn shells_of_session() -> Vec<Identity> {
    let me = std::process::id();
    // 0 if the leader is in another pid namespace, as for a process that `docker exec` or a build
    // runner started: the kernel names no sender in that namespace either.
    let Some(session) = stat_field::<u32>(me, SESSION).ok().filter(|leader| *leader != 0) else {
        return Vec::new();
    };
    let mut shells: Vec<_> = Identity::of(session).into_iter().collect();
    let mut ancestor = me;
    while let Ok(parent) = stat_field::<u32>(ancestor, PARENT)
        && stat_field::<u32>(parent, SESSION).is_ok_and(|other| other == session)
    {
        shells.extend(Identity::of(parent));
        ancestor = parent;
    }
    shells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_not_a_hang_up() {
        let parent = Identity::of(std::os::unix::process::parent_id()).unwrap();
        let terminal = Terminal { had_one: true, ignored: false, shells: vec![parent] };
        assert!(terminal.is_gone(SignalSender::Kernel));
        assert!(!terminal.is_gone(SignalSender::Unknown));
        let shell = SignalSender::Process(parent.pid);
        assert_eq!(terminal.is_gone(shell), !has_terminal());
        let stranger = SignalSender::Process(std::process::id());
        assert!(!terminal.is_gone(stranger));
        let reused = Identity { started: parent.started + 1, ..parent };
        let terminal = Terminal { shells: vec![reused], ..terminal };
        assert!(!terminal.is_gone(shell), "another process has the number of a shell by now");
        let without = Terminal { had_one: false, shells: vec![parent], ..terminal };
        assert!(!without.is_gone(shell), "it cannot have lost one");
    }

    #[test]
    fn the_shells_are_of_this_session() {
        let session = |pid| stat_field::<u32>(pid, SESSION).unwrap();
        for shell in shells_of_session() {
            assert_eq!(session(shell.pid), session(std::process::id()));
        }
    }
}
