//! The end of the cluster: a shutdown drains all workers, a stop kills them.

use crate::clock::Millis;
use crate::supervision::messages::{Action, Outcome};
use crate::supervision::phase::Phase;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;

impl Supervisor {
    /// Shuts down, at once or after `shutdown_delay`. A further request during the delay changes
    /// nothing.
    pub(super) fn request_shutdown(&mut self, now: Millis) {
        match self.phase {
            Phase::Running if self.limits.shutdown_delay > 0 => {
                self.phase = Phase::ShutdownDelayed { until: now + self.limits.shutdown_delay };
            }
            Phase::Idle | Phase::Running => self.shut_down(now),
            Phase::ShutdownDelayed { .. } | Phase::ShuttingDown { .. } | Phase::Finished => {}
        }
    }

    pub(super) fn shut_down(&mut self, now: Millis) {
        self.begin_shutdown(Outcome::Clean);
        self.drain_all(Cause::Shutdown, now);
    }

    pub(super) fn drain_all(&mut self, cause: Cause, now: Millis) {
        let all: Vec<_> = self.workers.keys().copied().collect();
        all.into_iter().for_each(|id| self.drain(id, cause, now));
    }

    /// Kills all workers; during a shutdown, those that are left.
    pub(super) fn stop(&mut self) {
        match self.phase {
            Phase::Finished => {}
            Phase::ShuttingDown { .. } => self.kill_all(),
            _ => self.stop_with(Outcome::Clean),
        }
    }

    pub(super) fn stop_with(&mut self, outcome: Outcome) {
        self.begin_shutdown(outcome);
        self.kill_all();
    }

    pub(super) fn begin_shutdown(&mut self, outcome: Outcome) {
        self.cancel_reload();
        self.phase = Phase::ShuttingDown { outcome };
        self.actions.push(Action::StopAdmitting);
    }

    fn kill_all(&mut self) {
        let all: Vec<_> = self.workers.keys().copied().collect();
        all.into_iter().for_each(|id| self.kill(id, Cause::Stop));
    }

    /// Ends the cluster when the last worker is gone.
    pub(super) fn finish(&mut self) {
        if let Phase::ShuttingDown { outcome } = &self.phase
            && self.workers.is_empty()
        {
            self.actions.push(Action::Finish(outcome.clone()));
            self.phase = Phase::Finished;
        }
    }
}
