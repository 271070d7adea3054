//! Which worker gets a connection of one listener.
//!
//! Members are the workers that serve the listener. A worker's load changes at any time without a word, so each choice first looks at
//! the next few members in turn (`LOOKS`), and takes the best of what is known of all: with few workers all is exact, with many it is a
//! little old, and a choice costs no more than the logarithm of their number.
//!
//! Workers whose event loop is known to be stuck (`Stalled`) are chosen only where there is nobody else, but for `ip-hash`: what a
//! client has begun lives in its worker (a session of Socket.IO), which is of more use to it late than another one is at once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::balancing::affinity::Affinity;
use crate::balancing::min_tree::MinTree;
use crate::config::Balance;
use crate::protocol::worker::WorkerId;

/// Members that each choice looks at anew.
const LOOKS: usize = 32;
/// Slots in which `ip-hash` looks for somebody who can take a client.
const ATTEMPTS: u32 = 16;

/// How a worker looks at one moment; the better one is less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadSnapshot {
    /// Whether it can take something.
    pub standing: Standing,
    /// Connections it has, and those on the way to it.
    pub load: u64,
}

/// Whether a worker can take something, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It can.
    Free,
    /// It did not take its last connections in time.
    Stalled,
    /// It can not.
    Full,
}

impl LoadSnapshot {
    /// Of a worker that can take nothing.
    pub const FULL: Self = Self { standing: Standing::Full, load: 0 };
}

/// Chooses by one policy among its members.
#[derive(Debug)]
pub struct Balancer {
    policy: Balance,
    /// In ascending order.
    members: Vec<WorkerId>,
    /// How each of them looked when it was last looked at.
    looks: MinTree<LoadSnapshot>,
    /// Whose turn it is to be looked at.
    next: usize,
    last: WorkerId,
    /// For `ip-hash`: who sits in each slot, and the slots of clients.
    seats: BTreeSet<(u32, WorkerId)>,
    affinity: Affinity,
}

impl Balancer {
    /// A balancer for `policy`, without members.
    pub fn new(policy: Balance) -> Self {
        Self {
            policy,
            members: Vec::new(),
            looks: MinTree::new([].into_iter()),
            next: 0,
            last: WorkerId(0),
            seats: BTreeSet::new(),
            affinity: Affinity::default(),
        }
    }

    /// A worker comes, or looks like this now if it is there already. `slot` is its place: what `ip-hash` hangs on, so that a replacement inherits the
    /// clients.
    pub fn insert(&mut self, worker: WorkerId, slot: u32, look: LoadSnapshot) {
        let place = match self.members.binary_search(&worker) {
            Ok(place) => return self.enter(place, look),
            Err(place) => place,
        };
        self.rebuild(|members, looks| {
            members.insert(place, worker);
            looks.insert(place, LoadSnapshot::FULL);
        });
        self.enter(place, look);
        if self.policy == Balance::IpHash {
            self.seats.insert((slot, worker));
            self.affinity.join(slot);
        }
    }

    /// A worker goes, if it is there.
    pub fn remove(&mut self, worker: WorkerId) {
        let Ok(place) = self.members.binary_search(&worker) else { return };
        self.rebuild(|members, looks| {
            members.remove(place);
            looks.remove(place);
        });
        if let Some(seat) = self.seats.iter().find(|(_, sitting)| *sitting == worker).copied() {
            self.seats.remove(&seat);
            if self.sitting(seat.0).next().is_none() {
                self.affinity.leave(seat.0);
            }
        }
    }

    fn rebuild(&mut self, change: impl FnOnce(&mut Vec<WorkerId>, &mut Vec<LoadSnapshot>)) {
        let mut looks = (0..self.members.len()).map(|place| self.looks.get(place)).collect();
        change(&mut self.members, &mut looks);
        self.looks = MinTree::new(looks.into_iter());
        self.next = 0;
    }

    /// Whether somebody can take a connection, as far as is known.
    pub fn has_room(&self) -> bool {
        self.looks
            .least(0..self.members.len())
            .is_some_and(|(look, _)| look.standing != Standing::Full)
    }

    /// A member looks like this now.
    pub fn refresh(&mut self, worker: WorkerId, look: LoadSnapshot) {
        if let Ok(place) = self.members.binary_search(&worker) {
            self.enter(place, look);
        }
    }

    /// The chosen worker, but never `not`; `None` if nobody can take the connection. `client` is `None` on unix sockets, where
    /// `ip-hash` falls back to the fewest connections. `look` says how a member looks now.
    pub fn choose(
        &mut self,
        client: Option<IpAddr>,
        not: Option<WorkerId>,
        look: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let own = client.and_then(|client| self.own(client, not, look));
        let chosen = own.or_else(|| self.best(not, look))?;
        self.last = chosen;
        Some(chosen)
    }

    /// For `ip-hash`: the client's own worker, stalled or not; or who stands in for it while it can take nothing.
    fn own(
        &self,
        client: IpAddr,
        not: Option<WorkerId>,
        look: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let slots = (0..ATTEMPTS).map_while(|attempt| self.affinity.slot(client, attempt));
        let mut able =
            slots.flat_map(|slot| self.sitting(slot)).filter(|worker| Some(*worker) != not);
        able.find(|worker| look(*worker).standing != Standing::Full)
    }

    /// Who sits in a slot: during a replacement the successor, then the worker that goes.
    fn sitting(&self, slot: u32) -> impl Iterator<Item = WorkerId> {
        self.seats
            .range((slot, WorkerId(0))..=(slot, WorkerId(u32::MAX)))
            .rev()
            .map(|(_, worker)| *worker)
    }

    fn best(
        &mut self,
        not: Option<WorkerId>,
        look: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let count = self.members.len();
        for _ in 0..LOOKS.min(count) {
            self.next = (self.next + 1) % count;
            self.enter(self.next, look(self.members[self.next]));
        }
        let not = not.and_then(|not| self.members.binary_search(&not).ok());
        let mut best = self.first(not)?;
        // Where not all were just looked at, what is known of it may be old.
        let doubts = if count > LOOKS { LOOKS } else { 0 };
        for _ in 0..doubts {
            let known = self.looks.get(best);
            self.enter(best, look(self.members[best]));
            if self.looks.get(best) <= known {
                break;
            }
            best = self.first(not)?;
        }
        Some(self.members[best])
    }

    /// The best known place; ties go round, beginning after the last one chosen.
    fn first(&self, not: Option<usize>) -> Option<usize> {
        let count = self.members.len();
        let after = self.members.partition_point(|worker| *worker <= self.last);
        let not = not.unwrap_or(count);
        let best = [after..count, 0..after].into_iter().flat_map(|part| {
            let (before, behind) =
                (part.start..part.end.min(not), part.start.max(not + 1)..part.end);
            [before, behind].into_iter().filter_map(|places| self.looks.least(places))
        });
        let (look, place) = best.min_by_key(|(look, _)| *look)?;
        (look.standing != Standing::Full).then_some(place)
    }

    fn enter(&mut self, place: usize, look: LoadSnapshot) {
        let load = if self.policy == Balance::RoundRobin { 0 } else { look.load };
        self.looks.set(place, LoadSnapshot { load, ..look });
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
