//! What must hold after every event and for every notice.

use std::collections::{BTreeMap, BTreeSet};

use super::world::{LIMITS, World};
use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::backoff::LOSS_CAP;
use crate::supervision::replacements::Replacement;
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Notice, WorkerRecord, WorkerState};

impl World {
    pub(super) fn check(&self) {
        let mut held = BTreeSet::new();
        let mut successors = 0;
        for (id, worker) in self.supervisor.workers() {
            if self.supervisor.holder(worker.slot) == Some(id) {
                assert!(held.insert(worker.slot), "slot {} is held twice", worker.slot);
            } else if worker.is_open() && !worker.is_ending {
                successors += 1;
            }
            let is_killed = matches!(worker.state, WorkerState::Killed { .. });
            let waits = !worker.is_settled() && !is_killed;
            assert_eq!(worker.deadline().is_some(), waits, "{id:?} waits without a deadline");
            let exists = self.alive.contains_key(&id) || self.unanswered.contains(&id);
            assert!(exists, "{id:?} is believed alive but is gone");
        }
        if self.supervisor.is_running() {
            let has_problem = self.supervisor.problems().next().is_some()
                || self.supervisor.master_problem().is_some();
            assert!(!has_problem || self.unhealthy, "a problem was not reported");
        }
        self.check_waits();
        if let Some((least, most)) = self.bounds {
            let target = self.supervisor.target();
            assert!((least..=most).contains(&target), "{target} of {least} to {most} workers");
        }
        self.check_spares();
        assert!(successors <= 1, "{successors} replacements at the same time");
        if self.supervisor.is_running() && held.len() < self.supervisor.target() as usize {
            let killed = self
                .supervisor
                .workers()
                .any(|(_, w)| matches!(w.state, WorkerState::Killed { .. }));
            assert!(killed || self.supervisor.next_tick().is_some(), "an empty slot is forgotten");
        }
    }

    /// A slot whose worker had been ready waits for a second at most, and for a worker that is
    /// ready or starting.
    pub(super) fn check_waits(&self) {
        let serves = self.supervisor.workers().any(|(_, worker)| worker.is_serving());
        let now = self.supervisor.clock.now();
        for slot in self.supervisor.slots.iter().filter(|slot| slot.backoff.is_after_loss()) {
            let Some(at) = slot.refill_at() else { continue };
            assert!(serves, "a slot waits while no worker is ready or starting");
            assert!(at <= now + LOSS_CAP, "a slot waits for {} ms", at - now);
        }
    }

    /// Slots that wait after the loss of a ready worker, until when.
    pub(super) fn waits_after_loss(&self) -> BTreeMap<u32, Millis> {
        let slots = (0..).zip(&self.supervisor.slots);
        let waiting = slots.filter(|(_, slot)| slot.waits_after_loss());
        waiting.filter_map(|(number, slot)| Some((number, slot.refill_at()?))).collect()
    }

    /// Of the slots that waited `before` an event, at most one skips its wait, and only if no
    /// other worker is ready or starting. A reload ends all waits.
    pub(super) fn check_skipped(&self, before: &BTreeMap<u32, Millis>, actions: &[Action]) {
        let now = self.supervisor.clock.now();
        let is_early = |slot: &u32| before.get(slot).is_some_and(|at| *at > now);
        let spawned = actions.iter().filter_map(|action| match action {
            Action::Spawn { slot, .. } => Some(slot),
            _ => None,
        });
        let skipped = spawned.filter(|slot| is_early(slot)).count();
        let serving = self.supervisor.workers().filter(|(_, worker)| worker.is_serving()).count();
        assert!(skipped == 0 || serving == 1, "{skipped} slots did not wait, {serving} serve");
    }

    /// An old worker drains for a replacement only after a ready one has taken over.
    pub(super) fn check_replaced(&self, worker: WorkerId) {
        let Some(old) = self.supervisor.worker(worker) else { return };
        if let WorkerState::Draining { cause: Cause::Reload | Cause::Recycle, .. } = old.state {
            let Some(Replacement { old, new, .. }) = self.replacement else {
                panic!("{worker:?} drains for no replacement");
            };
            // An abandoned successor.
            if worker == new {
                return;
            }
            assert_eq!(worker, old, "it drains for the replacement of another one");
            let serves =
                self.supervisor.worker(old).is_some_and(|old| !old.is_spare && !old.is_ending);
            // The successor of a spare may be activated at once.
            let is_fit = |new: &WorkerRecord| if serves { new.is_ready() } else { new.is_open() };
            let new = self.supervisor.worker(new);
            assert!(new.is_some_and(is_fit), "capacity fell for a replacement");
        }
    }

    pub(super) fn update_waits(&mut self) {
        let Self { supervisor, waits_since, awake, .. } = self;
        waits_since.retain(|id, _| supervisor.worker(*id).is_some());
        for (id, worker) in supervisor.workers() {
            let drains = matches!(worker.state, WorkerState::Draining { .. });
            let since = waits_since.entry(id).or_insert((drains, *awake));
            if since.0 != drains {
                *since = (drains, *awake);
            }
        }
    }

    /// No worker is killed for being late before it had its time.
    pub(super) fn check_killed(&self, worker: WorkerId) {
        let Some(killed) = self.supervisor.worker(worker) else { return };
        let Some((drained, since)) = self.waits_since.get(&worker).copied() else { return };
        let limit = match killed.state {
            WorkerState::Killed { cause: Cause::StartTimeout } => LIMITS.start_timeout,
            WorkerState::Killed { cause: Cause::Stop | Cause::Unresponsive } => return,
            WorkerState::Killed { .. } if drained => LIMITS.shutdown_timeout,
            _ => return,
        };
        let had = self.awake - since;
        assert!(had >= limit, "{worker:?} had only {had} of {limit} ms");
    }

    /// A step because of the load is one worker, begins after the end of the step before, and if it
    /// leads up finds memory for two more.
    fn check_step(&self, before: u32, workers: u32) {
        assert_eq!(before.abs_diff(workers), 1, "not one step");
        assert!(self.supervisor.is_running() && !self.supervisor.is_reloading());
        if workers < before {
            return;
        }
        let ready = self.supervisor.ready_workers().count();
        assert!(ready >= before as usize, "a step while only {ready} of {before} are ready");
        let (largest, available) = self.memory;
        assert!(available.is_none_or(|bytes| bytes >= 2 * largest), "a step that does not fit");
    }

    pub(super) fn check_notice(&mut self, notice: Notice) {
        match notice {
            Notice::Forked { pid } => assert!(self.forked.insert(pid), "{pid} forked twice"),
            Notice::Listening { pid } => {
                assert!(
                    self.forked.contains(&pid) && !self.died.contains(&pid),
                    "{pid} listens out of turn"
                );
                assert!(self.listening.insert(pid), "{pid} listens twice");
            }
            Notice::Died { pid, .. } => {
                assert!(self.forked.contains(&pid), "{pid} died before it was forked");
                assert!(self.died.insert(pid), "{pid} died twice");
            }
            Notice::Reloaded { round, .. } => {
                self.check_complete();
                self.end_round(round);
            }
            Notice::ReloadFailed { round, .. } => self.end_round(round),
            Notice::Disabled { .. } => {
                assert!(!self.unhealthy, "unhealthy twice");
                self.unhealthy = true;
            }
            Notice::Enabled => {
                assert!(std::mem::take(&mut self.unhealthy), "healthy twice");
                assert_eq!(self.supervisor.problems().next(), None, "healthy with a problem");
            }
            Notice::Scaled { before, workers, utilization: Some(_) } => {
                self.check_step(before, workers);
            }
            Notice::Scaled { .. }
            | Notice::NotScaled { .. }
            | Notice::Spare { .. }
            | Notice::Activated { .. }
            | Notice::DrainTimedOut { .. }
            | Notice::Warning(_)
            | Notice::Reloading { .. }
            | Notice::Recycling { .. }
            | Notice::Unresponsive { .. }
            | Notice::Blocked { .. } => {}
        }
    }
}
