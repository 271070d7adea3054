//! The master's handle of one living worker.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::execution_link::ExecutionLink;
use super::exit_watch;
use super::inbox::Inputs;
use super::launch::{Launch, WorkerIdentity};
use super::node_ipc::Messages;
use crate::clock::Millis;
use crate::dispatcher::WorkerLink;
use crate::embedder::{Embedder, MESSAGE_OVERHEAD};
use crate::os::channel::Channel;
use crate::os::code_cache::CurrentCodeCache;
use crate::os::measured::Measured;
use crate::os::scoreboard::{Field, Row, Scoreboard};
use crate::os::waker::Waker;
use crate::os::{process, spawn};
use crate::protocol::Endpoint;
use crate::protocol::worker::WorkerId;
use crate::quota::{Quota, Share};
use crate::supervision::Reading;
use crate::usage::UsageSamples;

/// Bytes of messages that may wait for one worker to read them.
const UNREAD_BYTES: usize = 4 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct WorkerHandle {
    pub(super) pid: u32,
    pub(super) row: Row,
    pub(super) started_at: SystemTime,
    /// Where its app listens, as it said when it became ready.
    pub(super) endpoints: Vec<Endpoint>,
    /// The addresses among them where it accepts by itself: nothing more is known of these.
    pub(super) own_addresses: BTreeSet<String>,
    /// When its drain began, on the monotonic clock, milliseconds.
    pub(super) draining_since: Option<u64>,
    /// Bytes in its file of standard error when it started, if it writes into one.
    pub(super) errors_before: u64,
    /// Bytes in it when the next one started, if its process was ending then.
    pub(super) errors_until: Option<u64>,
    /// Samples of what it uses.
    pub(super) usage: UsageSamples,
    /// For what it executes.
    pub(super) execution: ExecutionLink,
    pidfd: Arc<OwnedFd>,
    /// Bounded by `quota`.
    messages: mpsc::UnboundedSender<(String, Share)>,
    quota: Quota,
}

/// What a worker's task sends to.
pub(super) struct Listeners {
    /// For its messages.
    pub(super) embedder: Arc<dyn Embedder>,
    /// For its exit.
    pub(super) inputs: Inputs,
}

/// Files in memory that all workers get.
pub(super) struct SharedMemory<'a> {
    pub(super) board: &'a Scoreboard,
    pub(super) code: &'a mut CurrentCodeCache,
}

impl WorkerHandle {
    /// Starts a worker, with `output` as its standard output and error if these are not the
    /// master's. Returns the handle, and the dispatcher's end of the worker.
    ///
    /// Must be called on the supervisor's runtime: the worker's task is started there, among
    /// `tasks`.
    pub(super) fn start(
        identity: &WorkerIdentity,
        launch: &Launch,
        output: Option<[BorrowedFd<'_>; 2]>,
        shared: SharedMemory<'_>,
        row: Row,
        listeners: Listeners,
        tasks: &mut JoinSet<()>,
    ) -> io::Result<(Self, WorkerLink)> {
        let worker = WorkerId(identity.id);
        let (channel, theirs) = Channel::pair()?;
        let (orders, their_orders) = Channel::pair()?;
        let (execution, their_execution) = Channel::pair()?;
        let waker = Waker::new()?;
        let (ours, ipc) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let execution = ExecutionLink::start(worker, execution, listeners.inputs.clone())?;
        row.clear();
        let passed = [
            ipc.as_fd(),
            theirs.as_fd(),
            shared.board.memory()?,
            their_orders.as_fd(),
            their_execution.as_fd(),
            waker.as_fd(),
            shared.code.get()?.as_fd(),
        ];
        let child = spawn::spawn(&launch.command(identity)?, passed, output)?;
        let (pid, pidfd) = (child.pid, Arc::new(child.pidfd));
        let watchable = process::watchable(Arc::clone(&pidfd)).inspect_err(|_| {
            if let Err(error) = process::discard(&*pidfd) {
                tracing::error!(%error, pid, "cannot end a process that nobody watches");
            }
        })?;
        let (messages, outgoing) = mpsc::unbounded_channel();
        let Listeners { embedder, inputs } = listeners;
        let incoming = Messages::new(worker, pid, embedder, inputs)
            .with_readiness(identity.ready_after.is_some());
        tasks.spawn(exit_watch::watch(incoming, watchable, ours, outgoing));
        let slot = identity.slot;
        let link = WorkerLink::new(worker, slot, orders, channel, theirs, row.clone(), waker)
            .as_spare(identity.spare);
        let handle = Self {
            pid,
            row,
            started_at: SystemTime::now(),
            endpoints: Vec::new(),
            own_addresses: BTreeSet::new(),
            draining_since: None,
            errors_before: 0,
            errors_until: None,
            usage: UsageSamples::new(crate::os::now()),
            execution,
            pidfd,
            messages,
            quota: Quota::new(UNREAD_BYTES),
        };
        Ok((handle, link))
    }

    /// Returns what its row says now; it is the worker `id`.
    pub(super) fn reading(&self, id: WorkerId, now: Millis) -> Reading {
        let row = &self.row;
        let measured = Measured::from_number(row.get(Field::Measured));
        Reading {
            worker: id,
            beat: row.admission().last_turn(now),
            connections: row.count(Field::ConnectionsTotal),
            memory: row.count(Field::Rss),
            measured_at: measured.at,
            utilization: measured.utilization.map(|part| (part * 1_000.0).round() as u32),
        }
    }

    /// Sends SIGKILL.
    pub(super) fn kill(&self) {
        if let Err(error) = process::kill(&*self.pidfd) {
            tracing::error!(%error, pid = self.pid, "cannot kill a worker");
        }
    }

    /// Queues a message. Returns `false` if too much waits already, or the worker reads no more.
    pub(super) fn send(&self, message: &str) -> bool {
        let share = self.quota.try_take(message.len() + MESSAGE_OVERHEAD);
        share.is_some_and(|share| self.messages.send((message.to_owned(), share)).is_ok())
    }
}
