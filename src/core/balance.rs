//! Which worker gets a connection.
//!
//! Candidates are the workers that serve the connection's listener and may be given something. Workers whose event loop
//! is known to be stuck (`stalled`) are chosen only where there is nobody else, but for `ip-hash`: what a client has begun lives
//! in its worker (a session of Socket.IO), which is of more use to it late than another one is at once.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;

use super::worker::WorkerId;
use crate::config::Balance;

/// A worker that could take the connection.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Which.
    pub worker: WorkerId,
    /// Its place: what `ip-hash` hangs on, so that a replacement inherits the clients.
    pub slot: u32,
    /// Connections it has, and those on the way to it.
    pub load: u64,
    /// Whether it did not take its last connections in time.
    pub stalled: bool,
}

/// Chooses by one policy; remembers only who was last.
#[derive(Debug)]
pub struct Balancer {
    policy: Balance,
    last: WorkerId,
}

impl Balancer {
    /// A balancer for `policy`.
    pub fn new(policy: Balance) -> Self {
        Self { policy, last: WorkerId(0) }
    }

    /// The chosen worker, or `None` without candidates. `client` is `None` on unix sockets, where `ip-hash` falls
    /// back to the fewest connections.
    pub fn choose(&mut self, candidates: &[Candidate], client: Option<IpAddr>) -> Option<WorkerId> {
        let bound = self.is_sticky() && client.is_some();
        let free = !bound && candidates.iter().any(|c| !c.stalled);
        let able = candidates.iter().filter(|c| !free || !c.stalled);
        let chosen = match (self.policy, client) {
            (Balance::IpHash, Some(client)) => able.max_by_key(|c| affinity(client, c.slot)),
            (Balance::RoundRobin, _) => able.min_by_key(|c| self.turn(c.worker)),
            _ => able.min_by_key(|c| (c.load, self.turn(c.worker))),
        }?
        .worker;
        self.last = chosen;
        Some(chosen)
    }

    /// Whether a connection rather waits for its worker than goes to another one.
    pub fn is_sticky(&self) -> bool {
        self.policy == Balance::IpHash
    }

    /// Smallest for the worker after the last one: ties go round.
    fn turn(&self, worker: WorkerId) -> (bool, WorkerId) {
        (worker <= self.last, worker)
    }
}

/// Rendezvous hashing: when a slot comes or goes, only its own clients move.
fn affinity(client: IpAddr, slot: u32) -> u64 {
    let mut hasher = DefaultHasher::new();
    (client, slot).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn candidates(loads: &[u64]) -> Vec<Candidate> {
        let one = |(i, load): (usize, &u64)| Candidate {
            worker: WorkerId(i as u32 + 1),
            slot: i as u32,
            load: *load,
            stalled: false,
        };
        loads.iter().enumerate().map(one).collect()
    }

    #[test]
    fn least_connections_takes_the_least_loaded_and_ties_go_round() {
        let mut balancer = Balancer::new(Balance::LeastConnections);
        assert_eq!(balancer.choose(&candidates(&[3, 1, 2]), None), Some(WorkerId(2)));
        let turns: Vec<_> = (0..4).map(|_| balancer.choose(&candidates(&[5, 5, 5]), None).unwrap().0).collect();
        assert_eq!(turns, [3, 1, 2, 3]);
    }

    #[test]
    fn round_robin_ignores_load_and_survives_a_missing_worker() {
        let mut balancer = Balancer::new(Balance::RoundRobin);
        let mut all = candidates(&[9, 0, 0]);
        assert_eq!(balancer.choose(&all, None), Some(WorkerId(1)));
        all.remove(1);
        assert_eq!(balancer.choose(&all, None), Some(WorkerId(3)));
        assert_eq!(balancer.choose(&all, None), Some(WorkerId(1)));
    }

    #[test]
    fn a_stalled_worker_is_chosen_only_when_all_are() {
        let mut balancer = Balancer::new(Balance::LeastConnections);
        let mut all = candidates(&[0, 10]);
        all[0].stalled = true;
        assert_eq!(balancer.choose(&all, None), Some(WorkerId(2)));
        all[1].stalled = true;
        assert_eq!(balancer.choose(&all, None), Some(WorkerId(1)));
        assert_eq!(balancer.choose(&[], None), None);
    }

    #[test]
    fn with_ip_hash_a_stalled_worker_keeps_its_clients() {
        let mut balancer = Balancer::new(Balance::IpHash);
        let client = Some(IpAddr::from([10, 0, 0, 1]));
        let mut all = candidates(&[0, 0]);
        let own = balancer.choose(&all, client).unwrap();
        all.iter_mut().filter(|c| c.worker == own).for_each(|c| c.stalled = true);
        assert_eq!(balancer.choose(&all, client), Some(own));
        assert_ne!(balancer.choose(&all, None), Some(own), "clients without an address are not bound");
    }

    #[test]
    fn ip_hash_keeps_a_client_on_its_slot_and_moves_only_those_of_a_lost_slot() {
        let mut balancer = Balancer::new(Balance::IpHash);
        let clients: Vec<IpAddr> = (0..200u8).map(|i| IpAddr::from([10, 0, i, 1])).collect();
        let all = candidates(&[0, 0, 0, 0]);
        let before: HashMap<IpAddr, WorkerId> =
            clients.iter().map(|c| (*c, balancer.choose(&all, Some(*c)).unwrap())).collect();
        assert!((1..=4).all(|id| before.values().filter(|w| w.0 == id).count() > 25), "clients spread over all");
        for client in &clients {
            let now = balancer.choose(&all[..3], Some(*client)).unwrap();
            assert!(now == before[client] || before[client] == WorkerId(4), "a client moved without need");
        }
    }
}
