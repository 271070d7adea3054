//! The process that keeps the pid of the first master, once another one has taken over.
//!
//! It passes signals on to the present master, reaps what it inherits, and ends as that master
//! does. `holder` is how a master becomes it.
//!
//! What always holds: a master is only signalled by its pidfd, and a signal that comes after the
//! end of one reaches the next one. While the program waits, it has less than 2 MB of memory,
//! though its file is larger.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags};
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::channel::{Channel, MAX_BYTES};
use super::descriptors::by_number;
use super::file_pages;
use super::holder::CANDIDATE;
use super::readable::is_readable;

/// `si_code` of signals that the kernel sends: a terminal sends them to the whole group.
const SI_KERNEL: i32 = 0x80;

/// Holds the pid until the present master has ended. Returns its exit code, or 128 and the number
/// of its signal.
pub fn hold(master: u32, socket: i32, pidfd: i32) -> io::Result<u8> {
    let signals = SigSet::all();
    signals.thread_set_mask()?;
    prctl::set_child_subreaper(true)?;
    // By exec it got the number of a descriptor.
    prctl::set_name(c"cluster2")?;
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
    let mut arrived = Vec::new();
    loop {
        if let Some(code) = held.reap() {
            return Ok(code);
        }
        // A signal that came after the end of a master is for the next one.
        arrived.drain(..).for_each(|(signal, code)| held.on_signal(signal, code));
        file_pages::give_back();
        held.wait(&mut arrived)?;
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

    /// Waits for something to do. Adds the signals that came to `arrived`.
    fn wait(&mut self, arrived: &mut Vec<(i32, i32)>) -> io::Result<()> {
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
            arrived.push((info.ssi_signo as i32, info.ssi_code));
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

    fn on_signal(&self, signal: i32, code: i32) {
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
    is_readable(pidfd).is_ok_and(|has_ended| !has_ended)
}
