//! Slots get their workers: at the start, after a death, and when the number of slots changes.

use std::collections::BTreeSet;

use super::{LIMITS, ONE, TWO, born, died, died_saying, pass, running, scaled, spawn};
use crate::clock::{MAX_WAIT, Millis};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::{Cause, LastWords};
use crate::supervision::{Action, Event, Limits, Notice, Outcome, Supervisor, WorkerRecord};

#[test]
fn a_start_forks_every_slot_and_reports_forked_before_listening() {
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
        "a death is reported once"
    );
}

#[test]
fn a_worker_that_is_lost_again_and_again_waits_a_little_while_others_are_ready_or_start() {
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
    assert_eq!(actions[1..], [spawn(6, 0, 2)], "the first loss of slot 0 is followed at once");
    assert!((85..=110).contains(&supervisor.deadline().unwrap_or_default()), "and slot 1 waits");
}

#[test]
fn while_no_worker_is_ready_or_starting_one_slot_at_a_time_does_not_wait() {
    let mut supervisor = running(3);
    let mut last = 3;
    let lose = |supervisor: &mut Supervisor, id: u32, now| {
        let exit = Exit::Code(1);
        supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, now)[1..].to_vec()
    };
    for id in 1..=9 {
        assert_eq!(lose(&mut supervisor, id, 10).len(), 1, "three losses are followed at once");
        last += 1;
        born(&mut supervisor, last, true, 10);
    }
    assert_eq!(lose(&mut supervisor, 10, 20), [], "slot 0 waits: others are ready");
    assert_eq!(lose(&mut supervisor, 11, 20), []);
    let due = supervisor.deadline();
    for now in 20..26 {
        let actions = lose(&mut supervisor, last, now);
        last += 1;
        assert!(
            matches!(actions[..], [Action::Spawn { worker, .. }] if worker == WorkerId(last)),
            "one, and only one: {actions:?}"
        );
        born(&mut supervisor, last, now % 2 == 0, now);
    }
    assert!(supervisor.deadline() > due, "the slot whose time came first was first");
    let waiting = supervisor.slots.iter().filter(|slot| slot.waits_after_loss()).count();
    assert!(waiting > 0, "and the others wait");
}

/// Eight slots get few workers although each one is ready after 80 ms and ends 50 ms later.
#[test]
fn workers_that_all_end_soon_after_they_are_ready_do_not_take_the_machine() {
    let mut supervisor = Supervisor::new(8, LIMITS, 1);
    let (mut now, mut starts) = (0, 0);
    let mut due = BTreeSet::new();
    let mut actions = supervisor.on_event(Event::Start, now);
    while now < 20_000 {
        for action in actions {
            if let Action::Spawn { worker, .. } = action {
                starts += u32::from(now >= 10_000);
                supervisor.on_event(Event::Spawned { worker, pid: worker.0 }, now);
                due.insert((now + 80, worker));
            }
        }
        assert!(supervisor.workers().any(|(_, worker)| worker.is_serving()), "at {now}");
        let tick = supervisor.next_tick().unwrap_or(Millis::MAX);
        let Some((at, worker)) = due.first().copied().filter(|(at, _)| *at <= tick) else {
            now = tick;
            actions = supervisor.on_event(Event::Tick, now);
            continue;
        };
        now = at;
        due.remove(&(at, worker));
        let event = if supervisor.worker(worker).is_some_and(WorkerRecord::is_ready) {
            Event::Exited { worker, exit: Exit::Code(1) }
        } else {
            due.insert((at + 50, worker));
            Event::Ready { worker }
        };
        actions = supervisor.on_event(event, now);
    }
    // At most one a second for each slot, and those that start without a pause.
    assert!((76..=160).contains(&starts), "{starts} starts in 10 s");
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_replaced_after_its_death() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(1) }, 10);
    supervisor.on_event(Event::Spawned { worker: WorkerId(3), pid: 103 }, 10);
    assert_eq!(supervisor.deadline(), Some(1_010));
    assert_eq!(supervisor.next_tick(), Some(10 + MAX_WAIT), "looked at often, to notice gaps");
    assert_eq!(pass(&mut supervisor, 10, 1_009, &[TWO]), []);
    assert_eq!(supervisor.next_tick(), Some(1_010));
    let actions = supervisor.on_event(Event::Tick, 1_010);
    assert!(matches!(
        actions[..],
        [Action::Notify(Notice::Warning(_)), Action::Kill { worker: WorkerId(3) }]
    ));
    let actions = supervisor
        .on_event(Event::Exited { worker: WorkerId(3), exit: Exit::Signal("SIGKILL") }, 1_020);
    assert_eq!(
        actions,
        [
            died_saying(103, Exit::Signal("SIGKILL"), Cause::StartTimeout, LastWords::default()),
            spawn(4, 0, 3)
        ]
    );
    supervisor.on_event(Event::Spawned { worker: WorkerId(4), pid: 104 }, 1_020);
    supervisor.on_event(Event::Exited { worker: WorkerId(4), exit: Exit::Code(1) }, 1_030);
    let at = supervisor.next_tick().expect("a time for the next replacement");
    assert!((1_105..=1_130).contains(&at), "{at}");
    assert_eq!(supervisor.on_event(Event::Tick, at), [spawn(5, 0, 4)]);
}

#[test]
fn a_first_start_in_which_no_worker_becomes_ready_gives_up_with_the_reason() {
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

fn crash(supervisor: &mut Supervisor, id: u32, now: Millis) -> Vec<Action> {
    supervisor.on_event(Event::Exited { worker: WorkerId(id), exit: Exit::Code(1) }, now)
}

#[test]
fn so_many_crashes_in_a_row_without_a_ready_worker_end_the_cluster() {
    let mut supervisor = running(2);
    supervisor.limits.give_up_after = Some(3);
    // The other one is ready, so this one does not count.
    crash(&mut supervisor, 1, 10);
    crash(&mut supervisor, 2, 10);
    born(&mut supervisor, 3, false, 10);
    crash(&mut supervisor, 3, 20);
    // Two so far. A ready worker ends that row.
    born(&mut supervisor, 4, true, 20);
    crash(&mut supervisor, 4, 30);
    born(&mut supervisor, 5, false, 30);
    crash(&mut supervisor, 5, 40);
    assert!(supervisor.is_running());
    born(&mut supervisor, 6, false, 40);
    let actions = crash(&mut supervisor, 6, 50);
    let reason = "3 crashes in a row (giveUpAfter), the last: worker 106 exited with code 1";
    let outcome = Outcome::StartFailed { reason: reason.to_owned() };
    assert_eq!(actions.last(), Some(&Action::Finish(outcome)));
}

#[test]
fn a_cluster_that_gives_up_lets_a_draining_worker_finish() {
    let mut supervisor = running(1);
    supervisor.limits.give_up_after = Some(1);
    supervisor.on_event(Event::Leaving { worker: ONE }, 10);
    born(&mut supervisor, 2, false, 10);
    let actions = crash(&mut supervisor, 2, 20);
    assert!(actions.contains(&Action::StopAdmitting));
    assert!(!actions.iter().any(|action| matches!(action, Action::Kill { .. })), "{actions:?}");
    let last = supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(0) }, 30);
    assert!(matches!(last.last(), Some(Action::Finish(Outcome::StartFailed { .. }))));
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
        [scaled(2, 1), Action::Drain { worker: TWO }]
    );
    assert_eq!(
        supervisor.on_event(Event::Scale { workers: 2 }, 20),
        [scaled(1, 2), spawn(3, 1, 2)]
    );
}

#[test]
fn a_slot_that_waits_says_for_how_long_and_how_often_its_workers_crashed() {
    let mut supervisor = running(2);
    let exit = Exit::Code(1);
    for (id, now) in [(2, 10), (3, 20)] {
        supervisor.on_event(Event::Exited { worker: WorkerId(id), exit }, now);
        born(&mut supervisor, id + 1, false, now);
    }
    supervisor.on_event(Event::Exited { worker: WorkerId(4), exit }, 30);
    let [first, second] = [0, 1].map(|slot| supervisor.slot(slot).unwrap());
    assert_eq!((first.holder, first.crashes, first.refill_at), (Some(ONE), 0, None));
    assert_eq!((second.holder, second.crashes, second.restarts), (None, 3, 2));
    assert!((100..=130).contains(&second.refill_at.unwrap_or_default()), "{second:?}");
    assert_eq!(supervisor.slots().count(), 2);
}

#[test]
fn a_first_start_that_is_slow_is_reported_once_and_says_what_to_do() {
    let limits = Limits { start_timeout: 30_000, ..LIMITS };
    let mut supervisor = Supervisor::new(2, limits, 1);
    supervisor.on_event(Event::Start, 0);
    (1..=2).for_each(|id| drop(born(&mut supervisor, id, false, 0)));
    let warnings = pass(&mut supervisor, 0, 29_000, &[]);
    let reason = "no worker is ready after 10 s; each has 30 s, or as much as --start-timeout \
                  (startTimeout) says. None has called listen(): --no-listen (listen: false) runs \
                  a script as a task";
    assert_eq!(warnings, [Action::Notify(Notice::Warning(reason.into()))]);
    let mut quick = Supervisor::new(1, limits, 1);
    quick.on_event(Event::Start, 0);
    born(&mut quick, 1, true, 0);
    assert_eq!(pass(&mut quick, 0, 20_000, &[ONE]), []);
}
