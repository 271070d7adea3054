//! Which replacement is under way and which follow: reloads and recycles.
//!
//! What always holds:
//!
//! - At most one replacement is under way.
//! - A recycle never runs beside a reload.
//! - A reload that is requested during a reload is one further round, however many requests come:
//!   workers that the running round has replaced may run older code.
//!
//! This part only knows whose turn it is. `replace` and `reload` move the workers.

use std::collections::{BTreeSet, VecDeque};

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::worker::Cause;

/// How long no recycle is tried after one failed, milliseconds.
const RETRY_RECYCLE: Millis = 30_000;

/// One replacement: `new` is started beside `old`, to take over its slot; or it was a spare, and
/// keeps its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Replacement {
    pub(super) slot: u32,
    pub(super) old: WorkerId,
    pub(super) new: WorkerId,
    /// When `new` became ready; `None` while it starts.
    pub(super) ready_at: Option<Millis>,
}

/// How far a reload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) replaced: u32,
    pub(crate) total: u32,
    /// Whether another round follows.
    pub(crate) again: bool,
}

/// One round of a reload.
#[derive(Debug)]
pub(super) struct Round {
    /// Workers that are still to be replaced, in this order.
    pub(super) queue: VecDeque<WorkerId>,
    /// How many workers run the new code once the round is over.
    pub(super) total: u32,
    /// Workers after this one run the new code.
    pub(super) last_old: WorkerId,
    pub(super) addresses_may_change: bool,
}

#[derive(Debug, Default)]
enum Activity {
    #[default]
    Idle,
    Recycle(Replacement),
    Reload {
        round: Round,
        current: Option<Replacement>,
        replaced: u32,
        /// The first successor has passed its trial.
        proven: bool,
    },
}

/// The replacement under way, and those that follow.
#[derive(Debug, Default)]
pub(super) struct Replacements {
    activity: Activity,
    /// Rounds of reloads that began.
    rounds: u32,
    /// A further round is requested. `true`: its code may listen on other addresses.
    further_round: Option<bool>,
    no_recycle_before: Millis,
}

impl Replacements {
    /// Begins a round of a reload.
    pub(super) fn begin_reload(&mut self, round: Round) {
        self.rounds += 1;
        self.further_round = None;
        let replaced = round.total.saturating_sub(round.queue.len() as u32);
        self.activity = Activity::Reload { round, current: None, replaced, proven: false };
    }

    /// Requests a further round. Its addresses may change if any of the requests says so.
    pub(super) fn request_further_round(&mut self, addresses_may_change: bool) {
        let before = self.further_round.unwrap_or(false);
        self.further_round = Some(before || addresses_may_change);
    }

    /// The further round that is requested, and whether its addresses may change.
    pub(super) fn further_round(&self) -> Option<bool> {
        self.further_round
    }

    /// The number of the round that began last.
    pub(super) fn round(&self) -> u32 {
        self.rounds
    }

    pub(super) fn is_reloading(&self) -> bool {
        matches!(self.activity, Activity::Reload { .. })
    }

    /// Whether `worker` runs the code of the reload under way.
    pub(super) fn is_new(&self, worker: WorkerId) -> bool {
        matches!(&self.activity, Activity::Reload { round, .. } if worker > round.last_old)
    }

    /// Whether the code of the reload under way may listen on other addresses.
    pub(super) fn addresses_may_change(&self) -> bool {
        matches!(&self.activity, Activity::Reload { round, .. } if round.addresses_may_change)
    }

    /// Whether the replacement under way is the first one of a reload, which has a trial to pass.
    pub(super) fn is_on_trial(&self) -> bool {
        matches!(self.activity, Activity::Reload { current: Some(_), proven: false, .. })
    }

    /// Why the replacement under way drains a worker.
    pub(super) fn cause(&self) -> Cause {
        if self.is_reloading() { Cause::Reload } else { Cause::Recycle }
    }

    pub(super) fn progress(&self) -> Option<Progress> {
        let Activity::Reload { round, replaced, .. } = &self.activity else { return None };
        let again = self.further_round.is_some();
        Some(Progress { replaced: *replaced, total: round.total, again })
    }

    /// The replacement under way.
    pub(super) fn current(&self) -> Option<Replacement> {
        match &self.activity {
            Activity::Idle => None,
            Activity::Recycle(current) => Some(*current),
            Activity::Reload { current, .. } => *current,
        }
    }

    /// Begins a replacement: the reload's next one, or a recycle.
    pub(super) fn begin(&mut self, replacement: Replacement) {
        match &mut self.activity {
            Activity::Reload { current, .. } => *current = Some(replacement),
            activity => *activity = Activity::Recycle(replacement),
        }
    }

    /// Notes that the successor `worker`, if it is one, became ready at `now`; or, with `None`,
    /// that it was a spare and starts again.
    pub(super) fn successor_ready(&mut self, worker: WorkerId, now: Option<Millis>) {
        let current = match &mut self.activity {
            Activity::Idle => None,
            Activity::Recycle(current) => Some(current),
            Activity::Reload { current, .. } => current.as_mut(),
        };
        if let Some(current) = current.filter(|current| current.new == worker) {
            current.ready_at = now;
        }
    }

    /// Returns the next worker that the reload replaces, unless a replacement is under way. Skips
    /// workers that are not `alive`: their slots have a worker of the new code.
    pub(super) fn next_of_reload(&mut self, alive: &BTreeSet<WorkerId>) -> Option<WorkerId> {
        let Activity::Reload { round, current: None, replaced, .. } = &mut self.activity else {
            return None;
        };
        while let Some(worker) = round.queue.pop_front() {
            if alive.contains(&worker) {
                return Some(worker);
            }
            *replaced += 1;
        }
        None
    }

    /// Whether a reload runs and has no worker left to replace.
    pub(super) fn has_replaced_all(&self) -> bool {
        matches!(&self.activity, Activity::Reload { round, current: None, .. }
            if round.queue.is_empty())
    }

    pub(super) fn may_recycle(&self, now: Millis) -> bool {
        matches!(self.activity, Activity::Idle) && now >= self.no_recycle_before
    }

    /// Ends the replacement under way: the successor has taken over. `proves`: it serves, so that
    /// the code works.
    pub(super) fn complete(&mut self, proves: bool) {
        if let Activity::Reload { current: Some(_), replaced, proven, .. } = &mut self.activity {
            *replaced += 1;
            *proven |= proves;
        }
        self.abandon();
    }

    /// Ends the replacement under way without a successor.
    pub(super) fn abandon(&mut self) {
        match &mut self.activity {
            Activity::Reload { current, .. } => *current = None,
            activity => *activity = Activity::Idle,
        }
    }

    /// Abandons the replacement under way. A reload replaces its old worker later.
    pub(super) fn postpone(&mut self) {
        if let Activity::Reload { round, current: Some(current), .. } = &mut self.activity {
            round.queue.push_front(current.old);
        }
        self.abandon();
    }

    /// Abandons a recycle. The next one may begin after a pause.
    pub(super) fn fail_recycle(&mut self, now: Millis) {
        self.abandon();
        self.no_recycle_before = now + RETRY_RECYCLE;
    }

    /// Ends the round under way. Returns how many workers it replaced.
    pub(super) fn end_reload(&mut self) -> u32 {
        match std::mem::take(&mut self.activity) {
            Activity::Reload { replaced, .. } => replaced,
            Activity::Idle | Activity::Recycle(_) => 0,
        }
    }

    /// Abandons everything. Returns the last round that was requested, if one runs or follows.
    pub(super) fn cancel(&mut self) -> Option<u32> {
        let was_reloading = self.is_reloading();
        self.activity = Activity::Idle;
        let further = self.further_round.take().is_some();
        (was_reloading || further).then(|| self.rounds + u32::from(further))
    }
}
