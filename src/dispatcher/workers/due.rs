//! Workers that have to be polled again, and when.

use crate::clock::Millis;
use crate::dispatcher::timing::NEVER;
use crate::dispatcher::workers::list::WorkerList;
use crate::protocol::worker::WorkerId;

/// Workers for which it will be time for something, and the time of the first one.
#[derive(Debug)]
pub(super) struct Due {
    workers: WorkerList,
    at: Millis,
}

impl Due {
    pub(super) fn new() -> Self {
        Self { workers: WorkerList::default(), at: NEVER }
    }

    /// Has a worker polled at `at`, if there is something to wait for.
    pub(super) fn schedule(&mut self, worker: WorkerId, at: Option<Millis>) {
        if let Some(at) = at {
            self.workers.insert(worker);
            self.at = self.at.min(at);
        }
    }

    /// Has all of them polled in this turn.
    pub(super) fn hasten(&mut self) {
        self.at = 0;
    }

    /// Asks for each worker when to poll it next. `None` takes it off the list.
    pub(super) fn reschedule(&mut self, mut next: impl FnMut(WorkerId) -> Option<Millis>) {
        let mut first = NEVER;
        self.workers.retain(|worker| {
            let at = next(worker);
            first = first.min(at.unwrap_or(NEVER));
            at.is_some()
        });
        self.at = first;
    }

    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.workers.remove(worker);
    }

    pub(super) fn workers(&self) -> &[WorkerId] {
        self.workers.as_slice()
    }

    /// When to poll them; `NEVER` if there is nothing to wait for.
    pub(super) fn at(&self) -> Millis {
        self.at
    }
}
