//! The process of an heir, as its predecessor sees it: how it is started, what it writes before it
//! is a master, and its end.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use super::exit_watch;
use super::inbox::{HeirNews, Input, Inputs};
use crate::os::channel::Channel;
use crate::os::handover::{self, HeirCommand};
use crate::os::{process, thread};

/// How many of its last lines are kept, and how much of each.
const LINES: usize = 20;
const LINE: usize = 1_000;

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
        let kept = Arc::clone(&lines);
        let watched = thread::start("heir-errors", move || pass_on(errors, &kept));
        if let Err(error) = watched {
            tracing::warn!(%error, "the last lines of the new master will not be known");
        }
        let pid = child.pid;
        tokio::spawn(async move {
            let exit = match adopted {
                true => exit_watch::gone(&watchable).await,
                false => Some(exit_watch::exited(&watchable).await),
            };
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

/// Copies what comes to this process's own standard error, and keeps the last lines.
fn pass_on(errors: PipeReader, kept: &Mutex<VecDeque<String>>) {
    let mut lines = BufReader::new(errors);
    let mut line = Vec::new();
    // A line without an end is passed on in parts.
    while matches!(io::Read::take(&mut lines, 65_536).read_until(b'\n', &mut line), Ok(1..)) {
        // Standard error may be closed: nobody reads it.
        let _ = io::stderr().write_all(&line);
        let text = String::from_utf8_lossy(&line);
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !text.trim().is_empty() {
            kept.push_back(text.trim_end().chars().take(LINE).collect());
            if kept.len() > LINES {
                kept.pop_front();
            }
        }
        line.clear();
    }
}
