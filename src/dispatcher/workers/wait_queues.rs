//! One queue for each listener: the workers that serve it, and the connections that wait for them.
//!
//! Connections wait only while none of the queue's workers can take one. A worker is in exactly
//! those queues whose connections it may be given.

use std::collections::{BTreeMap, VecDeque};

use crate::balancing::{Balancer, LoadSnapshot};
use crate::config::Balance;
use crate::connection::Connection;
use crate::dispatcher::link::WorkerLink;
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

#[derive(Debug)]
struct WaitQueue {
    balancer: Balancer,
    waiting: VecDeque<Connection>,
    /// Only draining workers still have connections of it; see `unserved`.
    retired: bool,
}

#[derive(Debug)]
pub(in crate::dispatcher) struct WaitQueues {
    policy: Balance,
    queues: BTreeMap<ListenerId, WaitQueue>,
    /// Whether draining workers take connections of all listeners.
    draining_everywhere: bool,
}

/// For the owner of the indices.
impl WaitQueues {
    /// No queue yet; each is made when it is first needed.
    pub(super) fn new(policy: Balance) -> Self {
        Self { policy, queues: BTreeMap::new(), draining_everywhere: false }
    }

    fn queue(&mut self, listener: ListenerId) -> &mut WaitQueue {
        self.queues.entry(listener).or_insert_with(|| WaitQueue {
            balancer: Balancer::new(self.policy),
            waiting: VecDeque::new(),
            retired: false,
        })
    }

    /// Puts a worker into exactly those queues whose connections it may be given.
    pub(super) fn reindex(&mut self, link: &mut WorkerLink) {
        for listener in link.serves() {
            self.queue(listener);
        }
        let (worker, slot) = (link.id(), link.slot());
        let everywhere = self.draining_everywhere;
        for (listener, queue) in &mut self.queues {
            let draining = everywhere || queue.retired;
            if link.may_take(*listener, draining) {
                queue.balancer.insert(worker, slot, link.load(draining));
            } else {
                queue.balancer.remove(worker);
            }
        }
    }

    /// Enters a worker's present load in all queues that it is in.
    pub(super) fn refresh(&mut self, link: &mut WorkerLink) {
        let (worker, everywhere) = (link.id(), self.draining_everywhere);
        let load = link.load(everywhere);
        for queue in self.queues.values_mut() {
            let load = if queue.retired { link.load(true) } else { load };
            queue.balancer.refresh(worker, load);
        }
    }

    /// Takes a worker that is gone out of all queues.
    pub(super) fn remove(&mut self, worker: WorkerId) {
        self.queues.values_mut().for_each(|queue| queue.balancer.remove(worker));
    }

    /// Chooses the best worker for a connection, never `except`. `load` returns the present load of
    /// a worker.
    pub(super) fn choose(
        &mut self,
        connection: &Connection,
        except: Option<WorkerId>,
        load: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        self.queue(connection.origin.listener).balancer.choose(connection.client, except, load)
    }

    /// Whether connections wait that this worker may be given, once it has room.
    pub(super) fn wait_for(&self, link: &WorkerLink) -> bool {
        self.queues.iter().any(|(listener, queue)| {
            let draining = self.draining_everywhere || queue.retired;
            !queue.waiting.is_empty() && link.may_take(*listener, draining)
        })
    }

    pub(super) fn admit_draining_everywhere(&mut self) {
        self.draining_everywhere = true;
    }

    /// Returns whether that is new.
    pub(super) fn set_retired(&mut self, listener: ListenerId, retired: bool) -> bool {
        std::mem::replace(&mut self.queue(listener).retired, retired) != retired
    }

    /// Gives up the queues that are not `served`, and closes the connections there.
    pub(super) fn retain(&mut self, served: impl Fn(ListenerId) -> bool) {
        self.queues.retain(|listener, _| served(*listener));
    }
}

impl WaitQueues {
    /// Whether a connection rather waits for its worker than goes to another one.
    pub(in crate::dispatcher) fn are_sticky(&self) -> bool {
        self.policy == Balance::IpHash
    }

    /// Whether only draining workers still have connections of `listener`.
    pub(in crate::dispatcher) fn is_retired(&self, listener: ListenerId) -> bool {
        self.queues.get(&listener).is_some_and(|queue| queue.retired)
    }

    /// Whether draining workers take connections of `listener`, too.
    pub(in crate::dispatcher) fn admits_draining(&self, listener: ListenerId) -> bool {
        self.draining_everywhere || self.is_retired(listener)
    }

    /// Whether a worker could take a connection of `listener`, and no earlier one waits for that.
    pub(in crate::dispatcher) fn has_room(&self, listener: ListenerId) -> bool {
        self.queues
            .get(&listener)
            .is_some_and(|queue| queue.waiting.is_empty() && queue.balancer.has_room())
    }

    /// Returns how many connections wait.
    pub(in crate::dispatcher) fn waiting(&self) -> usize {
        self.queues.values().map(|queue| queue.waiting.len()).sum()
    }

    /// The listeners whose queues hold connections.
    pub(in crate::dispatcher) fn with_waiting(&self) -> Vec<ListenerId> {
        self.queues
            .iter()
            .filter(|(_, queue)| !queue.waiting.is_empty())
            .map(|(listener, _)| *listener)
            .collect()
    }

    /// Appends a connection.
    pub(in crate::dispatcher) fn push(&mut self, connection: Connection) {
        self.queue(connection.origin.listener).waiting.push_back(connection);
    }

    /// Takes out the connection that has waited longest.
    pub(in crate::dispatcher) fn pop(&mut self, listener: ListenerId) -> Option<Connection> {
        self.queues.get_mut(&listener)?.waiting.pop_front()
    }

    /// Puts back what came by `pop`.
    pub(in crate::dispatcher) fn unpop(&mut self, connection: Connection) {
        self.queue(connection.origin.listener).waiting.push_front(connection);
    }
}
