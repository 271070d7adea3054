//! Reloads that succeed.

use super::{
    ONE, RELOAD, TWO, ask, born, died, drains, pass, reloaded, running, serve, serving, spawn,
};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Event, Notice};

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
    assert_eq!(actions[2..], [Action::Drain { worker: TWO }, ask(3)]);
    let both = [3, 4].map(WorkerId);
    assert_eq!(pass(&mut supervisor, 30, 55, &both), [reloaded(1, 2, false)]);
    let exit = Exit::Code(0);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: ONE, exit }, 60),
        [died(101, exit, Cause::Reload)]
    );
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
fn no_worker_drains_before_the_canary_has_lived_and_the_reload_ends_when_the_last_one_has() {
    let mut supervisor = serving(3, &["a"]);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 4, &["a"], 0);
    born(&mut supervisor, 4, true, 0);
    assert_eq!(pass(&mut supervisor, 0, 499, &[]), []);
    assert_eq!(supervisor.on_event(Event::Tick, 500), [ask(4)], "its event loop may hang");
    let canary = [WorkerId(4)];
    assert_eq!(drains(&pass(&mut supervisor, 500, 510, &canary)), [1], "the trial is passed");
    for id in [5, 6] {
        serve(&mut supervisor, id, &["a"], 510);
        assert_eq!(
            drains(&born(&mut supervisor, id, true, 510)),
            [id - 3],
            "the others follow at once"
        );
    }
    assert_eq!(pass(&mut supervisor, 510, 1_009, &[]), []);
    assert_eq!(supervisor.on_event(Event::Tick, 1_010), [4, 5, 6].map(ask));
    let all = [4, 5, 6].map(WorkerId);
    assert_eq!(pass(&mut supervisor, 1_010, 1_035, &all[..2]), []);
    assert_eq!(pass(&mut supervisor, 1_035, 1_036, &all), [reloaded(1, 3, false)]);
}

#[test]
fn an_address_that_only_one_worker_serves_may_go_to_another_new_one() {
    let mut supervisor = serving(2, &["a"]);
    serve(&mut supervisor, 2, &["a", "admin"], 0);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 3, &["a", "admin"], 0);
    born(&mut supervisor, 3, true, 0);
    pass(&mut supervisor, 0, 500, &[WorkerId(3)]);
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
    pass(&mut supervisor, 0, 500, &[WorkerId(3)]);
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
    assert_eq!(drains(&pass(&mut supervisor, 0, 500, &[WorkerId(6)])), [1]);
    assert!(supervisor.is_reloading());
    born(&mut supervisor, 5, true, 600);
    let both = [5, 6].map(WorkerId);
    assert_eq!(pass(&mut supervisor, 600, 1_100, &both), [reloaded(1, 2, false)]);
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
