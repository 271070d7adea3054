//! The supervisor's record of one worker process.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::protocol::status::is_crash;
use crate::supervision::blocks::{Blocks, Question};
use crate::supervision::utilization::Utilization;

/// Why a worker ended, as the cluster sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody asked it to.
    Crash,
    /// It was not ready within `startTimeout`.
    StartTimeout,
    /// It was a spare, and nobody asked it to end.
    Spare,
    /// It asked to leave, for example after a SIGTERM of its own.
    Leave,
    /// A reload replaced it.
    Reload,
    /// It passed a threshold and was replaced.
    Recycle,
    /// Its event loop was stuck for longer than `maxHeartbeatDelay`.
    Unresponsive,
    /// The cluster became smaller.
    Scale,
    /// The cluster shut down gracefully.
    Shutdown,
    /// The cluster was stopped, or its start failed.
    Stop,
    /// Another master took over.
    Upgrade,
}

impl Cause {
    /// Whether the worker ended although nobody asked it to.
    pub(crate) fn is_crash(self) -> bool {
        is_crash(self.word())
    }

    /// The `reason` of the event `died`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::StartTimeout => "start-timeout",
            Self::Spare => "spare",
            Self::Leave => "leave",
            Self::Reload => "reload",
            Self::Recycle => "recycle",
            Self::Unresponsive => "unresponsive",
            Self::Scale => "scale",
            Self::Shutdown => "shutdown",
            Self::Stop => "stop",
            Self::Upgrade => "upgrade",
        }
    }

    /// The words of all causes.
    pub(crate) const WORDS: [&'static str; 11] = [
        Self::Crash.word(),
        Self::StartTimeout.word(),
        Self::Spare.word(),
        Self::Leave.word(),
        Self::Reload.word(),
        Self::Recycle.word(),
        Self::Unresponsive.word(),
        Self::Scale.word(),
        Self::Shutdown.word(),
        Self::Stop.word(),
        Self::Upgrade.word(),
    ];
}

/// Where a worker is in its life. It only moves down this list, except that a spare starts again
/// when it is activated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Not ready yet. It is killed at `deadline`.
    Starting { deadline: Millis },
    /// A spare: its script has come to its `listen` at `since`, and waits there.
    Waiting { since: Millis },
    /// Its app listens since `since`.
    Ready { since: Millis },
    /// It takes nothing new and finishes what it has. It is killed at `deadline`.
    Draining { cause: Cause, deadline: Millis },
    /// SIGKILL was sent; the kernel has not reported its end yet.
    Killed { cause: Cause },
}

/// The result of a worker's latest health check.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Health {
    /// No check yet.
    #[default]
    Unknown,
    Healthy,
    /// What the check found.
    Unhealthy(String),
}

/// What a worker said of its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LastWords {
    /// The slot in which it was.
    pub(crate) slot: u32,
    /// The error that it did not catch, in words.
    pub(crate) error: Option<String>,
    /// Its last lines on standard error, oldest first.
    pub(crate) lines: Vec<String>,
}

/// The supervisor's record of one worker process.
#[derive(Debug, Clone)]
pub(crate) struct WorkerRecord {
    /// The slot it holds, or held until its replacement took over.
    pub(crate) slot: u32,
    /// Counts the workers of the slot, from 1.
    pub(crate) generation: u32,
    /// `None` until it was spawned.
    pub(crate) pid: Option<u32>,
    /// Whether it is a spare, and was not activated.
    pub(crate) is_spare: bool,
    /// It has waited as a spare.
    pub(super) has_waited: bool,
    /// Its process ends, and its last reports are still to come.
    pub(crate) is_ending: bool,
    pub(crate) state: WorkerState,
    /// When its event loop last turned, as far as samples say.
    pub(super) beat: Millis,
    /// When it was asked last to show that.
    pub(super) asked_to_beat: Option<Millis>,
    /// Where it gets connections from the dispatcher; each is `host:port` or a path.
    pub(crate) addresses: BTreeSet<String>,
    /// What it executes was asked, and is not known yet.
    pub(super) asked: Option<Question>,
    pub(super) blocks: Blocks,
    /// How busy its event loop was since it became ready; empty without `max_workers`.
    pub(super) utilization: Utilization,
    /// Its resident memory at the latest sample, bytes; 0 without `max_workers`.
    pub(super) memory: u64,
    pub(super) health: Health,
    /// How much later than others it passes a threshold, from 0 to 1.
    pub(super) jitter: f64,
    /// The error that it did not catch, in words.
    pub(super) uncaught_error: Option<String>,
    /// Its last lines on standard error, once it has ended.
    pub(super) last_lines: Vec<String>,
}

impl WorkerRecord {
    /// A worker without a process.
    pub(super) fn new(slot: u32, generation: u32, state: WorkerState, jitter: f64) -> Self {
        Self {
            slot,
            generation,
            pid: None,
            is_spare: false,
            has_waited: false,
            is_ending: false,
            state,
            beat: 0,
            asked_to_beat: None,
            asked: None,
            blocks: Blocks::default(),
            utilization: Utilization::default(),
            memory: 0,
            addresses: BTreeSet::new(),
            health: Health::Unknown,
            jitter,
            uncaught_error: None,
            last_lines: Vec::new(),
        }
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, WorkerState::Ready { .. })
    }

    pub(super) fn is_starting(&self) -> bool {
        matches!(self.state, WorkerState::Starting { .. })
    }

    /// Whether it is a spare whose script waits in its `listen`.
    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state, WorkerState::Waiting { .. })
    }

    /// Whether nothing has ended it: it starts, waits or is ready.
    pub(super) fn is_open(&self) -> bool {
        self.is_starting() || self.is_waiting() || self.is_ready()
    }

    /// Whether it counts as one of the workers that serve: it starts, or is ready, and is not a
    /// spare.
    pub(super) fn is_serving(&self) -> bool {
        self.is_open() && !self.is_spare && !self.is_ending
    }

    /// Whether its start is over: it is ready, or waits as a spare.
    pub(super) fn is_settled(&self) -> bool {
        self.is_ready() || self.is_waiting()
    }

    /// Whether its event loop should turn: its start is over, or it was activated after it had
    /// waited.
    pub(super) fn should_turn(&self) -> bool {
        self.is_settled() || (self.is_starting() && self.has_waited)
    }

    /// How long it has been ready; `None` if it is not.
    pub(super) fn ready_for(&self, now: Millis) -> Option<Millis> {
        match self.state {
            WorkerState::Ready { since } => Some(now.saturating_sub(since)),
            _ => None,
        }
    }

    /// How long it has been ready, or has waited as a spare; `None` if it does neither.
    pub(super) fn settled_for(&self, now: Millis) -> Option<Millis> {
        match self.state {
            WorkerState::Ready { since } | WorkerState::Waiting { since } => {
                Some(now.saturating_sub(since))
            }
            _ => None,
        }
    }

    /// What its latest health check found wrong.
    pub(super) fn problem(&self) -> Option<&str> {
        match &self.health {
            Health::Unhealthy(problem) => Some(problem),
            Health::Unknown | Health::Healthy => None,
        }
    }

    /// Returns what it said of its end.
    pub(crate) fn last_words(&self) -> LastWords {
        let (error, lines) = (self.uncaught_error.clone(), self.last_lines.clone());
        LastWords { slot: self.slot, error, lines }
    }

    /// Describes its end in one line, with its uncaught error and its last lines.
    pub(super) fn describe_end(&self, how: &str) -> String {
        let pid = self.pid.unwrap_or_default();
        let mut description = format!("worker {pid} {how}");
        if let Some(error) = &self.uncaught_error {
            description.push_str(&format!(": {error}"));
        }
        let repeats = |line: &String| self.uncaught_error.as_ref() == Some(line);
        if !self.last_lines.first().is_none_or(repeats) {
            let lines = self.last_lines.join(" | ");
            description.push_str(&format!("; its last lines on stderr: {lines}"));
        }
        description
    }

    /// When it is killed if nothing happens before.
    pub(super) fn deadline(&self) -> Option<Millis> {
        match self.state {
            WorkerState::Starting { deadline } | WorkerState::Draining { deadline, .. } => {
                Some(deadline)
            }
            WorkerState::Waiting { .. }
            | WorkerState::Ready { .. }
            | WorkerState::Killed { .. } => None,
        }
    }
}
