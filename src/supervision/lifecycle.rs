//! The life of a worker, from its spawn to its death, and the first start of a cluster.

use crate::clock::Millis;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::messages::{Action, Notice, Outcome};
use crate::supervision::phase::Phase;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};

/// A first start that takes less is not slow, milliseconds.
const LEAST_SLOW: Millis = 3_000;

impl Supervisor {
    pub(super) fn start(&mut self, now: Millis) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            self.slots[..self.target].iter_mut().for_each(|slot| slot.vacate(Some(now)));
        }
    }

    pub(super) fn spawned(&mut self, id: WorkerId, pid: u32) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = Some(pid);
            self.notify(Notice::Forked { pid });
        }
    }

    /// A worker's process ends. What it said last may tell why, and the kernel has to free its
    /// memory, but others can serve already.
    pub(super) fn ending(&mut self, id: WorkerId, now: Millis) {
        if self.limits.spares > 0 {
            self.update(id, |worker| worker.is_ending = true);
        } else if self.can_follow_early(id) {
            let ready_for = self.worker(id).and_then(|worker| worker.ready_for(now));
            self.update(id, |worker| worker.is_ending = true);
            // One that has only become another program ends by it.
            self.actions.push(Action::Kill { worker: id });
            self.vacate(id, ready_for, now);
        }
    }

    /// Whether the next worker may start before the end of this one is known: where that only makes
    /// a slot free.
    fn can_follow_early(&self, id: WorkerId) -> bool {
        let limits = &self.limits;
        let is_changing = self.replacements.is_reloading() || self.replacements.current().is_some();
        let may_start = limits.follows_early && limits.give_up_after.is_none() && !is_changing;
        let is_ready = self.worker(id).is_some_and(WorkerRecord::is_ready);
        may_start && is_ready && self.is_running() && self.has_slot(id)
    }

    pub(super) fn spawn_failed(&mut self, id: WorkerId, reason: String, now: Millis) {
        if let Some(worker) = self.workers.remove(&id) {
            if !worker.is_spare {
                self.slot_crashed(worker.slot);
            }
            self.notify(Notice::Warning(format!("cannot start a worker: {reason}")));
            self.vacate(id, None, now);
            self.on_loss(id, worker.is_spare, &reason, now);
            self.count_crash(worker.is_spare, reason, now);
        }
    }

    pub(super) fn ready(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (WorkerState::Starting { .. }, Some(pid), false) =
            (worker.state, worker.pid, worker.is_spare)
        else {
            return;
        };
        worker.state = WorkerState::Ready { since: now };
        worker.beat = now;
        self.crashes.end();
        self.notify(Notice::Listening { pid });
        self.replacements.successor_ready(id, Some(now));
    }

    pub(super) fn exited(&mut self, id: WorkerId, exit: Exit, now: Millis) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let (cause, is_lost) = match worker.state {
            WorkerState::Starting { .. }
            | WorkerState::Waiting { .. }
            | WorkerState::Ready { .. } => (Cause::Crash, true),
            WorkerState::Draining { cause, .. } => (cause, false),
            WorkerState::Killed { cause } => (cause, cause == Cause::StartTimeout),
        };
        // Clients do not notice the end of a spare.
        let shown = if worker.is_spare && cause.is_crash() { Cause::Spare } else { cause };
        if shown.is_crash() {
            self.slot_crashed(worker.slot);
        }
        if let Some(pid) = worker.pid {
            let last_words = worker.last_words();
            self.notify(Notice::Died { worker: id, pid, exit, cause: shown, last_words });
        }
        self.vacate(id, worker.settled_for(now), now);
        if !is_lost {
            return;
        }
        let reason = worker.describe_end(&match cause {
            Cause::StartTimeout => "was not ready in time".into(),
            _ => exit.describe(),
        });
        self.on_loss(id, worker.is_spare, &reason, now);
        let advice = advice(&worker, cause, exit, self.limits.start_timeout);
        self.count_crash(worker.is_spare, reason + &advice, now);
    }

    /// When to report that the first start is slow, if it was not: before its workers are killed,
    /// so that nobody waits in silence.
    pub(super) fn slow_start_at(&self) -> Option<Millis> {
        let wait = self.limits.start_timeout / 3;
        let is_first = self.is_running() && self.crashes.are_of_first_start();
        if self.is_slow_known || !is_first || wait < LEAST_SLOW {
            return None;
        }
        let deadlines = self.workers.values().filter(|worker| worker.is_starting());
        let started = deadlines.filter_map(|worker| worker.deadline());
        started.min().map(|deadline| deadline - self.limits.start_timeout + wait)
    }

    pub(super) fn report_slow_start(&mut self, now: Millis) {
        if self.slow_start_at().is_none_or(|at| at > now) {
            return;
        }
        self.is_slow_known = true;
        let limit = self.limits.start_timeout;
        let [wait, limit] = [limit / 3, limit].map(|millis| millis / 1_000);
        let has_listened = self.workers.values().any(|worker| !worker.addresses.is_empty());
        let listen = if has_listened {
            ""
        } else {
            ". None has called listen(): --no-listen (listen: false) runs a script as a task"
        };
        self.notify(Notice::Warning(format!(
            "no worker is ready after {wait} s; each has {limit} s, or as much as --start-timeout \
             (startTimeout) says{listen}"
        )));
    }

    /// Counts a crash, unless a worker is ready or a spare crashed. Gives up after `give_up_after`
    /// of them; without that option only on the first start, after as many as there are slots. What
    /// still serves then drains, as in a shutdown.
    fn count_crash(&mut self, is_spare: bool, reason: String, now: Millis) {
        if is_spare || !self.is_running() || self.ready_workers().next().is_some() {
            return;
        }
        let count = self.crashes.add();
        match self.limits.give_up_after {
            Some(most) if u64::from(count) >= most => {
                let reason = if count == 1 {
                    reason
                } else {
                    format!("{count} crashes in a row (giveUpAfter), the last: {reason}")
                };
                self.begin_shutdown(Outcome::StartFailed { reason });
                self.drain_all(Cause::Shutdown, now);
            }
            None if self.crashes.are_of_first_start() && count as usize >= self.target => {
                self.stop_with(Outcome::StartFailed { reason });
            }
            _ => {}
        }
    }
}

/// Says what a user can do about the end of a worker that was not ready, beginning with a blank;
/// empty where the end says it itself.
fn advice(worker: &WorkerRecord, cause: Cause, exit: Exit, start_timeout: Millis) -> String {
    let has_listened = !worker.addresses.is_empty();
    let error = worker.uncaught_error.as_deref().unwrap_or_default();
    if error.contains("EADDRINUSE") {
        return ". Another process listens there: `ss -ltnp` shows which".to_owned();
    }
    let seconds = start_timeout as f64 / 1_000.0;
    match (cause, exit) {
        (Cause::StartTimeout, _) if has_listened => {
            format!(". A slow start gets more than {seconds} s by --start-timeout (startTimeout)")
        }
        (Cause::StartTimeout, _) => format!(
            ". It never called listen(): --no-listen (listen: false) runs it as a task; a slow \
             start gets more than {seconds} s by --start-timeout (startTimeout)"
        ),
        (Cause::Crash, Exit::Code(0)) if !has_listened && error.is_empty() => {
            ". It never called listen(): --no-listen (listen: false) runs it as a task".to_owned()
        }
        _ => String::new(),
    }
}
