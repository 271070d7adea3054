//! Spares: when they start, what activates one, and that the end of one is not a crash of the
//! service.

use super::{LIMITS, RELOAD, born, died_saying, drains, failure, pass, reading, spawn};
use crate::clock::Millis;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::spares::PAUSE;
use crate::supervision::worker::{Cause, LastWords};
use crate::supervision::{Action, Event, Limits, Notice, Reading, Supervisor, WorkerState};

const KILLED: Exit = Exit::Signal("SIGKILL");

fn spawn_spare(worker: u32, slot: u32, generation: u32) -> Action {
    Action::Spawn { worker: WorkerId(worker), slot, generation, spare: true }
}

fn activated(id: u32) -> [Action; 2] {
    let notice = Action::Notify(Notice::Activated { pid: 100 + id });
    [Action::Activate { worker: WorkerId(id) }, notice]
}

/// Reports that a spare has started and, if it `waits`, has come to its `listen`.
fn started(supervisor: &mut Supervisor, id: u32, waits: bool, now: Millis) -> Vec<Action> {
    let mut actions = born(supervisor, id, false, now);
    if waits {
        actions.extend(supervisor.on_event(Event::Waiting { worker: WorkerId(id) }, now));
    }
    actions
}

fn kill(supervisor: &mut Supervisor, id: u32, now: Millis) -> Vec<Action> {
    let mut actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(id), exit: KILLED }, now);
    // Its death, which other tests check.
    actions.remove(0);
    actions.extend(supervisor.on_event(Event::Tick, now + PAUSE));
    actions
}

/// `workers` ready workers and `spares` that wait; their ids follow one another.
fn with_spares(workers: u32, spares: u32) -> Supervisor {
    let mut supervisor = Supervisor::new(workers, Limits { spares, ..LIMITS }, 1);
    supervisor.on_event(Event::Start, 0);
    (1..=workers).for_each(|id| drop(born(&mut supervisor, id, true, 0)));
    (workers + 1..=workers + spares).for_each(|id| drop(started(&mut supervisor, id, true, 0)));
    supervisor
}

#[test]
fn spares_start_once_the_first_workers_have() {
    let mut supervisor = Supervisor::new(2, Limits { spares: 2, ..LIMITS }, 1);
    assert_eq!(supervisor.on_event(Event::Start, 0), [spawn(1, 0, 1), spawn(2, 1, 1)]);
    assert_eq!(born(&mut supervisor, 1, true, 1).len(), 2, "the other one still starts");
    let actions = born(&mut supervisor, 2, true, 2);
    assert_eq!(actions[2..], [spawn_spare(3, 2, 1), spawn_spare(4, 3, 1)]);
    let waits = started(&mut supervisor, 3, true, 3);
    assert_eq!(waits[1..], [Action::Notify(Notice::Spare { pid: 103 })]);
    assert_eq!(supervisor.ready_workers().count(), 2);
    assert_eq!(supervisor.slots().count(), 4);
}

#[test]
fn a_spare_is_activated_for_a_worker_that_dies_and_another_one_takes_the_free_slot() {
    let mut supervisor = with_spares(2, 2);
    let actions = kill(&mut supervisor, 1, 50);
    assert_eq!(actions, [&activated(3)[..], &[spawn_spare(5, 0, 2)]].concat());
    let ready = supervisor.on_event(Event::Ready { worker: WorkerId(3) }, 51);
    assert_eq!(ready, [Action::Notify(Notice::Listening { pid: 103 })]);
    assert_eq!(supervisor.slot(2).unwrap().holder, Some(WorkerId(3)), "it keeps its slot");
}

#[test]
fn it_is_activated_before_the_last_reports_of_the_dead_are_read_and_has_the_processor_for_a_while()
{
    let mut supervisor = with_spares(2, 1);
    assert_eq!(supervisor.on_event(Event::Ending { worker: WorkerId(1) }, 50), activated(3));
    let exited = Event::Exited { worker: WorkerId(1), exit: KILLED };
    assert_eq!(supervisor.on_event(exited, 52).len(), 1, "its death");
    assert_eq!(supervisor.next_tick(), Some(50 + PAUSE));
    assert_eq!(supervisor.on_event(Event::Tick, 50 + PAUSE), [spawn_spare(4, 0, 2)]);
}

#[test]
fn one_that_leaves_is_replaced_while_it_drains() {
    let mut supervisor = with_spares(1, 1);
    let mut actions = supervisor.on_event(Event::Leaving { worker: WorkerId(1) }, 50);
    actions.extend(supervisor.on_event(Event::Tick, 50 + PAUSE));
    let expected =
        [&[Action::Drain { worker: WorkerId(1) }], &activated(2)[..], &[spawn_spare(3, 0, 2)]];
    assert_eq!(actions, expected.concat());
}

#[test]
fn without_a_spare_that_waits_one_that_starts_is_told_to_serve() {
    let mut supervisor = with_spares(2, 1);
    kill(&mut supervisor, 1, 50);
    born(&mut supervisor, 4, false, 50);
    let actions = kill(&mut supervisor, 2, 110);
    assert_eq!(actions, [&activated(4)[..], &[spawn_spare(5, 1, 2)]].concat());
    let late = supervisor.on_event(Event::Waiting { worker: WorkerId(4) }, 161);
    assert_eq!(late, [], "it is not a spare any more");
}

#[test]
fn the_end_of_a_spare_is_no_crash_and_waits_longer_and_longer() {
    let mut supervisor = with_spares(1, 1);
    supervisor.limits.give_up_after = Some(1);
    let actions = supervisor.on_event(Event::Exited { worker: WorkerId(2), exit: KILLED }, 50);
    let words = LastWords { slot: 1, ..LastWords::default() };
    assert_eq!(actions, [died_saying(102, KILLED, Cause::Spare, words), spawn_spare(3, 1, 2)]);
    for id in 3..5 {
        born(&mut supervisor, id, false, 50);
        kill(&mut supervisor, id, 50);
    }
    assert!((175..=200).contains(&supervisor.deadline().unwrap_or_default()));
    assert_eq!(supervisor.slot(1).unwrap().crashes, 0);
    assert_eq!(supervisor.take_loss(), None);
    assert!(supervisor.is_running());
}

#[test]
fn a_spare_that_does_not_come_to_its_listen_in_time_is_killed() {
    let mut supervisor = with_spares(1, 1);
    kill(&mut supervisor, 2, 50);
    born(&mut supervisor, 3, false, 50);
    let actions = pass(&mut supervisor, 50, 1_050, &[WorkerId(1)]);
    assert_eq!(actions.last(), Some(&Action::Kill { worker: WorkerId(3) }));
}

#[test]
fn a_spare_that_hangs_is_killed_and_one_that_is_stuck_is_the_last_choice() {
    let mut supervisor = with_spares(1, 2);
    let (alive, stuck) = ([WorkerId(1), WorkerId(3)], WorkerId(2));
    pass(&mut supervisor, 0, 2_500, &alive);
    assert!(supervisor.worker(stuck).and_then(|spare| supervisor.stuck_for(spare)).is_some());
    assert_eq!(kill(&mut supervisor, 1, 2_500)[..2], activated(3));
    let actions = pass(&mut supervisor, 2_500, 4_500, &[WorkerId(3)]);
    assert!(actions.contains(&Action::Kill { worker: stuck }), "{actions:?}");
}

#[test]
fn a_spare_that_hung_before_it_was_activated_is_killed_as_unresponsive_and_not_as_a_slow_start() {
    let mut supervisor = with_spares(1, 1);
    supervisor.limits.start_timeout = 30_000;
    assert_eq!(kill(&mut supervisor, 1, 500)[..2], activated(2));
    born(&mut supervisor, 3, false, 550);
    let silent = || Event::Sample { readings: vec![reading(WorkerId(2), 0, 0)] };
    (3..13).for_each(|step| drop(supervisor.on_event(silent(), step * 250)));
    assert_eq!(
        supervisor.on_event(silent(), 3_001),
        [Action::Ask { worker: WorkerId(2), dying: true }]
    );
    let actions = supervisor.on_event(Event::Executed { worker: WorkerId(2) }, 3_002);
    let unresponsive = Notice::Unresponsive { worker: WorkerId(2), pid: 102, age: 3_002 };
    let expected = [Action::Notify(unresponsive), Action::Kill { worker: WorkerId(2) }];
    assert_eq!(actions[..2], expected);
    assert_eq!(actions[2..4], activated(3));
}

#[test]
fn a_spare_with_too_much_memory_is_recycled_and_a_worker_by_a_spare() {
    let mut supervisor = with_spares(1, 1);
    supervisor.limits.thresholds.memory = Some(1_000);
    let sample = |worker: u32, now| {
        let all = [1, 2, 3].map(|id| reading(WorkerId(id), now, 0));
        let big =
            |one: Reading| Reading { memory: 2_000 * u64::from(one.worker.0 == worker), ..one };
        Event::Sample { readings: all.map(big).to_vec() }
    };
    let actions = supervisor.on_event(sample(2, 10), 10);
    assert_eq!(actions[1..], [spawn_spare(3, 1, 2)]);
    assert_eq!(drains(&started(&mut supervisor, 3, true, 20)), [2]);
    let actions = supervisor.on_event(sample(1, 30), 30);
    assert_eq!(actions[1..], activated(3));
    assert_eq!(drains(&supervisor.on_event(Event::Ready { worker: WorkerId(3) }, 31)), [1]);
    assert_eq!(supervisor.serving_count(), 1);
    assert_eq!(supervisor.on_event(Event::Tick, 31), []);
    assert!(supervisor.workers().any(|(id, spare)| id == WorkerId(4) && spare.is_spare));
}

#[test]
fn more_workers_are_spares_at_once_and_fewer_leave_as_many_spares() {
    let mut supervisor = with_spares(2, 1);
    let mut actions = supervisor.on_event(Event::Scale { workers: 3 }, 10);
    actions.extend(supervisor.on_event(Event::Tick, 10 + PAUSE));
    assert_eq!(actions[1..], [&activated(3)[..], &[spawn_spare(4, 3, 1)]].concat());
    supervisor.on_event(Event::Ready { worker: WorkerId(3) }, 10);
    started(&mut supervisor, 4, true, 10);
    let actions = supervisor.on_event(Event::Scale { workers: 2 }, 20);
    assert_eq!(drains(&actions), [4, 3], "the highest slot goes, and the spare takes the next one");
    assert_eq!(actions.last(), Some(&spawn_spare(5, 2, 2)));
}

#[test]
fn a_reload_replaces_spares_first_and_then_workers_by_them() {
    let mut supervisor = with_spares(2, 1);
    supervisor.limits.min_ready_time = 100;
    let actions = supervisor.on_event(RELOAD, 10);
    assert_eq!(actions[1..], [spawn_spare(4, 2, 2)]);
    let actions = started(&mut supervisor, 4, true, 20);
    assert_eq!(drains(&actions), [3], "no trial: it serves nobody");
    assert!(actions.ends_with(&activated(4)), "the canary: {actions:?}");
    let actions = supervisor.on_event(Event::Ready { worker: WorkerId(4) }, 30);
    assert!(drains(&actions).is_empty());
    let actions = pass(&mut supervisor, 129, 130, &[WorkerId(4)]);
    assert_eq!(drains(&actions), [1]);
    assert_eq!(actions.last(), Some(&spawn_spare(5, 0, 2)), "the next step waits for it");
    let actions = started(&mut supervisor, 5, true, 140);
    assert!(actions.ends_with(&activated(5)), "{actions:?}");
    let actions = supervisor.on_event(Event::Ready { worker: WorkerId(5) }, 150);
    assert_eq!(drains(&actions), [2]);
    started(&mut supervisor, 6, true, 160);
    let actions = pass(&mut supervisor, 249, 250, &[4, 5].map(WorkerId));
    let done = Notice::Reloaded { round: 1, replaced: 3, again: false };
    assert_eq!(actions, [Action::Notify(done)]);
}

#[test]
fn a_reload_whose_spare_does_not_start_fails_and_everybody_stays() {
    let mut supervisor = with_spares(2, 1);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 4, false, 10);
    let actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(4), exit: Exit::Code(1) }, 20);
    let reason = "worker 104 exited with code 1; all slots run the old code";
    assert_eq!(failure(&actions), Some(reason));
    assert!(drains(&actions).is_empty());
    let states = supervisor.workers().map(|(_, worker)| worker.state);
    assert_eq!(states.filter(|state| matches!(state, WorkerState::Waiting { .. })).count(), 1);
}

#[test]
fn a_spare_that_is_replaced_serves_if_it_has_to_and_its_successor_replaces_it() {
    let mut supervisor = with_spares(1, 1);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 3, false, 10);
    let actions = kill(&mut supervisor, 1, 20);
    assert_eq!(actions[..4], [activated(2), activated(3)].concat());
    supervisor.on_event(Event::Ready { worker: WorkerId(2) }, 21);
    assert_eq!(drains(&supervisor.on_event(Event::Ready { worker: WorkerId(3) }, 30)), [2]);
}

#[test]
fn spares_drain_with_the_cluster_and_count_for_no_upgrade() {
    let mut supervisor = with_spares(1, 1);
    assert_eq!(supervisor.settles_at(), Some(0));
    assert_eq!(drains(&supervisor.on_event(Event::Shutdown, 10)), [1, 2]);
    kill(&mut supervisor, 1, 20);
    assert!(matches!(kill(&mut supervisor, 2, 30)[..], [Action::Finish(_)]));
}
