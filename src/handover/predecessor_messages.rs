//! What the part of the master that is replaced learns, and what it decides.

use crate::protocol::ListenerId;
use crate::protocol::handover::{FromHeir, ToHeir};
use crate::protocol::worker::Exit;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PredecessorEvent {
    /// The heir said something.
    Message(FromHeir),
    /// The heir says nothing more.
    Closed,
    /// The heir's process is gone. `exit`: how, if that is known. `lines`: what it wrote last,
    /// before it could speak.
    Exited { exit: Option<Exit>, lines: Vec<String> },
    /// This cluster is about to end. `abrupt`: at once, as by `stop()`.
    Cancel { reason: String, abrupt: bool },
    /// The last worker of this master is gone.
    Drained,
    /// A deadline may have passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PredecessorAction {
    /// Say something to the heir.
    Send(ToHeir),
    /// Send SIGTERM to the heir.
    Terminate,
    /// Send SIGKILL to the heir.
    Kill,
    /// Drain all workers; connections of these listeners go to the heir. Close the other listeners.
    /// `monitor`, `pids`: the heir has the monitor's and the control socket too.
    StepDown { adopted: Vec<ListenerId>, monitor: bool, pids: bool },
    /// The heir ends: keep the connections that are left.
    Keep,
    /// The heir is gone, and everything is this master's alone again.
    Reclaim,
    /// The heir is gone although this master had stepped down: start workers again.
    Return,
    /// The heir has ended on purpose: this master is the last of the cluster.
    OutliveHeir,
    /// Tell the users.
    Announce(Step),
    /// The upgrade is over. Nothing follows.
    Finish(Result<(), String>),
}

/// The news for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many workers of the heir are ready.
    Progress { ready: u32, target: u32 },
    /// The heir answers commands.
    TookOver,
}
