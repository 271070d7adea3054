//! The supervisor's record of one worker process, and the words in which its life is told.

use std::collections::BTreeSet;

use crate::clock::Millis;

/// Why a worker ended, seen from the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Nobody asked it to.
    Crash,
    /// It was not ready within `startTimeout`.
    StartTimeout,
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
    /// Graceful shutdown of the cluster.
    Shutdown,
    /// Abrupt stop of the cluster, or the end of a start that failed.
    Stop,
}

impl Cause {
    /// The word users see in `died`'s `reason`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::StartTimeout => "start-timeout",
            Self::Leave => "leave",
            Self::Reload => "reload",
            Self::Recycle => "recycle",
            Self::Unresponsive => "unresponsive",
            Self::Scale => "scale",
            Self::Shutdown => "shutdown",
            Self::Stop => "stop",
        }
    }
}

/// Where a worker is in its life. It only ever moves downwards in this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WorkerState {
    /// Started, not ready yet.
    Starting {
        /// When it is given up.
        deadline: Millis,
    },
    /// It listens.
    Ready {
        /// Since when.
        since: Millis,
    },
    /// It takes nothing new and finishes what it has.
    Draining {
        /// Why.
        cause: Cause,
        /// When it is killed.
        deadline: Millis,
    },
    /// SIGKILL was sent; the kernel's word of its end is awaited.
    Killed {
        /// Why.
        cause: Cause,
    },
}

/// One worker process.
#[derive(Debug, Clone)]
pub(crate) struct WorkerRecord {
    /// The place it holds, or held until its replacement took over.
    pub(crate) slot: u32,
    /// Grows with each process that ever held the slot, from 1.
    pub(crate) generation: u32,
    /// Its process id, once it was spawned.
    pub(crate) pid: Option<u32>,
    /// Where it is in its life.
    pub(crate) state: WorkerState,
    /// Its own share of the thresholds' jitter, 0 to 1.
    pub(crate) stretch: f64,
    /// When its event loop last turned, as far as samples told.
    pub(crate) beat: Millis,
    /// What it said of its own failure, if it came to that.
    pub(crate) uncaught_error: Option<String>,
    /// What its last health check found wrong.
    pub(crate) problem: Option<String>,
    /// Whether there was a check yet.
    pub(crate) checked: bool,
    /// What it last wrote to standard error before it was ready.
    pub(crate) last_lines: Vec<String>,
    /// Where it gets connections from the door, `host:port` or a path each.
    pub(crate) addresses: BTreeSet<String>,
}

impl WorkerRecord {
    /// One that has no process yet.
    pub(crate) fn new(slot: u32, generation: u32, state: WorkerState, stretch: f64) -> Self {
        Self {
            slot,
            generation,
            pid: None,
            state,
            stretch,
            beat: 0,
            uncaught_error: None,
            problem: None,
            checked: false,
            last_lines: Vec::new(),
            addresses: BTreeSet::new(),
        }
    }

    /// Whether it is ready.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.state, WorkerState::Ready { .. })
    }

    /// Whether it counts for its slot: draining and killed workers do not.
    pub(crate) fn holds_slot(&self) -> bool {
        matches!(self.state, WorkerState::Starting { .. } | WorkerState::Ready { .. })
    }

    /// How it ended, in words, with its own last ones and what it had written: one line, as every message.
    pub(crate) fn describe_end(&self, how: &str) -> String {
        let pid = self.pid.unwrap_or_default();
        let mut description = format!("worker {pid} {how}");
        if let Some(words) = &self.uncaught_error {
            description.push_str(&format!(": {words}"));
        }
        if !self.last_lines.is_empty() {
            description
                .push_str(&format!("; its last lines on stderr: {}", self.last_lines.join(" | ")));
        }
        description
    }

    /// When the supervisor has to look at it again, if nothing happens before.
    pub(crate) fn deadline(&self) -> Option<Millis> {
        match self.state {
            WorkerState::Starting { deadline } | WorkerState::Draining { deadline, .. } => {
                Some(deadline)
            }
            WorkerState::Ready { .. } | WorkerState::Killed { .. } => None,
        }
    }
}
