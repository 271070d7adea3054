//! The supervisor: which workers should live, and what to do when one does not.
//!
//! A state machine that runs in the master and owns all supervision state. `on_event` takes what happened and when,
//! and answers with actions in the order in which they are to be executed. What always holds:
//!
//! - a slot is held by at most one starting or ready worker; draining and killed ones do not hold it;
//! - each worker is forked once, and once forked it dies exactly once, whatever else happens;
//! - while running, every slot that has no worker has a time at which it gets one;
//! - after `Shutdown` or `Stop` nothing is spawned, and `Finish` comes exactly once, when nobody is left;
//! - every wait has a deadline, but for the kernel's word after SIGKILL.

use std::collections::BTreeMap;

use super::Millis;
use super::backoff::Backoff;
use super::worker::{Cause, Exit, State, Worker, WorkerId};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The cluster is to run; only the first counts.
    Start,
    /// A `Spawn` succeeded.
    Spawned {
        /// Which.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// A `Spawn` failed; there is no process.
    SpawnFailed {
        /// Which.
        worker: WorkerId,
        /// What the kernel said.
        reason: String,
    },
    /// A worker listens.
    Ready {
        /// Which.
        worker: WorkerId,
    },
    /// A worker began to drain by itself.
    Leaving {
        /// Which.
        worker: WorkerId,
    },
    /// A worker's process is gone.
    Exited {
        /// Which.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// The number of slots is to change.
    Scale {
        /// To so many.
        workers: u32,
    },
    /// Leave gracefully.
    Shutdown,
    /// Leave at once.
    Stop,
    /// A deadline may have passed.
    Tick,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a worker process; answered with `Spawned` or `SpawnFailed`.
    Spawn {
        /// Its name.
        worker: WorkerId,
        /// Its place.
        slot: u32,
        /// Its number in that place.
        generation: u32,
    },
    /// Hand it nothing more, and let it finish what it has.
    Drain {
        /// Which.
        worker: WorkerId,
    },
    /// End it now.
    Kill {
        /// Which.
        worker: WorkerId,
    },
    /// Accept no new connection.
    CloseDoor,
    /// Tell the users.
    Tell(Notice),
    /// Nobody is left; the last action there is.
    Finish(Outcome),
}

/// What users are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A worker process exists.
    Forked {
        /// It.
        pid: u32,
    },
    /// A worker is ready.
    Listening {
        /// It.
        pid: u32,
    },
    /// A worker is gone.
    Died {
        /// It.
        pid: u32,
        /// How.
        exit: Exit,
        /// Why.
        cause: Cause,
    },
    /// A worker had to be killed in its drain, with whatever it had open.
    Cut {
        /// Which.
        worker: WorkerId,
        /// Its process.
        pid: u32,
    },
    /// Something that a person should know.
    Warning(String),
}

/// How it all ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// As asked.
    Clean,
    /// No worker of the first start became ready.
    StartFailed {
        /// How the last of them ended.
        reason: String,
    },
}

/// The limits that supervision keeps, milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// From spawn to ready.
    pub start_timeout: Millis,
    /// From the start of a drain to SIGKILL.
    pub shutdown_timeout: Millis,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    Idle,
    /// `deaths`: workers that ended before any was ever ready; `None` once one was.
    Running {
        deaths: Option<u32>,
    },
    Leaving {
        outcome: Outcome,
    },
    Finished,
}

/// A place for one worker. A slot beyond the target keeps its generation for the day it is used again.
#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    backoff: Backoff,
    /// When an empty slot gets its next worker.
    refill_at: Option<Millis>,
    holder: Option<WorkerId>,
}

/// The state machine; see the module's text.
#[derive(Debug)]
pub struct Supervisor {
    limits: Limits,
    random: fastrand::Rng,
    phase: Phase,
    slots: Vec<Slot>,
    target: usize,
    workers: BTreeMap<WorkerId, Worker>,
    last_id: u32,
    actions: Vec<Action>,
}

impl Supervisor {
    /// A supervisor of `workers` slots that has not started. `seed` feeds the jitter.
    pub fn new(workers: u32, limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            random: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            slots: (0..workers).map(|_| Slot::default()).collect(),
            target: workers as usize,
            workers: BTreeMap::new(),
            last_id: 0,
            actions: Vec::new(),
        }
    }

    /// Takes one event and answers what to do, in order. Events about workers that are gone are ignored: they are
    /// races, not errors.
    pub fn on_event(&mut self, event: Event, now: Millis) -> Vec<Action> {
        match event {
            Event::Start => self.start(now),
            Event::Spawned { worker, pid } => self.spawned(worker, pid),
            Event::SpawnFailed { worker, reason } => self.spawn_failed(worker, reason, now),
            Event::Ready { worker } => self.ready(worker, now),
            Event::Leaving { worker } => self.drain(worker, Cause::Leave, now),
            Event::Exited { worker, exit } => self.exited(worker, exit, now),
            Event::Scale { workers } => self.scale(workers, now),
            Event::Shutdown => self.shutdown(now),
            Event::Stop => self.stop(),
            Event::Tick => self.enforce_deadlines(now),
        }
        self.refill(now);
        self.finish();
        std::mem::take(&mut self.actions)
    }

    /// When to send `Tick` if nothing happens before.
    pub fn next_deadline(&self) -> Option<Millis> {
        let workers = self.workers.values().filter_map(Worker::deadline);
        let refills = self.slots.iter().filter_map(|slot| slot.refill_at);
        workers.chain(refills).min()
    }

    /// All workers that are not gone yet.
    pub fn workers(&self) -> impl Iterator<Item = (WorkerId, &Worker)> {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// One worker.
    pub fn worker(&self, id: WorkerId) -> Option<&Worker> {
        self.workers.get(&id)
    }

    /// Whether workers are still replaced.
    pub fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running { .. })
    }

    /// How many workers there should be.
    pub fn target(&self) -> u32 {
        self.target as u32
    }

    /// How often the slot's worker was replaced.
    pub fn restarts(&self, slot: u32) -> u32 {
        self.slots.get(slot as usize).map_or(0, |slot| slot.generation.saturating_sub(1))
    }

    fn start(&mut self, now: Millis) {
        if self.phase == Phase::Idle {
            self.phase = Phase::Running { deaths: Some(0) };
            self.slots.iter_mut().for_each(|slot| slot.refill_at = Some(now));
        }
    }

    fn spawned(&mut self, id: WorkerId, pid: u32) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.pid = Some(pid);
            self.tell(Notice::Forked { pid });
        }
    }

    fn spawn_failed(&mut self, id: WorkerId, reason: String, now: Millis) {
        if self.workers.remove(&id).is_some() {
            self.tell(Notice::Warning(format!("cannot start a worker: {reason}")));
            self.vacate(id, 0, now);
            self.count_failed_start(reason);
        }
    }

    fn ready(&mut self, id: WorkerId, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let (State::Starting { .. }, Some(pid)) = (worker.state, worker.pid) else { return };
        worker.state = State::Ready { since: now };
        if let Phase::Running { deaths } = &mut self.phase {
            *deaths = None;
        }
        self.tell(Notice::Listening { pid });
    }

    fn exited(&mut self, id: WorkerId, exit: Exit, now: Millis) {
        let Some(worker) = self.workers.remove(&id) else { return };
        let (cause, ready_for, failed_start) = match worker.state {
            State::Starting { .. } => (Cause::Crash, 0, true),
            State::Ready { since } => (Cause::Crash, now.saturating_sub(since), false),
            State::Draining { cause, .. } => (cause, 0, false),
            State::Killed { cause } => (cause, 0, cause == Cause::StartTimeout),
        };
        if let Some(pid) = worker.pid {
            self.tell(Notice::Died { pid, exit, cause });
        }
        self.vacate(id, ready_for, now);
        if failed_start {
            let why = if cause == Cause::StartTimeout { "was not ready in time".into() } else { exit.describe() };
            self.count_failed_start(format!("worker {} {why}", worker.pid.unwrap_or_default()));
        }
    }

    /// Empties the slot that `id` held, if it did, and sets the time of its refill.
    fn vacate(&mut self, id: WorkerId, ready_for: Millis, now: Millis) {
        let jitter = self.random.u64(..);
        let Some((index, slot)) = self.slots.iter_mut().enumerate().find(|(_, slot)| slot.holder == Some(id)) else {
            return;
        };
        slot.holder = None;
        slot.refill_at = (index < self.target).then(|| now + slot.backoff.after_death(ready_for, jitter));
    }

    /// A first start in which as many workers failed as there are slots, and none was ever ready, has failed.
    fn count_failed_start(&mut self, reason: String) {
        if let Phase::Running { deaths: Some(deaths) } = &mut self.phase {
            *deaths += 1;
            if *deaths >= self.target as u32 {
                self.leave_at_once(Outcome::StartFailed { reason });
            }
        }
    }

    fn scale(&mut self, workers: u32, now: Millis) {
        if !self.is_running() {
            return;
        }
        let (before, after) = (self.target, workers as usize);
        self.target = after;
        self.slots.resize_with(self.slots.len().max(after), Slot::default);
        self.slots[before.min(after)..after].iter_mut().for_each(|slot| slot.refill_at = Some(now));
        self.slots[after..].iter_mut().for_each(|slot| slot.refill_at = None);
        let surplus: Vec<WorkerId> = self.slots[after..].iter().filter_map(|slot| slot.holder).collect();
        for id in surplus {
            self.drain(id, Cause::Scale, now);
        }
    }

    fn shutdown(&mut self, now: Millis) {
        if matches!(self.phase, Phase::Leaving { .. } | Phase::Finished) {
            return;
        }
        self.phase = Phase::Leaving { outcome: Outcome::Clean };
        self.actions.push(Action::CloseDoor);
        for id in self.ids() {
            self.drain(id, Cause::Shutdown, now);
        }
    }

    fn stop(&mut self) {
        match &self.phase {
            Phase::Finished => {}
            Phase::Leaving { .. } => self.kill_all(),
            Phase::Idle | Phase::Running { .. } => self.leave_at_once(Outcome::Clean),
        }
    }

    fn leave_at_once(&mut self, outcome: Outcome) {
        self.phase = Phase::Leaving { outcome };
        self.actions.push(Action::CloseDoor);
        self.kill_all();
    }

    fn kill_all(&mut self) {
        for id in self.ids() {
            self.kill(id, Cause::Stop);
        }
    }

    fn ids(&self) -> Vec<WorkerId> {
        self.workers.keys().copied().collect()
    }

    /// Starts a drain. The slot is free at once, so that a replacement need not wait for the drain.
    fn drain(&mut self, id: WorkerId, cause: Cause, now: Millis) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.holds_slot()) else { return };
        let ready_for = if let State::Ready { since } = worker.state { now.saturating_sub(since) } else { 0 };
        worker.state = State::Draining { cause, deadline: now + self.limits.shutdown_timeout };
        self.actions.push(Action::Drain { worker: id });
        self.vacate(id, ready_for, now);
    }

    fn kill(&mut self, id: WorkerId, cause: Cause) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if !matches!(worker.state, State::Killed { .. }) {
            worker.state = State::Killed { cause };
            self.actions.push(Action::Kill { worker: id });
        }
    }

    fn enforce_deadlines(&mut self, now: Millis) {
        let late: Vec<WorkerId> =
            self.workers.iter().filter(|(_, w)| w.deadline().is_some_and(|at| at <= now)).map(|(id, _)| *id).collect();
        for id in late {
            match self.workers.get(&id).map(|worker| (worker.state, worker.pid)) {
                Some((State::Starting { .. }, pid)) => {
                    let (pid, limit) = (pid.unwrap_or_default(), self.limits.start_timeout);
                    self.tell(Notice::Warning(format!("worker {pid} was not ready within {limit} ms; it is killed")));
                    self.kill(id, Cause::StartTimeout);
                }
                Some((State::Draining { cause, .. }, pid)) => {
                    self.tell(Notice::Cut { worker: id, pid: pid.unwrap_or_default() });
                    self.kill(id, cause);
                }
                _ => {}
            }
        }
    }

    /// Gives every empty slot whose time has come a worker.
    fn refill(&mut self, now: Millis) {
        if !self.is_running() {
            self.slots.iter_mut().for_each(|slot| slot.refill_at = None);
            return;
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if slot.refill_at.is_none_or(|at| at > now) {
                continue;
            }
            self.last_id += 1;
            let id = WorkerId(self.last_id);
            slot.refill_at = None;
            slot.generation += 1;
            slot.holder = Some(id);
            let (slot, generation) = (index as u32, slot.generation);
            let state = State::Starting { deadline: now + self.limits.start_timeout };
            self.workers.insert(id, Worker { slot, generation, pid: None, state });
            self.actions.push(Action::Spawn { worker: id, slot, generation });
        }
    }

    fn finish(&mut self) {
        if let Phase::Leaving { outcome, .. } = &self.phase
            && self.workers.is_empty()
        {
            self.actions.push(Action::Finish(outcome.clone()));
            self.phase = Phase::Finished;
        }
    }

    fn tell(&mut self, notice: Notice) {
        self.actions.push(Action::Tell(notice));
    }
}

#[cfg(test)]
#[path = "supervisor_simulation.rs"]
mod simulation;
#[cfg(test)]
#[path = "supervisor_tests.rs"]
mod tests;
