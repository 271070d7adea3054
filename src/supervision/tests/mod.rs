//! One rule of supervision in each test: events, and the actions that must follow.

mod ending;
mod health;
mod refill;
mod reload;
mod reload_failures;
mod samples;
mod scaling;
mod shutdown;
mod spares;
mod upgrade;

use crate::clock::{MAX_WAIT, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::supervisor::Supervisor;
use crate::supervision::worker::{Cause, LastWords};
use crate::supervision::{Action, Event, Limits, Notice, Reading, Thresholds};

const LIMITS: Limits = Limits {
    spares: 0,
    start_timeout: 1_000,
    min_ready_time: 0,
    shutdown_timeout: 2_000,
    shutdown_delay: 0,
    beat_interval: 750,
    max_heartbeat_delay: 3_000,
    blocked_after: None,
    give_up_after: None,
    thresholds: Thresholds { connections: Some(100), uptime: None, memory: None },
    follows_early: true,
    max_workers: None,
};
const RELOAD: Event = Event::Reload { addresses_may_change: false };
const ONE: WorkerId = WorkerId(1);
const TWO: WorkerId = WorkerId(2);

fn spawn(worker: u32, slot: u32, generation: u32) -> Action {
    Action::Spawn { worker: WorkerId(worker), slot, generation, spare: false }
}

/// The death of a worker of `running`, or of one with that pid.
fn died(pid: u32, exit: Exit, cause: Cause) -> Action {
    // The slots of the first workers have the numbers before theirs.
    died_saying(pid, exit, cause, LastWords { slot: pid - 101, ..LastWords::default() })
}

/// The death of a worker that left a message, or is not in the slot before its number.
fn died_saying(pid: u32, exit: Exit, cause: Cause, last_words: LastWords) -> Action {
    Action::Notify(Notice::Died { worker: WorkerId(pid - 100), pid, exit, cause, last_words })
}

/// Lets time pass until `to`, with a tick as often as in the master. The event loops of `beating`
/// turn. Returns all actions.
fn pass(
    supervisor: &mut Supervisor,
    from: Millis,
    to: Millis,
    beating: &[WorkerId],
) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut now = from;
    while now < to {
        now = (now + MAX_WAIT).min(to);
        let readings = beating.iter().map(|worker| reading(*worker, now, 0)).collect();
        actions.extend(supervisor.on_event(Event::Sample { readings }, now));
        actions.extend(supervisor.on_event(Event::Tick, now));
    }
    actions
}

/// A supervisor with `workers` ready workers whose pids are 100 + id.
fn running(workers: u32) -> Supervisor {
    let mut supervisor = Supervisor::new(workers, LIMITS, 1);
    supervisor.on_event(Event::Start, 0);
    for id in 1..=workers {
        supervisor.on_event(Event::Spawned { worker: WorkerId(id), pid: 100 + id }, 0);
        supervisor.on_event(Event::Ready { worker: WorkerId(id) }, 0);
    }
    supervisor
}

fn reading(worker: WorkerId, beat: Millis, connections: u64) -> Reading {
    Reading { worker, beat, connections, memory: 0, measured_at: beat, utilization: None }
}

/// Reports a worker as spawned and, if `ready`, as ready.
fn born(supervisor: &mut Supervisor, id: u32, ready: bool, now: Millis) -> Vec<Action> {
    let mut actions =
        supervisor.on_event(Event::Spawned { worker: WorkerId(id), pid: 100 + id }, now);
    if ready {
        actions.extend(supervisor.on_event(Event::Ready { worker: WorkerId(id) }, now));
    }
    actions
}

/// The notice of a `Scale`.
fn scaled(before: u32, workers: u32) -> Action {
    Action::Notify(Notice::Scaled { before, workers, utilization: None })
}

fn reloaded(round: u32, replaced: u32, again: bool) -> Action {
    Action::Notify(Notice::Reloaded { round, replaced, again })
}

fn reload_failed(round: u32, reason: &str) -> Action {
    Action::Notify(Notice::ReloadFailed { round, reason: reason.to_owned() })
}

/// As `running`, with a trial of 500 ms. All workers serve `addresses`.
fn serving(workers: u32, addresses: &[&str]) -> Supervisor {
    let mut supervisor = running(workers);
    supervisor.limits.min_ready_time = 500;
    (1..=workers).for_each(|id| serve(&mut supervisor, id, addresses, 0));
    supervisor
}

fn serve(supervisor: &mut Supervisor, id: u32, addresses: &[&str], now: Millis) {
    let addresses = addresses.iter().map(ToString::to_string).collect();
    supervisor.on_event(Event::Serves { worker: WorkerId(id), addresses }, now);
}

fn ask(id: u32) -> Action {
    Action::AskToBeat { worker: WorkerId(id) }
}

fn drains(actions: &[Action]) -> Vec<u32> {
    let drained =
        |action: &Action| if let Action::Drain { worker } = action { Some(worker.0) } else { None };
    actions.iter().filter_map(drained).collect()
}

fn failure(actions: &[Action]) -> Option<&str> {
    actions.iter().find_map(|action| match action {
        Action::Notify(Notice::ReloadFailed { reason, .. }) => Some(reason.as_str()),
        _ => None,
    })
}
