//! The supervisor: which workers should live, and what to do when one does not.
//!
//! A state machine that runs in the master and owns all supervision state. `on_event` takes what happened and when,
//! and answers with actions in the order in which they are to be executed. What always holds:
//!
//! - a slot is held by at most one starting or ready worker; draining and killed ones do not hold it, and neither does a
//!   successor that is not ready yet;
//! - each worker is forked once, and once forked it dies exactly once, whatever else happens;
//! - while running, every slot that has no worker has a time at which it gets one;
//! - after `Shutdown` or `Stop` nothing is spawned, and `Finish` comes exactly once, when nobody is left;
//! - every wait has a deadline except the kernel's word after SIGKILL; time in which the master did not run counts for none
//!   (see `clock`).

use std::collections::BTreeMap;

use crate::clock::{Clock, LOOK, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::backoff::Backoff;
use crate::supervision::event::{Action, Event, Notice, Outcome};
use crate::supervision::phase::Phase;
use crate::supervision::replacements::{Progress, Replacing, Thresholds};
use crate::supervision::worker::{Cause, WorkerRecord, WorkerState};

/// The limits that supervision keeps, milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// From spawn to ready.
    pub(crate) start_timeout: Millis,
    /// From ready to the proof that the code of a reload runs.
    pub(crate) min_ready_time: Millis,
    /// From the start of a drain to SIGKILL.
    pub(crate) shutdown_timeout: Millis,
    /// From a shutdown's request to the closing of the door.
    pub(crate) shutdown_delay: Millis,
    /// Silence after which an event loop counts as stuck.
    pub(crate) max_heartbeat_delay: Millis,
    /// When workers are recycled.
    pub(crate) thresholds: Thresholds,
}

/// A place for one worker. A slot beyond the target keeps its generation for the day it is used again.
#[derive(Debug, Default)]
pub(super) struct Slot {
    pub(super) generation: u32,
    pub(super) backoff: Backoff,
    /// When an empty slot gets its next worker.
    pub(super) refill_at: Option<Millis>,
    pub(super) holder: Option<WorkerId>,
}

/// The state machine; see the module's text.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(super) limits: Limits,
    pub(super) random: fastrand::Rng,
    pub(super) phase: Phase,
    pub(super) slots: Vec<Slot>,
    pub(super) target: usize,
    pub(super) workers: BTreeMap<WorkerId, WorkerRecord>,
    pub(super) last_id: u32,
    pub(super) actions: Vec<Action>,
    pub(super) replacing: Replacing,
    /// A health check that failed was told of, and no recovery since.
    pub(super) unhealthy: bool,
    /// What the master's own checks find wrong.
    pub(super) master_problem: Option<String>,
    /// Failed starts while no worker has ever been ready; `None` once one was.
    pub(super) failed_first_starts: Option<u32>,
    /// All times here are of this clock except those in readings.
    pub(super) clock: Clock,
    /// When the latest sample was taken, on the machine's clock and on ours.
    pub(super) last_sample: (Millis, Millis),
}

impl Supervisor {
    /// A supervisor of `workers` slots that has not started. `seed` feeds the jitter.
    pub(crate) fn new(workers: u32, limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            random: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            slots: (0..workers).map(|_| Slot::default()).collect(),
            target: workers as usize,
            workers: BTreeMap::new(),
            last_id: 0,
            actions: Vec::new(),
            replacing: Replacing::default(),
            unhealthy: false,
            master_problem: None,
            failed_first_starts: Some(0),
            clock: Clock::default(),
            last_sample: (0, 0),
        }
    }

    /// Takes one event and answers what to do, in order. Events about workers that are gone are ignored: they are
    /// races, not errors. `machine` is the time on the machine's monotonic clock.
    pub(crate) fn on_event(&mut self, event: Event, machine: Millis) -> Vec<Action> {
        let now = self.clock.turn(machine);
        let of_master = matches!(event, Event::MasterChecked { .. });
        match event {
            Event::Start => self.start(now),
            Event::Spawned { worker, pid } => self.spawned(worker, pid),
            Event::SpawnFailed { worker, reason } => self.spawn_failed(worker, reason, now),
            Event::Ready { worker } => self.ready(worker, now),
            Event::Leaving { worker } => self.drain(worker, Cause::Leave, now),
            Event::Exited { worker, exit } => self.exited(worker, exit, now),
            Event::UncaughtError { worker, message } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.uncaught_error = Some(message);
                }
            }
            Event::Checked { worker, problem } => self.checked(worker, problem),
            Event::MasterChecked { problem } => self.master_problem = problem,
            Event::Switched { disabled, by } => self.switched(disabled, &by),
            Event::LastLines { worker, lines } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.last_lines = lines;
                }
            }
            Event::Sample { readings } => self.sample(&readings, machine, now),
            Event::Serves { worker, addresses } => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.addresses = addresses;
                }
            }
            Event::Reload { addresses_may_change } => self.reload(addresses_may_change, now),
            Event::Scale { workers } => self.scale(workers, now),
            Event::Shutdown => self.request_shutdown(now),
            Event::Stop => self.stop(),
            Event::Tick => self.enforce_deadlines(now),
        }
        self.refill(now);
        self.advance_replacement(now);
        self.advance_reload(now);
        self.judge_health(of_master);
        self.finish();
        let wait = if self.deadline().is_some() { LOOK } else { Millis::MAX };
        self.clock.wait(machine, wait.min(self.sample_interval()));
        std::mem::take(&mut self.actions)
    }

    /// When to send `Tick` if nothing happens before, on the machine's clock; often, while there is a deadline.
    pub(crate) fn next_tick(&self) -> Option<Millis> {
        let at = self.clock.on_machine(self.deadline()?);
        Some(self.clock.due().map_or(at, |due| at.min(due)))
    }

    pub(super) fn deadline(&self) -> Option<Millis> {
        let workers = self.workers.values().filter_map(WorkerRecord::deadline);
        let refills = self.slots.iter().filter_map(|slot| slot.refill_at);
        let reload = self.trial_ends_at().into_iter().chain(self.reload_ends_at());
        workers.chain(refills).chain(self.phase.shutdown_at()).chain(reload).min()
    }

    /// All workers that are not gone yet.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerRecord)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// Workers that are ready, the oldest first.
    pub(crate) fn ready_workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerRecord)> {
        self.workers().filter(|(_, worker)| worker.is_ready())
    }

    /// One worker.
    pub(crate) fn worker(&self, id: WorkerId) -> Option<&WorkerRecord> {
        self.workers.get(&id)
    }

    /// Where the cluster is in its life.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether a reload runs.
    pub(crate) fn is_reloading(&self) -> bool {
        self.replacing.is_reloading()
    }

    /// The round of a reload that serves a request which comes now.
    pub(crate) fn next_round(&self) -> u32 {
        self.replacing.round() + 1
    }

    /// How far the reload is, if one runs.
    pub(crate) fn reload_progress(&self) -> Option<Progress> {
        self.replacing.progress()
    }

    /// Who holds the slot.
    pub(crate) fn holder(&self, slot: u32) -> Option<WorkerId> {
        self.slots.get(slot as usize)?.holder
    }

    /// Whether workers are still replaced.
    pub(crate) fn is_running(&self) -> bool {
        self.phase.is_running()
    }

    /// How many workers there should be.
    pub(crate) fn target(&self) -> u32 {
        self.target as u32
    }

    /// How often the slot's worker was replaced.
    pub(crate) fn restarts(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |slot| slot.generation.saturating_sub(1))
    }

    pub(super) fn start(&mut self, now: Millis) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Running;
            self.slots.iter_mut().for_each(|slot| slot.refill_at = Some(now));
        }
    }

    pub(super) fn spawned(&mut self, id: WorkerId, pid: u32) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = Some(pid);
            self.notify(Notice::Forked { pid });
        }
    }

    pub(super) fn spawn_failed(&mut self, id: WorkerId, reason: String, now: Millis) {
        if self.workers.remove(&id).is_some() {
            self.notify(Notice::Warning(format!("cannot start a worker: {reason}")));
            self.vacate(id, None, now);
            self.lost(id, &reason, now);
            self.count_failed_start(reason);
        }
    }

    pub(super) fn ready(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (WorkerState::Starting { .. }, Some(pid)) = (worker.state, worker.pid) else { return };
        worker.state = WorkerState::Ready { since: now };
        worker.last_lines.clear();
        self.failed_first_starts = None;
        self.notify(Notice::Listening { pid });
        self.replacement_ready(id, now);
    }

    pub(super) fn exited(&mut self, id: WorkerId, exit: Exit, now: Millis) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let (cause, ready_for, is_lost) = match worker.state {
            WorkerState::Starting { .. } => (Cause::Crash, None, true),
            WorkerState::Ready { since } => (Cause::Crash, Some(now.saturating_sub(since)), true),
            WorkerState::Draining { cause, .. } => (cause, None, false),
            WorkerState::Killed { cause } => (cause, None, cause == Cause::StartTimeout),
        };
        if let Some(pid) = worker.pid {
            self.notify(Notice::Died { pid, exit, cause });
        }
        self.vacate(id, ready_for, now);
        if is_lost {
            let why = if cause == Cause::StartTimeout {
                "was not ready in time".into()
            } else {
                exit.describe()
            };
            let reason = worker.describe_end(&why);
            self.lost(id, &reason, now);
            if ready_for.is_none() {
                self.count_failed_start(reason);
            }
        }
    }

    /// Empties the slot that `id` held, if it did, and sets the time of its refill. `ready_for`: how long the worker had been ready.
    pub(super) fn vacate(&mut self, id: WorkerId, ready_for: Option<Millis>, now: Millis) {
        let jitter = self.random.u64(..);
        let successor =
            self.replacing.current.filter(|current| current.old == id).map(|current| current.new);
        let Some((index, slot)) =
            self.slots.iter_mut().enumerate().find(|(_, slot)| slot.holder == Some(id))
        else {
            return;
        };
        // A successor that was already on its way takes over sooner than planned.
        slot.holder = successor;
        if successor.is_some() {
            return;
        }
        let wait = match ready_for {
            Some(ready_for) => slot.backoff.after_loss(ready_for, jitter),
            None => slot.backoff.after_failed_start(jitter),
        };
        slot.refill_at = (index < self.target).then_some(now + wait);
    }

    /// A first start in which as many workers failed as there are slots, and none was ever ready, has failed.
    pub(super) fn count_failed_start(&mut self, reason: String) {
        if !self.is_running() {
            return;
        }
        if let Some(failed) = &mut self.failed_first_starts {
            *failed += 1;
            if *failed >= self.target as u32 {
                self.stop_with(Outcome::StartFailed { reason });
            }
        }
    }

    pub(super) fn scale(&mut self, workers: u32, now: Millis) {
        if !self.is_running() {
            return;
        }
        let (before, after) = (self.target, workers as usize);
        self.target = after;
        self.slots.resize_with(self.slots.len().max(after), Slot::default);
        self.slots[before.min(after)..after].iter_mut().for_each(|slot| slot.refill_at = Some(now));
        self.slots[after..].iter_mut().for_each(|slot| slot.refill_at = None);
        let surplus: Vec<WorkerId> =
            self.slots[after..].iter().filter_map(|slot| slot.holder).collect();
        self.cancel_replacement_beyond(after as u32, now);
        for id in surplus {
            self.drain(id, Cause::Scale, now);
        }
    }

    pub(super) fn ids(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Gives every empty slot whose time has come a worker. While none is ready, that is at once where the latest one had been.
    pub(super) fn refill(&mut self, now: Millis) {
        if !self.is_running() {
            self.slots.iter_mut().for_each(|slot| slot.refill_at = None);
            return;
        }
        let serves =
            self.workers.values().any(|worker| matches!(worker.state, WorkerState::Ready { .. }));
        for index in 0..self.slots.len() {
            let slot = &self.slots[index];
            if slot
                .refill_at
                .is_some_and(|at| at <= now || (!serves && slot.backoff.is_after_loss()))
            {
                self.slots[index].refill_at = None;
                self.slots[index].holder = Some(self.spawn(index, now));
            }
        }
    }

    pub(super) fn spawn(&mut self, index: usize, now: Millis) -> WorkerId {
        self.last_id += 1;
        let id = WorkerId(self.last_id);
        self.slots[index].generation += 1;
        let (slot, generation) = (index as u32, self.slots[index].generation);
        let state = WorkerState::Starting { deadline: now + self.limits.start_timeout };
        let stretch = self.random.f64();
        self.workers.insert(id, WorkerRecord::new(slot, generation, state, stretch));
        self.actions.push(Action::Spawn { worker: id, slot, generation });
        id
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.actions.push(Action::Notify(notice));
    }
}
