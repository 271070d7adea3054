//! Clusters whose number of workers follows their work, under a load that is constant for a while,
//! doubles, or ends.

use super::world::{LIMITS, World};
use crate::clock::{MAX_WAIT, Millis};
use crate::protocol::worker::WorkerId;
use crate::supervision::worker::Cause;
use crate::supervision::{Event, Limits, Reading, Thresholds, WorkerState};

/// How long a load lasts, in milliseconds. All workers except one can go in this time.
const PHASE: Millis = 180_000;
/// How soon a doubled load must be followed, in milliseconds.
const FOLLOWED: Millis = 15_000;
const MEMORY: u64 = 100;

/// A cluster and the work that it gets.
struct Cluster {
    world: World,
    least: u32,
    most: u32,
    /// The work, in thousandths of an event loop.
    load: u32,
    /// The numbers of workers since the last change of the load.
    targets: Vec<u32>,
}

impl Cluster {
    /// A cluster that works at `load`, all of whose workers are ready.
    fn new(seed: u64, load: u32) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let least = random.u32(1..4);
        let most = least + random.u32(0..12);
        let thresholds = Thresholds::default();
        let limits = Limits { max_workers: Some(most), thresholds, ..LIMITS };
        let mut world = World::with(seed, least, limits);
        world.send(Event::Start);
        let mut cluster = Self { world, least, most, load, targets: Vec::new() };
        cluster.set_load(load);
        cluster
    }

    fn set_load(&mut self, load: u32) {
        self.load = load;
        self.targets = vec![self.world.supervisor.target()];
    }

    fn pass(&mut self, time: Millis) {
        let end = self.world.now + time;
        while self.world.now < end {
            self.world.advance(self.world.now + MAX_WAIT);
            self.live();
            self.world.send(Event::Tick);
            if self.world.now.is_multiple_of(2 * MAX_WAIT) {
                self.sample();
            }
            let target = self.world.supervisor.target();
            if self.targets.last() != Some(&target) {
                self.targets.push(target);
            }
            let is_scaled =
                |state| matches!(state, WorkerState::Draining { cause: Cause::Scale, .. });
            let mut leaving = self.world.supervisor.workers().filter(|(_, w)| is_scaled(w.state));
            assert!(leaving.nth(1).is_none(), "two steps down at a time");
        }
    }

    /// Workers start within a second, and end some time later.
    fn live(&mut self) {
        if !self.world.unanswered.is_empty() {
            self.world.answer_spawn(0, true);
        } else if let Some(worker) = self.world.first(|worker| worker.is_starting()) {
            self.world.send(Event::Ready { worker });
        } else if self.world.loads.u8(0..4) == 0
            && let Some(worker) = self.world.first(|worker| !worker.is_serving())
        {
            self.world.exit(worker);
        }
    }

    /// All ready workers share the work equally, more or less.
    fn sample(&mut self) {
        let ready: Vec<WorkerId> =
            self.world.supervisor.ready_workers().map(|(id, _)| id).collect();
        let (share, now) = (self.load / ready.len().max(1) as u32, self.world.now);
        let mut readings = Vec::new();
        for worker in ready {
            let utilization = Some(share * self.world.loads.u32(80..=120) / 100);
            readings.push(Reading {
                worker,
                beat: now,
                connections: 0,
                memory: MEMORY,
                measured_at: now,
                utilization,
            });
        }
        self.world.memory.0 = MEMORY;
        self.world.send(Event::Sample { readings });
        self.world.send(Event::Autoscale);
    }

    /// How often the number of workers has turned round since the last change of the load.
    fn turns(&self) -> usize {
        let ups: Vec<bool> = self.targets.windows(2).map(|pair| pair[1] > pair[0]).collect();
        ups.windows(2).filter(|pair| pair[0] != pair[1]).count()
    }
}

#[test]
fn a_constant_load_comes_to_a_number_that_fits_and_stays_there() {
    for seed in 0..12 {
        let mut cluster = Cluster::new(seed, 0);
        for _ in 0..4 {
            let load = cluster.world.loads.u32(0..10_000);
            cluster.set_load(load);
            cluster.pass(PHASE);
            let Cluster { least, most, ref targets, .. } = cluster;
            let workers = cluster.world.supervisor.target();
            let story = format!("seed {seed}, {least} to {most}, load {load}: {targets:?}");
            assert!(cluster.turns() <= 1, "back and forth: {story}");
            assert!(workers == most || load <= workers * 630, "too few: {story}");
            assert!(workers == least || load >= (workers - 1) * 370, "too many: {story}");
            cluster.targets = vec![workers];
            cluster.pass(PHASE);
            assert_eq!(cluster.turns(), 0, "unsteady: {story}, {:?}", cluster.targets);
        }
    }
}

#[test]
fn a_load_that_doubles_is_followed_within_15_seconds_and_without_any_the_least_are_left() {
    for seed in 0..12 {
        let mut cluster = Cluster::new(seed, 0);
        let load = cluster.world.loads.u32(500..4_000);
        cluster.set_load(load);
        cluster.pass(PHASE);
        let before = cluster.world.supervisor.target();
        cluster.set_load(2 * load);
        cluster.pass(FOLLOWED);
        let ready = cluster.world.supervisor.ready_workers().count() as u32;
        let is_enough = ready * 1_000 >= 2 * load;
        let Cluster { most, ref targets, .. } = cluster;
        assert!(
            is_enough || ready == most,
            "seed {seed}: {load} doubled, {before} workers of {most}: {targets:?}"
        );
        cluster.set_load(0);
        cluster.pass(PHASE);
        assert_eq!(cluster.world.supervisor.target(), cluster.least, "seed {seed}");
    }
}

#[test]
fn without_memory_no_load_makes_more_workers() {
    let mut cluster = Cluster::new(7, 20_000);
    cluster.world.memory.1 = Some(2 * MEMORY - 1);
    cluster.pass(PHASE);
    assert_eq!(cluster.targets, [cluster.least]);
}
