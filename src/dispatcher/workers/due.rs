//! Workers that have to be polled again, and when.

use crate::clock::Millis;
use crate::dispatcher::workers::list::WorkerList;
use crate::protocol::worker::WorkerId;

/// Workers for which it will be time for something, and the time of the first one.
#[derive(Debug, Default)]
pub(super) struct Due {
    workers: WorkerList,
    at: Option<Millis>,
}

impl Due {
    /// Has a worker polled at `at`, if there is something to wait for.
    pub(super) fn schedule(&mut self, worker: WorkerId, at: Option<Millis>) {
        if let Some(at) = at {
            self.workers.insert(worker);
            self.at = Some(self.at.map_or(at, |first| first.min(at)));
        }
    }

    /// Has all of them polled in this turn.
    pub(super) fn hasten(&mut self) {
        self.at = Some(0);
    }

    /// Asks for each worker when to poll it next. `None` takes it off the list.
    pub(super) fn reschedule(&mut self, mut next: impl FnMut(WorkerId) -> Option<Millis>) {
        self.at = None;
        self.workers.retain(|worker| {
            let at = next(worker);
            self.at = [self.at, at].into_iter().flatten().min();
            at.is_some()
        });
    }

    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.workers.remove(worker);
    }

    pub(super) fn workers(&self) -> &[WorkerId] {
        self.workers.as_slice()
    }

    /// When to poll them. `None`: there is nothing to wait for.
    pub(super) fn at(&self) -> Option<Millis> {
        self.at
    }
}
