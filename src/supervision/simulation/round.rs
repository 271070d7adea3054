//! What a round of a reload promises.

use super::world::{LIMITS, RequestedRound, World};
use crate::protocol::worker::WorkerId;
use crate::supervision::worker::Cause;
use crate::supervision::{WorkerRecord, WorkerState};

impl World {
    pub(super) fn request_reload(&mut self, addresses_may_change: bool) {
        self.reloads.0 = self.supervisor.next_round();
        let at_once = !self.supervisor.is_reloading();
        let round = if at_once { &mut self.round } else { &mut self.next_round };
        *round = RequestedRound {
            last_old: self.last_spawned,
            addresses_may_change: addresses_may_change || round.addresses_may_change,
            at_once,
            ..RequestedRound::default()
        };
    }

    pub(super) fn end_round(&mut self, round: u32) {
        let (requested, ended) = self.reloads;
        assert!(
            ended < round && round <= requested,
            "round {round} ended before it began, or twice"
        );
        self.reloads.1 = round;
        self.round = std::mem::take(&mut self.next_round);
    }

    /// Whether the end of this worker fails the reload under way: it runs the new code, and nobody
    /// asked it to end, as far as `serves` knows.
    pub(super) fn is_loss(&self, id: WorkerId, serves: impl Fn(&WorkerRecord) -> bool) -> bool {
        let is_own = self.round.at_once && id.0 > self.round.last_old;
        is_own && self.supervisor.is_reloading() && self.supervisor.worker(id).is_some_and(serves)
    }

    pub(super) fn has_lived(&self, worker: &WorkerRecord) -> bool {
        let now = self.supervisor.clock.now();
        worker.ready_for(now).is_some_and(|time| time >= LIMITS.min_ready_time)
    }

    /// Notes that a worker of the round's code has lived for a while.
    pub(super) fn note_proof(&mut self) {
        let new = |id: WorkerId| self.round.at_once && id.0 > self.round.last_old;
        let mut workers = self.supervisor.workers();
        self.round.proved |= workers.any(|(id, worker)| new(id) && self.has_lived(worker));
    }

    /// No worker drains for a reload before a new one has lived for a while, nor while none of the
    /// new ones serves its addresses.
    pub(super) fn check_reloaded(&mut self, id: WorkerId) {
        let Some(old) = self.supervisor.worker(id) else { return };
        let is_old = id.0 <= self.round.last_old
            && !old.is_spare
            && !old.is_ending
            && matches!(old.state, WorkerState::Draining { cause: Cause::Reload, .. });
        if !is_old {
            return;
        }
        let new = || {
            self.supervisor
                .workers()
                .filter(|(id, worker)| id.0 > self.round.last_old && worker.is_serving())
        };
        assert!(
            self.round.begun || self.round.proved || new().any(|(_, w)| self.has_lived(w)),
            "drained before the canary had lived"
        );
        let is_unserved =
            |address: &&String| !new().any(|(_, worker)| worker.addresses.contains(*address));
        let lost =
            old.addresses.iter().find(is_unserved).filter(|_| !self.round.addresses_may_change);
        assert_eq!(lost, None, "an address that no worker serves any more");
        self.round.begun = true;
    }

    pub(super) fn check_complete(&self) {
        assert!(!self.round.lost, "complete, and a new worker has ended");
        for id in self.supervisor.holders() {
            assert!(id.0 > self.round.last_old, "complete, and an old worker is left");
            assert!(
                self.supervisor
                    .worker(id)
                    .is_some_and(|worker| worker.is_waiting() || self.has_lived(worker)),
                "complete too early"
            );
        }
    }
}
