//! The events of a cluster, and who gets them.

use std::os::fd::OwnedFd;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::protocol::execution::Execution;
use crate::protocol::status::EventRecord;
use crate::quota::Share;

/// Something that happened in the cluster. `lib/master/master.js` makes events of its JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum MasterEvent {
    /// A worker process was started.
    Forked {
        /// The worker's process id.
        pid: u32,
    },
    /// The script of a spare has come to its `listen`, and waits.
    Spare {
        /// The worker's process id.
        pid: u32,
    },
    /// A spare is told to listen.
    Activated {
        /// The worker's process id.
        pid: u32,
    },
    /// A worker is ready.
    Listening {
        /// The worker's process id.
        pid: u32,
        /// Where the app listens: `host:port`, or a path.
        addresses: Vec<String>,
    },
    /// A worker's process has ended.
    Died {
        /// The worker's process id.
        pid: u32,
        /// Its exit code, if it exited.
        code: Option<i32>,
        /// The signal that ended it, if one did.
        signal: Option<&'static str>,
        /// The cause, as a word: `crash`, `reload` and so on.
        reason: &'static str,
        /// The error that it did not catch, in words.
        #[serde(skip)]
        error: Option<String>,
        /// What it executed when it was killed because it was unresponsive.
        executed: Option<Box<ExecutionReport>>,
    },
    /// A worker received a signal.
    Signal {
        /// The worker's process id.
        pid: u32,
        /// The signal's name, such as `SIGTERM`.
        signal: String,
    },
    /// A worker sent a message.
    Message {
        /// The worker's process id.
        pid: u32,
        /// The worker's `cluster.worker.id`.
        id: u32,
        /// The message, as JSON.
        message: Box<RawValue>,
    },
    /// A reload begins to replace its next worker.
    Reloading {
        /// The slot in which a worker is replaced.
        slot: u32,
        /// Process id of the old worker.
        pid: u32,
        /// Number of workers that were replaced before.
        replaced: u32,
        /// Number of workers that the reload replaces.
        total: u32,
    },
    /// A reload is complete.
    Reload {
        /// Number of workers that were replaced.
        replaced: u32,
        /// Whether another reload follows, which was requested meanwhile.
        again: bool,
    },
    /// A reload failed. For users this is a warning.
    #[serde(rename = "warning")]
    ReloadFailed {
        /// Why, and which slots run what.
        message: String,
    },
    /// The number of workers is another one.
    Scale {
        /// How many there were.
        from: u32,
        /// How many there should be.
        to: u32,
        /// `load`: because of how much work there is; `command`: because of `scale`.
        reason: &'static str,
        /// How busy the event loops were on average, from 0 to 1, if that is the reason.
        utilization: Option<f64>,
    },
    /// A worker exceeded a threshold and is being replaced.
    Recycle {
        /// The worker's process id.
        pid: u32,
        /// The threshold, in words.
        reason: String,
    },
    /// A worker's event loop is stuck. The worker is killed and replaced.
    Unresponsive {
        /// The worker's process id.
        pid: u32,
        /// Milliseconds since the event loop last turned.
        age: u64,
        /// What it executes.
        #[serde(flatten)]
        executing: Box<ExecutionReport>,
    },
    /// A worker's event loop is blocked.
    Blocked {
        /// The worker's process id.
        pid: u32,
        /// Milliseconds for which it has not turned so far.
        duration: u64,
        /// What it executes.
        #[serde(flatten)]
        executing: Box<ExecutionReport>,
    },
    /// The health check tells load balancers to send no clients.
    Disable {
        /// Process id of the worker whose check failed; `None` if the check was switched off.
        pid: Option<u32>,
        /// Why, in words.
        reason: String,
    },
    /// The health check tells load balancers to send clients again.
    Enable,
    /// The user's validator has to be called for a check on the monitor's port.
    Validate {
        /// Identifies the question in its answer.
        id: u32,
        /// What the monitor URI answered, if there is one.
        answered: Option<Answered>,
    },
    /// Connections are answered 503, because they wait for longer than the option `overload`
    /// allows; or that is over.
    Overload {
        /// Whether it begins; otherwise it is over.
        active: bool,
        /// How many were answered so since it began.
        shed: u64,
        /// Milliseconds from the first to the last of them, where it is over.
        duration: u64,
    },
    /// Something that the operator should know.
    Warning {
        /// The warning, in words.
        message: String,
    },
    /// Another master was started to take over.
    Upgrading {
        /// Its process id.
        pid: u32,
    },
    /// Another master has taken over, and nothing is left here.
    Upgrade {
        /// Its process id.
        pid: u32,
    },
    /// This master has taken over.
    Takeover {
        /// The former master's process id.
        pid: u32,
        /// The former master's version of cluster2-rs.
        version: String,
    },
    /// The cluster has ended. No event follows.
    Finished {
        /// Why, if nobody asked it to end.
        error: Option<Failure>,
        /// Process id of the master that goes on with the cluster, if one does.
        successor: Option<u32>,
    },
}

/// What a worker executes, as users see it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ExecutionReport {
    /// The stack as `Error.stack` shows it; `None`: JavaScript did not let itself be interrupted.
    pub stack: Option<String>,
    /// The details.
    #[serde(flatten)]
    pub execution: Execution,
}

impl From<Execution> for ExecutionReport {
    fn from(execution: Execution) -> Self {
        Self { stack: execution.stack(), execution }
    }
}

/// An error, for an embedder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failure {
    /// A stable code, `CLUSTER2_ERR_…`.
    pub code: String,
    /// The error, in words.
    pub message: String,
}

/// What embeds a master. It is called on the master's threads, and must not block.
pub trait Embedder: Send + Sync + 'static {
    /// Takes an event.
    fn emit(&self, event: MasterEvent);

    /// Takes an event in words, just before the event itself.
    fn record(&self, _record: &EventRecord) {}

    /// Takes a message of the worker with process id `pid` and worker id `id`. Until `share` is
    /// dropped, the message counts against the worker's quota: if that is used up, no more of the
    /// worker's messages are read.
    fn message(&self, pid: u32, id: u32, message: Box<RawValue>, share: Share);

    /// No more messages of the worker `pid` will come.
    fn end_of_messages(&self, pid: u32);

    /// Notes that the process starts again when the cluster has ended. Fails with the reason, in
    /// words after "the cluster is", if it cannot.
    fn restart(&self) -> Result<(), &'static str> {
        Err("run by a script of its own: end it, and start that script again")
    }

    /// Takes a connection with a request for the user's monitor app. Returns `false` if there is no
    /// such app.
    fn forward(&self, connection: OwnedFd) -> bool;
}

/// The answer of a health check's monitor URI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// Status code.
    pub status: u16,
    /// Headers, with names in lower case, repeated ones included.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body. Bytes that are not UTF-8 are replaced.
    pub body: String,
}
