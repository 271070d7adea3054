//! Reloads: all workers are replaced by workers of the code that is on disk now, or the old ones
//! stay.
//!
//! What always holds, besides what `replace` promises:
//!
//! - Spares are replaced first. No worker that serves drains for a reload before the first
//!   successor that serves, the canary, has been ready for `min_ready_time` and still turns its
//!   event loop.
//! - No worker drains for a reload while one of its addresses is served by no worker of the new
//!   code, unless addresses may change.
//! - A reload is complete only when every slot has had a ready worker of the new code for
//!   `min_ready_time`, whose event loop turns, or a spare of it that waits. If a worker of the new
//!   code ends before that, the reload fails, and workers that were not replaced stay.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Notice;
use crate::supervision::replacements::{Progress, Round};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{WorkerRecord, WorkerState};

impl Supervisor {
    /// Begins a reload, or requests a further round of the one that runs.
    pub(super) fn reload(&mut self, addresses_may_change: bool, now: Millis) {
        if !self.is_running() {
            return;
        }
        if self.replacements.is_reloading() {
            return self.replacements.request_further_round(addresses_may_change);
        }
        // The successor of a recycle may run the old code.
        self.abandon_replacement(now);
        let last_old = WorkerId(self.last_id);
        self.end_waits(now);
        self.refill(now);
        let is_spare = |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.is_spare);
        let (spares, serving): (Vec<_>, Vec<_>) =
            self.holders().filter(|holder| *holder <= last_old).partition(is_spare);
        let (ready, starting): (Vec<_>, Vec<_>) =
            serving.into_iter().partition(|holder| self.ready_since(*holder).is_some());
        // A spare first: it shows whether the new code starts. Then a ready worker: the canary has
        // to serve its addresses.
        let queue: VecDeque<_> = spares.into_iter().chain(ready).chain(starting).collect();
        let total = self.wanted_slots() as u32;
        self.replacements.begin_reload(Round { queue, total, last_old, addresses_may_change });
    }

    /// Makes all empty slots due: they keep no old worker that the new code could fail to replace.
    fn end_waits(&mut self, now: Millis) {
        let wanted = self.wanted_slots();
        for slot in &mut self.slots[..wanted] {
            if slot.refill_at().is_some() {
                slot.vacate(Some(now));
            }
        }
    }

    /// Starts the next replacement of a reload, ends its round, or begins a further one.
    pub(super) fn advance_reload(&mut self, now: Millis) {
        if let Some(addresses_may_change) =
            self.replacements.further_round().filter(|_| !self.replacements.is_reloading())
        {
            self.reload(addresses_may_change, now);
        }
        if !self.replacements.is_reloading() {
            return;
        }
        let alive: BTreeSet<WorkerId> = self.holders().collect();
        if !self.awaits_spare()
            && let Some(old) = self.replacements.next_of_reload(&alive)
        {
            self.notify_progress(old);
            self.replace(old, now);
        }
        if let Some(ends) = self.reload_ends_at().filter(|at| *at <= now)
            && self.have_all_turned_since(ends, now)
        {
            let round = self.replacements.round();
            let again = self.replacements.further_round().is_some();
            let replaced = self.replacements.end_reload();
            self.notify(Notice::Reloaded { round, replaced, again });
            self.advance_reload(now);
        }
    }

    fn notify_progress(&mut self, old: WorkerId) {
        if let (Some(worker), Some(progress)) =
            (self.workers.get(&old), self.replacements.progress())
        {
            let Progress { replaced, total, .. } = progress;
            let (slot, pid) = (worker.slot, worker.pid.unwrap_or_default());
            self.notify(Notice::Reloading { slot, pid, replaced, total });
        }
    }

    /// Returns when the reload is complete if no worker ends before. `None` while one has to be
    /// replaced or to become ready.
    pub(super) fn reload_ends_at(&self) -> Option<Millis> {
        if !self.replacements.has_replaced_all() {
            return None;
        }
        let mut latest = 0;
        for slot in &self.slots[..self.wanted_slots()] {
            let holder = slot.holder()?;
            if !self.workers.get(&holder).is_some_and(WorkerRecord::is_waiting) {
                latest = latest.max(self.ready_since(holder)?);
            }
        }
        Some(latest + self.limits.min_ready_time)
    }

    pub(super) fn fail_reload(&mut self, reason: &str, now: Millis) {
        self.abandon_replacement(now);
        let reason = format!("{reason}; {}", self.describe_code());
        let round = self.replacements.round();
        self.replacements.end_reload();
        self.notify(Notice::ReloadFailed { round, reason });
    }

    /// Fails the reload that runs or follows, because the cluster shuts down.
    pub(super) fn cancel_reload(&mut self) {
        if let Some(round) = self.replacements.cancel() {
            let reason = "the cluster is shutting down".into();
            self.notify(Notice::ReloadFailed { round, reason });
        }
    }

    /// Describes which slots run the new code, which the old, and which have no worker.
    fn describe_code(&self) -> String {
        let (mut new, mut old, mut none) = (Vec::new(), Vec::new(), Vec::new());
        for (number, slot) in self.slots[..self.wanted_slots()].iter().enumerate() {
            // A worker without a process runs no code.
            let is_spawned =
                |id: &WorkerId| self.workers.get(id).is_some_and(|worker| worker.pid.is_some());
            match slot.holder().filter(is_spawned) {
                Some(holder) if self.replacements.is_new(holder) => new.push(number.to_string()),
                Some(_) => old.push(number.to_string()),
                None => none.push(number.to_string()),
            }
        }
        describe_slots(&new, &old, &none)
    }

    /// Returns when a worker became ready, if it is.
    pub(super) fn ready_since(&self, id: WorkerId) -> Option<Millis> {
        let worker = self.workers.get(&id)?;
        match worker.state {
            WorkerState::Ready { since } => Some(since),
            _ => None,
        }
    }
}

fn describe_slots(new: &[String], old: &[String], none: &[String]) -> String {
    match (new, old, none) {
        ([], [_, _, ..], []) => return "all slots run the old code".to_owned(),
        ([_, _, ..], [], []) => return "all slots run the new code".to_owned(),
        ([], [], _) => return "no slot has a worker until one of the new code is ready".to_owned(),
        _ => {}
    }
    let list = |slots: &[String], [one, many]: [&str; 2]| match slots {
        [only] => format!("slot {only} {one}"),
        _ => format!("slots {} {many}", slots.join(", ")),
    };
    let mut parts = Vec::new();
    if !new.is_empty() {
        parts.push(format!("{} the new code", list(new, ["runs", "run"])));
    }
    if !old.is_empty() {
        let code = if new.is_empty() { "the old code" } else { "the old" };
        parts.push(format!("{} {code}", list(old, ["runs", "run"])));
    }
    if !none.is_empty() {
        let has = list(none, ["has", "have"]);
        parts.push(format!("{has} no worker until one of the new code is ready"));
    }
    parts.join(", ")
}
