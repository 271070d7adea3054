//! The world around the supervisor: processes, and what was requested and reported.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::replacements::Replacement;
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Event, Limits, Thresholds, WorkerRecord, WorkerState};

pub(super) const LIMITS: Limits = Limits {
    spares: 0,
    start_timeout: 1_000,
    min_ready_time: 400,
    shutdown_timeout: 2_000,
    shutdown_delay: 300,
    beat_interval: 750,
    max_heartbeat_delay: 3_000,
    blocked_after: Some(1_000),
    give_up_after: None,
    thresholds: Thresholds { connections: Some(100), uptime: Some(60_000), memory: None },
    follows_early: true,
    max_workers: None,
};

/// A round of a reload, as its requests see it.
#[derive(Default)]
pub(super) struct RequestedRound {
    /// Workers up to this one lived at the latest request.
    pub(super) last_old: u32,
    pub(super) addresses_may_change: bool,
    /// It began with the request, so that all later workers run its code.
    pub(super) at_once: bool,
    /// A worker of its code has lived for a while. It may have left since, for fewer slots.
    pub(super) proved: bool,
    /// A worker of its code has ended.
    pub(super) lost: bool,
    /// A worker has drained for it.
    pub(super) begun: bool,
}

/// The processes around a supervisor, and what it reported of them.
pub(super) struct World {
    pub(super) supervisor: Supervisor,
    pub(super) random: fastrand::Rng,
    /// The random numbers for the load and the number of workers.
    pub(super) loads: fastrand::Rng,
    /// The bounds of the number of workers, if it follows their work.
    pub(super) bounds: Option<(u32, u32)>,
    /// The memory of the largest worker in the latest sample, and the memory available.
    pub(super) memory: (u64, Option<u64>),
    pub(super) now: Millis,
    /// Time in which the master ran, or may believe that it ran.
    pub(super) awake: Millis,
    /// Whether each worker drains, and since when it drains or starts, on the clock `awake`.
    pub(super) waits_since: BTreeMap<WorkerId, (bool, Millis)>,
    pub(super) next_pid: u32,
    /// Spawned and not gone, as the kernel knows.
    pub(super) alive: BTreeMap<WorkerId, u32>,
    pub(super) unanswered: Vec<WorkerId>,
    pub(super) forked: BTreeSet<u32>,
    pub(super) listening: BTreeSet<u32>,
    pub(super) died: BTreeSet<u32>,
    /// Spares that had the order to serve.
    pub(super) activated: BTreeSet<WorkerId>,
    /// The replacement under way before the latest event.
    pub(super) replacement: Option<Replacement>,
    pub(super) is_ending: bool,
    pub(super) round: RequestedRound,
    pub(super) next_round: RequestedRound,
    pub(super) last_spawned: u32,
    /// The round that the latest request waits for, and the last one that has ended.
    pub(super) reloads: (u32, u32),
    /// The latest notice about health was `Disabled`.
    pub(super) unhealthy: bool,
    pub(super) finished: u32,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut loads = fastrand::Rng::with_seed(seed.wrapping_add(1));
        let workers = random.u32(1..9);
        let spares = random.u32(0..9).saturating_sub(5);
        let max_workers = loads.bool().then(|| workers + loads.u32(0..6));
        let mut world = Self::with(seed, workers, Limits { max_workers, spares, ..LIMITS });
        (world.random, world.loads) = (random, loads);
        world
    }

    pub(super) fn with(seed: u64, workers: u32, limits: Limits) -> Self {
        Self {
            supervisor: Supervisor::new(workers, limits, seed),
            random: fastrand::Rng::with_seed(seed),
            loads: fastrand::Rng::with_seed(seed),
            bounds: limits.max_workers.map(|most| (workers, most)),
            memory: (0, None),
            now: 0,
            awake: 0,
            waits_since: BTreeMap::new(),
            next_pid: 100,
            alive: BTreeMap::new(),
            unanswered: Vec::new(),
            forked: BTreeSet::new(),
            listening: BTreeSet::new(),
            died: BTreeSet::new(),
            activated: BTreeSet::new(),
            replacement: None,
            is_ending: false,
            round: RequestedRound::default(),
            next_round: RequestedRound::default(),
            last_spawned: 0,
            reloads: (0, 0),
            unhealthy: false,
            finished: 0,
        }
    }

    pub(super) fn send(&mut self, event: Event) {
        self.is_ending |= event == Event::Stop;
        match event {
            Event::Reload { addresses_may_change } if self.supervisor.is_running() => {
                self.request_reload(addresses_may_change)
            }
            Event::Scale { workers } if self.supervisor.is_running() => {
                self.bounds = self.bounds.map(|(_, most)| (workers.min(most), most));
            }
            Event::Exited { worker, .. } | Event::SpawnFailed { worker, .. } => {
                let is_late = |worker: &WorkerRecord| {
                    worker.state == WorkerState::Killed { cause: Cause::StartTimeout }
                };
                self.round.lost |=
                    self.is_loss(worker, |worker| worker.is_open() || is_late(worker));
            }
            Event::Leaving { worker } => {
                self.round.lost |= self.is_loss(worker, WorkerRecord::is_open)
            }
            _ => {}
        }
        let (waiting, round) = (self.waits_after_loss(), self.supervisor.next_round());
        let loss = self.expect_activation(&event);
        self.replacement = self.supervisor.replacements.current();
        let actions = self.supervisor.on_event(event, self.now);
        self.check_activations(loss, &actions);
        if self.supervisor.next_round() == round {
            self.check_skipped(&waiting, &actions);
        }
        let is_asked = actions.contains(&Action::MeasureMemory);
        for action in actions {
            self.execute(action);
        }
        self.update_waits();
        self.note_proof();
        self.check();
        if is_asked {
            self.send(Event::MemoryMeasured { available: self.memory.1 });
        }
    }

    pub(super) fn execute(&mut self, action: Action) {
        assert_eq!(self.finished, 0, "nothing follows Finish: {action:?}");
        match action {
            Action::Spawn { worker, .. } => {
                assert!(!self.is_ending, "no spawn after the end began");
                self.last_spawned = worker.0;
                self.unanswered.push(worker);
            }
            Action::Activate { worker } => {
                assert!(self.activated.insert(worker), "{worker:?} is activated twice");
            }
            Action::Ask { worker, .. } | Action::AskToBeat { worker } => {
                assert!(self.alive.contains_key(&worker), "{worker:?} is asked but does not exist");
            }
            Action::Drain { worker } | Action::Kill { worker } => {
                assert!(
                    self.alive.contains_key(&worker) || self.unanswered.contains(&worker),
                    "{worker:?} gets an order but does not exist"
                );
                self.check_replaced(worker);
                self.check_reloaded(worker);
                self.check_killed(worker);
            }
            Action::MeasureMemory => assert!(self.bounds.is_some(), "the number is fixed"),
            Action::StopAdmitting => self.is_ending = true,
            Action::Notify(notice) => self.check_notice(notice),
            Action::Finish(_) => {
                self.finished += 1;
                assert!(
                    self.alive.is_empty() && self.unanswered.is_empty(),
                    "finished while a worker lives"
                );
            }
        }
    }
}
