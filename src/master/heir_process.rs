//! The process of an heir, as its predecessor sees it: how it is started, what it writes before it
//! is a master, and its end.
//!
//! What always holds: its end is reported after all that it wrote before was read, also where a
//! child of it still holds its standard error. Only where this process's own standard error takes
//! nothing for [`LAST_MESSAGES`], its last lines may be missing.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags};
use tokio::sync::oneshot;

use super::exit_watch::{self, LAST_MESSAGES};
use super::inbox::{HeirNews, Input, Inputs};
use crate::os::channel::Channel;
use crate::os::handover::{self, HeirCommand};
use crate::os::{process, thread};

/// How many of its last lines are kept, and how much of each.
const LINES: usize = 20;
const LINE: usize = 1_000;
/// A line without an end is passed on in parts of about so many bytes.
const PART: usize = 65_536;

/// A master that was started to take over.
#[derive(Debug)]
pub(super) struct HeirProcess {
    pub(super) pid: u32,
    pub(super) pidfd: Arc<OwnedFd>,
    /// Whether its process is gone.
    pub(super) has_ended: bool,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl HeirProcess {
    /// Starts `command` with these ends, to be adopted by a service manager or as a child. `inputs`
    /// learns of its end. Must be called on the supervisor's runtime.
    pub(super) fn start(
        command: &HeirCommand,
        messages: &Channel,
        connections: &Channel,
        holder: Option<BorrowedFd<'_>>,
        adopted: bool,
        inputs: Inputs,
    ) -> io::Result<Self> {
        let (child, errors) = handover::start(command, messages, connections, holder, adopted)?;
        let pidfd = Arc::new(child.pidfd);
        let watchable = process::watchable(Arc::clone(&pidfd)).inspect_err(|_| {
            if let Err(error) = process::discard(&*pidfd) {
                tracing::error!(%error, pid = child.pid, "cannot end a process nobody watches");
            }
        })?;
        let lines = Arc::<Mutex<VecDeque<String>>>::default();
        let (all_read, until_all_read) = oneshot::channel();
        let output = Output { errors, unfinished: Vec::new(), lines: Arc::clone(&lines) };
        let process = Arc::clone(&pidfd);
        let watched = thread::start("heir-errors", move || output.pass_on(&process, all_read));
        if let Err(error) = watched {
            tracing::warn!(%error, "the last lines of the new master will not be known");
        }
        let pid = child.pid;
        thread::task("waiting for the new master's end", async move {
            let exit = match adopted {
                true => exit_watch::gone(&watchable).await,
                false => Some(exit_watch::exited(&watchable).await),
            };
            // An error means that the thread is gone: it has read all, or could not be started.
            let _ = tokio::time::timeout(LAST_MESSAGES, until_all_read).await;
            inputs.send(Input::Heir(pid, HeirNews::Exited(exit)));
        });
        Ok(Self { pid: child.pid, pidfd, has_ended: false, lines })
    }

    /// What it wrote last before it was a master.
    pub(super) fn last_lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(super) fn terminate(&self) {
        if let Err(error) = process::terminate(&*self.pidfd) {
            tracing::error!(%error, pid = self.pid, "cannot end the new master");
        }
    }

    pub(super) fn kill(&self) {
        if let Err(error) = process::kill(&*self.pidfd) {
            tracing::error!(%error, pid = self.pid, "cannot kill the new master");
        }
    }
}

/// What an heir writes to standard error before it is a master.
struct Output {
    errors: PipeReader,
    /// A line whose end has not come.
    unfinished: Vec<u8>,
    /// The last lines.
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    /// Copies it to this process's own standard error, and keeps the last lines, until nobody holds
    /// the other end. Drops `all_read` when `process` is gone and all that it wrote is kept.
    fn pass_on(mut self, process: &OwnedFd, all_read: oneshot::Sender<()>) {
        let mut all_read = Some(all_read);
        while let Ok((has_ended, readable)) = self.wait(all_read.as_ref().map(|_| process)) {
            if readable {
                if !matches!(self.read(), Ok(1..)) {
                    break;
                }
            } else if has_ended {
                self.finish_line();
                all_read = None;
            }
        }
        self.finish_line();
    }

    /// Waits for output or the end of `process`. Returns whether it has ended, and whether there is
    /// output. The kernel looks at the end first: if there is no output then, none will follow.
    fn wait(&self, process: Option<&OwnedFd>) -> io::Result<(bool, bool)> {
        let errors = PollFd::new(&self.errors, PollFlags::IN);
        let is_ready = |fd: &PollFd<'_>| !fd.revents().is_empty();
        let Some(process) = process else {
            let mut polled = [errors];
            poll(&mut polled)?;
            return Ok((true, is_ready(&polled[0])));
        };
        let mut polled = [PollFd::new(process, PollFlags::IN), errors];
        poll(&mut polled)?;
        Ok((is_ready(&polled[0]), is_ready(&polled[1])))
    }

    /// Reads what is there. Returns 0 if nobody holds the other end.
    fn read(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 4_096];
        let length = self.errors.read(&mut buffer)?;
        for part in buffer[..length].split_inclusive(|&byte| byte == b'\n') {
            self.unfinished.extend_from_slice(part);
            if part.ends_with(b"\n") || self.unfinished.len() >= PART {
                self.finish_line();
            }
        }
        Ok(length)
    }

    /// Passes the line on, and keeps it.
    fn finish_line(&mut self) {
        let line = std::mem::take(&mut self.unfinished);
        let text = String::from_utf8_lossy(&line);
        if !text.trim().is_empty() {
            let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
            lines.push_back(text.trim_end().chars().take(LINE).collect());
            if lines.len() > LINES {
                lines.pop_front();
            }
        }
        // Standard error may be closed: nobody reads it.
        let _ = io::stderr().write_all(&line);
    }
}

/// Polls without a limit, also after a signal.
fn poll(polled: &mut [PollFd<'_>]) -> io::Result<()> {
    Ok(rustix::io::retry_on_intr(|| rustix::event::poll(polled, None)).map(drop)?)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    use super::*;

    #[test]
    fn all_is_read_when_the_process_is_gone_and_a_child_of_it_holds_the_pipe() {
        let script = "exec 3<&0; cat <&3 & echo broken >&2; printf 'no end' >&2; exit 1";
        let (errors, end) = io::pipe().unwrap();
        // The builder holds the end too.
        let mut shell = {
            let mut builder = Command::new("sh");
            builder.args(["-c", script]).stdin(Stdio::piped()).stderr(end).spawn().unwrap()
        };
        let until_closed = shell.stdin.take();
        let process = pidfd_open(Pid::from_child(&shell), PidfdFlags::empty()).unwrap();
        // It is gone before anything is read.
        shell.wait().unwrap();
        let lines = Arc::<Mutex<VecDeque<String>>>::default();
        let output = Output { errors, unfinished: Vec::new(), lines: Arc::clone(&lines) };
        let (all_read, until_all_read) = oneshot::channel();
        let passing = std::thread::spawn(move || output.pass_on(&process, all_read));
        assert!(until_all_read.blocking_recv().is_err());
        assert_eq!(*lines.lock().unwrap(), ["broken", "no end"]);
        assert!(!passing.is_finished());
        drop(until_closed);
        passing.join().unwrap();
    }
}
