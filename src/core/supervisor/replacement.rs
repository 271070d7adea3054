//! The supervisor's part in reload, recycle and hangs; see `replace` for what always holds.

use std::collections::{BTreeSet, VecDeque};

use super::Supervisor;
use crate::core::Millis;
use crate::core::event::{Notice, Reading};
use crate::core::replace::{Progress, Replacement};
use crate::core::worker::{Cause, State, WorkerId};

impl Supervisor {
    /// How often `Sample` is to be sent, milliseconds.
    pub fn sample_interval(&self) -> Millis {
        let hangs = (self.limits.max_heartbeat_delay / 4).max(250);
        if self.limits.thresholds.any() { hangs.min(1_000) } else { hangs }
    }

    pub(super) fn reload(&mut self, now: Millis) {
        if !self.is_running() {
            return;
        }
        if self.replacing.is_reloading() {
            return self.replacing.reload_again();
        }
        // Slots that wait for their next worker have nothing old to keep, and need not wait any longer.
        for slot in &mut self.slots[..self.target] {
            slot.refill_at = slot.refill_at.map(|_| now);
        }
        self.replacing.begin_reload(self.holders());
        self.refill(now);
    }

    fn holders(&self) -> VecDeque<WorkerId> {
        self.slots[..self.target].iter().filter_map(|slot| slot.holder).collect()
    }

    /// Starts the next replacement of a reload, or ends its round; begins the next one where that was asked for.
    pub(super) fn advance_reload(&mut self, now: Millis) {
        if !self.replacing.is_reloading() && self.replacing.has_further_round() {
            self.reload(now);
        }
        if !self.replacing.is_reloading() {
            return;
        }
        let alive: BTreeSet<WorkerId> = self.holders().into_iter().collect();
        if let Some(old) = self.replacing.next_of_reload(&alive) {
            if let (Some(worker), Some(progress)) = (self.workers.get(&old), self.replacing.progress()) {
                let Progress { replaced, total, .. } = progress;
                let (slot, pid) = (worker.slot, worker.pid.unwrap_or_default());
                self.tell(Notice::Reloading { slot, pid, replaced, total });
            }
            self.replace(old, Cause::Reload, now);
        }
        if let Some(replaced) = self.replacing.finish_reload() {
            let (round, again) = (self.replacing.round(), self.replacing.has_further_round());
            self.tell(Notice::Reloaded { round, replaced, again });
            self.advance_reload(now);
        }
    }

    fn replace(&mut self, old: WorkerId, cause: Cause, now: Millis) {
        if let Some(slot) = self.workers.get(&old).map(|worker| worker.slot) {
            let new = self.spawn(slot as usize, now);
            self.replacing.current = Some(Replacement { slot, old, new, cause });
        }
    }

    /// If `id` was awaited as a successor: it takes the slot, and the old worker drains.
    pub(super) fn replacement_ready(&mut self, id: WorkerId, now: Millis) {
        let Some(current) = self.replacing.current.filter(|current| current.new == id) else { return };
        self.replacing.done();
        if let Some(slot) = self.slots.get_mut(current.slot as usize) {
            slot.holder = Some(id);
        }
        self.drain(current.old, current.cause, now);
    }

    /// If `id` was awaited as a successor: the old worker stays.
    pub(super) fn replacement_failed(&mut self, id: WorkerId, reason: &str, now: Millis) {
        let Some(current) = self.replacing.current.filter(|current| current.new == id) else { return };
        self.replacing.failed(now);
        if current.cause == Cause::Reload {
            self.tell(Notice::ReloadFailed { round: self.replacing.round(), reason: reason.to_owned() });
        } else {
            self.tell(Notice::Warning(format!("a recycle failed, the old worker stays: {reason}")));
        }
    }

    /// Gives up a replacement in a slot that is not wanted any more.
    pub(super) fn cancel_replacement_beyond(&mut self, target: u32, now: Millis) {
        if let Some(current) = self.replacing.current.filter(|current| current.slot >= target) {
            self.replacing.done();
            self.drain(current.new, Cause::Scale, now);
        }
    }

    pub(super) fn cancel_reload(&mut self) {
        if let Some(round) = self.replacing.cancel() {
            self.tell(Notice::ReloadFailed { round, reason: "the cluster is shutting down".into() });
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
                self.tell(Notice::Unresponsive { pid, age });
                self.kill(reading.worker, Cause::Unresponsive);
                self.vacate(reading.worker, Some(now.saturating_sub(since)), now);
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
            if let Some(reason) = thresholds.passed(worker.stretch, reading.connections, uptime, reading.memory) {
                self.tell(Notice::Recycling { pid, reason });
                return self.replace(reading.worker, Cause::Recycle, now);
            }
        }
    }

    fn ready_since(&self, id: WorkerId) -> Option<(Millis, u32)> {
        let worker = self.workers.get(&id)?;
        match worker.state {
            State::Ready { since } => Some((since, worker.pid?)),
            _ => None,
        }
    }
}
