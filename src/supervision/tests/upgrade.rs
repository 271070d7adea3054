//! A master that hands over, or took over.

use super::{LIMITS, ONE, TWO, died, reading, running};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Event, Limits, Outcome, Supervisor};

#[test]
fn a_master_that_hands_over_drains_all_and_closes_nothing() {
    let mut supervisor = running(2);
    assert_eq!(
        supervisor.on_event(Event::HandOver, 10),
        [Action::Drain { worker: ONE }, Action::Drain { worker: TWO }]
    );
    let exit = Exit::Code(0);
    supervisor.on_event(Event::Exited { worker: ONE, exit }, 20);
    assert_eq!(
        supervisor.on_event(Event::Exited { worker: TWO, exit }, 30),
        [died(102, exit, Cause::Upgrade), Action::Finish(Outcome::HandedOver)]
    );
}

#[test]
fn a_master_that_takes_everything_back_fills_all_slots_again() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::HandOver, 10);
    let actions = supervisor.on_event(Event::TakeBack, 20);
    let spawned = actions.iter().filter(|action| matches!(action, Action::Spawn { .. }));
    assert_eq!((spawned.count(), supervisor.is_running()), (2, true));
    let exit = Exit::Code(0);
    supervisor.on_event(Event::Exited { worker: ONE, exit }, 30);
    supervisor.on_event(Event::Exited { worker: TWO, exit }, 30);
    assert!(supervisor.is_running());
}

#[test]
fn an_heir_continues_the_numbers_and_settles_once_all_are_ready_for_long_enough() {
    let limits = Limits { min_ready_time: 100, ..LIMITS };
    let mut supervisor = Supervisor::new(1, limits, 1);
    supervisor.continue_from(7, 5, &[3, 9]);
    let actions = supervisor.on_event(Event::Start, 0);
    let worker = WorkerId(10_008);
    assert_eq!(actions, [Action::Spawn { worker, slot: 0, generation: 4, spare: false }]);
    supervisor.on_event(Event::Spawned { worker, pid: 1 }, 0);
    assert_eq!(supervisor.settles_at(), None);
    supervisor.on_event(Event::Ready { worker }, 50);
    assert_eq!(supervisor.settles_at(), Some(150));
    assert_eq!(supervisor.silent_workers(), [worker], "its event loop may hang");
    let readings = vec![reading(worker, 151, 0)];
    supervisor.on_event(Event::Sample { readings }, 152);
    assert_eq!(supervisor.silent_workers(), []);
    assert_eq!(supervisor.numbers(), (10_008, vec![4, 9]));
    assert_eq!(supervisor.take_loss(), None);
    supervisor.on_event(Event::Exited { worker, exit: Exit::Code(1) }, 60);
    assert!(supervisor.take_loss().is_some_and(|loss| loss.contains("exited with code 1")));
    assert_eq!(supervisor.take_loss(), None, "once");
}
