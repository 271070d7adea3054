//! The answer of `status()`. The monitor's page, its JSON and its metrics are made of it too.
//!
//! Its JSON form is what `docs/reference/methods.md` documents: times in ISO 8601, sizes in bytes,
//! durations in milliseconds.

use serde::Serialize;

use super::scaling::ScalingStatus;
use super::time::Time;
use super::totals::Totals;
use crate::counts::counted;

/// The state of a cluster.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Always true.
    pub running: bool,
    /// The process that supervises; with `cluster: false` the process itself.
    pub master: MasterStatus,
    /// The workers that exist, by slot; with `cluster: false` the process itself.
    pub workers: Vec<WorkerStatus>,
    /// What the health check answers to load balancers.
    pub ecv: EcvStatus,
    /// The overload that there is, with the option `overload`. `None`: there is none.
    pub overload: Option<OverloadStatus>,
    /// Counters since the master's start, including workers that have exited.
    pub totals: Totals,
    /// The slots that should have a worker; empty with `cluster: false`.
    pub slots: Vec<SlotStatus>,
    /// What happened last, oldest first; at most [`EVENTS`].
    pub events: Vec<EventRecord>,
}

/// How many events are remembered.
pub const EVENTS: usize = 100;

/// A slot, which one worker holds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SlotStatus {
    /// Its number, from 0.
    pub slot: u32,
    /// That of its worker, or `waiting` for the next one.
    pub state: &'static str,
    /// Process id of its worker.
    pub pid: Option<u32>,
    /// When its next worker starts, if it waits for one.
    pub next_start: Option<Time>,
    /// How often its worker was replaced, for whatever reason.
    pub restarts: u32,
    /// How many of its workers ended although nobody asked them to.
    pub crashes: u32,
    /// How its latest worker that is gone ended.
    pub last_exit: Option<LastExit>,
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastExit {
    /// When the master saw its end.
    pub at: Time,
    /// Its process id.
    pub pid: u32,
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<&'static str>,
    /// The reason that `died` gives.
    pub reason: &'static str,
    /// The error that it did not catch, in words.
    pub error: Option<String>,
    /// Its last lines on standard error, as far as they are known, oldest first.
    pub lines: Vec<String>,
}

/// Whether an exit with this reason is one that nobody asked for.
pub fn is_crash(reason: &str) -> bool {
    matches!(reason, "crash" | "start-timeout" | "unresponsive")
}

/// How much an event matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Info,
    /// Somebody should know.
    Warn,
    /// A worker was lost, or a command failed.
    Error,
}

impl Level {
    /// Its word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Something that happened in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventRecord {
    /// Counts all events since the start, from 1.
    pub seq: u64,
    /// When it happened.
    pub time: Time,
    /// `start`, `spare`, `ready`, `exit`, `reload`, `recycle`, `scale`, `stuck`, `blocked`,
    /// `switch`, `overload`, `upgrade` or `warning`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// How much it matters.
    pub level: Level,
    /// The slot that it is about.
    pub slot: Option<u32>,
    /// Process id of the worker that it is about.
    pub pid: Option<u32>,
    /// What happened, in words. What a worker executes is on further lines.
    pub message: String,
}

/// The master process.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MasterStatus {
    /// Process id.
    pub pid: u32,
    /// What people call the cluster: the option `name`, or that of the app's package.
    pub name: String,
    /// The script that workers run, an absolute path. `None`: the process runs no script.
    pub script: Option<String>,
    /// The working directory of workers.
    pub directory: String,
    /// When it began to listen.
    pub started_at: Time,
    /// Version of cluster2-rs.
    pub version: String,
    /// Version of Node, `v20.20.2`.
    pub node: String,
    /// Name of the machine.
    pub hostname: String,
    /// The operating system with its release, `Linux 6.18.44 x86_64`.
    pub os: String,
    /// `running` or `leaving`.
    pub state: &'static str,
    /// How many workers there should be that serve; 0 with `cluster: false`.
    pub target: u32,
    /// How that number follows the work. `None`: it does not.
    pub scaling: Option<ScalingStatus>,
    /// How many spares there should be.
    pub spares: u32,
    /// The reload under way.
    pub reload: Option<ReloadProgress>,
    /// The upgrade under way: another master takes over, or the former one still drains.
    pub upgrade: Option<UpgradeStatus>,
    /// Where the app listens, `host:port` or a path each; empty until a worker is ready.
    pub listening: Vec<String>,
    /// Where the monitor listens, `host:port` or a path. `None`: it is off.
    pub monitor: Option<String>,
    /// Its resident memory, bytes.
    pub rss: u64,
    /// Processor time it used, milliseconds.
    pub cpu: f64,
    /// Processor time of late, percent of one core.
    pub cpu_percent: f64,
}

/// A reload under way.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ReloadProgress {
    /// Workers that it has replaced.
    pub replaced: u32,
    /// Workers that it replaces in total.
    pub total: u32,
    /// Whether another reload follows, because it was requested meanwhile.
    pub again: bool,
}

/// An upgrade under way.
#[derive(Debug, Clone, Serialize)]
pub struct UpgradeStatus {
    /// The other master's process id.
    pub pid: u32,
    /// `starting`, `taking over`, `called off` or `draining`.
    pub state: &'static str,
    /// Workers of the new master that are ready, while it starts.
    pub ready: u32,
    /// How many of them there should be.
    pub target: u32,
    /// Workers of the old master that are left, once the new one has taken over.
    pub draining: u32,
    /// What may go wrong, if anything, until the new one takes over.
    pub warning: Option<String>,
}

impl UpgradeStatus {
    /// Describes how far it is.
    pub fn describe(&self) -> String {
        let Self { pid, state, ready, .. } = self;
        let [target, draining] =
            [self.target, self.draining].map(|workers| counted(u64::from(workers), "worker"));
        match *state {
            "starting" => format!("master {pid} starts, {ready} of {target} ready"),
            "draining" => format!("master {pid} drains, {draining} left"),
            state => format!("master {pid}: {state}"),
        }
    }
}

/// A worker whose event loop has not turned for so long is stuck, milliseconds.
pub const STUCK_AFTER: u64 = 1_000;

/// One worker.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerStatus {
    /// Its slot.
    pub slot: u32,
    /// Process id.
    pub pid: u32,
    /// The nth worker of that slot, from 1.
    pub generation: u32,
    /// `starting`, `spare`, `ready`, `stuck`, `draining` or `killed`.
    pub state: &'static str,
    /// For how long the event loop of a ready, spare or draining worker has not turned,
    /// milliseconds.
    /// `None`: it turns.
    pub stuck_for: Option<u64>,
    /// When it was started.
    pub started_at: Time,
    /// Connections of this worker.
    pub connections: ConnectionCounts,
    /// Requests of this worker.
    pub requests: RequestCounts,
    /// By how much its last timer was late, milliseconds.
    pub event_loop_delay: f64,
    /// The part of the time in which its event loop was not idle of late, from 0 to 1. `None`: it
    /// is not known yet.
    pub event_loop_utilization: Option<f64>,
    /// Its resident memory, bytes.
    pub rss: u64,
    /// Processor time it used, milliseconds.
    pub cpu: f64,
    /// Processor time of late, percent of one core.
    pub cpu_percent: f64,
    /// How often the worker of that slot was replaced, for whatever reason.
    pub restarts: u32,
    /// How many workers of that slot ended although nobody asked them to.
    pub crashes: u32,
}

/// Connections of one worker.
#[derive(Debug, Clone, Copy, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConnectionCounts {
    /// Open now.
    pub active: u64,
    /// Ever served.
    pub total: u64,
    /// Ended by the idle time-out.
    pub timed_out: u64,
}

/// Requests of one worker.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct RequestCounts {
    /// Being answered.
    pub active: u64,
    /// Ever begun.
    pub total: u64,
}

/// What the health check answers to load balancers.
#[derive(Debug, Clone, Serialize)]
pub struct EcvStatus {
    /// Whether it was switched off.
    pub disabled: bool,
    /// When it was last switched; before that, when the master started.
    pub since: Time,
    /// Why there is no worker to send clients to, such as `no worker is ready`.
    pub unavailable: Option<String>,
    /// Workers whose last check found the app unhealthy.
    pub unhealthy: Vec<UnhealthyWorker>,
}

/// A worker whose last check failed.
#[derive(Debug, Clone, Serialize)]
pub struct UnhealthyWorker {
    /// Process id.
    pub pid: u32,
    /// What the check found.
    pub reason: String,
}

/// An overload: connections are answered 503, as the option `overload` says.
#[derive(Debug, Clone, Serialize)]
pub struct OverloadStatus {
    /// When it began.
    pub since: Time,
    /// How many connections were answered so since then.
    pub shed: u64,
}
