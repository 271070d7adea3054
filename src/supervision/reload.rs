//! The supervisor's part in reloads: all workers are replaced by workers of the code that lies there now, or the old ones stay.
//!
//! What always holds, beside what `replace` promises:
//!
//! - nobody drains for a reload before its first successor, the canary, has been ready for `min_ready_time`;
//! - nobody drains for a reload while an address that it serves is served by no worker of the new code, unless addresses may change;
//! - a reload is complete only when every slot has a ready worker of the new code, `min_ready_time` after the last one became ready;
//!   if a worker of the new code ends before that, the reload fails, and who was not replaced stays.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::event::Notice;
use crate::supervision::replacements::{Progress, Replacement};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, WorkerState};

impl Supervisor {
    pub(super) fn reload(&mut self, addresses_may_change: bool, now: Millis) {
        if !self.is_running() {
            return;
        }
        if self.replacing.is_reloading() {
            return self.replacing.reload_again(addresses_may_change);
        }
        // Who is to come by a recycle may run the old code, and who is to go by it is replaced all the same.
        self.give_up_replacement(now);
        let last_old = WorkerId(self.last_id);
        // Slots that wait for their next worker have nothing old to keep, and need not wait any longer.
        for slot in &mut self.slots[..self.target] {
            slot.refill_at = slot.refill_at.map(|_| now);
        }
        self.refill(now);
        let (ready, starting): (VecDeque<_>, VecDeque<_>) = self
            .holders()
            .filter(|holder| *holder <= last_old)
            .partition(|holder| self.ready_since(*holder).is_some());
        // Who serves first: what it serves is what the canary has to serve.
        let queue = ready.into_iter().chain(starting).collect();
        self.replacing.begin_reload(queue, self.target as u32, last_old, addresses_may_change);
    }

    /// Starts the next replacement of a reload, or ends its round; begins the next one where that was asked for.
    pub(super) fn advance_reload(&mut self, now: Millis) {
        if let Some(addresses_may_change) =
            self.replacing.further_round().filter(|_| !self.replacing.is_reloading())
        {
            self.reload(addresses_may_change, now);
        }
        if !self.replacing.is_reloading() {
            return;
        }
        let alive: BTreeSet<WorkerId> = self.holders().collect();
        if let Some(old) = self.replacing.next_of_reload(&alive) {
            if let (Some(worker), Some(progress)) =
                (self.workers.get(&old), self.replacing.progress())
            {
                let Progress { replaced, total, .. } = progress;
                let (slot, pid) = (worker.slot, worker.pid.unwrap_or_default());
                self.notify(Notice::Reloading { slot, pid, replaced, total });
            }
            self.replace(old, Cause::Reload, now);
        }
        if self.reload_ends_at().is_some_and(|at| at <= now) {
            let (round, again) = (self.replacing.round(), self.replacing.further_round().is_some());
            let replaced = self.replacing.end_reload();
            self.notify(Notice::Reloaded { round, replaced, again });
            self.advance_reload(now);
        }
    }

    /// When the reload is complete, if everybody is replaced and ready, and nobody ends before.
    pub(super) fn reload_ends_at(&self) -> Option<Millis> {
        if !self.replacing.is_reload_through() {
            return None;
        }
        let mut latest = 0;
        for slot in &self.slots[..self.target] {
            let (since, _) = self.ready_since(slot.holder?)?;
            latest = latest.max(since);
        }
        Some(latest + self.limits.min_ready_time)
    }

    /// When it is decided about the successor under way, at the latest, if it is ready.
    pub(super) fn trial_ends_at(&self) -> Option<Millis> {
        Some(self.replacing.current?.ready? + self.limits.min_ready_time)
    }

    /// Lets a successor that is ready take over: the canary after its trial, others as soon as they serve what the old worker does.
    pub(super) fn advance_replacement(&mut self, now: Millis) {
        let (Some(current), Some(ends)) = (self.replacing.current, self.trial_ends_at()) else {
            return;
        };
        let is_over = ends <= now;
        if self.replacing.is_on_trial() && !is_over {
            return;
        }
        let missing = self.missing(&current);
        if missing.is_empty() {
            self.take_over(current, now);
        } else if is_over {
            let pid =
                self.workers.get(&current.new).and_then(|worker| worker.pid).unwrap_or_default();
            let reason = format!(
                "worker {pid} of the new code does not listen on {}, which would be served by nobody; if that is meant, \
                 allow it by `--allow-address-change` or reload({{ addresses: 'may change' }})",
                missing.join(", ")
            );
            self.drain(current.new, current.cause, now);
            self.lost(current.new, &reason, now);
        }
    }

    /// Addresses that nobody would serve if the old worker were gone, and all the others of its code too, where a reload replaces them.
    fn missing(&self, current: &Replacement) -> Vec<String> {
        let is_reload = current.cause == Cause::Reload;
        let Some(old) = self.workers.get(&current.old).filter(|old| old.holds_slot()) else {
            return Vec::new();
        };
        if is_reload && self.replacing.addresses_may_change() {
            return Vec::new();
        }
        let stays = |id: WorkerId| id != current.old && (!is_reload || self.replacing.is_new(id));
        let staying = self.workers.iter().filter(|(id, worker)| stays(**id) && worker.holds_slot());
        let served: BTreeSet<&String> = staying.flat_map(|(_, worker)| &worker.addresses).collect();
        old.addresses.iter().filter(|address| !served.contains(address)).cloned().collect()
    }

    /// Takes note of the end of a worker that nobody asked to end: that of a worker of the new code fails a reload.
    pub(super) fn lost(&mut self, id: WorkerId, reason: &str, now: Millis) {
        let of =
            self.replacing.current.filter(|current| current.new == id).map(|current| current.cause);
        match of {
            Some(Cause::Recycle) => self.recycle_failed(reason, now),
            Some(_) => self.reload_failed(reason, now),
            None if self.replacing.is_new(id) => self.reload_failed(reason, now),
            None => {}
        }
    }

    fn recycle_failed(&mut self, reason: &str, now: Millis) {
        self.replacing.recycle_failed(now);
        self.notify(Notice::Warning(format!("a recycle failed, the old worker stays: {reason}")));
    }

    fn reload_failed(&mut self, reason: &str, now: Millis) {
        self.give_up_replacement(now);
        let reason = format!("{reason}; {}", self.who_runs_what());
        let round = self.replacing.round();
        self.replacing.end_reload();
        self.notify(Notice::ReloadFailed { round, reason });
    }

    /// The old worker stays, if it lives; a successor that had to take its place already stays too.
    fn give_up_replacement(&mut self, now: Millis) {
        let Some(current) = self.replacing.current else { return };
        self.replacing.drop_current();
        if self.holder(current.slot) != Some(current.new) {
            self.drain(current.new, current.cause, now);
        }
    }

    fn who_runs_what(&self) -> String {
        let (mut new, mut old, mut none) = (Vec::new(), Vec::new(), Vec::new());
        for (number, slot) in self.slots[..self.target].iter().enumerate() {
            // One that has no process yet runs nothing.
            let started =
                |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.pid.is_some());
            match slot.holder.filter(started) {
                Some(holder) if self.replacing.is_new(holder) => new.push(number.to_string()),
                Some(_) => old.push(number.to_string()),
                None => none.push(number.to_string()),
            }
        }
        let list = |slots: &[String], verbs: [&str; 2]| match slots {
            [only] => format!("slot {only} {}", verbs[0]),
            _ => format!("slots {} {}", slots.join(", "), verbs[1]),
        };
        let mut parts = Vec::new();
        match (new.as_slice(), old.as_slice(), none.as_slice()) {
            ([], _, []) => return "all slots run the old code".to_owned(),
            (_, [], []) => return "all slots run the new code".to_owned(),
            ([], [], _) => {
                return "no slot has a worker until one of the new code is ready".to_owned();
            }
            _ => {}
        }
        if !new.is_empty() {
            parts.push(format!("{} the new code", list(&new, ["runs", "run"])));
        }
        if !old.is_empty() {
            let code = if new.is_empty() { "the old code" } else { "the old" };
            parts.push(format!("{} {code}", list(&old, ["runs", "run"])));
        }
        if !none.is_empty() {
            parts.push(format!(
                "{} no worker until one of the new code is ready",
                list(&none, ["has", "have"])
            ));
        }
        parts.join(", ")
    }

    pub(super) fn cancel_reload(&mut self) {
        if let Some(round) = self.replacing.cancel() {
            self.notify(Notice::ReloadFailed {
                round,
                reason: "the cluster is shutting down".into(),
            });
        }
    }

    /// When a worker became ready, and its process, if it is.
    pub(super) fn ready_since(&self, id: WorkerId) -> Option<(Millis, u32)> {
        let worker = self.workers.get(&id)?;
        match worker.state {
            WorkerState::Ready { since } => Some((since, worker.pid?)),
            _ => None,
        }
    }
}
