//! Whether the event loops of new code turn.
//!
//! What always holds: no worker drains for the canary of a reload, and no reload is complete,
//! before the new workers have shown a turn of their event loops after the time that they had to
//! live. They are asked for it. One that shows none is killed in the end (`silence`), which fails
//! the reload.

use crate::clock::{MAX_WAIT, Millis};
use crate::protocol::worker::WorkerId;
use crate::supervision::messages::Action;
use crate::supervision::supervisor::Supervisor;

/// How long after the question the first look is, milliseconds.
pub(crate) const LOOK_AFTER: Millis = 25;

impl Supervisor {
    /// Whether the event loop of a worker has turned since `since`. If not, asks it to show that,
    /// and looks again soon.
    pub(super) fn has_turned_since(&mut self, id: WorkerId, since: Millis, now: Millis) -> bool {
        let Some(worker) = self.workers.get_mut(&id) else { return true };
        if worker.beat >= since {
            return true;
        }
        let asked = worker.asked_to_beat.filter(|at| *at >= since).unwrap_or_else(|| {
            self.actions.push(Action::AskToBeat { worker: id });
            now
        });
        worker.asked_to_beat = Some(asked);
        let first = asked + LOOK_AFTER;
        let at = if now < first { first } else { now + MAX_WAIT };
        self.look_at = Some(self.look_at.map_or(at, |earlier| earlier.min(at)));
        false
    }

    /// Whether the event loops of all ready workers have turned since `since`; asks those that have
    /// not.
    pub(super) fn have_all_turned_since(&mut self, since: Millis, now: Millis) -> bool {
        let ready: Vec<_> = self.ready_workers().map(|(id, _)| id).collect();
        let silent = ready.into_iter().filter(|id| !self.has_turned_since(*id, since, now));
        silent.count() == 0
    }

    /// Whether the next `Tick` needs a sample before it.
    pub(crate) fn awaits_beat(&self) -> bool {
        self.look_at.is_some()
    }

    /// Ready workers whose event loops have not turned since all had been ready for
    /// `min_ready_time`, as far as samples say.
    pub(crate) fn silent_workers(&self) -> Vec<WorkerId> {
        let Some(since) = self.settled_since() else { return Vec::new() };
        let silent = self.ready_workers().filter(|(_, worker)| worker.beat < since);
        silent.map(|(id, _)| id).collect()
    }
}
