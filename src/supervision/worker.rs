//! The supervisor's record of one worker process, and the words in which its life is told.

use std::collections::BTreeSet;

use crate::clock::Millis;

/// Why a worker ended, seen from the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
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
    pub fn word(self) -> &'static str {
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
pub enum State {
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
pub struct Worker {
    /// The place it holds, or held until its replacement took over.
    pub slot: u32,
    /// Grows with each process that ever held the slot, from 1.
    pub generation: u32,
    /// Its process id, once it was spawned.
    pub pid: Option<u32>,
    /// Where it is in its life.
    pub state: State,
    /// Its own share of the thresholds' jitter, 0 to 1.
    pub stretch: f64,
    /// When its event loop last turned, as far as samples told.
    pub beat: Millis,
    /// What it said of its own failure, if it came to that.
    pub last_words: Option<String>,
    /// What its last health check found wrong.
    pub problem: Option<String>,
    /// Whether there was a check yet.
    pub checked: bool,
    /// What it last wrote to standard error before it was ready.
    pub last_lines: Vec<String>,
    /// Where it gets connections from the door, `host:port` or a path each.
    pub addresses: BTreeSet<String>,
}

impl Worker {
    /// One that has no process yet.
    pub fn new(slot: u32, generation: u32, state: State, stretch: f64) -> Self {
        Self {
            slot,
            generation,
            pid: None,
            state,
            stretch,
            beat: 0,
            last_words: None,
            problem: None,
            checked: false,
            last_lines: Vec::new(),
            addresses: BTreeSet::new(),
        }
    }

    /// Whether it counts for its slot: draining and killed workers do not.
    pub fn holds_slot(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Ready { .. })
    }

    /// How it ended, in words, with its own last ones and what it had written: one line, as every message.
    pub fn describe_end(&self, how: &str) -> String {
        let pid = self.pid.unwrap_or_default();
        let mut description = format!("worker {pid} {how}");
        if let Some(words) = &self.last_words {
            description.push_str(&format!(": {words}"));
        }
        if !self.last_lines.is_empty() {
            description
                .push_str(&format!("; its last lines on stderr: {}", self.last_lines.join(" | ")));
        }
        description
    }

    /// When the supervisor has to look at it again, if nothing happens before.
    pub fn deadline(&self) -> Option<Millis> {
        match self.state {
            State::Starting { deadline } | State::Draining { deadline, .. } => Some(deadline),
            State::Ready { .. } | State::Killed { .. } => None,
        }
    }
}
