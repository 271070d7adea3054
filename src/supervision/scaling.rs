//! The number of slots: changed by a command, or by how much work there is (`autoscale`).
//!
//! What always holds, besides what `autoscale` promises:
//!
//! - Nothing is scaled by itself during a reload, a delayed shutdown, and after it.
//! - A step up begins only where each slot has a ready worker, so that neither a worker that still
//!   starts nor a crash loop makes more of them; and where there is memory for two workers like the
//!   largest: the new one, and the one that a reload starts beside the others.
//! - A step down begins only once the worker of the one before is gone.
//! - What the master measured before it stood still counts for nothing.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::autoscale::{Direction, Limit, Load};
use crate::supervision::messages::{Action, Notice, Reading};
use crate::supervision::phase::Phase;
use crate::supervision::slot::Slot;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};

/// Samples that are further apart show that the master stood still, milliseconds.
const STANDSTILL: Millis = 3_000;
/// How many more workers like the largest have to fit into memory for a step up.
const ROOM_FOR: u64 = 2;

/// How the number of workers follows their work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scaling {
    pub(crate) least: u32,
    pub(crate) most: u32,
    /// How busy the event loops were on average over the last 10 s, in thousandths.
    pub(crate) utilization: Option<u32>,
    /// What keeps the number from growing.
    pub(crate) limit: Option<Limit>,
}

impl Supervisor {
    /// Sets the number of slots; where it follows the work, the least of it.
    pub(super) fn scale(&mut self, workers: u32, machine: Millis, now: Millis) {
        if !self.is_running() {
            return;
        }
        let before = self.target;
        let mut workers = workers as usize;
        if let Some(autoscale) = &mut self.autoscale {
            autoscale.least = workers.clamp(1, autoscale.most);
            workers = autoscale.bound(before);
            if workers > before {
                autoscale.stepped(Direction::Up, machine);
            }
        }
        self.resize(workers, None, now);
    }

    /// Changes the number of slots. New ones get a worker at once; those of others drain.
    fn resize(&mut self, after: usize, utilization: Option<u32>, now: Millis) {
        let before = self.target;
        if before == after {
            return;
        }
        let (from, workers) = (before as u32, after as u32);
        self.notify(Notice::Scaled { before: from, workers, utilization });
        let before = self.wanted_slots();
        self.target = after;
        let after = self.wanted_slots();
        self.slots.resize_with(self.slots.len().max(after), Slot::default);
        self.slots[before.min(after)..after].iter_mut().for_each(|slot| slot.vacate(Some(now)));
        self.slots[after..].iter_mut().for_each(Slot::stop_waiting);
        let surplus: Vec<WorkerId> = self.slots[after..].iter().filter_map(Slot::holder).collect();
        self.cancel_replacement_beyond(after as u32, now);
        for id in surplus {
            self.drain(id, Cause::Scale, now);
        }
        self.drain_excess(now);
    }

    /// Remembers how busy and how large the workers are. Called before the sample's time is.
    pub(super) fn take_utilization(&mut self, readings: &[Reading], machine: Millis) {
        if self.autoscale.is_none() {
            return;
        }
        if machine.saturating_sub(self.last_sample.0) > STANDSTILL {
            self.workers.values_mut().for_each(|worker| worker.utilization.clear());
        }
        for reading in readings {
            let Some(worker) = self.workers.get_mut(&reading.worker) else { continue };
            worker.memory = reading.memory;
            if let Some(part) = reading.utilization.filter(|_| worker.is_ready()) {
                worker.utilization.take(reading.measured_at, part);
            }
        }
    }

    /// Makes a step if there is reason.
    pub(super) fn autoscale(&mut self, machine: Millis, now: Millis) {
        if self.phase != Phase::Running || self.is_reloading() {
            return;
        }
        let (load, are_all_ready) = (self.load(machine), self.are_all_ready());
        let missing = self.missing_slot();
        let Some(autoscale) = &mut self.autoscale else { return };
        match autoscale.wish(&load, machine) {
            None => autoscale.rest(machine),
            Some(Direction::Down) => {
                let is_leaving = |worker: &WorkerRecord| match worker.state {
                    WorkerState::Draining { cause, .. } | WorkerState::Killed { cause } => {
                        cause == Cause::Scale
                    }
                    WorkerState::Starting { .. }
                    | WorkerState::Waiting { .. }
                    | WorkerState::Ready { .. } => false,
                };
                autoscale.rest(machine);
                if !self.workers.values().any(is_leaving) {
                    self.step(Direction::Down, load, machine, now);
                }
            }
            Some(Direction::Up) if self.target >= autoscale.most => {
                self.limited(Limit::Most, machine);
            }
            Some(Direction::Up) => {
                if let Some(slot) = missing {
                    self.limited(Limit::Crashes { slot: slot as u32 }, machine);
                } else if are_all_ready {
                    autoscale.is_asking = true;
                    self.actions.push(Action::MeasureMemory);
                }
            }
        }
    }

    /// Makes the step up for which memory was measured, if it fits.
    pub(super) fn on_memory(&mut self, available: Option<u64>, machine: Millis, now: Millis) {
        let (load, needed) = (self.load(machine), self.memory_needed(machine));
        let is_fit = self.phase == Phase::Running && !self.is_reloading() && self.are_all_ready();
        let Some(autoscale) = &mut self.autoscale else { return };
        let is_asking = std::mem::take(&mut autoscale.is_asking);
        if !is_asking || !is_fit || self.target >= autoscale.most {
            return;
        }
        match available {
            Some(available) if available < needed => {
                self.limited(Limit::Memory { needed, available }, machine);
            }
            _ => self.step(Direction::Up, load, machine, now),
        }
    }

    fn step(&mut self, direction: Direction, load: Load, machine: Millis, now: Millis) {
        let Some(autoscale) = &mut self.autoscale else { return };
        autoscale.stepped(direction, machine);
        let after = match direction {
            Direction::Up => self.target + 1,
            Direction::Down => self.target - 1,
        };
        self.resize(after, load.mean(), now);
    }

    fn limited(&mut self, limit: Limit, machine: Millis) {
        let Some(autoscale) = &mut self.autoscale else { return };
        if autoscale.limit(limit, machine) {
            let workers = self.target();
            self.notify(Notice::NotScaled { workers, limit });
        }
    }

    /// Whether as many workers as should serve are ready.
    fn are_all_ready(&self) -> bool {
        self.serving_count() == self.target && self.serving_holders().all(WorkerRecord::is_ready)
    }

    /// A slot that waits for its next worker, if one is missing that should serve.
    fn missing_slot(&self) -> Option<usize> {
        let mut slots = self.slots[..self.wanted_slots()].iter();
        let waiting = slots.position(|slot| slot.refill_at().is_some());
        waiting.filter(|_| self.serving_count() < self.target)
    }

    /// What the ready workers that hold slots do.
    fn load(&self, machine: Millis) -> Load {
        let mut load = Load { workers: self.target, demand: 0, measured: 0, is_complete: true };
        for worker in self.serving_holders() {
            let ready = Some(worker).filter(|worker| worker.is_ready());
            let mean = ready.and_then(|worker| worker.utilization.mean(machine));
            load.demand += mean.unwrap_or_default();
            load.measured += usize::from(mean.is_some());
            load.is_complete &= mean.is_some();
        }
        // The last slot is the one that goes. While its crashing workers wait, it does nothing.
        let last = self.slots[..self.wanted_slots()].last();
        let is_idle = last.is_some_and(|slot| slot.refill_at().is_some());
        let missing = self.target.saturating_sub(self.serving_count());
        load.is_complete &= missing <= usize::from(is_idle);
        load
    }

    /// Returns the memory that a step up needs, bytes: that of more workers like the largest, and
    /// what young ones will still take until they are as large.
    fn memory_needed(&self, machine: Millis) -> u64 {
        let sizes = || self.workers.values().filter(|worker| worker.is_ready());
        let largest = sizes().map(|worker| worker.memory).max().unwrap_or_default();
        let young = sizes().filter(|worker| worker.utilization.mean(machine).is_none());
        let growth = young.map(|worker| largest - worker.memory).sum::<u64>();
        largest.saturating_mul(ROOM_FOR).saturating_add(growth)
    }

    /// How the number of workers follows their work, if it does.
    pub(crate) fn scaling(&self) -> Option<Scaling> {
        let autoscale = self.autoscale.as_ref()?;
        Some(Scaling {
            least: autoscale.least as u32,
            most: autoscale.most as u32,
            utilization: self.load(self.last_sample.0).mean(),
            limit: autoscale.limited(),
        })
    }
}
