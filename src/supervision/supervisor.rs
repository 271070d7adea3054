//! The state machine: its state, how it takes events, and what others may ask it.
//!
//! `lifecycle` follows a worker from spawn to death, `refill` fills slots, `spares` activates
//! spares, `replace` and `reload` change workers, `samples` finds stuck and worn-out ones, `health`
//! reports the cluster's health, `departure` ends workers, `shutdown` the cluster, `upgrade` hands
//! it to another master, and `scaling` changes the number of workers.

use std::collections::BTreeMap;

use crate::clock::{Clock, MAX_WAIT, Millis};
use crate::protocol::worker::WorkerId;
use crate::supervision::autoscale::Autoscale;
use crate::supervision::crashes::Crashes;
use crate::supervision::messages::{Action, Event, Notice};
use crate::supervision::phase::Phase;
use crate::supervision::replacements::{Progress, Replacements};
use crate::supervision::slot::Slot;
use crate::supervision::thresholds::Thresholds;
use crate::supervision::worker::{Cause, WorkerRecord};

/// The limits that supervision keeps; times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many spares there are, besides the workers that serve.
    pub(crate) spares: u32,
    /// From spawn to ready.
    pub(crate) start_timeout: Millis,
    /// How long a worker of a reload has to be ready before its code counts as working.
    pub(crate) min_ready_time: Millis,
    /// From the start of a drain to SIGKILL.
    pub(crate) shutdown_timeout: Millis,
    /// From the request of a shutdown to its start.
    pub(crate) shutdown_delay: Millis,
    /// How often a worker shows that its event loop turns.
    pub(crate) beat_interval: Millis,
    /// Silence after which a worker is killed.
    pub(crate) max_heartbeat_delay: Millis,
    /// How long an event loop may be blocked before that is reported; `None`: it is not.
    pub(crate) blocked_after: Option<Millis>,
    /// Crashes in a row without a ready worker after which the cluster ends; `None`: only a first
    /// start gives up.
    pub(crate) give_up_after: Option<u64>,
    /// When workers are recycled.
    pub(crate) thresholds: Thresholds,
    /// Whether the next worker may start while the kernel still takes down the one before it.
    pub(crate) follows_early: bool,
    /// The most workers that there may be; `None`: their number does not follow their work.
    pub(crate) max_workers: Option<u32>,
}

/// What users are shown of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SlotRecord {
    pub(crate) slot: u32,
    /// The worker that holds it.
    pub(crate) holder: Option<WorkerId>,
    /// When the next worker starts, on the machine's clock, if the slot waits for one.
    pub(crate) refill_at: Option<Millis>,
    /// How many times its worker was replaced, for whatever reason.
    pub(crate) restarts: u32,
    /// How many of its workers ended although nobody asked them to.
    pub(crate) crashes: u32,
}

/// Decides which workers live. See the room's text for what always holds.
#[derive(Debug)]
pub(crate) struct Supervisor {
    pub(super) limits: Limits,
    pub(super) random: fastrand::Rng,
    pub(super) phase: Phase,
    pub(super) crashes: Crashes,
    pub(super) slots: Vec<Slot>,
    /// How many workers serve. With the spares, so many slots have a worker, from the first.
    pub(super) target: usize,
    /// How `target` follows the work, if it does.
    pub(super) autoscale: Option<Autoscale>,
    /// Whether spares may start: the first workers have.
    pub(super) have_spares_begun: bool,
    /// Until then none starts.
    pub(super) no_spare_before: Millis,
    pub(super) workers: BTreeMap<WorkerId, WorkerRecord>,
    pub(super) last_id: u32,
    pub(super) actions: Vec<Action>,
    pub(super) replacements: Replacements,
    /// The latest notice about health was `Disabled` for a failed check.
    pub(super) is_unhealthy: bool,
    /// How the latest worker ended that nobody had asked to.
    pub(super) latest_loss: Option<String>,
    /// What the master's own checks find wrong.
    pub(super) master_problem: Option<String>,
    /// Whether a slow first start was reported.
    pub(super) is_slow_known: bool,
    /// All times here are of this clock, except those in readings.
    pub(super) clock: Clock,
    /// When to look whether new code has shown a turn of its event loop, if that is awaited.
    pub(super) look_at: Option<Millis>,
    /// When the latest sample was taken, on the machine's clock and on ours.
    pub(super) last_sample: (Millis, Millis),
}

impl Supervisor {
    /// Returns a supervisor of `workers` slots, at first and at least, that has not started. `seed`
    /// feeds the jitter.
    pub(crate) fn new(workers: u32, limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            random: fastrand::Rng::with_seed(seed),
            phase: Phase::Idle,
            crashes: Crashes::default(),
            slots: (0..workers + limits.spares).map(|_| Slot::default()).collect(),
            target: workers as usize,
            autoscale: limits.max_workers.map(|most| Autoscale::new(workers, most)),
            have_spares_begun: false,
            no_spare_before: 0,
            workers: BTreeMap::new(),
            last_id: 0,
            actions: Vec::new(),
            replacements: Replacements::default(),
            is_unhealthy: false,
            latest_loss: None,
            master_problem: None,
            is_slow_known: false,
            clock: Clock::default(),
            look_at: None,
            last_sample: (0, 0),
        }
    }

    /// Takes one event, at `machine` on the machine's monotonic clock. Returns what to do, in
    /// order. Ignores events about workers that are gone: they are races, not errors.
    pub(crate) fn on_event(&mut self, event: Event, machine: Millis) -> Vec<Action> {
        let now = self.clock.turn(machine);
        self.look_at = None;
        let is_masters_check = matches!(event, Event::MasterChecked { .. });
        self.dispatch(event, machine, now);
        self.advance_replacement(now);
        self.activate_spares(now);
        self.begin_spares(now);
        self.refill(now);
        self.advance_reload(now);
        self.report_health(is_masters_check);
        self.finish();
        let wait = if self.deadline().is_some() { MAX_WAIT } else { Millis::MAX };
        self.clock.wait(machine, wait.min(self.sample_interval()));
        std::mem::take(&mut self.actions)
    }

    fn dispatch(&mut self, event: Event, machine: Millis, now: Millis) {
        match event {
            Event::Start => self.start(now),
            Event::Spawned { worker, pid } => self.spawned(worker, pid),
            Event::SpawnFailed { worker, reason } => self.spawn_failed(worker, reason, now),
            Event::Waiting { worker } => self.waiting(worker, now),
            Event::Ready { worker } => self.ready(worker, now),
            Event::Leaving { worker } => self.drain(worker, Cause::Leave, now),
            Event::Ending { worker } => self.ending(worker, now),
            Event::Exited { worker, exit } => self.exited(worker, exit, now),
            Event::UncaughtError { worker, message } => {
                self.update(worker, |worker| worker.uncaught_error = Some(message));
            }
            Event::LastLines { worker, lines } => {
                self.update(worker, |worker| worker.last_lines = lines);
            }
            Event::Serves { worker, addresses } => {
                self.update(worker, |worker| worker.addresses = addresses);
            }
            Event::Checked { worker, problem } => self.checked(worker, problem),
            Event::MasterChecked { problem } => self.master_problem = problem,
            Event::Switched { disabled, by } => self.switched(disabled, &by),
            Event::Sample { readings } => self.sample(&readings, machine, now),
            Event::Executed { worker } => self.executed(worker, now),
            Event::Reload { addresses_may_change } => self.reload(addresses_may_change, now),
            Event::Scale { workers } => self.scale(workers, machine, now),
            Event::Autoscale => self.autoscale(machine, now),
            Event::MemoryMeasured { available } => self.on_memory(available, machine, now),
            Event::Shutdown => self.request_shutdown(now),
            Event::Stop => self.stop(),
            Event::HandOver => self.hand_over(now),
            Event::TakeBack => self.take_back(now),
            Event::Tick => self.enforce_deadlines(now),
        }
    }

    pub(super) fn update(&mut self, id: WorkerId, change: impl FnOnce(&mut WorkerRecord)) {
        self.workers.get_mut(&id).map(change);
    }

    pub(super) fn notify(&mut self, notice: Notice) {
        self.actions.push(Action::Notify(notice));
    }

    /// Returns when to send `Tick` if nothing happens before, on the machine's clock. With a
    /// deadline that is soon and often, so that the clock notices when the master stands still.
    pub(crate) fn next_tick(&self) -> Option<Millis> {
        let at = self.clock.on_machine(self.deadline()?);
        Some(self.clock.due().map_or(at, |due| at.min(due)))
    }

    /// Returns the latest worker that ended, or failed to start, although nobody asked it to, and
    /// forgets it.
    pub(crate) fn take_loss(&mut self) -> Option<String> {
        self.latest_loss.take()
    }

    /// The next deadline, on our clock.
    pub(super) fn deadline(&self) -> Option<Millis> {
        let workers = self.workers.values().filter_map(WorkerRecord::deadline);
        let refills = self.slots.iter().filter_map(Slot::refill_at);
        let ends = || self.trial_ends_at().into_iter().chain(self.reload_ends_at()).min();
        let reload = self.look_at.or_else(ends);
        let asked = self.workers.values().filter_map(|worker| Some(worker.asked?.until));
        let others = self.phase.shutdown_at().into_iter().chain(self.slow_start_at());
        workers.chain(asked).chain(refills).chain(others).chain(reload).min()
    }

    /// All workers that are not gone yet.
    pub(crate) fn workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerRecord)> + Clone {
        self.workers.iter().map(|(id, worker)| (*id, worker))
    }

    /// All workers that are ready, and whose process does not end, the oldest first.
    pub(crate) fn ready_workers(&self) -> impl Iterator<Item = (WorkerId, &WorkerRecord)> + Clone {
        self.workers().filter(|(_, worker)| worker.is_ready() && !worker.is_ending)
    }

    pub(crate) fn worker(&self, id: WorkerId) -> Option<&WorkerRecord> {
        self.workers.get(&id)
    }

    /// Where the cluster is in its life.
    pub(crate) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether workers that end are replaced.
    pub(crate) fn is_running(&self) -> bool {
        self.phase.is_running()
    }

    pub(crate) fn is_reloading(&self) -> bool {
        self.replacements.is_reloading()
    }

    /// Returns the round of a reload that serves a request made now.
    pub(crate) fn next_round(&self) -> u32 {
        self.replacements.round() + 1
    }

    /// How far the reload is, if one runs.
    pub(crate) fn reload_progress(&self) -> Option<Progress> {
        self.replacements.progress()
    }

    /// How many workers there should be that serve.
    pub(crate) fn target(&self) -> u32 {
        self.target as u32
    }

    /// The slots that should have a worker, or a spare.
    pub(crate) fn slots(&self) -> impl Iterator<Item = SlotRecord> {
        (0..self.wanted_slots() as u32).filter_map(|slot| self.slot(slot))
    }

    pub(crate) fn slot(&self, number: u32) -> Option<SlotRecord> {
        let slot = self.slots.get(number as usize)?;
        Some(SlotRecord {
            slot: number,
            holder: slot.holder(),
            refill_at: slot.refill_at().map(|at| self.clock.on_machine(at)),
            restarts: slot.generation.saturating_sub(1),
            crashes: slot.crashes,
        })
    }

    /// Counts a crash in `slot`.
    pub(super) fn slot_crashed(&mut self, slot: u32) {
        if let Some(slot) = self.slots.get_mut(slot as usize) {
            slot.crashes = slot.crashes.saturating_add(1);
        }
    }

    /// The worker that holds `slot`.
    pub(super) fn holder(&self, slot: u32) -> Option<WorkerId> {
        self.slots.get(slot as usize)?.holder()
    }

    /// The workers that hold the slots.
    pub(super) fn holders(&self) -> impl Iterator<Item = WorkerId> {
        self.slots[..self.wanted_slots()].iter().filter_map(Slot::holder)
    }
}
