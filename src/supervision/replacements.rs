//! Replacing living workers, start first: reload and recycle.
//!
//! What always holds: at most one replacement is under way; the old worker drains only after its successor is ready; a
//! successor that fails leaves the old worker where it was. So capacity never falls below the target because of a
//! replacement. The first successor of a reload is on trial before anybody drains for it. A reload that is asked for while one runs is a further round after it, since workers that were replaced before run what
//! lay there before; any number of such requests is one round. This part knows only *whose turn it is*; the supervisor moves the workers.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::worker::Cause;

/// After a recycle whose successor failed, no other is tried for so long, milliseconds.
pub(crate) const RETRY_RECYCLE: Millis = 30_000;

/// Limits above which a worker is recycled; `None` turns one off.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Thresholds {
    /// Connections ever served.
    pub(crate) connections: Option<u64>,
    /// Milliseconds since it became ready.
    pub(crate) uptime: Option<Millis>,
    /// Resident memory, bytes.
    pub(crate) memory: Option<u64>,
}

impl Thresholds {
    /// Whether there is any.
    pub(crate) fn any(&self) -> bool {
        self.connections.is_some() || self.uptime.is_some() || self.memory.is_some()
    }

    /// The first limit that is passed, in words. `stretch` is this worker's own jitter, 0 to 1: up to half as much again.
    pub(crate) fn passed(
        &self,
        stretch: f64,
        connections: u64,
        uptime: Millis,
        memory: u64,
    ) -> Option<String> {
        let check = |name: &str, limit: Option<u64>, value: u64| {
            let limit = limit? as f64 * (1.0 + stretch / 2.0);
            (value as f64 >= limit).then(|| format!("{name}: {value} is above {limit:.0}"))
        };
        check("connThreshold", self.connections, connections)
            .or_else(|| check("uptimeThreshold (ms)", self.uptime, uptime))
            .or_else(|| check("memThreshold", self.memory, memory))
    }
}

/// One replacement under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// The place.
    pub(crate) slot: u32,
    /// Who is to go.
    pub(crate) old: WorkerId,
    /// Who is to come.
    pub(crate) new: WorkerId,
    /// Why.
    pub(crate) cause: Cause,
    /// Since when the successor is ready.
    pub(crate) ready: Option<Millis>,
}

/// How far a reload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many workers this round has replaced.
    pub(crate) replaced: u32,
    /// How many it is about.
    pub(crate) total: u32,
    /// Whether another round follows.
    pub(crate) again: bool,
}

/// One round of a reload.
#[derive(Debug)]
struct Round {
    /// Workers that have still to be replaced.
    queue: VecDeque<WorkerId>,
    replaced: u32,
    total: u32,
    /// Workers after this one run the new code.
    last_old: WorkerId,
    /// The new code may listen elsewhere.
    addresses_may_change: bool,
    /// A successor has passed its trial.
    proven: bool,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Replacing {
    /// The one under way.
    pub(crate) current: Option<Replacement>,
    /// The round of a reload that runs.
    round: Option<Round>,
    /// Rounds that began; a request that comes now is for the next one.
    rounds: u32,
    /// Another round was asked for while one runs, and whether its code may listen elsewhere.
    again: Option<bool>,
    no_recycle_before: Millis,
}

impl Replacing {
    /// Begins a round of a reload to `total` new workers: `queue` are replaced, in this order, and workers after `last_old` are new.
    pub(crate) fn begin_reload(
        &mut self,
        queue: VecDeque<WorkerId>,
        total: u32,
        last_old: WorkerId,
        addresses_may_change: bool,
    ) {
        self.rounds += 1;
        self.again = None;
        let replaced = total.saturating_sub(queue.len() as u32);
        self.round =
            Some(Round { queue, replaced, total, last_old, addresses_may_change, proven: false });
    }

    /// Has a further round follow the one that runs. The addresses may change if anybody who asked for it said so.
    pub(crate) fn reload_again(&mut self, addresses_may_change: bool) {
        self.again = Some(self.again.unwrap_or(false) || addresses_may_change);
    }

    /// Whether a further round has to follow, or to begin now; and whether its code may listen elsewhere.
    pub(crate) fn further_round(&self) -> Option<bool> {
        self.again
    }

    /// The number of the round that began last.
    pub(crate) fn round(&self) -> u32 {
        self.rounds
    }

    /// Whether a reload runs.
    pub(crate) fn is_reloading(&self) -> bool {
        self.round.is_some()
    }

    /// Whether this worker runs the code of the reload that runs.
    pub(crate) fn is_new(&self, worker: WorkerId) -> bool {
        self.round.as_ref().is_some_and(|round| worker > round.last_old)
    }

    /// Whether the code of the reload that runs may listen elsewhere.
    pub(crate) fn addresses_may_change(&self) -> bool {
        self.round.as_ref().is_some_and(|round| round.addresses_may_change)
    }

    /// Whether the successor under way is the reload's first, and has a trial to pass.
    pub(crate) fn is_on_trial(&self) -> bool {
        let is_reload = self.current.is_some_and(|current| current.cause == Cause::Reload);
        is_reload && self.round.as_ref().is_some_and(|round| !round.proven)
    }

    /// How far the reload is, if one runs.
    pub(crate) fn progress(&self) -> Option<Progress> {
        let again = self.again.is_some();
        self.round.as_ref().map(|round| Progress {
            replaced: round.replaced,
            total: round.total,
            again,
        })
    }

    /// The next worker that the reload is to replace, if its turn has come. Workers that are gone meanwhile are skipped:
    /// what took their place is new already.
    pub(crate) fn next_of_reload(&mut self, alive: &BTreeSet<WorkerId>) -> Option<WorkerId> {
        if self.current.is_some() {
            return None;
        }
        let round = self.round.as_mut()?;
        while let Some(worker) = round.queue.pop_front() {
            if alive.contains(&worker) {
                return Some(worker);
            }
            round.replaced += 1;
        }
        None
    }

    /// Whether the reload has nobody left to replace.
    pub(crate) fn is_reload_through(&self) -> bool {
        self.current.is_none() && self.round.as_ref().is_some_and(|round| round.queue.is_empty())
    }

    /// Whether a recycle may begin now.
    pub(crate) fn may_recycle(&self, now: Millis) -> bool {
        self.current.is_none() && self.round.is_none() && now >= self.no_recycle_before
    }

    /// The replacement is done: the successor has the slot.
    pub(crate) fn done(&mut self) {
        let of_reload = self.current.take().is_some_and(|done| done.cause == Cause::Reload);
        if let Some(round) = self.round.as_mut().filter(|_| of_reload) {
            round.replaced += 1;
            round.proven = true;
        }
    }

    /// The replacement is not wanted any more.
    pub(crate) fn drop_current(&mut self) {
        self.current = None;
    }

    /// A recycle has failed.
    pub(crate) fn recycle_failed(&mut self, now: Millis) {
        self.current = None;
        self.no_recycle_before = now + RETRY_RECYCLE;
    }

    /// The round of a reload is over, well or not. Returns how many workers it replaced.
    pub(crate) fn end_reload(&mut self) -> u32 {
        self.round.take().map_or(0, |round| round.replaced)
    }

    /// Gives everything up, because the cluster leaves. The last round that somebody waits for, if
    /// anybody does.
    pub(crate) fn cancel(&mut self) -> Option<u32> {
        self.current = None;
        let again = self.again.take().is_some();
        (self.round.take().is_some() || again).then(|| self.rounds + u32::from(again))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_up_to_half_as_much_again_and_name_what_was_passed() {
        let limits = Thresholds { connections: Some(100), uptime: None, memory: Some(1_000) };
        assert_eq!(limits.passed(0.0, 99, u64::MAX, 999), None);
        assert_eq!(limits.passed(0.0, 100, 0, 0).unwrap(), "connThreshold: 100 is above 100");
        assert_eq!(limits.passed(1.0, 149, 0, 0), None);
        assert_eq!(limits.passed(1.0, 150, 0, 0).unwrap(), "connThreshold: 150 is above 150");
        assert!(limits.passed(0.5, 0, 0, 1_250).unwrap().starts_with("memThreshold"));
    }
}
