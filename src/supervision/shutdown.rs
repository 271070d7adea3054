//! How workers leave, one or all: by a drain that has a deadline, or killed at once.
//!
//! What always holds: a worker that is told to drain holds its slot no more; and it is gone by its deadline, or killed then.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::event::{Action, Notice, Outcome};
use crate::supervision::phase::Phase;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerState};

impl Supervisor {
    /// Shuts down, at once or after `shutdown_delay`. A further request during the delay changes nothing.
    pub(super) fn request_shutdown(&mut self, now: Millis) {
        match self.phase {
            Phase::Running if self.limits.shutdown_delay > 0 => {
                self.phase = Phase::ShutdownDelayed { until: now + self.limits.shutdown_delay };
            }
            Phase::Idle | Phase::Running => self.shut_down(now),
            Phase::ShutdownDelayed { .. } | Phase::ShuttingDown { .. } | Phase::Finished => {}
        }
    }

    fn shut_down(&mut self, now: Millis) {
        self.begin_shutdown(Outcome::Clean);
        for id in self.ids() {
            self.drain(id, Cause::Shutdown, now);
        }
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

    fn begin_shutdown(&mut self, outcome: Outcome) {
        self.cancel_reload();
        self.phase = Phase::ShuttingDown { outcome };
        self.actions.push(Action::StopAdmitting);
    }

    fn kill_all(&mut self) {
        for id in self.ids() {
            self.kill(id, Cause::Stop);
        }
    }

    /// Starts a drain. The slot is free at once, so that a replacement need not wait for the drain.
    pub(super) fn drain(&mut self, id: WorkerId, cause: Cause, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.holds_slot()) else {
            return;
        };
        let ready_for = if let WorkerState::Ready { since } = worker.state {
            Some(now.saturating_sub(since))
        } else {
            None
        };
        let pid = worker.pid.unwrap_or_default();
        worker.state =
            WorkerState::Draining { cause, deadline: now + self.limits.shutdown_timeout };
        self.actions.push(Action::Drain { worker: id });
        self.vacate(id, ready_for, now);
        if cause == Cause::Leave {
            self.lost(id, &format!("worker {pid} left"), now);
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId, cause: Cause) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !matches!(worker.state, WorkerState::Killed { .. }) {
            worker.state = WorkerState::Killed { cause };
            self.actions.push(Action::Kill { worker: id });
        }
    }

    pub(super) fn enforce_deadlines(&mut self, now: Millis) {
        if self.phase.shutdown_at().is_some_and(|at| at <= now) {
            self.shut_down(now);
        }
        let late: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, w)| w.deadline().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            match self.workers.get(&id).map(|worker| (worker.state, worker.pid)) {
                Some((WorkerState::Starting { .. }, pid)) => {
                    let (pid, limit) = (pid.unwrap_or_default(), self.limits.start_timeout);
                    self.notify(Notice::Warning(format!(
                        "worker {pid} was not ready within {limit} ms; it is killed"
                    )));
                    self.kill(id, Cause::StartTimeout);
                }
                Some((WorkerState::Draining { cause, .. }, pid)) => {
                    self.notify(Notice::DrainTimedOut { worker: id, pid: pid.unwrap_or_default() });
                    self.kill(id, cause);
                }
                _ => {}
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Phase::ShuttingDown { outcome } = &self.phase
            && self.workers.is_empty()
        {
            self.actions.push(Action::Finish(outcome.clone()));
            self.phase = Phase::Finished;
        }
    }
}
