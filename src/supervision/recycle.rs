//! The supervisor's part in replacements of any kind, in recycles and in hangs; see `replace` for what always holds.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::event::{Notice, Reading};
use crate::supervision::replacements::Replacement;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;

impl Supervisor {
    /// How often `Sample` is to be sent, milliseconds.
    pub(crate) fn sample_interval(&self) -> Millis {
        let hangs = (self.limits.max_heartbeat_delay / 4).max(250);
        if self.limits.thresholds.any() { hangs.min(1_000) } else { hangs }
    }

    /// Who holds the slots.
    pub(super) fn holders(&self) -> impl Iterator<Item = WorkerId> {
        self.slots[..self.target].iter().filter_map(|slot| slot.holder)
    }

    /// Starts a successor beside `old`.
    pub(super) fn replace(&mut self, old: WorkerId, cause: Cause, now: Millis) {
        if let Some(slot) = self.workers.get(&old).map(|worker| worker.slot) {
            let new = self.spawn(slot as usize, now);
            self.replacing.current = Some(Replacement { slot, old, new, cause, ready: None });
        }
    }

    /// If `id` was awaited as a successor: it is there.
    pub(super) fn replacement_ready(&mut self, id: WorkerId, now: Millis) {
        if let Some(current) = self.replacing.current.as_mut().filter(|current| current.new == id) {
            current.ready = Some(now);
        }
    }

    /// The successor takes the slot, and the old worker drains.
    pub(super) fn take_over(&mut self, current: Replacement, now: Millis) {
        self.replacing.done();
        if let Some(slot) = self.slots.get_mut(current.slot as usize) {
            slot.holder = Some(current.new);
        }
        self.drain(current.old, current.cause, now);
    }

    /// Gives up a replacement in a slot that is not wanted any more.
    pub(super) fn cancel_replacement_beyond(&mut self, target: u32, now: Millis) {
        if let Some(current) = self.replacing.current.filter(|current| current.slot >= target) {
            self.replacing.drop_current();
            self.drain(current.new, Cause::Scale, now);
        }
    }

    /// Looks for stuck workers and for those that passed a threshold.
    pub(super) fn sample(&mut self, readings: &[Reading], machine: Millis, now: Millis) {
        let (last_sample, then) = std::mem::replace(&mut self.last_sample, (machine, now));
        if !self.is_running() {
            return;
        }
        for reading in readings {
            let Some((since, pid)) = self.ready_since(reading.worker) else { continue };
            let Some(worker) = self.workers.get_mut(&reading.worker) else { continue };
            if reading.beat > last_sample {
                let ago = machine.saturating_sub(reading.beat);
                worker.beat = now.saturating_sub(ago).max(then);
            }
            let age = now.saturating_sub(worker.beat.max(since));
            if age > self.limits.max_heartbeat_delay {
                self.notify(Notice::Unresponsive { pid, age });
                self.kill(reading.worker, Cause::Unresponsive);
                self.vacate(reading.worker, Some(now.saturating_sub(since)), now);
                self.lost(reading.worker, &format!("worker {pid} was stuck for {age} ms"), now);
            }
        }
        if self.replacing.may_recycle(now) {
            self.recycle_one(readings, now);
        }
    }

    fn recycle_one(&mut self, readings: &[Reading], now: Millis) {
        for reading in readings {
            let Some((since, pid)) = self.ready_since(reading.worker) else { continue };
            let Some(worker) = self.workers.get(&reading.worker) else { continue };
            if self.holder(worker.slot) != Some(reading.worker) {
                continue;
            }
            let uptime = now.saturating_sub(since);
            let thresholds = &self.limits.thresholds;
            if let Some(reason) =
                thresholds.passed(worker.stretch, reading.connections, uptime, reading.memory)
            {
                self.notify(Notice::Recycling { pid, reason });
                return self.replace(reading.worker, Cause::Recycle, now);
            }
        }
    }
}
