//! What the supervisor is told, and what it answers.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::Cause;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// The cluster is to run; only the first counts.
    Start,
    /// A `Spawn` succeeded.
    Spawned {
        /// Which.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// A `Spawn` failed; there is no process.
    SpawnFailed {
        /// Which.
        worker: WorkerId,
        /// What the kernel said.
        reason: String,
    },
    /// A worker listens.
    Ready {
        /// Which.
        worker: WorkerId,
    },
    /// A worker began to drain by itself.
    Leaving {
        /// Which.
        worker: WorkerId,
    },
    /// A worker's process is gone.
    Exited {
        /// Which.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// What a worker says of its own failure, just before its end.
    UncaughtError {
        /// Which.
        worker: WorkerId,
        /// The error, in words.
        message: String,
    },
    /// A worker's health check came to another result than the one before.
    Checked {
        /// Which.
        worker: WorkerId,
        /// What it found; `None`: all is well.
        problem: Option<String>,
    },
    /// The same for checks that the master makes itself.
    MasterChecked {
        /// What it found; `None`: all is well.
        problem: Option<String>,
    },
    /// Somebody switched the health check off or on.
    Switched {
        /// The direction.
        disabled: bool,
        /// Who, in words.
        by: String,
    },
    /// What a worker that is not ready yet has last written to standard error; replaces what was told before.
    LastLines {
        /// Which.
        worker: WorkerId,
        /// The oldest first.
        lines: Vec<String>,
    },
    /// How the workers are, looked at once in a while.
    Sample {
        /// All that live.
        readings: Vec<Reading>,
    },
    /// Where a worker gets connections from the door has changed.
    Serves {
        /// Which.
        worker: WorkerId,
        /// All of its addresses, `host:port` or a path each.
        addresses: BTreeSet<String>,
    },
    /// Replace all workers, one after another; while that is being done, do it once more after it.
    Reload {
        /// The new code may listen elsewhere.
        addresses_may_change: bool,
    },
    /// The number of slots is to change.
    Scale {
        /// To so many.
        workers: u32,
    },
    /// Leave gracefully.
    Shutdown,
    /// Leave at once.
    Stop,
    /// A deadline may have passed.
    Tick,
}

/// What the scoreboard says of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Which.
    pub(crate) worker: WorkerId,
    /// When its event loop last turned, on the machine's monotonic clock.
    pub(crate) beat: Millis,
    /// Connections it ever served.
    pub(crate) connections: u64,
    /// Its resident memory, bytes.
    pub(crate) memory: u64,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a worker process; answered with `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its name.
        worker: WorkerId,
        /// Its place.
        slot: u32,
        /// Its number in that place.
        generation: u32,
    },
    /// Hand it nothing more, and let it finish what it has.
    Drain {
        /// Which.
        worker: WorkerId,
    },
    /// End it now.
    Kill {
        /// Which.
        worker: WorkerId,
    },
    /// Accept no new connection.
    StopAdmitting,
    /// Tell the users.
    Notify(Notice),
    /// Nobody is left; the last action there is.
    Finish(Outcome),
}

/// What users are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A worker process exists.
    Forked {
        /// It.
        pid: u32,
    },
    /// A worker is ready.
    Listening {
        /// It.
        pid: u32,
    },
    /// A worker is gone.
    Died {
        /// It.
        pid: u32,
        /// How.
        exit: Exit,
        /// Why.
        cause: Cause,
    },
    /// A worker had to be killed in its drain, with whatever it had open.
    DrainTimedOut {
        /// Which.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// A reload goes on to its next worker.
    Reloading {
        /// The place.
        slot: u32,
        /// The worker that is to go.
        pid: u32,
        /// How many are done.
        replaced: u32,
        /// How many there are.
        total: u32,
    },
    /// A round of a reload is complete.
    Reloaded {
        /// Its number.
        round: u32,
        /// How many workers are new.
        replaced: u32,
        /// Whether a further one follows.
        again: bool,
    },
    /// A round of a reload was given up; the workers that were not replaced yet stay.
    ReloadFailed {
        /// Its number, or that of the last one, if none is to follow any more.
        round: u32,
        /// Why.
        reason: String,
    },
    /// A worker passed a threshold and is replaced.
    Recycling {
        /// It.
        pid: u32,
        /// Which threshold, in words.
        reason: String,
    },
    /// A worker's event loop is stuck; it is killed and replaced.
    Unresponsive {
        /// It.
        pid: u32,
        /// For how long, milliseconds.
        age: Millis,
    },
    /// Load balancers are told to send no more clients.
    Disabled {
        /// The worker whose check failed; `None` if the master's own did, or if it was switched off.
        pid: Option<u32>,
        /// Why.
        reason: String,
    },
    /// Load balancers are told to send clients again.
    Enabled,
    /// Something that a person should know.
    Warning(String),
}

/// How it all ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked.
    Clean,
    /// No worker of the first start became ready.
    StartFailed {
        /// How the last of them ended.
        reason: String,
    },
}
