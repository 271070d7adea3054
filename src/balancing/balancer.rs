//! Chooses the worker that gets a connection of one listener.
//!
//! The members are the workers that serve the listener. A worker's load changes at any time, and
//! nothing reports it. So each choice first refreshes the snapshots of the next few members in
//! turn ([`REFRESHES`]), and then takes the least loaded of all. With few workers every snapshot
//! is exact. With many they are slightly old, and a choice costs the logarithm of their number.
//!
//! A worker whose event loop is known to be stuck ([`Standing::Stalled`]) is chosen only if no
//! other can take the connection. `ip-hash` is the exception: what a client has begun lives in its
//! worker (a session of Socket.IO), which serves it better late than another one at once.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::balancing::affinity::Affinity;
use crate::balancing::min_tree::MinTree;
use crate::config::Balance;
use crate::protocol::worker::WorkerId;

/// How many snapshots each choice refreshes.
pub(super) const REFRESHES: usize = 32;
/// How many slots `ip-hash` tries for a client.
const ATTEMPTS: u32 = 16;

/// The load of a worker at one moment. The least one is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoadSnapshot {
    /// Whether the worker can take a connection.
    pub standing: Standing,
    /// Connections that it has, and those on the way to it.
    pub load: u64,
}

/// Whether a worker can take a connection, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It can.
    Free,
    /// It did not take its last connections in time.
    Stalled,
    /// It cannot.
    Full,
}

impl LoadSnapshot {
    /// The snapshot of a worker that can take nothing.
    pub const FULL: Self = Self { standing: Standing::Full, load: 0 };
}

/// Chooses among its members by one policy.
#[derive(Debug)]
pub struct Balancer {
    policy: Balance,
    /// In ascending order.
    members: Vec<WorkerId>,
    /// The latest snapshot of each member, by its index in `members`.
    snapshots: MinTree<LoadSnapshot>,
    /// The index of the member that was refreshed in turn last.
    refreshed: usize,
    last_chosen: WorkerId,
    /// For `ip-hash`: the workers of each slot.
    slots: BTreeSet<(u32, WorkerId)>,
    /// For `ip-hash`: the slot of each client.
    affinity: Affinity,
}

impl Balancer {
    /// Returns a balancer for `policy` without members.
    pub fn new(policy: Balance) -> Self {
        Self {
            policy,
            members: Vec::new(),
            snapshots: MinTree::new([].into_iter()),
            refreshed: 0,
            last_chosen: WorkerId(0),
            slots: BTreeSet::new(),
            affinity: Affinity::default(),
        }
    }

    /// Inserts a worker, or refreshes its snapshot if it is a member already. `ip-hash` binds
    /// clients to `slot`, so that a replacement inherits them.
    pub fn insert(&mut self, worker: WorkerId, slot: u32, snapshot: LoadSnapshot) {
        let index = match self.members.binary_search(&worker) {
            Ok(index) => return self.set(index, snapshot),
            Err(index) => index,
        };
        self.rebuild(|members, snapshots| {
            members.insert(index, worker);
            snapshots.insert(index, LoadSnapshot::FULL);
        });
        self.set(index, snapshot);
        if self.policy == Balance::IpHash {
            self.slots.insert((slot, worker));
            self.affinity.insert(slot);
        }
    }

    /// Removes a worker, if it is a member.
    pub fn remove(&mut self, worker: WorkerId) {
        let Ok(index) = self.members.binary_search(&worker) else { return };
        self.rebuild(|members, snapshots| {
            members.remove(index);
            snapshots.remove(index);
        });
        if let Some(entry) = self.slots.iter().find(|(_, of_slot)| *of_slot == worker).copied() {
            self.slots.remove(&entry);
            if self.workers_of(entry.0).next().is_none() {
                self.affinity.remove(entry.0);
            }
        }
    }

    fn rebuild(&mut self, change: impl FnOnce(&mut Vec<WorkerId>, &mut Vec<LoadSnapshot>)) {
        let mut snapshots =
            (0..self.members.len()).map(|index| self.snapshots.get(index)).collect();
        change(&mut self.members, &mut snapshots);
        self.snapshots = MinTree::new(snapshots.into_iter());
        self.refreshed = 0;
    }

    /// Whether a member can take a connection, by the latest snapshots.
    pub fn has_room(&self) -> bool {
        self.snapshots
            .least(0..self.members.len())
            .is_some_and(|(snapshot, _)| snapshot.standing != Standing::Full)
    }

    /// Refreshes the snapshot of a worker, if it is a member.
    pub fn refresh(&mut self, worker: WorkerId, snapshot: LoadSnapshot) {
        if let Ok(index) = self.members.binary_search(&worker) {
            self.set(index, snapshot);
        }
    }

    /// Chooses a worker, but never `except`. Returns `None` if no member can take the connection.
    ///
    /// `client` is `None` on unix sockets, where `ip-hash` falls back to the least connections.
    /// `snapshot` returns the present load of a member.
    pub fn choose(
        &mut self,
        client: Option<IpAddr>,
        except: Option<WorkerId>,
        snapshot: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let own = client.and_then(|client| self.choose_for(client, except, snapshot));
        let chosen = own.or_else(|| self.choose_least_loaded(except, snapshot))?;
        self.last_chosen = chosen;
        Some(chosen)
    }

    /// For `ip-hash`: returns the client's own worker, even if it is stalled. While that is full,
    /// returns its substitute.
    fn choose_for(
        &self,
        client: IpAddr,
        except: Option<WorkerId>,
        snapshot: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let slots = (0..ATTEMPTS).map_while(|attempt| self.affinity.slot(client, attempt));
        slots
            .flat_map(|slot| self.workers_of(slot))
            .filter(|worker| Some(*worker) != except)
            .find(|worker| snapshot(*worker).standing != Standing::Full)
    }

    /// Returns the workers of a slot. During a replacement the successor comes first.
    fn workers_of(&self, slot: u32) -> impl Iterator<Item = WorkerId> {
        self.slots
            .range((slot, WorkerId(0))..=(slot, WorkerId(u32::MAX)))
            .rev()
            .map(|(_, worker)| *worker)
    }

    fn choose_least_loaded(
        &mut self,
        except: Option<WorkerId>,
        snapshot: &mut impl FnMut(WorkerId) -> LoadSnapshot,
    ) -> Option<WorkerId> {
        let count = self.members.len();
        for _ in 0..REFRESHES.min(count) {
            self.refreshed = (self.refreshed + 1) % count;
            self.set(self.refreshed, snapshot(self.members[self.refreshed]));
        }
        let except = except.and_then(|except| self.members.binary_search(&except).ok());
        let mut best = self.least_loaded(except)?;
        // With many members the best snapshot may be old: take it only if the load is no worse.
        let doubts = if count > REFRESHES { REFRESHES } else { 0 };
        for _ in 0..doubts {
            let known = self.snapshots.get(best);
            self.set(best, snapshot(self.members[best]));
            if self.snapshots.get(best) <= known {
                break;
            }
            best = self.least_loaded(except)?;
        }
        Some(self.members[best])
    }

    /// Returns the index of the member with the least snapshot. Members after the one that was
    /// chosen last win ties, so that equal members take turns.
    fn least_loaded(&self, except: Option<usize>) -> Option<usize> {
        let count = self.members.len();
        let after = self.members.partition_point(|worker| *worker <= self.last_chosen);
        let except = except.unwrap_or(count);
        let least = [after..count, 0..after].into_iter().flat_map(|part| {
            let below = part.start..part.end.min(except);
            let above = part.start.max(except + 1)..part.end;
            [below, above].into_iter().filter_map(|range| self.snapshots.least(range))
        });
        let (snapshot, index) = least.min_by_key(|(snapshot, _)| *snapshot)?;
        (snapshot.standing != Standing::Full).then_some(index)
    }

    fn set(&mut self, index: usize, snapshot: LoadSnapshot) {
        let load = if self.policy == Balance::RoundRobin { 0 } else { snapshot.load };
        self.snapshots.set(index, LoadSnapshot { load, ..snapshot });
    }
}
