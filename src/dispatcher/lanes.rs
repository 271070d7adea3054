//! Lanes: with `balance: 'kernel'` a TCP listener has one socket for each slot, and the slot's
//! worker accepts there by itself.
//!
//! What always holds: the master has every lane, so that no queue dies with a worker; and each lane
//! is served, by its slot's worker while that serves the listener, does not drain and is not stuck,
//! and else by the dispatcher, as any other listening socket.
//!
//! Whether a worker is stuck is not asked for each connection. A lane that is served is watched for
//! one event: somebody came. After `TAKE_WITHIN` the dispatcher checks whether the worker has had
//! any connection since, and whether somebody still waits; then it watches again. So it wakes at
//! most 40 times a second for a lane, and for an idle one never.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::WorkerLink;
use crate::dispatcher::listeners::{Interest, LaneProgress};
use crate::dispatcher::workers::WorkerSet;
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Watches sockets of which a worker could take the connections. Those of the others wait in
    /// the kernel's queue.
    pub(super) fn watch_listeners(&mut self) {
        let (workers, admits) = (&self.workers, self.listeners.is_admitting());
        // While a worker is replaced, both may be there: the later one counts. Without lanes, a
        // turn walks over no worker.
        let with_lanes = self.listeners.has_lanes().then(|| workers.iter()).into_iter().flatten();
        let serving: BTreeMap<(ListenerId, u32), &WorkerLink> =
            with_lanes.flat_map(|link| link.lanes().map(move |lane| (lane, link))).collect();
        let own = |listener, slot: Option<u32>| serving.get(&(listener, slot?));
        let interest = |listener, slot| match own(listener, slot) {
            Some(link) if !link.is_stalled() || !is_another_free(workers, link.id(), listener) => {
                Interest::Guard(LaneProgress { worker: link.id(), connections: link.progress() })
            }
            _ if admits && workers.queues().has_room(listener) => Interest::Accept,
            _ => Interest::Off,
        };
        self.listeners.watch(&self.epoll, self.now, interest);
    }

    /// Checks whether the workers of lanes to which somebody came have accepted since.
    pub(super) fn check_lanes(&mut self) {
        let (workers, now) = (&self.workers, self.now);
        let is_idle = |before: &LaneProgress| {
            workers.get(before.worker).is_some_and(|link| link.progress() == before.connections)
        };
        for (listener, before) in self.listeners.take_unaccepted(now, is_idle) {
            if is_another_free(&self.workers, before.worker, listener) {
                tracing::debug!(
                    worker = before.worker.0,
                    listener,
                    "it is busy; others get what comes on its lane"
                );
                self.workers.change(before.worker, |link| {
                    if !link.is_stalled() {
                        link.stall(now);
                    }
                });
            }
        }
    }

    /// A descriptor of the lane of `listener` that belongs to a worker's slot.
    pub(super) fn lane(&mut self, worker: WorkerId, listener: ListenerId) -> Option<OwnedFd> {
        let slot = self.workers.get(worker).filter(|link| link.is_open())?.slot();
        self.listeners.lane(listener, slot)
    }
}

fn is_another_free(workers: &WorkerSet, worker: WorkerId, listener: ListenerId) -> bool {
    workers
        .iter()
        .any(|link| link.id() != worker && link.is_free() && link.may_take(listener, false))
}
