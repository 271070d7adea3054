//! Runs a function on a thread that hangs in a system call, by a signal.
//!
//! What always holds: the function runs only if the signal found the thread at a system call
//! instruction itself, so that it holds no lock of malloc or V8; and only for calls that the kernel
//! restarts, or whose EINTR libuv handles. A handler of the app for the same signal is left alone:
//! then nothing is done.

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// How long the kernel may take to deliver the signal.
const DELIVERED_WITHIN: Duration = Duration::from_millis(100);

/// The function, as a number; 0: none.
static WANTED: AtomicUsize = AtomicUsize::new(0);
/// The thread on which it may run.
static THREAD: AtomicI32 = AtomicI32::new(0);

/// Runs `callback` on `thread` of this process. Returns whether it ran. It must not wait, and end
/// soon. Only one thread of the process calls this.
pub(crate) fn run(thread: i32, callback: fn()) -> bool {
    let signal = libc::SIGRTMAX() - 3;
    let mut old = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: the place can be written, and nothing is changed.
    if unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: the call succeeded, which wrote it.
    let old = unsafe { old.assume_init() };
    if old.sa_sigaction != libc::SIG_DFL {
        return false;
    }
    // SAFETY: all zero is a valid value of this type.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_RESTART;
    // SAFETY: the set is this function's own.
    unsafe { libc::sigfillset(&mut action.sa_mask) };
    // SAFETY: the handler has the signature that SA_SIGINFO asks for. It stays installed: the
    // signal may come later, and its default is to end the process.
    if unsafe { libc::sigaction(signal, &action, null_mut()) } != 0 {
        return false;
    }
    THREAD.store(thread, Ordering::Relaxed);
    WANTED.store(callback as usize, Ordering::Release);
    let process = std::process::id() as libc::pid_t;
    // SAFETY: no memory is passed; the thread is one of this process, or the call fails.
    unsafe { libc::syscall(libc::SYS_tgkill, process, thread, signal) };
    let end = Instant::now() + DELIVERED_WITHIN;
    while WANTED.load(Ordering::Acquire) != 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    let ran = WANTED.swap(0, Ordering::AcqRel) == 0;
    ran && RAN.swap(0, Ordering::AcqRel) != 0
}

/// Whether the callback ran; the signal may also have come at another place.
static RAN: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn on_signal(_: c_int, _: *mut libc::siginfo_t, context: *mut c_void) {
    // SAFETY: the place of errno is this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    // SAFETY: the kernel passes the context of this thread.
    let is_in_call = unsafe { is_at_call(context) };
    // SAFETY: it takes nothing, and always succeeds.
    let here = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
    if here == THREAD.load(Ordering::Relaxed) {
        let wanted = WANTED.load(Ordering::Acquire);
        if is_in_call && wanted != 0 {
            // SAFETY: `run` stored a function of this type.
            let callback = unsafe { std::mem::transmute::<usize, fn()>(wanted) };
            callback();
            RAN.store(1, Ordering::Release);
        }
        WANTED.store(0, Ordering::Release);
    }
    // SAFETY: as above.
    unsafe { *errno = before };
}

/// Whether the signal came at a system call instruction: before it, where the kernel restarts the
/// call, or after it, where the call failed with EINTR.
///
/// # Safety
/// `context` is what the kernel passes to a handler with SA_SIGINFO.
#[cfg(target_arch = "x86_64")]
unsafe fn is_at_call(context: *mut c_void) -> bool {
    // SAFETY: as the caller says.
    let registers = unsafe { (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let at = registers[libc::REG_RIP as usize] as *const [u8; 2];
    // SAFETY: the thread was about to execute this instruction, so that it is mapped.
    let next = unsafe { at.read_unaligned() };
    // SAFETY: code lies before it: no mapping of code begins after a system call.
    let last = unsafe { at.wrapping_sub(1).read_unaligned() };
    const SYSCALL: [u8; 2] = [0x0f, 0x05];
    let is_interrupted =
        registers[libc::REG_RAX as usize] == -i64::from(libc::EINTR) && last == SYSCALL;
    next == SYSCALL || is_interrupted
}

/// Elsewhere it is not known.
#[cfg(not(target_arch = "x86_64"))]
unsafe fn is_at_call(_context: *mut c_void) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;

    use super::super::thread_state::{ThreadState, of, this_thread};
    use super::*;

    static CALLED_ON: AtomicI32 = AtomicI32::new(0);

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn it_runs_on_a_thread_that_hangs_and_on_none_that_computes() {
        let (mut reader, _writer) = UnixStream::pair().unwrap();
        let (sender, threads) = mpsc::channel();
        let second = sender.clone();
        std::thread::spawn(move || {
            sender.send(this_thread()).unwrap();
            drop(reader.read(&mut [0; 1]));
        });
        let hangs = threads.recv().unwrap();
        std::thread::spawn(move || {
            second.send(this_thread()).unwrap();
            let end = Instant::now() + Duration::from_secs(2);
            while Instant::now() < end {
                std::hint::spin_loop();
            }
        });
        let computes = threads.recv().unwrap();
        while !matches!(of(hangs), Some(ThreadState::InCall(_))) {}
        let callback = || CALLED_ON.store(this_thread(), Ordering::Relaxed);
        assert!(run(hangs, callback));
        assert_eq!(CALLED_ON.load(Ordering::Relaxed), hangs);
        assert!(matches!(of(hangs), Some(ThreadState::InCall(_))), "its call goes on");
        assert!(!run(computes, callback));
        assert_eq!(CALLED_ON.load(Ordering::Relaxed), hangs);
    }
}
