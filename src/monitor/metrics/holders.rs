//! Which worker a slot's series are about.

use std::collections::BTreeMap;

use crate::protocol::status::WorkerStatus;

/// The worker of each slot that has one.
pub(super) type Holders<'a> = BTreeMap<u32, &'a WorkerStatus>;

/// Returns the worker that holds each slot: the newest that is ready, a spare or stuck, else the
/// newest that starts, else the newest that leaves.
pub(super) fn holders(workers: &[WorkerStatus]) -> Holders<'_> {
    let rank = |worker: &WorkerStatus| match worker.state {
        "ready" | "spare" | "stuck" => (2, worker.generation),
        "starting" => (1, worker.generation),
        _ => (0, worker.generation),
    };
    let mut holders = BTreeMap::new();
    for worker in workers {
        let holder = holders.entry(worker.slot).or_insert(worker);
        if rank(worker) > rank(holder) {
            *holder = worker;
        }
    }
    holders
}
