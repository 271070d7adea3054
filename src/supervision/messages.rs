//! What the supervisor receives and what it returns.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::autoscale::Limit;
use crate::supervision::thresholds::Passed;
use crate::supervision::worker::{Cause, LastWords};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Start the cluster. Only the first one counts.
    Start,
    /// A `Spawn` succeeded.
    Spawned { worker: WorkerId, pid: u32 },
    /// A `Spawn` failed; there is no process.
    SpawnFailed { worker: WorkerId, reason: String },
    /// The script of a spare has come to its `listen`, and waits there.
    Waiting { worker: WorkerId },
    /// A worker listens.
    Ready { worker: WorkerId },
    /// A worker began to drain by itself.
    Leaving { worker: WorkerId },
    /// A worker's process ends, or is gone. `Exited` follows once its last reports are read.
    Ending { worker: WorkerId },
    /// A worker's process is gone, and so are its reports.
    Exited { worker: WorkerId, exit: Exit },
    /// The error that a worker did not catch, sent just before its end.
    UncaughtError { worker: WorkerId, message: String },
    /// The result of a worker's health check changed. `problem` is `None` if all is well.
    Checked { worker: WorkerId, problem: Option<String> },
    /// As `Checked`, for the checks that the master makes itself.
    MasterChecked { problem: Option<String> },
    /// Someone switched the health check off or on; `by` says who, in words.
    Switched { disabled: bool, by: String },
    /// The last lines on standard error of a worker that has ended, oldest first. Comes before its
    /// exit.
    LastLines { worker: WorkerId, lines: Vec<String> },
    /// The numbers of all living workers, read at intervals of [`Supervisor::sample_interval`].
    ///
    /// [`Supervisor::sample_interval`]: crate::supervision::Supervisor::sample_interval
    Sample { readings: Vec<Reading> },
    /// The addresses at which the dispatcher gives connections to a worker changed. Each is
    /// `host:port` or a path.
    Serves { worker: WorkerId, addresses: BTreeSet<String> },
    /// What a worker executes, asked by `Ask`, is known; or it cannot be known.
    Executed { worker: WorkerId },
    /// Replace all workers, one after another. During a reload: do it once more afterwards.
    Reload { addresses_may_change: bool },
    /// Change the number of slots; with `max_workers`, the least of it.
    Scale { workers: u32 },
    /// Change the number of slots if there is reason, by what the samples before showed. Sent after
    /// samples at which no other master is involved.
    Autoscale,
    /// The bytes that are available, as `MeasureMemory` asked. `None`: nobody knows.
    MemoryMeasured { available: Option<u64> },
    /// Shut down gracefully.
    Shutdown,
    /// Kill all workers.
    Stop,
    /// Another master has taken over: drain all workers, and end.
    HandOver,
    /// That master is gone: start workers again.
    TakeBack,
    /// A deadline may have passed.
    Tick,
}

/// What the scoreboard says of one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reading {
    pub(crate) worker: WorkerId,
    /// When its event loop last turned, on the machine's monotonic clock.
    pub(crate) beat: Millis,
    /// Connections it ever served.
    pub(crate) connections: u64,
    /// Resident memory, bytes.
    pub(crate) memory: u64,
    /// When its utilization was measured, on the machine's monotonic clock.
    pub(crate) measured_at: Millis,
    /// The part of the time before in which its event loop was not idle, in thousandths. `None`: it
    /// is not known.
    pub(crate) utilization: Option<u32>,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start a worker process, and answer with `Spawned` or `SpawnFailed`. `generation` counts the
    /// workers of the slot, from 1. A `spare` waits in its `listen` until it is activated.
    Spawn { worker: WorkerId, slot: u32, generation: u32, spare: bool },
    /// Have a spare listen.
    Activate { worker: WorkerId },
    /// Give the worker nothing more, and let it finish what it has.
    Drain { worker: WorkerId },
    /// Find out what the worker executes, and answer with `Executed`. `dying`: it is killed then.
    Ask { worker: WorkerId, dying: bool },
    /// Have the worker's event loop show that it turns: its next beat says so.
    AskToBeat { worker: WorkerId },
    /// Send SIGKILL.
    Kill { worker: WorkerId },
    /// Find out how much memory is available, and answer with `MemoryMeasured`.
    MeasureMemory,
    /// Close to new clients.
    StopAdmitting,
    /// Tell the users.
    Notify(Notice),
    /// The last worker is gone. No action follows.
    Finish(Outcome),
}

/// The news for users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A worker process exists.
    Forked { pid: u32 },
    /// A spare waits in its `listen`.
    Spare { pid: u32 },
    /// A spare is activated.
    Activated { pid: u32 },
    /// A worker is ready.
    Listening { pid: u32 },
    /// A worker's process is gone.
    Died { worker: WorkerId, pid: u32, exit: Exit, cause: Cause, last_words: LastWords },
    /// A worker did not finish its drain in time; it is killed with its open connections.
    DrainTimedOut { worker: WorkerId, pid: u32 },
    /// A reload begins to replace worker `pid`; `replaced` of `total` are done.
    Reloading { slot: u32, pid: u32, replaced: u32, total: u32 },
    /// A round of a reload is complete. `again`: another one follows.
    Reloaded { round: u32, replaced: u32, again: bool },
    /// A round of a reload failed. Workers that it has not replaced stay. `round` is the last one
    /// requested if none is to follow any more.
    ReloadFailed { round: u32, reason: String },
    /// The number of workers is another one. `utilization`: how busy their event loops were on
    /// average, in thousandths, if that is the reason and not a `Scale`.
    Scaled { before: u32, workers: u32, utilization: Option<u32> },
    /// There is work for another worker, and something else that keeps it from being started.
    NotScaled { workers: u32, limit: Limit },
    /// A worker passed a threshold and is replaced.
    Recycling { pid: u32, passed: Passed },
    /// A worker's event loop has been stuck for `age` milliseconds; it is killed and replaced.
    Unresponsive { worker: WorkerId, pid: u32, age: Millis },
    /// A worker's event loop has been blocked for `duration` milliseconds so far.
    Blocked { worker: WorkerId, pid: u32, duration: Millis },
    /// The cluster became unhealthy, or was switched off. `pid` is the worker whose check failed.
    Disabled { pid: Option<u32>, reason: String },
    /// The cluster became healthy, or was switched on.
    Enabled,
    /// Something that a person should know.
    Warning(String),
}

/// How a cluster ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As asked.
    Clean,
    /// Another master took over.
    HandedOver,
    /// No worker of the first start became ready; `reason` says how the last one ended.
    StartFailed { reason: String },
}
