//! Messages to the supervisor's task.
//!
//! Sending never waits and never fails while the task lives, and messages arrive in the order in
//! which they were sent, so none can be lost. Messages between users' scripts do not come here.
//!
//! The inbox has no limit of its own: each sender is bounded. What always holds: no more messages
//! wait from each sender than this.
//!
//! - The task of a worker: its exit and a warning that its last messages are lost (`exit_watch`),
//!   once each; that it is ready, once, and warnings of messages that were too long, within the
//!   quota of its messages (`node_ipc`).
//! - The thread that waits for news of ends: one for each report that a worker waits or is ready
//!   (`os::exit_lock`).
//! - The dispatcher: reports of a worker within the quota of its link, and its end, once.
//! - The embedder: commands within a quota of bytes until they are answered; each signal once
//!   (`assembly`).
//! - The control socket: one command for each client.
//! - The monitor: a quota (`monitor_backend`), and one for each of its connections.
//! - The supervisor itself: that no new client is admitted, once.
//! - What a worker executes: once for each question; one is open of each worker.
//! - Another master: one message for each step of an upgrade and each switch of the health check,
//!   and once a second what it counted; its end, once.

use std::io;

use tokio::sync::{mpsc, oneshot};

use crate::listeners::LegacySocket;
use crate::protocol::Report;
use crate::protocol::control::Command;
use crate::protocol::execution::Execution;
use crate::protocol::handover::{FromHeir, ToHeir};
use crate::protocol::status::Status;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{EndpointAddress, ListenerId};
use crate::quota::Share;
use crate::remote::Reply;

/// Messages that are read before the deadlines are checked again.
const BATCH: usize = 1024;

/// A message to the supervisor's task.
pub(super) enum Input {
    /// A worker reported something over its channel.
    Report(WorkerId, Report),
    /// All addresses of which the dispatcher gives a worker connections, after a change.
    Serves(WorkerId, Vec<EndpointAddress>),
    /// A worker that does not listen says that it is ready.
    SaysReady(WorkerId),
    /// A worker's process ends, and is not gone yet. Not all ends are told before.
    Ending(WorkerId),
    /// A worker's process has ended.
    Exited(WorkerId, Exit),
    /// A worker's process has ended, and the dispatcher has passed on all its reports.
    Gone(WorkerId, Exit),
    /// What a worker executes, after a question.
    Executed(WorkerId, Box<Execution>),
    Command(Command, Reply),
    Signal(Signal),
    /// The monitor asks for the status.
    Status(oneshot::Sender<Status>),
    /// Checks on the monitor's port come to another result than before.
    Checked {
        problem: Option<String>,
    },
    /// Somebody switched the health check on the monitor's port.
    Switched {
        disabled: bool,
        by: String,
    },
    Warning(String),
    /// No new client is admitted any more.
    Closed,
    /// Copies of all listening sockets, for another master.
    SocketsCopied(io::Result<Vec<LegacySocket>>),
    /// News of the master that takes over, the process with this pid.
    Heir(u32, HeirNews),
    /// News of the master from which this one takes over.
    Predecessor(PredecessorNews),
    /// The listeners of a former master that workers serve here.
    Adopted(Vec<ListenerId>),
}

/// News of the master that takes over.
pub(super) enum HeirNews {
    Message(FromHeir),
    /// It says nothing more.
    Closed,
    /// Its process is gone. `None`: another process reaps it.
    Exited(Option<Exit>),
}

/// News of the master from which this one takes over.
pub(super) enum PredecessorNews {
    Message(Box<ToHeir>),
    /// It is gone.
    Closed,
}

/// What a signal to the master asks for. Nobody waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// End gracefully.
    Shutdown,
    /// End at once.
    Stop,
    /// Replace all workers.
    Reload,
    /// Open log files again.
    ReopenLogs,
}

/// The senders' end.
#[derive(Clone)]
pub(super) struct Inputs(mpsc::UnboundedSender<(Input, Option<Share>)>);

/// The task's end.
pub(super) struct Inbox(mpsc::UnboundedReceiver<(Input, Option<Share>)>);

/// Returns both ends of an inbox.
pub(super) fn open() -> (Inputs, Inbox) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Inputs(sender), Inbox(receiver))
}

impl Inputs {
    /// Sends what is bounded by its nature. Returns `false` if the task has ended.
    pub(super) fn send(&self, input: Input) -> bool {
        self.0.send((input, None)).is_ok()
    }

    /// Sends `input`, which occupies `share` until it is read. Returns `false` if the task has
    /// ended.
    pub(super) fn send_within(&self, share: Option<Share>, input: Input) -> bool {
        self.0.send((input, share)).is_ok()
    }
}

impl Inbox {
    /// Calls `read` with the messages that have arrived, up to a batch of them.
    pub(super) fn read_arrived(&mut self, mut read: impl FnMut(Input)) {
        for _ in 0..BATCH {
            let Ok((input, _share)) = self.0.try_recv() else { return };
            read(input);
        }
    }

    /// Waits for the next message.
    pub(super) async fn next(&mut self) -> Input {
        match self.0.recv().await {
            Some((input, _share)) => input,
            // Never: the task has a sender of its own.
            None => std::future::pending().await,
        }
    }
}
