//! The master's handle of one living worker, and how one comes to life.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::dispatcher::Peer;
use super::node_ipc;
use super::supervise::Input;
use crate::core::worker::WorkerId;
use crate::sys::channel::Channel;
use crate::sys::process;
use crate::sys::scoreboard::{Row, Scoreboard};
use crate::sys::spawn::{self, Command, IPC_FD};

/// Messages that may wait for one worker to read them.
const MAX_MESSAGES: usize = 1024;
/// Ports below are for the super-user only.
const FIRST_UNPRIVILEGED: u16 = 1024;
/// The variable that makes a process a worker of ours; the preload removes it before the user's code runs.
pub const ENV: &str = "CLUSTER2_WORKER";

/// How a worker is started: everything but its own identity.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// Absolute path of Node.
    pub program: String,
    /// Node's flags.
    pub flags: Vec<String>,
    /// The script and its arguments.
    pub args: Vec<String>,
    /// The master's debugger port, where Node's debugger is on: that of a worker is so far above it as its row says.
    pub inspect_port: Option<u16>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, if not the master's.
    pub cwd: Option<String>,
}

/// Who a worker is; it reads this from `CLUSTER2_WORKER`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Its name, also `cluster.worker.id`.
    pub id: u32,
    /// Its place.
    pub slot: u32,
    /// Its number in that place.
    pub generation: u32,
    /// Its row on the scoreboard.
    pub row: usize,
    /// How long it may go on when the master is gone, milliseconds.
    pub orphan_limit: u64,
    /// How often it is to show that its event loop turns, milliseconds.
    pub beat: u64,
    /// The cluster's `pids` directory, absolute.
    pub pids: PathBuf,
    /// Its debugger's port, where that was set for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inspect_port: Option<u16>,
    /// Where it is to run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
}

/// A living worker.
#[derive(Debug)]
pub struct Member {
    /// Its process id.
    pub pid: u32,
    /// Its row on the scoreboard.
    pub row: Row,
    /// When it was started.
    pub started_at: SystemTime,
    /// When its drain began, on the monotonic clock.
    pub draining_since: Option<u64>,
    pidfd: OwnedFd,
    messages: mpsc::Sender<String>,
}

impl Member {
    /// Starts a worker. Returns our handle, and the dispatcher's end of it.
    ///
    /// Must be called on the supervisor's runtime: the task that attends to the worker is started there.
    pub fn start(
        identity: &Identity,
        launch: &Launch,
        board: &Scoreboard,
        row: Row,
        inputs: mpsc::Sender<Input>,
    ) -> io::Result<(Self, Peer)> {
        let worker = WorkerId(identity.id);
        let (channel, theirs) = Channel::pair()?;
        let (ours, ipc) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        row.clear();
        let child = spawn::spawn(&command(identity, launch)?, [ipc.as_fd(), theirs.as_fd(), board.memory()?])?;
        let pidfd = child.pidfd.try_clone()?;
        let (messages, outgoing) = mpsc::channel(MAX_MESSAGES);
        tokio::spawn(node_ipc::attend(
            worker,
            process::watchable(child.pidfd)?,
            UnixStream::from_std(ours)?,
            outgoing,
            messages.clone(),
            inputs,
        ));
        let peer = Peer::new(worker, identity.slot, channel, theirs, row.clone());
        Ok((Self { pid: child.pid, row, started_at: SystemTime::now(), draining_since: None, pidfd, messages }, peer))
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        if let Err(error) = process::kill(&self.pidfd) {
            tracing::error!(%error, pid = self.pid, "cannot kill a worker");
        }
    }

    /// Queues a message; false if too many wait already.
    pub fn send(&self, message: &str) -> bool {
        self.messages.try_send(message.to_owned()).is_ok()
    }
}

/// The debugger's port of the worker in a row: no other living process of the cluster has it, and the next in the row has it again.
/// Beyond the last port it goes on where unprivileged ones begin.
pub fn inspect_port(base: u16, row: usize) -> u16 {
    let port = usize::from(base) + 1 + row;
    let above = port.checked_sub(usize::from(u16::MAX) + 1);
    above.map_or(port, |above| usize::from(FIRST_UNPRIVILEGED) + above) as u16
}

fn command(identity: &Identity, launch: &Launch) -> io::Result<Command> {
    let text = |text: &str| CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let identity_json = serde_json::to_string(identity)?;
    let own = [
        ("NODE_CHANNEL_FD", IPC_FD.to_string()),
        ("NODE_CHANNEL_SERIALIZATION_MODE", "json".to_owned()),
        ("NODE_UNIQUE_ID", identity.id.to_string()),
        (ENV, identity_json),
    ];
    // After the user's own flags, of which the last one counts.
    let inspect = identity.inspect_port.map(|port| format!("--inspect-port={port}"));
    let args = std::iter::once(&launch.program).chain(&launch.flags).chain(&inspect).chain(&launch.args);
    let inherited = launch.env.iter().filter(|(name, _)| own.iter().all(|(ours, _)| ours != name));
    let variables = inherited.map(|(name, value)| (name.as_str(), value));
    Ok(Command {
        program: text(&launch.program)?,
        args: args.map(|arg| text(arg)).collect::<io::Result<_>>()?,
        env: variables
            .chain(own.iter().map(|(name, value)| (*name, value)))
            .map(|(name, value)| text(&format!("{name}={value}")))
            .collect::<io::Result<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debugger_of_each_row_has_a_port_of_its_own() {
        assert_eq!([inspect_port(9229, 0), inspect_port(9229, 1)], [9230, 9231]);
        assert_eq!([inspect_port(65_534, 0), inspect_port(65_534, 1), inspect_port(65_535, 0)], [65_535, 1024, 1024]);
    }
}
