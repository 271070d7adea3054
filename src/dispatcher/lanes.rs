//! Lanes: with `balance: 'kernel'` a TCP listener has one socket for each slot, and its worker accepts there by itself.
//!
//! What always holds: the master has every lane, so that no queue dies with a worker; and each lane is served, by its slot's worker
//! while that serves the listener, does not drain and is not stuck, and else by the dispatcher, as any other listening socket.
//!
//! Whether a worker is stuck is not asked for each connection. A lane that is served is watched for one event: somebody came. After
//! `TAKE_WITHIN` the dispatcher looks whether the worker has had any connection since, and whether somebody still waits; then it
//! watches anew. So it wakes at most 40 times a second for a lane, and for an idle one never.

use std::collections::BTreeMap;

use crate::dispatcher::event_loop::{EventLoop, LISTENER};
use crate::dispatcher::link::state::WorkerLink;
use crate::dispatcher::listeners::watch::{Attention, Progress};
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Watches sockets of which somebody could take the connections: the others' wait in the kernel's queue.
    pub(super) fn watch_listeners(&mut self) {
        let (peers, lines) = (&self.peers, &self.lines);
        let (shut, has_lanes) = (self.door.is_shut(), self.door.has_lanes());
        // While a worker is replaced, both may be there: the later one counts. Without lanes, a turn walks over no worker.
        let with_lanes = has_lanes.then(|| peers.values()).into_iter().flatten();
        let served: BTreeMap<(ListenerId, u32), &WorkerLink> =
            with_lanes.flat_map(|peer| peer.lanes().map(move |lane| (lane, peer))).collect();
        let attention = |listener, slot: Option<u32>| match slot
            .and_then(|slot| served.get(&(listener, slot)))
        {
            Some(peer) if !peer.is_stalled() || !is_another_free(peers, peer.id(), listener) => {
                Attention::Guard(Progress { worker: peer.id(), connections: peer.progress() })
            }
            _ if !shut && lines.are_open(listener) => Attention::Accept,
            _ => Attention::Off,
        };
        self.door.watch(&self.epoll, LISTENER, self.now, attention);
    }

    /// Looks whether the workers of lanes to which somebody came have accepted since.
    pub(super) fn look_at_lanes(&mut self) {
        let (peers, now) = (&self.peers, self.now);
        let is_idle = |before: &Progress| {
            peers.get(&before.worker).is_some_and(|peer| peer.progress() == before.connections)
        };
        for (listener, before) in self.door.take_unaccepted(now, is_idle) {
            if is_another_free(&self.peers, before.worker, listener) {
                tracing::debug!(
                    worker = before.worker.0,
                    listener,
                    "it is busy; others get what comes on its lane"
                );
                self.with_peer(before.worker, |peer| {
                    if !peer.is_stalled() {
                        peer.stall(now)
                    }
                });
                self.enrol(before.worker);
            }
        }
    }
}

fn is_another_free(
    peers: &BTreeMap<WorkerId, WorkerLink>,
    worker: WorkerId,
    listener: ListenerId,
) -> bool {
    peers
        .values()
        .any(|peer| peer.id() != worker && peer.is_free() && peer.may_take(listener, false))
}
