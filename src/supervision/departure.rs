//! The departure of one worker: a drain, which has a deadline, or SIGKILL.
//!
//! What always holds: a draining worker does not hold its slot, so that its replacement need not
//! wait, and it is gone by its deadline or killed then.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::{Action, Notice};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerState};

impl Supervisor {
    /// Starts to drain a worker, and empties its slot.
    pub(super) fn drain(&mut self, id: WorkerId, cause: Cause, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.is_open()) else {
            return;
        };
        let (ready_for, is_spare) = (worker.settled_for(now), worker.is_spare);
        let pid = worker.pid.unwrap_or_default();
        let deadline = now + self.limits.shutdown_timeout;
        worker.state = WorkerState::Draining { cause, deadline };
        self.actions.push(Action::Drain { worker: id });
        if cause == Cause::Leave {
            self.vacate(id, ready_for, now);
            self.on_loss(id, is_spare, &format!("worker {pid} left"), now);
        } else {
            self.release(id, now);
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId, cause: Cause) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !matches!(worker.state, WorkerState::Killed { .. }) {
            worker.state = WorkerState::Killed { cause };
            self.actions.push(Action::Kill { worker: id });
        }
    }

    /// Begins a delayed shutdown that is due, and kills workers that are late.
    pub(super) fn enforce_deadlines(&mut self, now: Millis) {
        if self.phase.shutdown_at().is_some_and(|at| at <= now) {
            self.shut_down(now);
        }
        self.end_questions(now);
        self.report_slow_start(now);
        let is_late = |at: Millis| at <= now;
        let late: Vec<_> = self
            .workers()
            .filter(|(_, worker)| worker.deadline().is_some_and(is_late))
            .map(|(id, worker)| (id, worker.state, worker.pid.unwrap_or_default()))
            .collect();
        for (id, state, pid) in late {
            match state {
                WorkerState::Starting { .. } => {
                    let limit = self.limits.start_timeout;
                    self.notify(Notice::Warning(format!(
                        "worker {pid} was not ready within {limit} ms; it is killed"
                    )));
                    self.kill(id, Cause::StartTimeout);
                }
                WorkerState::Draining { cause, .. } => {
                    self.notify(Notice::DrainTimedOut { worker: id, pid });
                    self.kill(id, cause);
                }
                WorkerState::Waiting { .. }
                | WorkerState::Ready { .. }
                | WorkerState::Killed { .. } => {}
            }
        }
    }
}
