//! One line for each listener: the workers that serve it, and the connections that wait for them.
//!
//! Connections wait only while none of the line's workers can take one. A worker is in the lines of all that it may be given.

use std::collections::{BTreeMap, VecDeque};

use crate::balancing::{Balancer, LoadSnapshot};
use crate::config::Balance;
use crate::dispatcher::link::state::{Connection, WorkerLink};
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

#[derive(Debug)]
struct WaitQueue {
    balancer: Balancer,
    waiting: VecDeque<Connection>,
}

/// See the module's text.
#[derive(Debug)]
pub struct WaitQueues {
    policy: Balance,
    lines: BTreeMap<ListenerId, WaitQueue>,
}

impl WaitQueues {
    /// None yet; each is made when it is first needed.
    pub fn new(policy: Balance) -> Self {
        Self { policy, lines: BTreeMap::new() }
    }

    fn line(&mut self, listener: ListenerId) -> &mut WaitQueue {
        let new = || WaitQueue { balancer: Balancer::new(self.policy), waiting: VecDeque::new() };
        self.lines.entry(listener).or_insert_with(new)
    }

    /// Whether a connection rather waits for its worker than goes to another one.
    pub fn are_sticky(&self) -> bool {
        self.policy == Balance::IpHash
    }

    /// Puts a worker into exactly those lines that it may be given connections of: a draining one into those for which
    /// `is_leaving`. With `leaving` it is never full.
    pub fn enrol(
        &mut self,
        peer: &mut WorkerLink,
        leaving: bool,
        is_leaving: impl Fn(ListenerId) -> bool,
    ) {
        for listener in peer.serves() {
            self.line(listener);
        }
        let (id, slot, look) = (peer.id(), peer.slot(), peer.look(leaving));
        for (listener, line) in &mut self.lines {
            if peer.may_take(*listener, is_leaving(*listener)) {
                line.balancer.insert(id, slot, look);
            } else {
                line.balancer.remove(id);
            }
        }
    }

    /// Takes a worker that is gone out of all lines.
    pub fn strike(&mut self, worker: WorkerId) {
        self.lines.values_mut().for_each(|line| line.balancer.remove(worker));
    }

    /// A worker looks like this now.
    pub fn note(&mut self, worker: WorkerId, look: LoadSnapshot) {
        self.lines.values_mut().for_each(|line| line.balancer.refresh(worker, look));
    }

    /// The best worker for a connection, but never `not`. `look` says how a worker looks now.
    pub fn choose(
        &mut self,
        connection: &Connection,
        not: Option<WorkerId>,
        look: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        self.line(connection.origin.listener).balancer.choose(connection.client, not, look)
    }

    /// Lets a connection wait.
    pub fn wait(&mut self, connection: Connection) {
        self.line(connection.origin.listener).waiting.push_back(connection);
    }

    /// Whether somebody could take a connection of `listener`, and nobody who came before waits for that.
    pub fn are_open(&self, listener: ListenerId) -> bool {
        self.lines
            .get(&listener)
            .is_some_and(|line| line.waiting.is_empty() && line.balancer.has_room())
    }

    /// How many connections wait.
    pub fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// The listeners of which connections wait.
    pub fn busy(&self) -> Vec<ListenerId> {
        self.lines
            .iter()
            .filter(|(_, line)| !line.waiting.is_empty())
            .map(|(listener, _)| *listener)
            .collect()
    }

    /// Who has waited longest in a line.
    pub fn next(&mut self, listener: ListenerId) -> Option<Connection> {
        self.lines.get_mut(&listener)?.waiting.pop_front()
    }

    /// Puts back who came by `next`.
    pub fn wait_on(&mut self, connection: Connection) {
        self.line(connection.origin.listener).waiting.push_front(connection);
    }

    /// Gives up the lines that are not `served`, and closes what waits there.
    pub fn release_unserved(&mut self, served: impl Fn(ListenerId) -> bool) {
        self.lines.retain(|listener, _| served(*listener));
    }
}
