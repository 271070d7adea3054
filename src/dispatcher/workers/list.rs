//! Workers in ascending order.

use crate::protocol::worker::WorkerId;

/// Workers in ascending order, each once. Keeps its room, so that in the long run nothing is
/// allocated.
#[derive(Debug, Default)]
pub(super) struct WorkerList(Vec<WorkerId>);

impl WorkerList {
    /// Enters a worker, if it is not there.
    pub(super) fn insert(&mut self, worker: WorkerId) {
        if let Err(index) = self.0.binary_search(&worker) {
            self.0.insert(index, worker);
        }
    }

    pub(super) fn remove(&mut self, worker: WorkerId) {
        if let Ok(index) = self.0.binary_search(&worker) {
            self.0.remove(index);
        }
    }

    pub(super) fn retain(&mut self, mut stays: impl FnMut(WorkerId) -> bool) {
        self.0.retain(|worker| stays(*worker));
    }

    pub(super) fn as_slice(&self) -> &[WorkerId] {
        &self.0
    }
}

impl From<WorkerList> for Vec<WorkerId> {
    fn from(list: WorkerList) -> Self {
        list.0
    }
}
