//! Spares: workers whose script has come to its `listen` and waits there, so that one can serve at
//! once where another one ends.
//!
//! What always holds:
//!
//! - A worker keeps its slot for its life, spare or not. There are as many slots as workers that
//!   serve and spares together. Which of them serve changes.
//! - No more workers serve than there should be, except old and new side by side while one is
//!   replaced. While fewer do, no worker that exists stays a spare.
//! - A spare is activated once, and never becomes one again.
//! - The end of a spare is not a crash: it counts for its slot's backoff alone.
//! - A spare is activated as soon as the process before it is known to end. The start of the
//!   next spare does not compete with it for a processor.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::{Action, Notice};
use crate::supervision::slot::Slot;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};

/// How much later than an activation the next spare starts, milliseconds.
pub(super) const PAUSE: Millis = 50;

impl Supervisor {
    /// How many slots should have a worker: one that serves, or a spare.
    pub(super) fn wanted_slots(&self) -> usize {
        self.target + self.limits.spares as usize
    }

    /// How many spares there should be.
    pub(crate) fn spares(&self) -> u32 {
        self.limits.spares
    }

    /// The workers that hold a slot and serve.
    pub(super) fn serving_holders(&self) -> impl Iterator<Item = &WorkerRecord> {
        let holders = self.holders().filter_map(|id| self.workers.get(&id));
        holders.filter(|worker| worker.is_serving())
    }

    /// How many slots have a worker that serves. An old worker and its successor count once.
    pub(super) fn serving_count(&self) -> usize {
        let serves = |id: &WorkerId| self.workers.get(id).is_some_and(WorkerRecord::is_serving);
        let count = self.serving_holders().count();
        let Some(current) = self.replacements.current() else { return count };
        let [old, new] = [current.old, current.new].map(|id| (self.has_slot(id), serves(&id)));
        match (old, new) {
            ((true, true), (true, true)) => count - 1,
            // The old one was killed, and has its slot until it is gone.
            ((true, false), (false, true)) => count + 1,
            _ => count,
        }
    }

    /// The script of a spare has come to its `listen`.
    pub(super) fn waiting(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (WorkerState::Starting { .. }, Some(pid), true) =
            (worker.state, worker.pid, worker.is_spare)
        else {
            return;
        };
        worker.state = WorkerState::Waiting { since: now };
        worker.has_waited = true;
        worker.beat = now;
        self.notify(Notice::Spare { pid });
        self.replacements.successor_ready(id, Some(now));
    }

    /// Activates spares while fewer workers serve than should.
    pub(super) fn activate_spares(&mut self, now: Millis) {
        while self.is_running() && self.serving_count() < self.target {
            let Some(spare) = self.best_spare() else { return };
            self.no_spare_before = now + PAUSE;
            self.activate(spare, now);
        }
    }

    /// The spare that serves soonest: one that waits and is not stuck, the oldest first.
    fn best_spare(&self) -> Option<WorkerId> {
        let spares = self.holders().filter_map(|id| Some((id, self.workers.get(&id)?)));
        let spares = spares.filter(|(_, worker)| worker.is_spare && worker.is_open());
        spares
            .filter(|(_, worker)| worker.pid.is_some() && !worker.is_ending)
            .min_by_key(|(id, worker)| {
                (worker.is_starting(), self.stuck_for(worker).is_some(), *id)
            })
            .map(|(id, _)| id)
    }

    /// Returns the spare that can take over from a worker that serves now: in a reload, one of the
    /// new code.
    pub(super) fn spare_for_replacement(&self) -> Option<WorkerId> {
        let is_reload = self.replacements.is_reloading();
        let is_fit = |id: &WorkerId| {
            let worker =
                self.workers.get(id).filter(|_| !is_reload || self.replacements.is_new(*id));
            worker
                .filter(|worker| worker.is_waiting() && !worker.is_ending)
                .is_some_and(|worker| self.stuck_for(worker).is_none())
        };
        self.holders().filter(is_fit).min()
    }

    /// Whether a spare of the new code will soon be there for the next step of a reload.
    pub(super) fn awaits_spare(&self) -> bool {
        let starts = |id: WorkerId| {
            let worker = self.workers.get(&id).filter(|_| self.replacements.is_new(id));
            worker.is_some_and(|worker| worker.is_spare && worker.is_starting())
        };
        self.replacements.current().is_none()
            && self.spare_for_replacement().is_none()
            && self.holders().any(starts)
    }

    /// Has a spare serve. Where it is being replaced itself, its successor goes on to replace it.
    pub(super) fn activate(&mut self, id: WorkerId, now: Millis) {
        let deadline = now + self.limits.start_timeout;
        let spare = |worker: &&mut WorkerRecord| worker.is_spare && worker.is_open();
        let Some(worker) = self.workers.get_mut(&id).filter(spare) else { return };
        worker.is_spare = false;
        if worker.is_waiting() {
            worker.state = WorkerState::Starting { deadline };
        }
        let pid = worker.pid;
        self.actions.push(Action::Activate { worker: id });
        pid.into_iter().for_each(|pid| self.notify(Notice::Activated { pid }));
        self.replacements.successor_ready(id, None);
        if let Some(current) = self.replacements.current().filter(|current| current.old == id) {
            self.activate(current.new, now);
        }
    }

    /// Lets spares start once the first workers have: before, they would only slow those down.
    pub(super) fn begin_spares(&mut self, now: Millis) {
        let starts = |worker: &WorkerRecord| worker.is_serving() && worker.is_starting();
        if self.have_spares_begun
            || !self.is_running()
            || self.ready_workers().next().is_none()
            || self.workers.values().any(starts)
        {
            return;
        }
        self.have_spares_begun = true;
        let wanted = self.wanted_slots();
        let is_forgotten = |slot: &&mut Slot| slot.holder().is_none() && slot.refill_at().is_none();
        let forgotten = self.slots[..wanted].iter_mut().filter(is_forgotten);
        forgotten.for_each(|slot| slot.vacate(Some(now)));
    }

    /// Drains workers that are too many, those in the highest slots. Spares take their slots.
    pub(super) fn drain_excess(&mut self, now: Millis) {
        while self.serving_count() > self.target {
            let current = self.replacements.current();
            let is_replaced = |id: &WorkerId| current.is_some_and(|c| c.old == *id || c.new == *id);
            let serves = |id: &WorkerId| self.workers.get(id).is_some_and(WorkerRecord::is_serving);
            let excess = self.holders().filter(|id| serves(id) && !is_replaced(id)).last();
            let Some(excess) = excess else { return };
            self.drain(excess, Cause::Scale, now);
        }
    }
}
