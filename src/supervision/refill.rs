//! Slots and their workers: when a slot gets its next worker.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Action;
use crate::supervision::slot::{Occupancy, Slot};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{WorkerRecord, WorkerState};

impl Supervisor {
    /// Empties the slot that `id` holds, if any, and sets when it is refilled. `ready_for` is how
    /// long the worker had been ready, or had waited as a spare; `None` if it never did.
    pub(super) fn vacate(&mut self, id: WorkerId, ready_for: Option<Millis>, now: Millis) {
        let jitter = self.random.u64(..);
        let Some(index) = self.empty_slot(id) else { return };
        let backoff = &mut self.slots[index].backoff;
        let wait = match ready_for {
            Some(ready_for) => backoff.after_loss(ready_for, jitter),
            None => backoff.after_failed_start(jitter),
        };
        self.refill_slot_at(index, now + wait);
    }

    /// As `vacate`, for a worker that is not wanted any more: its slot is refilled at once.
    pub(super) fn release(&mut self, id: WorkerId, now: Millis) {
        if let Some(index) = self.empty_slot(id) {
            self.refill_slot_at(index, now);
        }
    }

    /// Sets when an empty slot gets its next worker, if there should be one.
    fn refill_slot_at(&mut self, index: usize, at: Millis) {
        let at = (index < self.wanted_slots()).then_some(at);
        self.slots[index].vacate(at);
    }

    /// Returns the slot that `id` holds, if no successor takes it over.
    fn empty_slot(&mut self, id: WorkerId) -> Option<usize> {
        let index = self.slots.iter().position(|slot| slot.holder() == Some(id))?;
        let successor = self.replacements.current().filter(|current| current.old == id);
        // It is already on its way; unless it has a slot of its own, as a spare has.
        match successor.filter(|current| !self.has_slot(current.new)) {
            Some(current) => {
                self.slots[index].occupancy = Occupancy::Held(current.new);
                None
            }
            None => Some(index),
        }
    }

    /// Whether a worker holds a slot.
    pub(super) fn has_slot(&self, id: WorkerId) -> bool {
        self.slots.iter().any(|slot| slot.holder() == Some(id))
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
            if self.slots[index].refill_at().is_none_or(|at| at > now) {
                continue;
            }
            let is_for_spare = self.serving_count() >= self.target;
            if is_for_spare && self.no_spare_before > now {
                self.slots[index].vacate(Some(self.no_spare_before));
            } else {
                self.fill(index, is_for_spare, now);
            }
        }
        if self.workers.values().any(WorkerRecord::is_serving) {
            return;
        }
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| slot.waits_after_loss());
        if let Some((index, _)) = slots.min_by_key(|(_, slot)| slot.refill_at()) {
            self.fill(index, false, now);
        }
    }

    fn fill(&mut self, index: usize, is_spare: bool, now: Millis) {
        let worker = self.spawn(index, is_spare, now);
        self.slots[index].occupancy = Occupancy::Held(worker);
    }

    pub(super) fn spawn(&mut self, index: usize, is_spare: bool, now: Millis) -> WorkerId {
        self.last_id += 1;
        let id = WorkerId(self.last_id);
        self.slots[index].generation += 1;
        let (slot, generation) = (index as u32, self.slots[index].generation);
        let state = WorkerState::Starting { deadline: now + self.limits.start_timeout };
        let jitter = self.random.f64();
        let worker =
            WorkerRecord { is_spare, ..WorkerRecord::new(slot, generation, state, jitter) };
        self.workers.insert(id, worker);
        self.actions.push(Action::Spawn { worker: id, slot, generation, spare: is_spare });
        id
    }
}
