//! Random lives of a cluster, without a process: what `supervisor` promises must hold whatever happens in whatever order.
//!
//! `CLUSTER2_SEED=<n>` repeats one run; a failing run prints its seed, which is then kept in `KEPT`.

use std::collections::BTreeSet;

use crate::clock::{LOOK, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::backoff::LOSS_CAP;
use crate::supervision::event::Reading;
use crate::supervision::event::{Action, Event, Notice};
use crate::supervision::replacements::Thresholds;
use crate::supervision::supervisor::*;
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};
use std::collections::BTreeMap;

const LIMITS: Limits = Limits {
    start_timeout: 1_000,
    min_ready_time: 400,
    shutdown_timeout: 2_000,
    shutdown_delay: 300,
    max_heartbeat_delay: 3_000,
    thresholds: Thresholds { connections: Some(100), uptime: Some(60_000), memory: None },
};
const RUNS: u64 = 400;
const EVENTS: u64 = 500;
/// Seeds that once failed.
const KEPT: [u64; 1] = [9_569_860_871_816_774_355];

/// A round of a reload, as whoever asked for it sees it.
#[derive(Default)]
struct Asked {
    /// Workers up to this one lived when it was last asked for.
    last_old: u32,
    addresses_may_change: bool,
    /// It began with the request, so all later workers are its own.
    at_once: bool,
    /// One of its own workers has ended.
    lost: bool,
    /// Somebody has drained for it.
    begun: bool,
}

/// The world around the supervisor: which processes exist, and what it was told of them.
struct World {
    supervisor: Supervisor,
    random: fastrand::Rng,
    now: Millis,
    /// Time in which the master ran, or may believe that it did.
    awake: Millis,
    /// Since when each worker starts or drains, on that clock.
    waits_since: BTreeMap<WorkerId, (bool, Millis)>,
    next_pid: u32,
    /// Spawned and not gone: the kernel's view.
    alive: BTreeMap<WorkerId, u32>,
    unanswered: Vec<WorkerId>,
    forked: BTreeSet<u32>,
    listening: BTreeSet<u32>,
    died: BTreeSet<u32>,
    leaving: bool,
    round: Asked,
    next_round: Asked,
    last_spawned: u32,
    /// The round that whoever asked last waits for, and the last one that has ended.
    reloads: (u32, u32),
    /// MasterEvent that a health check failed, and of no recovery since.
    unhealthy: bool,
    finished: u32,
    /// Reloads that ended well.
    completed: u32,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let supervisor = Supervisor::new(random.u32(1..9), LIMITS, seed);
        Self {
            supervisor,
            random,
            now: 0,
            awake: 0,
            waits_since: BTreeMap::new(),
            next_pid: 100,
            alive: BTreeMap::new(),
            unanswered: Vec::new(),
            forked: BTreeSet::new(),
            listening: BTreeSet::new(),
            died: BTreeSet::new(),
            leaving: false,
            round: Asked::default(),
            next_round: Asked::default(),
            last_spawned: 0,
            reloads: (0, 0),
            unhealthy: false,
            finished: 0,
            completed: 0,
        }
    }

    fn send(&mut self, event: Event) {
        self.leaving |= event == Event::Stop;
        match event {
            Event::Reload { addresses_may_change } if self.supervisor.is_running() => {
                self.ask_for_reload(addresses_may_change)
            }
            Event::Exited { worker, .. } | Event::SpawnFailed { worker, .. } => {
                let is_late = |worker: &WorkerRecord| {
                    worker.state == WorkerState::Killed { cause: Cause::StartTimeout }
                };
                self.round.lost |=
                    self.is_loss(worker, |worker| worker.holds_slot() || is_late(worker));
            }
            Event::Leaving { worker } => {
                self.round.lost |= self.is_loss(worker, WorkerRecord::holds_slot)
            }
            _ => {}
        }
        let actions = self.supervisor.on_event(event, self.now);
        for action in actions {
            self.execute(action);
        }
        self.note_waits();
        self.check();
    }

    fn ask_for_reload(&mut self, addresses_may_change: bool) {
        self.reloads.0 = self.supervisor.next_round();
        let at_once = !self.supervisor.is_reloading();
        let round = if at_once { &mut self.round } else { &mut self.next_round };
        *round = Asked {
            last_old: self.last_spawned,
            addresses_may_change: addresses_may_change || round.addresses_may_change,
            at_once,
            ..Asked::default()
        };
    }

    fn end_round(&mut self, round: u32) {
        let (asked, ended) = self.reloads;
        assert!(ended < round && round <= asked, "round {round} ended that never began, or twice");
        self.reloads.1 = round;
        self.round = std::mem::take(&mut self.next_round);
    }

    /// Whether this is a worker of the new code, which nobody has asked to end, as far as `serves` knows.
    fn is_loss(&self, id: WorkerId, serves: impl Fn(&WorkerRecord) -> bool) -> bool {
        let is_own = self.round.at_once && id.0 > self.round.last_old;
        is_own && self.supervisor.is_reloading() && self.supervisor.worker(id).is_some_and(serves)
    }

    fn has_lived(&self, worker: &WorkerRecord) -> bool {
        let now = self.supervisor.clock.now();
        matches!(worker.state, WorkerState::Ready { since } if since + LIMITS.min_ready_time <= now)
    }

    /// Nobody goes for a reload before a new worker has lived for a while, nor while no new one serves what it serves.
    fn check_reloaded(&mut self, id: WorkerId) {
        let Some(old) = self.supervisor.worker(id) else { return };
        let is_old = id.0 <= self.round.last_old
            && matches!(old.state, WorkerState::Draining { cause: Cause::Reload, .. });
        if !is_old {
            return;
        }
        let new = || {
            self.supervisor
                .workers()
                .filter(|(id, worker)| id.0 > self.round.last_old && worker.holds_slot())
        };
        assert!(
            self.round.begun || new().any(|(_, w)| self.has_lived(w)),
            "drained before the canary had lived"
        );
        let is_nobodys =
            |address: &&String| !new().any(|(_, worker)| worker.addresses.contains(*address));
        let lost =
            old.addresses.iter().find(is_nobodys).filter(|_| !self.round.addresses_may_change);
        assert_eq!(lost, None, "an address that nobody serves any more");
        self.round.begun = true;
    }

    fn check_complete(&self) {
        assert!(!self.round.lost, "complete, and a new worker has ended");
        for id in self.supervisor.holders() {
            assert!(id.0 > self.round.last_old, "complete, and an old worker is left");
            assert!(
                self.supervisor.worker(id).is_some_and(|worker| self.has_lived(worker)),
                "complete too early"
            );
        }
    }

    fn advance(&mut self, to: Millis) {
        let to = to.max(self.now);
        self.awake += to - self.now;
        self.now = to;
    }

    /// The master is stopped, perhaps the whole machine.
    fn stop_for(&mut self, time: Millis) {
        self.now += time;
        self.awake += LOOK.min(time);
    }

    fn note_waits(&mut self) {
        let Self { supervisor, waits_since, awake, .. } = self;
        waits_since.retain(|id, _| supervisor.worker(*id).is_some());
        for (id, worker) in supervisor.workers() {
            let drains = matches!(worker.state, WorkerState::Draining { .. });
            let since = waits_since.entry(id).or_insert((drains, *awake));
            if since.0 != drains {
                *since = (drains, *awake);
            }
        }
    }

    /// Nobody is killed for being late who did not have the time.
    fn check_killed(&self, worker: WorkerId) {
        let Some(killed) = self.supervisor.worker(worker) else { return };
        let Some((drained, since)) = self.waits_since.get(&worker).copied() else { return };
        let limit = match killed.state {
            WorkerState::Killed { cause: Cause::StartTimeout } => LIMITS.start_timeout,
            WorkerState::Killed { cause: Cause::Stop | Cause::Unresponsive } => return,
            WorkerState::Killed { .. } if drained => LIMITS.shutdown_timeout,
            _ => return,
        };
        let had = self.awake - since;
        assert!(had >= limit, "{worker:?} had only {had} of {limit} ms");
    }

    fn execute(&mut self, action: Action) {
        assert_eq!(self.finished, 0, "nothing comes after Finish: {action:?}");
        match action {
            Action::Spawn { worker, .. } => {
                assert!(!self.leaving, "no spawn while leaving");
                self.last_spawned = worker.0;
                self.unanswered.push(worker);
            }
            Action::Drain { worker } | Action::Kill { worker } => {
                assert!(
                    self.alive.contains_key(&worker) || self.unanswered.contains(&worker),
                    "{worker:?} is ordered about but does not exist"
                );
                self.check_replaced(worker);
                self.check_reloaded(worker);
                self.check_killed(worker);
            }
            Action::StopAdmitting => self.leaving = true,
            Action::Notify(notice) => self.hear(notice),
            Action::Finish(_) => {
                self.finished += 1;
                assert!(
                    self.alive.is_empty() && self.unanswered.is_empty(),
                    "finished while somebody lives"
                );
            }
        }
    }

    /// Who goes because of a replacement goes only after somebody ready has the slot.
    fn check_replaced(&self, worker: WorkerId) {
        let Some(old) = self.supervisor.worker(worker) else { return };
        if let WorkerState::Draining { cause: Cause::Reload | Cause::Recycle, .. } = old.state {
            // A successor that is given up leaves the slot to whoever has it.
            if self.supervisor.holder(old.slot).is_some_and(|holder| holder < worker) {
                return;
            }
            let holder =
                self.supervisor.holder(old.slot).and_then(|holder| self.supervisor.worker(holder));
            assert!(
                holder.is_some_and(|w| matches!(w.state, WorkerState::Ready { .. })),
                "capacity fell for a replacement"
            );
        }
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Forked { pid } => assert!(self.forked.insert(pid), "{pid} forked twice"),
            Notice::Listening { pid } => {
                assert!(
                    self.forked.contains(&pid) && !self.died.contains(&pid),
                    "{pid} listens out of turn"
                );
                assert!(self.listening.insert(pid), "{pid} listens twice");
            }
            Notice::Died { pid, .. } => {
                assert!(self.forked.contains(&pid), "{pid} died unborn");
                assert!(self.died.insert(pid), "{pid} died twice");
            }
            Notice::Reloaded { round, .. } => {
                self.check_complete();
                self.end_round(round);
                self.completed += 1;
            }
            Notice::ReloadFailed { round, .. } => self.end_round(round),
            Notice::Disabled { .. } => {
                assert!(!self.unhealthy, "unhealthy twice");
                self.unhealthy = true;
            }
            Notice::Enabled => {
                assert!(std::mem::take(&mut self.unhealthy), "healthy twice");
                assert_eq!(self.supervisor.problems().next(), None, "healthy with a problem");
            }
            Notice::DrainTimedOut { .. }
            | Notice::Warning(_)
            | Notice::Reloading { .. }
            | Notice::Recycling { .. }
            | Notice::Unresponsive { .. } => {}
        }
    }

    fn check(&self) {
        let mut held = BTreeSet::new();
        let mut successors = 0;
        for (id, worker) in self.supervisor.workers() {
            if self.supervisor.holder(worker.slot) == Some(id) {
                assert!(held.insert(worker.slot), "slot {} is held twice", worker.slot);
            } else if worker.holds_slot() {
                successors += 1;
            }
            let waits =
                !matches!(worker.state, WorkerState::Ready { .. } | WorkerState::Killed { .. });
            assert_eq!(worker.deadline().is_some(), waits, "{id:?} waits without a deadline");
            let exists = self.alive.contains_key(&id) || self.unanswered.contains(&id);
            assert!(exists, "{id:?} is believed alive but is gone");
        }
        if self.supervisor.is_running() {
            let ill = self.supervisor.problems().next().is_some()
                || self.supervisor.master_problem().is_some();
            assert!(!ill || self.unhealthy, "a problem was not told");
        }
        self.check_waits();
        assert!(successors <= 1, "{successors} replacements at the same time");
        if self.supervisor.is_running() && held.len() < self.supervisor.target() as usize {
            let killed = self
                .supervisor
                .workers()
                .any(|(_, w)| matches!(w.state, WorkerState::Killed { .. }));
            assert!(killed || self.supervisor.next_tick().is_some(), "an empty slot is forgotten");
        }
    }

    /// A slot whose worker had been ready waits for a second at most, and for nothing while no worker is ready.
    fn check_waits(&self) {
        let serves = self
            .supervisor
            .workers()
            .any(|(_, worker)| matches!(worker.state, WorkerState::Ready { .. }));
        let now = self.supervisor.clock.now();
        for slot in self.supervisor.slots.iter().filter(|slot| slot.backoff.is_after_loss()) {
            let Some(at) = slot.refill_at else { continue };
            assert!(serves, "a slot waits while no worker is ready");
            assert!(at <= now + LOSS_CAP, "a slot waits for {} ms", at - now);
        }
    }

    fn answer_spawn(&mut self, index: usize, success: bool) {
        let worker = self.unanswered.swap_remove(index);
        if success {
            self.next_pid += 1;
            self.alive.insert(worker, self.next_pid);
            self.send(Event::Spawned { worker, pid: self.next_pid });
        } else {
            self.send(Event::SpawnFailed { worker, reason: "EAGAIN".into() });
        }
    }

    fn exit(&mut self, worker: WorkerId) {
        self.alive.remove(&worker);
        let exit = if self.random.bool() {
            Exit::Code(self.random.i32(0..3))
        } else {
            Exit::Signal("SIGKILL")
        };
        self.send(Event::Exited { worker, exit });
    }

    fn some_worker(&mut self) -> WorkerId {
        match self.random.choice(self.alive.keys()) {
            Some(id) if self.random.u8(..) > 10 => *id,
            _ => WorkerId(self.random.u32(0..self.next_pid)),
        }
    }

    fn sample(&mut self) {
        let ids: Vec<WorkerId> = self.alive.keys().copied().collect();
        let readings = ids.into_iter().map(|worker| Reading {
            worker,
            beat: self.now.saturating_sub(self.random.u64(0..3_300)),
            connections: self.random.u64(0..120),
            memory: 0,
        });
        let readings = readings.collect();
        self.send(Event::Sample { readings });
    }

    fn step(&mut self) {
        let to = self.now + self.random.u64(0..200);
        self.advance(to);
        if self.random.u32(0..100) == 0 {
            let time = self.random.u64(0..100_000);
            self.stop_for(time);
        }
        let worker = self.some_worker();
        match self.random.u32(0..1000) {
            0..=299 if !self.unanswered.is_empty() => {
                let index = self.random.usize(0..self.unanswered.len());
                let success = self.random.u32(0..20) > 0;
                self.answer_spawn(index, success);
            }
            300..=549 => self.send(Event::Ready { worker }),
            550..=649 if self.alive.contains_key(&worker) => self.exit(worker),
            650..=699 => self.send(Event::Leaving { worker }),
            700..=749 => {
                let workers = self.random.u32(1..9);
                self.send(Event::Scale { workers });
            }
            753..=770 => {
                let addresses_may_change = self.random.u32(0..4) == 0;
                self.send(Event::Reload { addresses_may_change });
            }
            881..=920 => {
                let most = self.random.usize(1..=3);
                let addresses = ["a", "b", "c"][..most].iter().map(ToString::to_string).collect();
                self.send(Event::Serves { worker, addresses });
            }
            771..=830 => self.sample(),
            831..=870 => {
                let problem = self.random.bool().then(|| "status 503".to_owned());
                self.send(Event::Checked { worker, problem });
            }
            871..=880 => {
                let problem = self.random.bool().then(|| "no answer".to_owned());
                self.send(Event::MasterChecked { problem });
            }
            750 => self.send(Event::Shutdown),
            751 => self.send(Event::Stop),
            _ => {
                if let Some(at) = self.supervisor.next_tick() {
                    self.advance(at);
                }
                self.send(Event::Tick);
            }
        }
    }

    fn first(&self, wanted: impl Fn(&WorkerRecord) -> bool) -> Option<WorkerId> {
        let mut all = self.supervisor.workers();
        all.find(|(_, worker)| wanted(worker)).map(|(id, _)| id)
    }

    /// Lets everything that was begun come to its end, as a kernel and well-behaved workers would.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if !self.unanswered.is_empty() {
                self.answer_spawn(0, true);
            } else if let Some(worker) =
                self.first(|w| matches!(w.state, WorkerState::Starting { .. }))
            {
                self.send(Event::Ready { worker });
            } else if let Some(worker) = self.first(|w| !w.holds_slot()) {
                self.exit(worker);
            } else if let Some(at) = self.supervisor.next_tick() {
                self.advance(at);
                self.send(Event::Tick);
            } else {
                return;
            }
        }
        panic!("never comes to rest");
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    world.send(Event::Start);
    for _ in 0..EVENTS {
        world.step();
    }
    world.settle();
    if world.supervisor.is_running() {
        let ready = world
            .supervisor
            .workers()
            .filter(|(_, w)| matches!(w.state, WorkerState::Ready { .. }))
            .count();
        assert_eq!(
            ready,
            world.supervisor.target() as usize,
            "at rest, every slot has a ready worker"
        );
        assert_eq!(world.reloads.0, world.reloads.1, "at rest, no reload is left");
        world.send(Event::Shutdown);
        world.settle();
    }
    assert_eq!(world.finished, 1, "it ends once");
    assert_eq!(world.reloads.0, world.reloads.1, "every reload has an end");
    assert_eq!(world.forked, world.died, "everybody who was forked has died");
}

#[test]
fn two_hundred_thousand_random_events_break_no_promise() {
    if let Some(seed) = std::env::var("CLUSTER2_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return run(seed);
    }
    let base = fastrand::u64(..);
    for seed in KEPT.into_iter().chain((0..RUNS).map(|i| base.wrapping_add(i))) {
        if let Err(panic) = std::panic::catch_unwind(|| run(seed)) {
            eprintln!("failing seed: CLUSTER2_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
