//! Replacing living workers, start first: reload and recycle.
//!
//! What always holds: at most one replacement is under way; the old worker drains only after its successor is ready; a
//! successor that fails leaves the old worker where it was. So capacity never falls below the target because of a
//! replacement. A reload that is asked for while one runs is a further round after it, since workers that were replaced before run what
//! lay there before; any number of such requests is one round. This part knows only *whose turn it is*; the supervisor moves the workers.

use std::collections::{BTreeSet, VecDeque};

use super::Millis;
use super::worker::{Cause, WorkerId};

/// After a recycle whose successor failed, no other is tried for so long, milliseconds.
pub const RETRY_RECYCLE: Millis = 30_000;

/// Limits above which a worker is recycled; `None` turns one off.
#[derive(Debug, Clone, Copy, Default)]
pub struct Thresholds {
    /// Connections ever served.
    pub connections: Option<u64>,
    /// Milliseconds since it became ready.
    pub uptime: Option<Millis>,
    /// Resident memory, bytes.
    pub memory: Option<u64>,
}

impl Thresholds {
    /// Whether there is any.
    pub fn any(&self) -> bool {
        self.connections.is_some() || self.uptime.is_some() || self.memory.is_some()
    }

    /// The first limit that is passed, in words. `stretch` is this worker's own jitter, 0 to 1: up to half as much again.
    pub fn passed(&self, stretch: f64, connections: u64, uptime: Millis, memory: u64) -> Option<String> {
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
pub struct Replacement {
    /// The place.
    pub slot: u32,
    /// Who is to go.
    pub old: WorkerId,
    /// Who is to come.
    pub new: WorkerId,
    /// Why.
    pub cause: Cause,
}

/// How far a reload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// How many workers this round has replaced.
    pub replaced: u32,
    /// How many it is about.
    pub total: u32,
    /// Whether another round follows.
    pub again: bool,
}

/// Whose turn it is.
#[derive(Debug, Default)]
pub struct Replacing {
    /// The one under way.
    pub current: Option<Replacement>,
    /// Workers that the running reload has still to replace; `None`: no reload runs.
    reload: Option<VecDeque<WorkerId>>,
    replaced: u32,
    total: u32,
    /// Rounds that began; a request that comes now is for the next one.
    rounds: u32,
    /// Another round was asked for while one runs.
    again: bool,
    no_recycle_before: Millis,
}

impl Replacing {
    /// Begins a round of these workers, in this order.
    pub fn begin_reload(&mut self, workers: VecDeque<WorkerId>) {
        self.rounds += 1;
        self.again = false;
        self.replaced = 0;
        self.total = workers.len() as u32;
        self.reload = Some(workers);
    }

    /// Has a further round follow the one that runs.
    pub fn reload_again(&mut self) {
        self.again = true;
    }

    /// Whether a further round has to follow, or to begin now.
    pub fn has_further_round(&self) -> bool {
        self.again
    }

    /// The number of the round that began last.
    pub fn round(&self) -> u32 {
        self.rounds
    }

    /// Whether a reload runs.
    pub fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    /// How far the reload is, if one runs.
    pub fn progress(&self) -> Option<Progress> {
        let progress = Progress { replaced: self.replaced, total: self.total, again: self.again };
        self.reload.as_ref().map(|_| progress)
    }

    /// The next worker that the reload is to replace, if its turn has come. Workers that are gone meanwhile are skipped:
    /// what took their place is new already.
    pub fn next_of_reload(&mut self, alive: &BTreeSet<WorkerId>) -> Option<WorkerId> {
        if self.current.is_some() {
            return None;
        }
        let queue = self.reload.as_mut()?;
        while let Some(worker) = queue.pop_front() {
            if alive.contains(&worker) {
                return Some(worker);
            }
            self.replaced += 1;
        }
        None
    }

    /// Whether a recycle may begin now.
    pub fn may_recycle(&self, now: Millis) -> bool {
        self.current.is_none() && self.reload.is_none() && now >= self.no_recycle_before
    }

    /// The replacement is done: the successor has the slot.
    pub fn done(&mut self) {
        if self.current.take().is_some_and(|done| done.cause == Cause::Reload) {
            self.replaced += 1;
        }
    }

    /// The replacement has failed; if it was a reload's, that has failed too.
    pub fn failed(&mut self, now: Millis) {
        match self.current.take().map(|failed| failed.cause) {
            Some(Cause::Reload) => self.reload = None,
            Some(_) => self.no_recycle_before = now + RETRY_RECYCLE,
            None => {}
        }
    }

    /// Ends a reload that has nothing left to do, and says how many workers it replaced.
    pub fn finish_reload(&mut self) -> Option<u32> {
        if self.current.is_none() && self.reload.as_ref().is_some_and(VecDeque::is_empty) {
            self.reload = None;
            return Some(self.replaced);
        }
        None
    }

    /// Gives everything up, because the cluster leaves. The last round that somebody waits for, if
    /// anybody does.
    pub fn cancel(&mut self) -> Option<u32> {
        self.current = None;
        let again = std::mem::take(&mut self.again);
        (self.reload.take().is_some() || again).then(|| self.rounds + u32::from(again))
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
