//! How workers leave, one or all: by a drain that has a deadline, or killed at once.
//!
//! What always holds: a worker that is told to drain holds its slot no more; and it is gone by its deadline, or killed then.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::event::{Action, Notice, Outcome};
use crate::supervision::supervisor::{Phase, Supervisor};
use crate::supervision::worker::{Cause, State};

impl Supervisor {
    /// A shutdown, at once or after `shutdown_delay`; asked again during the delay, it changes nothing.
    pub(super) fn ask_to_leave(&mut self, now: Millis) {
        match self.leave_at {
            None if self.is_running() && self.limits.shutdown_delay > 0 => {
                self.leave_at = Some(now + self.limits.shutdown_delay);
            }
            None => self.shutdown(now),
            Some(_) => {}
        }
    }

    fn shutdown(&mut self, now: Millis) {
        self.leave_at = None;
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Finished) {
            return;
        }
        self.cancel_reload();
        self.phase = Phase::Leaving { outcome: Outcome::Clean };
        self.actions.push(Action::CloseDoor);
        for id in self.ids() {
            self.drain(id, Cause::Shutdown, now);
        }
    }

    pub(super) fn stop(&mut self) {
        match &self.phase {
            Phase::Finished => {}
            Phase::Leaving { .. } => self.kill_all(),
            Phase::Idle | Phase::Running { .. } => self.leave_at_once(Outcome::Clean),
        }
    }

    pub(super) fn leave_at_once(&mut self, outcome: Outcome) {
        self.leave_at = None;
        self.cancel_reload();
        self.phase = Phase::Leaving { outcome };
        self.actions.push(Action::CloseDoor);
        self.kill_all();
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
        let ready_for = if let State::Ready { since } = worker.state {
            Some(now.saturating_sub(since))
        } else {
            None
        };
        let pid = worker.pid.unwrap_or_default();
        worker.state = State::Draining { cause, deadline: now + self.limits.shutdown_timeout };
        self.actions.push(Action::Drain { worker: id });
        self.vacate(id, ready_for, now);
        if cause == Cause::Leave {
            self.lost(id, &format!("worker {pid} left"), now);
        }
    }

    pub(super) fn kill(&mut self, id: WorkerId, cause: Cause) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !matches!(worker.state, State::Killed { .. }) {
            worker.state = State::Killed { cause };
            self.actions.push(Action::Kill { worker: id });
        }
    }

    pub(super) fn enforce_deadlines(&mut self, now: Millis) {
        if self.leave_at.is_some_and(|at| at <= now) {
            self.shutdown(now);
        }
        let late: Vec<WorkerId> = self
            .workers
            .iter()
            .filter(|(_, w)| w.deadline().is_some_and(|at| at <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in late {
            match self.workers.get(&id).map(|worker| (worker.state, worker.pid)) {
                Some((State::Starting { .. }, pid)) => {
                    let (pid, limit) = (pid.unwrap_or_default(), self.limits.start_timeout);
                    self.tell(Notice::Warning(format!(
                        "worker {pid} was not ready within {limit} ms; it is killed"
                    )));
                    self.kill(id, Cause::StartTimeout);
                }
                Some((State::Draining { cause, .. }, pid)) => {
                    self.tell(Notice::Cut { worker: id, pid: pid.unwrap_or_default() });
                    self.kill(id, cause);
                }
                _ => {}
            }
        }
    }

    pub(super) fn finish(&mut self) {
        if let Phase::Leaving { outcome, .. } = &self.phase
            && self.workers.is_empty()
        {
            self.actions.push(Action::Finish(outcome.clone()));
            self.phase = Phase::Finished;
        }
    }
}
