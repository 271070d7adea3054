//! The master's handle of one living worker, and how one comes to life.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::config::{Ecv, Output};
use crate::dispatcher::link::state::WorkerLink;
use crate::embedder::Embedder;
use crate::embedder::mailbox::OVERHEAD;
use crate::master::inbox::Inputs;
use crate::master::systemd::VARIABLES;
use crate::master::{inspector, node_ipc};
use crate::os::channel::Channel;
use crate::os::scoreboard::{Row, Scoreboard};
use crate::os::spawn::{Command, IPC_FD};
use crate::os::{process, spawn};
use crate::protocol::endpoint::Endpoint;
use crate::protocol::worker::WorkerId;
use crate::quota::{Quota, Share};

/// Bytes of messages that may wait for one worker to read them.
const UNREAD_BYTES: usize = 4 * 1024 * 1024;
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
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, if not the master's.
    pub cwd: Option<String>,
    /// Whether the script knows nothing of us, and is served as it listens.
    #[serde(default)]
    pub plain: bool,
}

impl Launch {
    /// The debugger's port of the worker in a row, where Node's debugger is on.
    pub fn inspect_port(&self, row: usize) -> Option<u16> {
        let options = self.env.get("NODE_OPTIONS").map_or("", String::as_str);
        inspector::base_port(&self.flags, options).map(|base| inspector::port(base, row))
    }
}

/// The options that concern a worker whose script knows nothing of us.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Serve {
    /// Health check.
    pub ecv: Option<Ecv>,
    /// Idle time-out, milliseconds.
    pub timeout: u64,
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
    /// Whether its idle connections move to other workers when it leaves.
    pub move_idle: bool,
    /// The cluster's `pids` directory, absolute.
    pub pids: PathBuf,
    /// Where its standard output and error go.
    pub output: Output,
    /// The directory of its log files, absolute; `None` if it has none.
    pub logs: Option<PathBuf>,
    /// Its debugger's port, where that was set for it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub inspect_port: Option<u16>,
    /// Where it is to run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cwd: Option<String>,
    /// See `Launch::plain`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub serve: Option<Serve>,
}

/// A living worker.
#[derive(Debug)]
pub struct WorkerHandle {
    /// Its process id.
    pub pid: u32,
    /// Its row on the scoreboard.
    pub row: Row,
    /// When it was started.
    pub started_at: SystemTime,
    /// Where its app listens, as it said when it became ready.
    pub places: Vec<Endpoint>,
    /// Those of them where it listens by itself: of these nothing more is known.
    pub own: BTreeSet<String>,
    /// When its drain began, on the monotonic clock.
    pub draining_since: Option<u64>,
    pidfd: Arc<OwnedFd>,
    /// Bounded by `quota`.
    messages: mpsc::UnboundedSender<(String, Share)>,
    quota: Quota,
}

/// Whom a worker's own task tells.
#[derive(Clone)]
pub struct Listeners {
    /// Its messages.
    pub embedder: Arc<dyn Embedder>,
    /// Its end.
    pub inputs: Inputs,
}

impl WorkerHandle {
    /// Starts a worker, with `output` as its standard output and error if they are not ours. Returns our handle, and the
    /// dispatcher's end of it.
    ///
    /// Must be called on the supervisor's runtime: the task that attends to the worker is started there, among `attending`.
    pub fn start(
        identity: &Identity,
        launch: &Launch,
        output: Option<[BorrowedFd<'_>; 2]>,
        board: &Scoreboard,
        row: Row,
        listeners: Listeners,
        attending: &mut JoinSet<()>,
    ) -> io::Result<(Self, WorkerLink)> {
        let worker = WorkerId(identity.id);
        let (channel, theirs) = Channel::pair()?;
        let (orders, their_orders) = Channel::pair()?;
        let (ours, ipc) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        row.clear();
        let passed = [ipc.as_fd(), theirs.as_fd(), board.memory()?, their_orders.as_fd()];
        let child = spawn::spawn(&command(identity, launch)?, passed, output)?;
        let pidfd = Arc::new(child.pidfd);
        let ended = process::watchable(Arc::clone(&pidfd)).inspect_err(|_| {
            if let Err(error) = process::discard(&*pidfd) {
                tracing::error!(%error, pid = child.pid, "cannot end a process that nobody attends to");
            }
        })?;
        let (messages, outgoing) = mpsc::unbounded_channel();
        let line = node_ipc::Line::new(worker, child.pid, listeners.embedder, listeners.inputs);
        attending.spawn(node_ipc::attend(line, ended, ours, outgoing));
        let peer = WorkerLink::new(worker, identity.slot, orders, channel, theirs, row.clone());
        let (pid, started_at, quota) = (child.pid, SystemTime::now(), Quota::new(UNREAD_BYTES));
        let (places, own) = (Vec::new(), BTreeSet::new());
        Ok((
            Self {
                pid,
                row,
                started_at,
                places,
                own,
                draining_since: None,
                pidfd,
                messages,
                quota,
            },
            peer,
        ))
    }

    /// Sends SIGKILL.
    pub fn kill(&self) {
        if let Err(error) = process::kill(&*self.pidfd) {
            tracing::error!(%error, pid = self.pid, "cannot kill a worker");
        }
    }

    /// Queues a message. False: too much waits already, or the worker reads none any more.
    pub fn send(&self, message: &str) -> bool {
        let share = self.quota.try_take(message.len() + OVERHEAD);
        share.is_some_and(|share| self.messages.send((message.to_owned(), share)).is_ok())
    }
}

fn command(identity: &Identity, launch: &Launch) -> io::Result<Command> {
    let text =
        |text: &str| CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let identity_json = serde_json::to_string(identity)?;
    let own = [
        ("NODE_CHANNEL_FD", IPC_FD.to_string()),
        ("NODE_CHANNEL_SERIALIZATION_MODE", "json".to_owned()),
        ("NODE_UNIQUE_ID", identity.id.to_string()),
        (ENV, identity_json),
    ];
    // After the user's own flags, of which the last one counts.
    let inspect = identity.inspect_port.map(|port| format!("--inspect-port={port}"));
    let args =
        std::iter::once(&launch.program).chain(&launch.flags).chain(&inspect).chain(&launch.args);
    let is_masters =
        |name: &str| own.iter().any(|(ours, _)| *ours == name) || VARIABLES.contains(&name);
    let inherited = launch.env.iter().filter(|(name, _)| !is_masters(name));
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
