//! The number of workers follows their work.

use std::ops::Range;

use super::{LIMITS, ONE, RELOAD, TWO, born, drains, scaled, spawn};
use crate::clock::Millis;
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::{Action, Event, Limit, Limits, Notice, Reading, Supervisor, WorkerState};

const MEMORY: u64 = 100;
/// No step.
const NONE: [u32; 0] = [];
const PLENTY: Option<u64> = Some(u64::MAX);

/// A supervisor whose first workers, `least` of them, are ready.
fn elastic(least: u32, most: u32) -> Supervisor {
    let limits = Limits { max_workers: Some(most), ..LIMITS };
    let mut supervisor = Supervisor::new(least, limits, 1);
    supervisor.on_event(Event::Start, 0);
    (1..=least).for_each(|id| drop(born(&mut supervisor, id, true, 0)));
    supervisor
}

/// The conditions in which workers work.
#[derive(Clone, Copy)]
struct World {
    /// How busy each worker is, in thousandths; `None`: its event loop does not turn.
    busy: fn(WorkerId) -> Option<u32>,
    available: Option<u64>,
    /// Whether new workers become ready.
    starts: bool,
}

const IDLE: World = World { busy: |_| Some(0), available: PLENTY, starts: true };
const BUSY: World = World { busy: |_| Some(1_000), ..IDLE };

/// Lets workers work for these seconds. Returns all actions.
fn work(supervisor: &mut Supervisor, seconds: Range<u64>, world: World) -> Vec<Action> {
    let mut actions = Vec::new();
    for now in (seconds.start * 2..seconds.end * 2).map(|half| half * 500) {
        let reading = |worker| {
            let utilization = (world.busy)(worker)?;
            let (beat, measured_at) = (now, now);
            let utilization = Some(utilization);
            Some(Reading { worker, beat, connections: 0, memory: MEMORY, measured_at, utilization })
        };
        let ids: Vec<_> = supervisor.workers().map(|(id, _)| id).collect();
        let readings = ids.into_iter().filter_map(reading).collect();
        let mut events = vec![Event::Autoscale, Event::Sample { readings }];
        while let Some(event) = events.pop() {
            for action in supervisor.on_event(event, now) {
                match action {
                    Action::MeasureMemory => {
                        events.push(Event::MemoryMeasured { available: world.available });
                    }
                    Action::Spawn { worker, .. } => {
                        born(supervisor, worker.0, world.starts, now);
                    }
                    _ => {}
                }
                actions.push(action);
            }
        }
    }
    actions
}

/// The numbers of workers after each step.
fn steps(actions: &[Action]) -> Vec<u32> {
    let step = |action: &Action| match action {
        Action::Notify(Notice::Scaled { workers, .. }) => Some(*workers),
        _ => None,
    };
    actions.iter().filter_map(step).collect()
}

fn limits(actions: &[Action]) -> Vec<Limit> {
    let limit = |action: &Action| match action {
        Action::Notify(Notice::NotScaled { limit, .. }) => Some(*limit),
        _ => None,
    };
    actions.iter().filter_map(limit).collect()
}

fn gone(supervisor: &mut Supervisor, id: u32, now: Millis) {
    supervisor.on_event(Event::Exited { worker: WorkerId(id), exit: Exit::Code(0) }, now);
}

#[test]
fn busy_workers_get_another_one_after_a_window_and_no_more_before_that_one_is_measured() {
    let mut supervisor = elastic(1, 8);
    assert_eq!(steps(&work(&mut supervisor, 1..11, BUSY)), NONE);
    let actions = work(&mut supervisor, 11..21, BUSY);
    let notice = Notice::Scaled { before: 1, workers: 2, utilization: Some(1_000) };
    let expected = [Action::MeasureMemory, Action::Notify(notice), spawn(2, 1, 1)];
    assert_eq!(actions, expected, "one worker's work is not enough for three");
    assert_eq!(steps(&work(&mut supervisor, 21..24, BUSY)), [3, 4], "two workers' work is");
}

#[test]
fn work_that_two_can_do_makes_no_third_and_a_little_less_ends_none() {
    let mut supervisor = elastic(2, 8);
    let steady = World { busy: |_| Some(550), ..IDLE };
    assert_eq!(steps(&work(&mut supervisor, 1..40, steady)), NONE);
    let less = World { busy: |_| Some(300), ..IDLE };
    supervisor.on_event(Event::Scale { workers: 1 }, 40_000);
    assert_eq!(steps(&work(&mut supervisor, 40..80, less)), NONE, "600 would be too much for one");
}

#[test]
fn without_memory_for_two_more_there_is_none_more_and_that_is_told_once() {
    let mut supervisor = elastic(1, 8);
    let short = World { available: Some(2 * MEMORY - 1), ..BUSY };
    let actions = work(&mut supervisor, 1..20, short);
    let limit = Limit::Memory { needed: 2 * MEMORY, available: 2 * MEMORY - 1 };
    assert_eq!((steps(&actions), limits(&actions)), (vec![], vec![limit]));
    assert_eq!(supervisor.scaling().unwrap().limit, Some(limit));
    let unknown = World { available: None, ..BUSY };
    assert_eq!(steps(&work(&mut supervisor, 20..22, unknown)), [2], "unknown is not a limit");
    assert_eq!(supervisor.scaling().unwrap().limit, None);
}

#[test]
fn the_most_is_a_limit_that_only_the_status_shows() {
    let mut supervisor = elastic(1, 2);
    let actions = work(&mut supervisor, 1..40, BUSY);
    assert_eq!((steps(&actions), limits(&actions)), (vec![2], vec![Limit::Most]));
    let scaling = supervisor.scaling().unwrap();
    assert_eq!((scaling.limit, scaling.utilization), (Some(Limit::Most), Some(1_000)));
    assert_eq!((scaling.least, scaling.most), (1, 2));
}

#[test]
fn idle_workers_go_one_at_a_time_until_the_least_are_left() {
    let mut supervisor = elastic(2, 8);
    supervisor.on_event(Event::Scale { workers: 4 }, 0);
    [3, 4].iter().for_each(|id| drop(born(&mut supervisor, *id, true, 0)));
    supervisor.on_event(Event::Scale { workers: 2 }, 0);
    let actions = work(&mut supervisor, 1..30, IDLE);
    assert_eq!((steps(&actions), drains(&actions)), (vec![3], vec![4]), "until that one is gone");
    gone(&mut supervisor, 4, 30_000);
    assert_eq!(steps(&work(&mut supervisor, 30..35, IDLE)), [2]);
    gone(&mut supervisor, 3, 35_000);
    assert_eq!(steps(&work(&mut supervisor, 35..80, IDLE)), NONE);
}

#[test]
fn a_stuck_worker_is_no_work_for_others_and_nobody_goes_while_it_is_stuck() {
    let mut supervisor = elastic(1, 8);
    supervisor.on_event(Event::Scale { workers: 3 }, 0);
    [2, 3].iter().for_each(|id| drop(born(&mut supervisor, *id, true, 0)));
    supervisor.on_event(Event::Scale { workers: 1 }, 0);
    supervisor.limits.max_heartbeat_delay = 60_000;
    let half = World { busy: |_| Some(500), ..IDLE };
    work(&mut supervisor, 1..12, half);
    let stuck = World { busy: |worker| (worker != ONE).then_some(0), ..IDLE };
    assert_eq!(steps(&work(&mut supervisor, 12..50, stuck)), NONE);
}

#[test]
fn a_worker_that_does_not_stay_makes_no_further_ones() {
    let mut supervisor = elastic(2, 8);
    let failing = World { starts: false, ..BUSY };
    assert_eq!(steps(&work(&mut supervisor, 1..12, failing)), [3]);
    assert_eq!(steps(&work(&mut supervisor, 12..20, failing)), NONE, "it starts");
    gone(&mut supervisor, 3, 20_000);
    born(&mut supervisor, 4, false, 20_000);
    assert_eq!(limits(&supervisor.on_event(Event::Autoscale, 20_000)).len(), 0);
    gone(&mut supervisor, 4, 20_000);
    let actions = supervisor.on_event(Event::Autoscale, 20_000);
    assert_eq!(limits(&actions), [Limit::Crashes { slot: 2 }]);
    assert_eq!(supervisor.target(), 3);
}

#[test]
fn nobody_goes_while_a_worker_starts_again_but_a_slot_that_only_crashes_does() {
    let mut supervisor = elastic(1, 8);
    supervisor.on_event(Event::Scale { workers: 2 }, 0);
    born(&mut supervisor, 2, true, 0);
    supervisor.on_event(Event::Scale { workers: 1 }, 0);
    gone(&mut supervisor, 2, 500);
    born(&mut supervisor, 3, false, 500);
    assert_eq!(steps(&work(&mut supervisor, 1..30, IDLE)), NONE, "it starts");
    gone(&mut supervisor, 3, 30_000);
    born(&mut supervisor, 4, false, 30_000);
    gone(&mut supervisor, 4, 30_000);
    assert_eq!(steps(&supervisor.on_event(Event::Autoscale, 30_000)), [1], "it waits");
}

#[test]
fn nothing_is_scaled_by_itself_during_a_reload_nor_before_a_delayed_shutdown() {
    let mut supervisor = elastic(1, 8);
    supervisor.on_event(RELOAD, 500);
    let waiting = World { starts: false, ..BUSY };
    assert_eq!(steps(&work(&mut supervisor, 1..20, waiting)), NONE);
    let mut supervisor = elastic(1, 8);
    supervisor.limits.shutdown_delay = 60_000;
    supervisor.on_event(Event::Shutdown, 500);
    assert_eq!(steps(&work(&mut supervisor, 1..20, BUSY)), NONE);
}

#[test]
fn the_end_of_the_cluster_between_question_and_answer_makes_no_worker() {
    let mut supervisor = elastic(1, 8);
    supervisor.on_event(Event::MemoryMeasured { available: PLENTY }, 500);
    assert_eq!(supervisor.target(), 1, "nobody asked");
    work(&mut supervisor, 1..11, BUSY);
    supervisor.on_event(Event::Stop, 11_000);
    let actions = supervisor.on_event(Event::MemoryMeasured { available: PLENTY }, 11_000);
    assert_eq!(actions, []);
}

#[test]
fn a_command_sets_the_least_within_the_most() {
    let mut supervisor = elastic(1, 4);
    let actions = supervisor.on_event(Event::Scale { workers: 2 }, 10);
    assert_eq!(actions, [scaled(1, 2), spawn(2, 1, 1)]);
    assert_eq!(supervisor.on_event(Event::Scale { workers: 1 }, 20), []);
    let scaling = supervisor.scaling().unwrap();
    assert_eq!((supervisor.target(), scaling.least), (2, 1), "work decides");
    supervisor.on_event(Event::Scale { workers: 9 }, 30);
    assert_eq!((supervisor.target(), supervisor.scaling().unwrap().least), (4, 4));
}

#[test]
fn what_was_measured_before_the_master_stood_still_counts_for_nothing() {
    let mut supervisor = elastic(1, 8);
    work(&mut supervisor, 1..11, BUSY);
    assert_eq!(steps(&work(&mut supervisor, 15..25, BUSY)), NONE);
    assert_eq!(steps(&work(&mut supervisor, 25..27, BUSY)), [2]);
}

#[test]
fn a_master_that_takes_over_begins_with_as_many_as_the_former_had_within_its_own_bounds() {
    for (former, workers) in [(5, 5), (0, 2), (9, 6)] {
        let limits = Limits { max_workers: Some(6), ..LIMITS };
        let mut supervisor = Supervisor::new(2, limits, 1);
        supervisor.continue_from(7, former, &[1]);
        let actions = supervisor.on_event(Event::Start, 0);
        assert_eq!((actions.len(), supervisor.target()), (workers, workers as u32));
    }
}

#[test]
fn a_step_down_drains_the_worker_of_the_last_slot_as_any_other() {
    let mut supervisor = elastic(1, 8);
    supervisor.on_event(Event::Scale { workers: 2 }, 0);
    born(&mut supervisor, 2, true, 0);
    supervisor.on_event(Event::Scale { workers: 1 }, 0);
    work(&mut supervisor, 1..13, IDLE);
    let state = supervisor.worker(TWO).map(|worker| worker.state);
    assert!(matches!(state, Some(WorkerState::Draining { .. })), "{state:?}");
    assert!(supervisor.next_tick().is_some(), "it has a deadline");
}
