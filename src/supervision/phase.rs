//! The phases in the life of a cluster.

use crate::clock::Millis;
use crate::supervision::messages::Outcome;

/// Where a cluster is in its life. It only moves down this list, and skips a phase where it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not started yet.
    Idle,
    /// Every slot has a worker or gets one.
    Running,
    /// A shutdown begins at `until`. Workers are supervised as before.
    ShutdownDelayed { until: Millis },
    /// No client is admitted and no worker started. The workers drain, or were killed.
    ShuttingDown { outcome: Outcome },
    /// The last worker is gone.
    Finished,
}

impl Phase {
    /// Whether workers that end are replaced.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self, Self::Running | Self::ShutdownDelayed { .. })
    }

    /// Whether a shutdown or stop was requested, or the start has failed.
    pub(crate) fn is_leaving(&self) -> bool {
        !matches!(self, Self::Idle | Self::Running)
    }

    /// When a delayed shutdown begins.
    pub(super) fn shutdown_at(&self) -> Option<Millis> {
        match self {
            Self::ShutdownDelayed { until } => Some(*until),
            _ => None,
        }
    }
}
