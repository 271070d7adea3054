//! One rule of supervision a test, told as events and the actions that must follow.

use crate::clock::{LOOK, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::event::Reading;
use crate::supervision::event::{Action, Event, Notice, Outcome};
use crate::supervision::phase::Phase;
use crate::supervision::replacements::Thresholds;
use crate::supervision::supervisor::*;
use crate::supervision::worker::{Cause, WorkerState};

const LIMITS: Limits = Limits {
    start_timeout: 1_000,
    min_ready_time: 0,
    shutdown_timeout: 2_000,
    shutdown_delay: 0,
    max_heartbeat_delay: 3_000,
    thresholds: Thresholds { connections: Some(100), uptime: None, memory: None },
};
const RELOAD: Event = Event::Reload { addresses_may_change: false };
const ONE: WorkerId = WorkerId(1);
const TWO: WorkerId = WorkerId(2);

fn spawn(worker: u32, slot: u32, generation: u32) -> Action {
    Action::Spawn { worker: WorkerId(worker), slot, generation }
}

fn died(pid: u32, exit: Exit, cause: Cause) -> Action {
    Action::Notify(Notice::Died { pid, exit, cause })
}

/// Lets time pass until `to` as the runtime does, with a sign of life of all `beating`. Returns what to do meanwhile.
fn pass(
    supervisor: &mut Supervisor,
    from: Millis,
    to: Millis,
    beating: &[WorkerId],
) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut now = from;
    while now < to {
        now = (now + LOOK).min(to);
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

#[test]
fn a_start_forks_every_slot_and_tells_forked_before_listening() {
    let mut supervisor = Supervisor::new(2, LIMITS, 1);
    assert_eq!(supervisor.on_event(Event::Start, 0), [spawn(1, 0, 1), spawn(2, 1, 1)]);
    assert_eq!(
        supervisor.on_event(Event::Spawned { worker: ONE, pid: 101 }, 1),
        [Action::Notify(Notice::Forked { pid: 101 })]
    );
    assert_eq!(
        supervisor.on_event(Event::Ready { worker: ONE }, 2),
        [Action::Notify(Notice::Listening { pid: 101 })]
    );
    assert_eq!(supervisor.on_event(Event::Ready { worker: ONE }, 3), []);
}

#[test]
fn a_dead_worker_is_replaced_at_once_in_its_slot_with_the_next_generation() {
    let mut supervisor = running(2);
    let exit = Exit::Signal("SIGKILL");
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: TWO, exit }, 50),
        [died(102, exit, Cause::Crash), spawn(3, 1, 2)]
    );
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: TWO, exit }, 51),
        [],
        "a death is told once"
    );
}

#[test]
fn a_worker_that_is_lost_again_and_again_waits_a_little_but_not_while_no_other_is_ready() {
    let mut supervisor = running(2);
    let exit = Exit::Signal("SIGKILL");
    for id in 2..5 {
        let actions = supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, 10);
        assert_eq!(actions[1], spawn(id + 1, 1, id), "at once");
        born(&mut supervisor, id + 1, true, 10);
    }
    assert_eq!(supervisor.on_event(Event::Exited { worker: WorkerId(5), exit }, 10).len(), 1);
    assert!((85..=110).contains(&supervisor.deadline().unwrap_or_default()));
    let actions = supervisor.on_event(Event::Exited { worker: ONE, exit }, 10);
    assert_eq!(actions[1..], [spawn(6, 0, 2), spawn(7, 1, 5)], "none is ready, and none waits");
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_replaced_after_its_death() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(1) }, 10);
    supervisor.on_event(Event::Spawned { worker: WorkerId(3), pid: 103 }, 10);
    assert_eq!(supervisor.deadline(), Some(1_010));
    assert_eq!(supervisor.next_tick(), Some(10 + LOOK), "looked at often, to notice gaps");
    assert_eq!(pass(&mut supervisor, 10, 1_009, &[TWO]), []);
    assert_eq!(supervisor.next_tick(), Some(1_010));
    let actions = supervisor.on_event(Event::Tick, 1_010);
    assert!(matches!(
        actions[..],
        [Action::Notify(Notice::Warning(_)), Action::Kill { worker: WorkerId(3) }]
    ));
    let actions = supervisor
        .on_event(Event::Exited { worker: WorkerId(3), exit: Exit::Signal("SIGKILL") }, 1_020);
    assert_eq!(actions, [died(103, Exit::Signal("SIGKILL"), Cause::StartTimeout), spawn(4, 0, 3)]);
    supervisor.on_event(Event::Spawned { worker: WorkerId(4), pid: 104 }, 1_020);
    supervisor.on_event(Event::Exited { worker: WorkerId(4), exit: Exit::Code(1) }, 1_030);
    let at = supervisor.next_tick().expect("a time for the next replacement");
    assert!((1_105..=1_130).contains(&at), "{at}");
    assert_eq!(supervisor.on_event(Event::Tick, at), [spawn(5, 0, 4)]);
}

#[test]
fn a_first_start_in_which_nobody_becomes_ready_gives_up_with_the_reason() {
    let mut supervisor = Supervisor::new(1, LIMITS, 1);
    supervisor.on_event(Event::Start, 0);
    supervisor.on_event(Event::Spawned { worker: ONE, pid: 101 }, 0);
    let actions = supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(7) }, 5);
    let reason = "worker 101 exited with code 7".to_owned();
    assert_eq!(
        actions,
        [
            died(101, Exit::Code(7), Cause::Crash),
            Action::StopAdmitting,
            Action::Finish(Outcome::StartFailed { reason })
        ]
    );
}

#[test]
fn shutdown_closes_the_door_before_it_drains_and_finishes_after_the_last_death() {
    let mut supervisor = running(2);
    assert_eq!(
        supervisor.on_event(Event::Shutdown, 10),
        [Action::StopAdmitting, Action::Drain { worker: ONE }, Action::Drain { worker: TWO }]
    );
    assert_eq!(supervisor.on_event(Event::Shutdown, 11), [], "a second shutdown changes nothing");
    let exit = Exit::Code(0);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: ONE, exit }, 20),
        [died(101, exit, Cause::Shutdown)]
    );
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: TWO, exit }, 30),
        [died(102, exit, Cause::Shutdown), Action::Finish(Outcome::Clean)]
    );
}

#[test]
fn a_drain_that_takes_too_long_is_cut_and_told() {
    let mut supervisor = running(1);
    supervisor.on_event(Event::Shutdown, 10);
    assert_eq!(pass(&mut supervisor, 10, 2_009, &[]), []);
    assert_eq!(
        supervisor.on_event(Event::Tick, 2_010),
        [
            Action::Notify(Notice::DrainTimedOut { worker: ONE, pid: 101 }),
            Action::Kill { worker: ONE }
        ]
    );
}

#[test]
fn a_stop_during_a_shutdown_kills_who_is_left() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Shutdown, 10);
    supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(0) }, 20);
    assert_eq!(supervisor.on_event(Event::Stop, 30), [Action::Kill { worker: TWO }]);
}

#[test]
fn a_worker_that_leaves_by_itself_is_replaced_while_it_drains() {
    let mut supervisor = running(1);
    assert_eq!(
        supervisor.on_event(Event::Leaving { worker: ONE }, 10),
        [Action::Drain { worker: ONE }, spawn(2, 0, 2)]
    );
}

#[test]
fn scaling_down_drains_the_highest_slots_and_up_continues_their_generations() {
    let mut supervisor = running(2);
    assert_eq!(
        supervisor.on_event(Event::Scale { workers: 1 }, 10),
        [Action::Drain { worker: TWO }]
    );
    assert_eq!(supervisor.on_event(Event::Scale { workers: 2 }, 20), [spawn(3, 1, 2)]);
}

fn reading(worker: WorkerId, beat: Millis, connections: u64) -> Reading {
    Reading { worker, beat, connections, memory: 0 }
}

/// Lets the worker that was just spawned live: forked and, if so, ready.
fn born(supervisor: &mut Supervisor, id: u32, ready: bool, now: Millis) -> Vec<Action> {
    let mut actions =
        supervisor.on_event(Event::Spawned { worker: WorkerId(id), pid: 100 + id }, now);
    if ready {
        actions.extend(supervisor.on_event(Event::Ready { worker: WorkerId(id) }, now));
    }
    actions
}

#[test]
fn a_reload_replaces_one_slot_after_another_and_drains_the_old_only_when_the_new_is_ready() {
    let mut supervisor = running(2);
    let reloading =
        |slot, pid, replaced| Action::Notify(Notice::Reloading { slot, pid, replaced, total: 2 });
    assert_eq!(supervisor.on_event(RELOAD, 10), [reloading(0, 101, 0), spawn(3, 0, 2)]);
    born(&mut supervisor, 3, false, 12);
    let next = [
        Action::Notify(Notice::Listening { pid: 103 }),
        Action::Drain { worker: ONE },
        reloading(1, 102, 1),
        spawn(4, 1, 2),
    ];
    assert_eq!(supervisor.on_event(Event::Ready { worker: WorkerId(3) }, 20), next);
    let actions = born(&mut supervisor, 4, true, 30);
    assert_eq!(actions[2..], [Action::Drain { worker: TWO }, reloaded(1, 2, false)]);
    let exit = Exit::Code(0);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: ONE, exit }, 40),
        [died(101, exit, Cause::Reload)]
    );
}

fn reloaded(round: u32, replaced: u32, again: bool) -> Action {
    Action::Notify(Notice::Reloaded { round, replaced, again })
}

fn reload_failed(round: u32, reason: &str) -> Action {
    Action::Notify(Notice::ReloadFailed { round, reason: reason.to_owned() })
}

#[test]
fn a_reload_during_a_reload_is_one_further_round_however_many_ask_for_it() {
    let mut supervisor = running(1);
    let reloading = |pid| Action::Notify(Notice::Reloading { slot: 0, pid, replaced: 0, total: 1 });
    assert_eq!(supervisor.next_round(), 1);
    assert_eq!(supervisor.on_event(RELOAD, 10), [reloading(101), spawn(2, 0, 2)]);
    assert_eq!(supervisor.next_round(), 2, "who asks now waits for another one");
    for _ in 0..3 {
        assert_eq!(supervisor.on_event(RELOAD, 11), []);
    }
    let actions = born(&mut supervisor, 2, true, 20);
    assert_eq!(
        actions[2..],
        [Action::Drain { worker: ONE }, reloaded(1, 1, true), reloading(102), spawn(3, 0, 3)]
    );
    assert_eq!(supervisor.next_round(), 3);
    assert_eq!(born(&mut supervisor, 3, true, 30).last(), Some(&reloaded(2, 1, false)));
    assert!(!supervisor.is_reloading());
}

#[test]
fn a_further_round_follows_a_reload_that_failed_and_none_follows_a_shutdown() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    supervisor.on_event(RELOAD, 11);
    born(&mut supervisor, 2, false, 12);
    let actions = supervisor.on_event(Event::Exited { worker: TWO, exit: Exit::Code(1) }, 13);
    assert_eq!(
        actions[1],
        reload_failed(1, "worker 102 exited with code 1; all slots run the old code")
    );
    assert!(supervisor.is_reloading());
    supervisor.on_event(RELOAD, 14);
    let actions = supervisor.on_event(Event::Shutdown, 15);
    assert_eq!(
        actions[0],
        reload_failed(3, "the cluster is shutting down"),
        "whoever waits is answered"
    );
}

/// As `running`, with a trial of 500 ms; all serve `addresses`.
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

#[test]
fn nobody_drains_before_the_canary_has_lived_and_the_reload_is_over_when_the_last_one_has() {
    let mut supervisor = serving(3, &["a"]);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 4, &["a"], 0);
    born(&mut supervisor, 4, true, 0);
    assert_eq!(pass(&mut supervisor, 0, 499, &[]), []);
    assert_eq!(drains(&supervisor.on_event(Event::Tick, 500)), [1], "the trial is passed");
    for id in [5, 6] {
        serve(&mut supervisor, id, &["a"], 510);
        assert_eq!(
            drains(&born(&mut supervisor, id, true, 510)),
            [id - 3],
            "the others follow at once"
        );
    }
    assert_eq!(pass(&mut supervisor, 510, 1_009, &[]), []);
    assert_eq!(supervisor.on_event(Event::Tick, 1_010), [reloaded(1, 3, false)]);
}

#[test]
fn a_canary_that_ends_in_its_trial_fails_the_reload_and_nobody_has_drained() {
    let ways: [(&str, Event); 2] = [
        ("exited with code 1", Event::Exited { worker: WorkerId(3), exit: Exit::Code(1) }),
        ("left", Event::Leaving { worker: WorkerId(3) }),
    ];
    for (how, event) in ways {
        let mut supervisor = serving(2, &["a"]);
        supervisor.on_event(RELOAD, 0);
        serve(&mut supervisor, 3, &["a"], 0);
        born(&mut supervisor, 3, true, 0);
        let actions = supervisor.on_event(event, 200);
        assert_eq!(
            failure(&actions),
            Some(format!("worker 103 {how}; all slots run the old code").as_str())
        );
        assert!(!supervisor.is_reloading());
        assert_eq!([0, 1].map(|slot| supervisor.holder(slot)), [Some(ONE), Some(TWO)]);
    }
}

#[test]
fn a_new_worker_that_ends_later_fails_the_reload_with_what_runs_where() {
    let mut supervisor = serving(3, &["a"]);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 4, &["a"], 0);
    born(&mut supervisor, 4, true, 0);
    pass(&mut supervisor, 0, 500, &[]);
    let actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(4), exit: Exit::Code(1) }, 600);
    let reason = "worker 104 exited with code 1; slots 1, 2 run the old code, slot 0 has no worker until one of the new code is ready";
    assert_eq!(failure(&actions), Some(reason));
    assert_eq!(drains(&actions), [5], "who was to come next is not wanted any more");
}

#[test]
fn a_new_worker_that_ends_after_the_last_one_was_replaced_fails_the_reload_too() {
    let mut supervisor = serving(1, &["a"]);
    supervisor.on_event(Event::Scale { workers: 2 }, 0);
    born(&mut supervisor, 2, true, 0);
    supervisor.on_event(RELOAD, 0);
    born(&mut supervisor, 3, true, 0);
    serve(&mut supervisor, 3, &["a"], 0);
    pass(&mut supervisor, 0, 500, &[]);
    born(&mut supervisor, 4, true, 510);
    let actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(3), exit: Exit::Code(1) }, 900);
    assert_eq!(
        failure(&actions),
        Some(
            "worker 103 exited with code 1; slot 1 runs the new code, slot 0 has no worker until one of the new code is ready"
        )
    );
}

#[test]
fn new_code_that_leaves_an_address_to_nobody_fails_the_reload_unless_that_is_meant() {
    for addresses_may_change in [false, true] {
        let mut supervisor = serving(2, &["a", "b"]);
        supervisor.on_event(Event::Reload { addresses_may_change }, 0);
        serve(&mut supervisor, 3, &["b", "c"], 0);
        born(&mut supervisor, 3, true, 0);
        assert_eq!(pass(&mut supervisor, 0, 499, &[]), []);
        let actions = supervisor.on_event(Event::Tick, 500);
        assert_eq!(drains(&actions), [if addresses_may_change { 1 } else { 3 }]);
        let reason = failure(&actions);
        assert_eq!(
            reason.is_some_and(|why| why.contains("does not listen on a, which")),
            !addresses_may_change,
            "{reason:?}"
        );
    }
}

#[test]
fn an_address_that_only_one_worker_serves_may_go_to_another_new_one() {
    let mut supervisor = serving(2, &["a"]);
    serve(&mut supervisor, 2, &["a", "admin"], 0);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 3, &["a", "admin"], 0);
    born(&mut supervisor, 3, true, 0);
    pass(&mut supervisor, 0, 500, &[]);
    serve(&mut supervisor, 4, &["a"], 510);
    assert_eq!(drains(&born(&mut supervisor, 4, true, 510)), [2]);
}

#[test]
fn a_further_new_worker_has_as_much_time_as_the_canary_to_listen_everywhere() {
    let mut supervisor = serving(2, &["a"]);
    serve(&mut supervisor, 2, &["a", "b"], 0);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 3, &["a"], 0);
    born(&mut supervisor, 3, true, 0);
    pass(&mut supervisor, 0, 500, &[]);
    serve(&mut supervisor, 4, &["a"], 510);
    assert!(drains(&born(&mut supervisor, 4, true, 510)).is_empty());
    let serves = |addresses: &[&str]| addresses.iter().map(ToString::to_string).collect();
    let late = Event::Serves { worker: WorkerId(4), addresses: serves(&["a", "b"]) };
    assert_eq!(drains(&supervisor.on_event(late, 700)), [2]);
}

#[test]
fn a_reload_waits_for_slots_that_were_empty_and_fails_with_them() {
    let mut supervisor = serving(2, &["a"]);
    let exit = Exit::Code(1);
    for id in 2..5 {
        supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, 0);
        born(&mut supervisor, id + 1, false, 0);
    }
    let actions = supervisor.on_event(RELOAD, 0);
    assert!(actions.contains(&spawn(5, 1, 4)), "it need not wait any longer: {actions:?}");
    born(&mut supervisor, 6, true, 0);
    serve(&mut supervisor, 6, &["a"], 0);
    assert_eq!(drains(&pass(&mut supervisor, 0, 500, &[])), [1]);
    assert!(supervisor.is_reloading());
    born(&mut supervisor, 5, true, 600);
    assert_eq!(pass(&mut supervisor, 600, 1_100, &[]), [reloaded(1, 2, false)]);
}

#[test]
fn a_replacement_that_dies_fails_the_reload_with_its_last_words_and_the_old_workers_stay() {
    let mut supervisor = running(2);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 3, false, 10);
    supervisor
        .on_event(Event::UncaughtError { worker: WorkerId(3), message: "Error: boom".into() }, 11);
    let exit = Exit::Code(1);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: WorkerId(3), exit }, 12),
        [
            died(103, exit, Cause::Crash),
            reload_failed(
                1,
                "worker 103 exited with code 1: Error: boom; all slots run the old code"
            )
        ]
    );
    assert!(!supervisor.is_reloading());
    let ready =
        supervisor.workers().filter(|(_, w)| matches!(w.state, WorkerState::Ready { .. })).count();
    assert_eq!(ready, 2);
}

#[test]
fn what_a_worker_last_wrote_belongs_to_the_reason_of_a_start_that_failed() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 2, false, 10);
    let wrote = |lines: &[&str]| Event::LastLines {
        worker: TWO,
        lines: lines.iter().map(ToString::to_string).collect(),
    };
    supervisor.on_event(wrote(&["connecting"]), 11);
    supervisor.on_event(wrote(&["connecting", "no database"]), 12);
    let exit = Exit::Code(3);
    let reason = "worker 102 exited with code 3; its last lines on stderr: connecting | no database; all slots run the old code";
    let actions = supervisor.on_event(Event::Exited { worker: TWO, exit }, 13);
    assert_eq!(actions, [died(102, exit, Cause::Crash), reload_failed(1, reason)]);
}

#[test]
fn what_a_worker_wrote_before_it_was_ready_is_forgotten_then() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 2, false, 10);
    supervisor.on_event(Event::LastLines { worker: TWO, lines: vec!["warming up".into()] }, 11);
    supervisor.on_event(Event::Ready { worker: TWO }, 12);
    assert_eq!(supervisor.worker(TWO).map(|worker| worker.last_lines.len()), Some(0));
}

#[test]
fn an_old_worker_that_dies_during_its_replacement_leaves_the_slot_to_the_successor() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    let exit = Exit::Code(1);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: ONE, exit }, 11),
        [died(101, exit, Cause::Crash)]
    );
    let actions = born(&mut supervisor, 2, true, 12);
    assert_eq!(actions.last(), Some(&reloaded(1, 1, false)));
    assert_eq!(supervisor.holder(0), Some(TWO));
}

#[test]
fn a_worker_above_a_threshold_is_recycled_one_at_a_time() {
    let mut supervisor = running(2);
    let above = vec![reading(ONE, 10, 1_000), reading(TWO, 10, 1_000)];
    let actions = supervisor.on_event(Event::Sample { readings: above.clone() }, 10);
    assert!(
        matches!(&actions[0], Action::Notify(Notice::Recycling { pid: 101, .. })),
        "{actions:?}"
    );
    assert_eq!(actions[1..], [spawn(3, 0, 2)]);
    assert_eq!(supervisor.on_event(Event::Sample { readings: above.clone() }, 20), []);
    born(&mut supervisor, 3, true, 30);
    let actions = supervisor.on_event(Event::Sample { readings: above }, 40);
    assert_eq!(actions[1..], [spawn(4, 1, 2)]);
}

#[test]
fn a_silent_worker_is_told_killed_and_replaced_at_once() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    for at in [700, 1_400, 2_100, 2_800] {
        assert_eq!(supervisor.on_event(sample(0), at), []);
    }
    assert_eq!(
        supervisor.on_event(sample(0), 3_500),
        [
            Action::Notify(Notice::Unresponsive { pid: 101, age: 3_500 }),
            Action::Kill { worker: ONE },
            spawn(2, 0, 2)
        ]
    );
}

#[test]
fn a_master_that_was_stopped_blames_nobody_for_the_time_it_slept() {
    let mut supervisor = running(1);
    let sample = |beat| Event::Sample { readings: vec![reading(ONE, beat, 0)] };
    supervisor.on_event(sample(500), 700);
    for at in [60_000, 60_700, 61_400, 62_000] {
        assert_eq!(supervisor.on_event(sample(500), at), [], "both were stopped for a minute");
    }
    let actions = supervisor.on_event(sample(500), 62_700);
    assert!(
        matches!(actions[0], Action::Notify(Notice::Unresponsive { age: 3_525, .. })),
        "{actions:?}"
    );
}

#[test]
fn no_deadline_passes_while_the_master_is_stopped() {
    // A start, a drain, a wait for the next worker, and a delayed shutdown; each is due after the stop, later by the stop.
    type Begin = fn(&mut Supervisor);
    let begun: [(&str, Begin); 4] = [
        ("start", |supervisor| {
            supervisor.on_event(RELOAD, 100);
            born(supervisor, 3, false, 100);
        }),
        ("drain", |supervisor| drop(supervisor.on_event(Event::Leaving { worker: ONE }, 100))),
        ("backoff", |supervisor| {
            supervisor.slots[0].refill_at = Some(1_100);
            supervisor.on_event(Event::Tick, 100);
        }),
        ("shutdown", |supervisor| {
            supervisor.limits.shutdown_delay = 1_000;
            supervisor.on_event(Event::Shutdown, 100);
        }),
    ];
    for (name, begin) in begun {
        let mut supervisor = running(2);
        begin(&mut supervisor);
        let due = supervisor.deadline().expect(name);
        assert_eq!(supervisor.on_event(Event::Tick, 90_000), [], "{name}");
        let at = supervisor.clock.on_machine(due);
        assert!((90_000 + due - 100 - LOOK..90_000 + due).contains(&at), "{name}: {at}");
        assert_eq!(pass(&mut supervisor, 90_000, at - 1, &[ONE, TWO]), [], "{name}");
        assert_ne!(supervisor.on_event(Event::Tick, at), [], "{name}");
    }
}

#[test]
fn a_delayed_shutdown_keeps_serving_until_its_time() {
    let limits = Limits { shutdown_delay: 500, ..LIMITS };
    let mut supervisor = Supervisor { limits, ..running(1) };
    assert_eq!(supervisor.on_event(Event::Shutdown, 10), []);
    assert!(supervisor.is_running());
    assert_eq!(supervisor.phase, Phase::ShutdownDelayed { until: 510 });
    assert_eq!(supervisor.deadline(), Some(510));
    assert_eq!(supervisor.on_event(Event::Shutdown, 100), []);
    assert_eq!(pass(&mut supervisor, 100, 500, &[ONE]), []);
    assert_eq!(
        supervisor.on_event(Event::Tick, 510),
        [Action::StopAdmitting, Action::Drain { worker: ONE }]
    );
}

#[test]
fn health_is_told_once_for_the_cluster_and_a_worker_takes_its_problem_with_it() {
    let mut supervisor = running(2);
    let checked = |worker, problem: Option<&str>| Event::Checked {
        worker,
        problem: problem.map(str::to_owned),
    };
    let disabled = Action::Notify(Notice::Disabled { pid: Some(101), reason: "status 503".into() });
    let enabled = Action::Notify(Notice::Enabled);
    assert_eq!(supervisor.on_event(checked(ONE, Some("status 503")), 1), [disabled]);
    assert_eq!(supervisor.on_event(checked(TWO, Some("a validator said no")), 2), []);
    assert_eq!(supervisor.on_event(checked(ONE, None), 3), []);
    assert_eq!(supervisor.problems().collect::<Vec<_>>(), [(102, "a validator said no")]);
    let actions =
        supervisor.on_event(Event::Exited { worker: TWO, exit: Exit::Signal("SIGKILL") }, 4);
    assert_eq!(actions.last(), Some(&enabled), "the other one was checked and is well");
}

#[test]
fn the_end_of_all_who_found_a_problem_is_no_recovery_before_somebody_was_checked() {
    let mut supervisor = running(1);
    let problem = Some("status 503".to_owned());
    supervisor.on_event(Event::Checked { worker: ONE, problem: problem.clone() }, 1);
    let actions =
        supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Signal("SIGKILL") }, 2);
    assert!(!actions.contains(&Action::Notify(Notice::Enabled)), "{actions:?}");
    supervisor.on_event(Event::Spawned { worker: TWO, pid: 102 }, 3);
    supervisor.on_event(Event::Ready { worker: TWO }, 3);
    assert_eq!(
        supervisor.on_event(Event::Checked { worker: TWO, problem }, 4),
        [],
        "still ill, and told already"
    );
    let well = Event::Checked { worker: TWO, problem: None };
    assert_eq!(supervisor.on_event(well, 5), [Action::Notify(Notice::Enabled)]);
}

#[test]
fn what_the_master_finds_itself_counts_too_and_is_told_once_with_the_workers() {
    let mut supervisor = running(1);
    let found =
        |problem: Option<&str>| Event::MasterChecked { problem: problem.map(str::to_owned) };
    let disabled = Action::Notify(Notice::Disabled { pid: None, reason: "no answer".into() });
    assert_eq!(supervisor.on_event(found(Some("no answer")), 1), [disabled]);
    assert_eq!(
        supervisor.on_event(Event::Checked { worker: ONE, problem: Some("ill".into()) }, 2),
        []
    );
    assert_eq!(supervisor.on_event(found(None), 3), []);
    assert_eq!(
        supervisor.on_event(Event::Checked { worker: ONE, problem: None }, 4),
        [Action::Notify(Notice::Enabled)]
    );
}

#[test]
fn a_switch_is_told_with_who_did_it() {
    let mut supervisor = running(1);
    let off = Event::Switched { disabled: true, by: "127.0.0.1".into() };
    let told = Notice::Disabled { pid: None, reason: "switched off by 127.0.0.1".into() };
    assert_eq!(supervisor.on_event(off, 1), [Action::Notify(told)]);
    let on = Event::Switched { disabled: false, by: String::new() };
    assert_eq!(supervisor.on_event(on, 2), [Action::Notify(Notice::Enabled)]);
}
