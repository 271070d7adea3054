//! Reloads that fail, and their reasons.

use super::{
    ONE, RELOAD, TWO, ask, born, died_saying, drains, failure, pass, reading, reload_failed,
    reloaded, running, serve, serving, spawn,
};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::{Cause, LastWords};
use crate::supervision::{Action, Event, Notice, WorkerState};

#[test]
fn a_further_round_follows_a_reload_that_failed_and_none_follows_a_shutdown() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    supervisor.on_event(RELOAD, 11);
    born(&mut supervisor, 2, false, 12);
    let actions = supervisor.on_event(Event::Exited { worker: TWO, exit: Exit::Code(1) }, 13);
    assert_eq!(
        actions[1],
        reload_failed(1, "worker 102 exited with code 1; slot 0 runs the old code")
    );
    assert!(supervisor.is_reloading());
    supervisor.on_event(RELOAD, 14);
    let actions = supervisor.on_event(Event::Shutdown, 15);
    assert_eq!(
        actions[0],
        reload_failed(3, "the cluster is shutting down"),
        "requests that wait are answered"
    );
}

#[test]
fn a_canary_that_ends_in_its_trial_fails_the_reload_before_any_worker_drains() {
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
    pass(&mut supervisor, 0, 500, &[WorkerId(4)]);
    let actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(4), exit: Exit::Code(1) }, 600);
    let reason = "worker 104 exited with code 1; slots 1, 2 run the old code, \
                  slot 0 has no worker until one of the new code is ready";
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
    pass(&mut supervisor, 0, 500, &[WorkerId(3)]);
    born(&mut supervisor, 4, true, 510);
    let actions =
        supervisor.on_event(Event::Exited { worker: WorkerId(3), exit: Exit::Code(1) }, 900);
    assert_eq!(
        failure(&actions),
        Some(
            "worker 103 exited with code 1; slot 1 runs the new code, \
             slot 0 has no worker until one of the new code is ready"
        )
    );
}

#[test]
fn a_canary_that_hangs_after_it_listens_replaces_no_worker_and_fails_the_reload() {
    let mut supervisor = serving(2, &["a"]);
    supervisor.on_event(RELOAD, 0);
    serve(&mut supervisor, 3, &["a"], 0);
    born(&mut supervisor, 3, true, 0);
    assert_eq!(pass(&mut supervisor, 0, 3_000, &[ONE, TWO]), [ask(3)]);
    let worker = WorkerId(3);
    let sample = Event::Sample { readings: vec![reading(worker, 0, 0)] };
    let asked = supervisor.on_event(sample, 3_250);
    assert_eq!(asked, [Action::Ask { worker, dying: true }]);
    let actions = supervisor.on_event(Event::Executed { worker }, 3_260);
    let reason = "worker 103 was stuck for 3260 ms; all slots run the old code";
    assert_eq!((failure(&actions), drains(&actions)), (Some(reason), vec![]));
}

#[test]
fn a_later_worker_that_hangs_fails_the_reload_and_one_that_turns_again_does_not() {
    for turns_again in [false, true] {
        let mut supervisor = serving(2, &["a"]);
        supervisor.on_event(RELOAD, 0);
        for (id, now) in [(3, 0), (4, 510)] {
            serve(&mut supervisor, id, &["a"], now);
            born(&mut supervisor, id, true, now);
            pass(&mut supervisor, now, now + 510, &[WorkerId(3)]);
        }
        for worker in [ONE, TWO] {
            supervisor.on_event(Event::Exited { worker, exit: Exit::Code(0) }, 1_020);
        }
        let canary = [WorkerId(3)];
        assert_eq!(pass(&mut supervisor, 1_020, 3_000, &canary), [], "it waits");
        if turns_again {
            let both = [3, 4].map(WorkerId);
            assert_eq!(pass(&mut supervisor, 3_000, 3_010, &both), [reloaded(1, 2, false)]);
            continue;
        }
        pass(&mut supervisor, 3_000, 3_500, &canary);
        let worker = WorkerId(4);
        let sample = Event::Sample { readings: vec![reading(worker, 510, 0)] };
        supervisor.on_event(sample, 3_600);
        let actions = supervisor.on_event(Event::Executed { worker }, 3_600);
        assert!(failure(&actions).is_some_and(|why| why.contains("104 was stuck")), "{actions:?}");
    }
}

#[test]
fn slots_whose_workers_could_not_be_spawned_are_named_in_the_reason() {
    let failed = |id| Event::SpawnFailed { worker: WorkerId(id), reason: "EAGAIN".into() };
    let rest = "until one of the new code is ready";
    for (first_is_spawned, which) in [
        (false, "slot 0 runs the old code, slots 1, 2 have no worker"),
        (true, "slot 1 runs the new code, slot 0 runs the old, slot 2 has no worker"),
    ] {
        let mut supervisor = serving(3, &["a"]);
        let exit = Exit::Code(1);
        for id in 2..6 {
            supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, 0);
            born(&mut supervisor, id + 2, false, 0);
        }
        for id in [6, 7] {
            supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, 0);
        }
        let actions = supervisor.on_event(RELOAD, 0);
        assert_eq!(actions[..2], [spawn(8, 1, 4), spawn(9, 2, 4)], "{actions:?}");
        if first_is_spawned {
            born(&mut supervisor, 8, false, 0);
        }
        let actions = supervisor.on_event(failed(if first_is_spawned { 9 } else { 8 }), 0);
        let warning = Notice::Warning("cannot start a worker: EAGAIN".into());
        assert_eq!(actions[0], Action::Notify(warning));
        assert_eq!(failure(&actions), Some(format!("EAGAIN; {which} {rest}").as_str()));
        assert_eq!(drains(&actions), [10], "the successor of slot 0 is no longer wanted");
        assert_eq!(supervisor.holder(0), Some(ONE));
    }
}

#[test]
fn a_successor_that_could_not_be_spawned_fails_the_reload_and_the_old_workers_stay() {
    let mut supervisor = serving(2, &["a"]);
    supervisor.on_event(RELOAD, 0);
    let failed = Event::SpawnFailed { worker: WorkerId(3), reason: "EAGAIN".into() };
    let actions = supervisor.on_event(failed, 0);
    assert_eq!(failure(&actions), Some("EAGAIN; all slots run the old code"));
    assert!(drains(&actions).is_empty());
    assert_eq!([0, 1].map(|slot| supervisor.holder(slot)), [Some(ONE), Some(TWO)]);
}

#[test]
fn new_code_that_leaves_an_address_unserved_fails_the_reload_unless_that_is_allowed() {
    for addresses_may_change in [false, true] {
        let mut supervisor = serving(2, &["a", "b"]);
        supervisor.on_event(Event::Reload { addresses_may_change }, 0);
        serve(&mut supervisor, 3, &["b", "c"], 0);
        born(&mut supervisor, 3, true, 0);
        assert_eq!(pass(&mut supervisor, 0, 499, &[]), []);
        let actions = pass(&mut supervisor, 499, 500, &[WorkerId(3)]);
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
fn a_replacement_that_dies_fails_the_reload_with_its_error_and_the_old_workers_stay() {
    let mut supervisor = running(2);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 3, false, 10);
    supervisor
        .on_event(Event::UncaughtError { worker: WorkerId(3), message: "Error: boom".into() }, 11);
    let exit = Exit::Code(1);
    let last_words = LastWords { slot: 0, error: Some("Error: boom".into()), lines: Vec::new() };
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: WorkerId(3), exit }, 12),
        [
            died_saying(103, exit, Cause::Crash, last_words),
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
fn the_last_lines_of_a_worker_are_part_of_the_reason_of_a_failed_start() {
    let mut supervisor = running(1);
    supervisor.on_event(RELOAD, 10);
    born(&mut supervisor, 2, false, 10);
    let lines = vec!["connecting".to_owned(), "no database".to_owned()];
    supervisor.on_event(Event::LastLines { worker: TWO, lines: lines.clone() }, 12);
    let exit = Exit::Code(3);
    let reason = "worker 102 exited with code 3; its last lines on stderr: \
                  connecting | no database; slot 0 runs the old code";
    let actions = supervisor.on_event(Event::Exited { worker: TWO, exit }, 13);
    let last_words = LastWords { slot: 0, error: None, lines };
    let death = died_saying(102, exit, Cause::Crash, last_words);
    assert_eq!(actions, [death, reload_failed(1, reason)]);
    let slot = supervisor.slot(0).unwrap();
    assert_eq!((slot.crashes, slot.restarts, slot.refill_at), (1, 1, None));
}
