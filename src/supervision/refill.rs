//! Slots and their workers: when a slot gets its next worker.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Action;
use crate::supervision::slot::{Occupancy, Slot};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{WorkerRecord, WorkerState};

impl Supervisor {
    /// Empties the slot that `id` holds, if any, and sets when it is refilled. `ready_for` is how
    /// long the worker had been ready; `None` if it never was.
    pub(super) fn vacate(&mut self, id: WorkerId, ready_for: Option<Millis>, now: Millis) {
        let jitter = self.random.u64(..);
        let successor = self.replacements.current().filter(|current| current.old == id);
        let mut slots = self.slots.iter_mut().enumerate();
        let Some((index, slot)) = slots.find(|(_, slot)| slot.holder() == Some(id)) else {
            return;
        };
        if let Some(successor) = successor {
            // It is already on its way.
            slot.occupancy = Occupancy::Held(successor.new);
            return;
        }
        let wait = match ready_for {
            Some(ready_for) => slot.backoff.after_loss(ready_for, jitter),
            None => slot.backoff.after_failed_start(jitter),
        };
        slot.vacate((index < self.target).then_some(now + wait));
    }

    /// Gives a worker to every slot whose time has come. While no worker is ready or starting, one
    /// slot that lost a ready one does not wait: the one whose time comes first. The others do, so
    /// that workers that all end soon after they are ready do not take the machine.
    pub(super) fn refill(&mut self, now: Millis) {
        if !self.is_running() {
            self.slots.iter_mut().for_each(Slot::stop_waiting);
            return;
        }
        for index in 0..self.slots.len() {
            if self.slots[index].refill_at().is_some_and(|at| at <= now) {
                self.fill(index, now);
            }
        }
        if self.workers.values().any(WorkerRecord::is_serving) {
            return;
        }
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.waits_after_loss());
        if let Some((index, _)) = slots.min_by_key(|(_, slot)| slot.refill_at()) {
            self.fill(index, now);
        }
    }

    fn fill(&mut self, index: usize, now: Millis) {
        let worker = self.spawn(index, now);
        self.slots[index].occupancy = Occupancy::Held(worker);
    }

    pub(super) fn spawn(&mut self, index: usize, now: Millis) -> WorkerId {
        self.last_id += 1;
        let id = WorkerId(self.last_id);
        self.slots[index].generation += 1;
        let (slot, generation) = (index as u32, self.slots[index].generation);
        let state = WorkerState::Starting { deadline: now + self.limits.start_timeout };
        let jitter = self.random.f64();
        self.workers.insert(id, WorkerRecord::new(slot, generation, state, jitter));
        self.actions.push(Action::Spawn { worker: id, slot, generation });
        id
    }
}
