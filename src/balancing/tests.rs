//! Compares the balancer with a simple one, which looks at all workers for each connection.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::balancer::{Balancer, LoadSnapshot, REFRESHES, Standing};
use crate::config::Balance;
use crate::protocol::worker::WorkerId;

/// The workers that serve, with their present load.
struct World {
    workers: BTreeMap<WorkerId, LoadSnapshot>,
    last_chosen: WorkerId,
}

const IDLE: LoadSnapshot = LoadSnapshot { standing: Standing::Free, load: 0 };

impl World {
    fn new() -> Self {
        Self { workers: BTreeMap::new(), last_chosen: WorkerId(0) }
    }

    fn snapshot(&self, worker: WorkerId) -> LoadSnapshot {
        self.workers[&worker]
    }

    /// Chooses as a balancer that compares all workers.
    fn choose(&mut self, policy: Balance, except: Option<WorkerId>) -> Option<WorkerId> {
        let able = self.workers.iter().filter(|(worker, snapshot)| {
            Some(**worker) != except && snapshot.standing != Standing::Full
        });
        let load =
            |snapshot: &LoadSnapshot| if policy == Balance::RoundRobin { 0 } else { snapshot.load };
        let chosen = *able
            .min_by_key(|(worker, snapshot)| {
                (snapshot.standing, load(snapshot), **worker <= self.last_chosen, **worker)
            })?
            .0;
        self.last_chosen = chosen;
        Some(chosen)
    }
}

/// A balancer with workers 1, 2, … in the slots 0, 1, …, and their world.
fn cluster(policy: Balance, loads: &[u64]) -> (Balancer, World) {
    let (mut balancer, mut world) = (Balancer::new(policy), World::new());
    for (slot, load) in (0..).zip(loads) {
        let snapshot = LoadSnapshot { standing: Standing::Free, load: *load };
        balancer.insert(WorkerId(slot + 1), slot, snapshot);
        world.workers.insert(WorkerId(slot + 1), snapshot);
    }
    (balancer, world)
}

fn choose(balancer: &mut Balancer, world: &World, client: Option<IpAddr>) -> Option<u32> {
    balancer.choose(client, None, &mut |worker| world.snapshot(worker)).map(|worker| worker.0)
}

fn set(world: &mut World, worker: u32, standing: Standing) {
    world.workers.get_mut(&WorkerId(worker)).unwrap().standing = standing;
}

#[test]
fn least_connections_takes_the_least_loaded_and_ties_go_round() {
    let (mut balancer, mut world) = cluster(Balance::LeastConnections, &[3, 1, 2]);
    assert_eq!(choose(&mut balancer, &world, None), Some(2));
    world.workers.values_mut().for_each(|snapshot| snapshot.load = 5);
    let turns: Vec<_> = (0..4).map(|_| choose(&mut balancer, &world, None).unwrap()).collect();
    assert_eq!(turns, [3, 1, 2, 3]);
}

#[test]
fn round_robin_ignores_load_and_survives_a_missing_worker() {
    let (mut balancer, world) = cluster(Balance::RoundRobin, &[9, 0, 0]);
    assert_eq!(choose(&mut balancer, &world, None), Some(1));
    balancer.remove(WorkerId(2));
    assert_eq!(choose(&mut balancer, &world, None), Some(3));
    assert_eq!(choose(&mut balancer, &world, None), Some(1));
}

#[test]
fn a_stalled_worker_is_chosen_only_when_all_are_and_a_full_one_never() {
    let (mut balancer, mut world) = cluster(Balance::LeastConnections, &[0, 10]);
    set(&mut world, 1, Standing::Stalled);
    assert_eq!(choose(&mut balancer, &world, None), Some(2));
    set(&mut world, 2, Standing::Stalled);
    assert_eq!(choose(&mut balancer, &world, None), Some(1));
    set(&mut world, 1, Standing::Full);
    assert_eq!(choose(&mut balancer, &world, None), Some(2));
    assert_eq!(
        balancer.choose(None, Some(WorkerId(2)), &mut |worker| world.snapshot(worker)),
        None
    );
    set(&mut world, 2, Standing::Full);
    assert_eq!(choose(&mut balancer, &world, None), None);
    assert!(!balancer.has_room());
    balancer.refresh(WorkerId(1), IDLE);
    assert!(balancer.has_room());
}

#[test]
fn with_few_workers_every_choice_is_that_of_a_comparison_of_all() {
    for (seed, policy) in
        (0..40).flat_map(|seed| [Balance::LeastConnections, Balance::RoundRobin].map(|p| (seed, p)))
    {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut balancer, mut world) = (Balancer::new(policy), World::new());
        for step in 0..1_000 {
            let worker = WorkerId(random.u32(1..=REFRESHES as u32));
            let standing = *random
                .choice(&[Standing::Free, Standing::Free, Standing::Stalled, Standing::Full])
                .unwrap();
            let snapshot = LoadSnapshot { standing, load: random.u64(..4) };
            match random.u8(..10) {
                0 => {
                    balancer.remove(worker);
                    world.workers.remove(&worker);
                }
                1..4 => {
                    balancer.insert(worker, worker.0, snapshot);
                    world.workers.insert(worker, snapshot);
                }
                _ => {
                    let except = random.bool().then_some(worker);
                    let chosen =
                        balancer.choose(None, except, &mut |worker| world.snapshot(worker));
                    assert_eq!(chosen, world.choose(policy, except), "seed {seed}, step {step}");
                    if let Some(worker) = chosen {
                        world.workers.get_mut(&worker).unwrap().load += 1;
                    }
                }
            }
        }
    }
}

#[test]
fn with_many_workers_none_gets_much_more_than_the_others() {
    for seed in 0..3 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut balancer, mut world) = cluster(Balance::LeastConnections, &[0; 1024]);
        let mut open = Vec::new();
        let mut behind = 0;
        for step in 0..50_000 {
            let worker = balancer.choose(None, None, &mut |worker| world.snapshot(worker)).unwrap();
            if step % 32 == 0 {
                let least = world.workers.values().map(|snapshot| snapshot.load).min().unwrap();
                behind = behind.max(world.snapshot(worker).load - least);
            }
            world.workers.get_mut(&worker).unwrap().load += 1;
            open.push(worker);
            // About 20 for each worker, which then come and go.
            if step > 20 * 1024 {
                let ended = open.swap_remove(random.usize(..open.len()));
                world.workers.get_mut(&ended).unwrap().load -= 1;
            }
        }
        let most = world.workers.values().map(|snapshot| snapshot.load).max().unwrap();
        assert!(most <= 21, "seed {seed}: one has {most}, all have 20");
        assert!(behind <= 4, "seed {seed}: {behind} more than the best");
    }
}

#[test]
fn with_many_workers_round_robin_goes_round_whatever_the_load() {
    let loads: Vec<u64> = (0..100).map(|worker| worker % 7).collect();
    let (mut balancer, world) = cluster(Balance::RoundRobin, &loads);
    let turns: Vec<_> = (0..200).map(|_| choose(&mut balancer, &world, None).unwrap()).collect();
    assert_eq!(turns, (1..=100).chain(1..=100).collect::<Vec<_>>());
}

#[test]
fn an_old_snapshot_is_refreshed_before_its_worker_is_chosen() {
    let (mut balancer, mut world) = cluster(Balance::LeastConnections, &[0; 200]);
    world.workers.values_mut().for_each(|snapshot| snapshot.load = 9);
    // Not among the next to be refreshed, and the only one that did not change.
    world.workers.get_mut(&WorkerId(150)).unwrap().load = 0;
    assert!((0..100).any(|_| choose(&mut balancer, &world, None) == Some(150)));
    set(&mut world, 150, Standing::Full);
    assert!((0..100).all(|_| choose(&mut balancer, &world, None) != Some(150)));
}

#[test]
fn a_choice_among_1024_refreshes_a_few() {
    for policy in [Balance::LeastConnections, Balance::RoundRobin, Balance::IpHash] {
        let (mut balancer, mut world) = cluster(policy, &[0; 1024]);
        let mut refreshes = 0;
        for number in 0..5_000u32 {
            let client = Some(IpAddr::from(number.to_be_bytes()));
            let worker = balancer
                .choose(client, None, &mut |worker| (refreshes += 1, world.snapshot(worker)).1)
                .unwrap();
            world.workers.get_mut(&worker).unwrap().load += 1;
        }
        assert!(refreshes <= 5_000 * (REFRESHES + 2), "{refreshes} refreshes with {policy:?}");
    }
}

fn clients() -> impl Iterator<Item = IpAddr> {
    (0..200u8).map(|number| IpAddr::from([10, 0, number, 1]))
}

#[test]
fn with_ip_hash_a_stalled_worker_keeps_its_clients() {
    let (mut balancer, mut world) = cluster(Balance::IpHash, &[0, 0]);
    let client = clients().next();
    let own = choose(&mut balancer, &world, client).unwrap();
    set(&mut world, own, Standing::Stalled);
    assert_eq!(choose(&mut balancer, &world, client), Some(own));
    assert_ne!(
        choose(&mut balancer, &world, None),
        Some(own),
        "clients without an address are not bound"
    );
}

#[test]
fn with_ip_hash_the_clients_of_a_full_worker_go_elsewhere_and_come_back() {
    let (mut balancer, mut world) = cluster(Balance::IpHash, &[0, 0, 0]);
    for client in clients().map(Some) {
        let own = choose(&mut balancer, &world, client).unwrap();
        set(&mut world, own, Standing::Full);
        let other = choose(&mut balancer, &world, client);
        assert!(other.is_some_and(|other| other != own));
        assert_eq!(choose(&mut balancer, &world, client), other, "the same each time");
        (1..=3).for_each(|worker| set(&mut world, worker, Standing::Full));
        assert_eq!(choose(&mut balancer, &world, client), None);
        (1..=3).for_each(|worker| set(&mut world, worker, Standing::Free));
        assert_eq!(choose(&mut balancer, &world, client), Some(own));
    }
}

#[test]
fn ip_hash_keeps_a_client_on_its_slot_and_moves_only_those_of_a_lost_slot() {
    let (mut balancer, mut world) = cluster(Balance::IpHash, &[0, 0, 0, 0]);
    let before: HashMap<IpAddr, u32> = clients()
        .map(|client| (client, choose(&mut balancer, &world, Some(client)).unwrap()))
        .collect();
    assert!(
        (1..=4).all(|id| before.values().filter(|worker| **worker == id).count() > 25),
        "clients spread over all"
    );
    // A successor takes over the slot, first beside the old worker and then alone.
    balancer.insert(WorkerId(5), 3, IDLE);
    world.workers.insert(WorkerId(5), IDLE);
    for step in ["beside", "alone", "gone"] {
        for client in clients() {
            let now = choose(&mut balancer, &world, Some(client)).unwrap();
            match before[&client] {
                4 => assert_eq!(now == 5, step != "gone", "{step}"),
                other => assert_eq!(now, other, "a client moved without need: {step}"),
            }
        }
        balancer.remove(WorkerId(if step == "beside" { 4 } else { 5 }));
    }
}
