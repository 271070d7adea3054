//! Replaces one living worker, for a reload or a recycle. The successor starts first; a spare that
//! waits is one that has started already.
//!
//! What always holds: the old worker drains only after its successor is ready, and a successor
//! that fails leaves the old worker in place. So a replacement never lowers capacity below the
//! target.

use std::collections::BTreeSet;

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Notice;
use crate::supervision::replacements::Replacement;
use crate::supervision::slot::Occupancy;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;

impl Supervisor {
    /// Starts a successor beside `old`, or activates a spare for it.
    pub(super) fn replace(&mut self, old: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get(&old) else { return };
        let slot = worker.slot;
        // One that ends has its slot until it is gone, and others may serve for it.
        let is_spare = match worker.is_open() && !worker.is_ending {
            true => worker.is_spare,
            false => self.serving_count() >= self.target,
        };
        let spare = if is_spare { None } else { self.spare_for_replacement() };
        let new = spare.unwrap_or_else(|| self.spawn(slot as usize, is_spare, now));
        self.replacements.begin(Replacement { slot, old, new, ready_at: None });
        if spare.is_some() {
            self.activate(new, now);
        }
    }

    /// Returns when the trial of a ready successor ends.
    pub(super) fn trial_ends_at(&self) -> Option<Millis> {
        Some(self.replacements.current()?.ready_at? + self.limits.min_ready_time)
    }

    /// Lets a ready successor take over: the first one of a reload after its trial, others as soon
    /// as they serve the addresses of the old worker, and a spare as soon as it waits.
    pub(super) fn advance_replacement(&mut self, now: Millis) {
        let (Some(current), Some(ends)) = (self.replacements.current(), self.trial_ends_at())
        else {
            return;
        };
        let new = self.workers.get(&current.new);
        if new.is_some_and(|new| new.is_ending) {
            return;
        }
        if new.is_some_and(|new| new.is_spare) {
            return self.take_over(current, false, now);
        }
        let (is_over, is_on_trial) = (ends <= now, self.replacements.is_on_trial());
        if is_on_trial && !is_over {
            return;
        }
        let missing = self.missing_addresses(&current);
        if missing.is_empty() {
            if !is_on_trial || self.has_turned_since(current.new, ends, now) {
                self.take_over(current, true, now);
            }
        } else if is_over {
            let pid = self.workers.get(&current.new).and_then(|new| new.pid).unwrap_or_default();
            let addresses = missing.join(", ");
            let reason = format!(
                "worker {pid} of the new code does not listen on {addresses}, which would be \
                 served by nobody; if that is meant, allow it by `--allow-address-change` or \
                 reload({{ addresses: 'may change' }})"
            );
            self.drain(current.new, self.replacements.cause(), now);
            self.on_loss(current.new, false, &reason, now);
        }
    }

    /// Gives the slot to the successor, unless it has one, and drains the old worker.
    fn take_over(&mut self, current: Replacement, proves: bool, now: Millis) {
        let cause = self.replacements.cause();
        self.replacements.complete(proves);
        if !self.has_slot(current.new)
            && let Some(slot) = self.slots.get_mut(current.slot as usize)
        {
            slot.occupancy = Occupancy::Held(current.new);
        }
        self.drain(current.old, cause, now);
    }

    /// Returns the addresses that would be served by nobody without the old worker. In a reload,
    /// other old workers do not count, because they go too.
    fn missing_addresses(&self, current: &Replacement) -> Vec<String> {
        let Some(old) = self.workers.get(&current.old).filter(|old| old.is_serving()) else {
            return Vec::new();
        };
        if self.replacements.addresses_may_change() {
            return Vec::new();
        }
        let is_reload = self.replacements.is_reloading();
        let stays =
            |id: WorkerId| id != current.old && (!is_reload || self.replacements.is_new(id));
        let staying = self.workers().filter(|(id, worker)| stays(*id) && worker.is_serving());
        let served: BTreeSet<&String> = staying.flat_map(|(_, worker)| &worker.addresses).collect();
        old.addresses.iter().filter(|address| !served.contains(address)).cloned().collect()
    }

    /// Fails what depends on a worker that ended although nobody asked it to: its own replacement,
    /// or the reload whose code it runs. The loss of a spare does not count as one of the service.
    pub(super) fn on_loss(&mut self, id: WorkerId, is_spare: bool, reason: &str, now: Millis) {
        if !is_spare {
            self.latest_loss = Some(reason.to_owned());
        }
        let is_successor = self.replacements.current().is_some_and(|current| current.new == id);
        if is_successor && !self.replacements.is_reloading() {
            self.replacements.fail_recycle(now);
            let warning = format!("a recycle failed, the old worker stays: {reason}");
            self.notify(Notice::Warning(warning));
        } else if is_successor || self.replacements.is_new(id) {
            self.fail_reload(reason, now);
        }
    }

    /// Abandons the replacement under way. The old worker stays if it lives; otherwise the
    /// successor, which has a slot already, stays.
    pub(super) fn abandon_replacement(&mut self, now: Millis) {
        let Some(current) = self.replacements.current() else { return };
        let cause = self.replacements.cause();
        self.replacements.abandon();
        if self.has_slot(current.old) {
            self.drain(current.new, cause, now);
        }
    }

    /// Abandons a replacement where one of the two has a slot beyond the first `slots`. Where that
    /// is only the successor, the old worker's turn comes again.
    pub(super) fn cancel_replacement_beyond(&mut self, slots: u32, now: Millis) {
        let is_beyond =
            |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.slot >= slots);
        let current = self.replacements.current();
        let Some(current) = current else { return };
        if current.slot >= slots {
            self.replacements.abandon();
        } else if is_beyond(&current.new) {
            self.replacements.postpone();
        } else {
            return;
        }
        self.drain(current.new, Cause::Scale, now);
    }
}
