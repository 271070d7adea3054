//! What the dispatcher and the master's other threads say to each other.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::oneshot;

use crate::connection::Connection;
use crate::dispatcher::link::WorkerLink;
use crate::listeners::LegacySocket;
use crate::os::channel::Channel;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{EndpointAddress, Inspection, ListenerId, Report};
use crate::quota::Share;

/// A request to the dispatcher.
///
/// None is ever lost, and few wait: one of each kind, and of those that name a worker one for each
/// worker that has a row on the scoreboard. A worker keeps its row until its `Detach` is answered.
#[derive(Debug)]
pub enum Request {
    /// Adds a worker.
    Attach(Box<WorkerLink>),
    /// Removes a worker that is gone; what it did not take goes to others. Answered with
    /// `DispatcherEvent::Gone`, after its last reports.
    Detach(WorkerId, Exit),
    /// Has a spare listen.
    Activate(WorkerId),
    /// Counts a worker as ready that does not listen, and passes that on as its report.
    Announce(WorkerId),
    /// Has a worker show that its event loop turns, by a beat in its row.
    Beat(WorkerId),
    /// Has a worker look inside itself. One is under way of each worker.
    Inspect(WorkerId, Inspection),
    /// Gives a worker nothing new, and has it finish what it has.
    Drain(WorkerId),
    /// Has all workers open their log files again. The flag says that this request waits.
    ReopenLogs(Arc<AtomicBool>),
    /// Sets the flag: a sign that the thread turns.
    Ping(Arc<AtomicBool>),
    /// Closes all listeners to new clients. Answered once nobody new gets in.
    StopAdmitting(oneshot::Sender<()>),
    /// Says whether another master has all sockets too.
    Lend(bool),
    /// Returns copies of all listening sockets.
    CopySockets(oneshot::Sender<io::Result<Vec<LegacySocket>>>),
    /// Connections come from, and go to, another master by this channel.
    Relay {
        /// This master's end.
        channel: Channel,
        /// Whether this master is the heir of the other one.
        is_heir: bool,
    },
    /// Gives another master what comes of these listeners, by the former master's numbers; of other
    /// listeners, closes those. `None`: what comes of all that it has.
    GiveAway(Option<Vec<ListenerId>>),
    /// Keeps what comes from now on: the other master ends, or is gone.
    Keep {
        /// Whether no other workers will come here.
        last: bool,
    },
    /// Returns the former master's numbers of the listeners that workers serve here.
    ListAdopted(oneshot::Sender<Vec<ListenerId>>),
    /// This master has taken over from a former one.
    Own {
        /// Whether the sockets are this one's alone.
        alone: bool,
    },
    /// Closes everything and ends the thread.
    End,
}

/// News of a worker.
#[derive(Debug)]
pub enum DispatcherEvent {
    /// It reported something. The share is held until the receiver has dealt with the report.
    Report(Report, Option<Share>),
    /// It now serves exactly these addresses. Holds a share as `Report` does.
    Serves(Vec<EndpointAddress>, Option<Share>),
    /// It is gone, and all of its reports were passed on.
    Gone(Exit),
}

/// Receives the events; called on the dispatcher's thread.
pub type Notify = Box<dyn FnMut(WorkerId, DispatcherEvent) + Send>;

/// Totals since the start. The dispatcher writes, others read.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Connections given to workers.
    pub(crate) handed: AtomicU64,
    /// Connections taken back from workers that died or did not take them in time.
    pub(crate) reclaimed: AtomicU64,
    /// Connections that workers gave back for another one.
    pub(crate) moved: AtomicU64,
    /// Requests that workers handed over when they ended, each with its connection.
    pub(crate) retried: AtomicU64,
    /// Connections that were answered 503, as the option `overload` says.
    pub(crate) shed: AtomicU64,
    /// Connections that wait for a worker now.
    pub(crate) waiting: AtomicU64,
}

impl Counts {
    pub(super) fn add(counter: &AtomicU64, count: usize) {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts what a worker gave back.
    pub(super) fn given_back(&self, back: &[Connection]) {
        let retried = back.iter().filter(|connection| connection.request.is_some()).count();
        Self::add(&self.retried, retried);
        Self::add(&self.moved, back.len() - retried);
    }
}
