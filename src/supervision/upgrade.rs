//! Another master takes over, or this one has.
//!
//! What always holds: ids go on far beyond those of the former master, so that no two workers share
//! one. Generations go on too; a worker that the former master starts meanwhile, in place of one
//! that crashed, may have the same as one here. A number of workers that follows their work goes on
//! from that of the former master. Workers of a master that handed over drain as in a shutdown, but
//! nobody stops admitting: the sockets are the other master's.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Outcome;
use crate::supervision::phase::Phase;
use crate::supervision::slot::Slot;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;

/// Ids that the former master may still give to workers while it hands over.
const SPARE_IDS: u32 = 10_000;

impl Supervisor {
    /// Continues the numbers of a former master, which had `workers`. Call it before the start.
    pub(crate) fn continue_from(&mut self, last_id: u32, workers: u32, generations: &[u32]) {
        self.last_id = last_id.saturating_add(SPARE_IDS);
        if let Some(autoscale) = &self.autoscale {
            self.target = autoscale.bound(workers as usize);
            let wanted = self.wanted_slots();
            self.slots.resize_with(wanted, Slot::default);
        }
        self.slots.resize_with(self.slots.len().max(generations.len()), Slot::default);
        for (slot, generation) in self.slots.iter_mut().zip(generations) {
            slot.generation = *generation;
        }
    }

    /// The id of the newest worker, and how many workers each slot ever had.
    pub(crate) fn numbers(&self) -> (u32, Vec<u32>) {
        (self.last_id, self.slots.iter().map(|slot| slot.generation).collect())
    }

    /// Returns when all workers will have been ready for `min_ready_time`, on the machine's clock.
    /// `None`: not all are ready. Spares do not count.
    pub(crate) fn settles_at(&self) -> Option<Millis> {
        Some(self.clock.on_machine(self.settled_since()?))
    }

    /// The same on our clock.
    pub(super) fn settled_since(&self) -> Option<Millis> {
        let (mut latest, mut ready) = (0, 0);
        let is_spare = |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.is_spare);
        for holder in self.holders().filter(|holder| !is_spare(holder)) {
            latest = latest.max(self.ready_since(holder)?);
            ready += 1;
        }
        (ready >= self.target).then_some(latest + self.limits.min_ready_time)
    }

    pub(super) fn hand_over(&mut self, now: Millis) {
        if matches!(self.phase, Phase::ShuttingDown { .. } | Phase::Finished) {
            return;
        }
        self.cancel_reload();
        self.phase = Phase::ShuttingDown { outcome: Outcome::HandedOver };
        let all: Vec<_> = self.workers.keys().copied().collect();
        all.into_iter().for_each(|id| self.drain(id, Cause::Upgrade, now));
    }

    pub(super) fn take_back(&mut self, now: Millis) {
        if self.phase == (Phase::ShuttingDown { outcome: Outcome::HandedOver }) {
            self.phase = Phase::Running;
            let wanted = self.wanted_slots();
            self.slots[..wanted].iter_mut().for_each(|slot| slot.vacate(Some(now)));
        }
    }
}
