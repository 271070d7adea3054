//! The end of a cluster.

use super::{LIMITS, ONE, TWO, died, pass, running};
use crate::clock::Millis;
use crate::protocol::worker::Exit;
use crate::supervision::phase::Phase;
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Event, Limits, Notice, Outcome, Supervisor};

#[test]
fn shutdown_stops_admitting_before_it_drains_and_finishes_after_the_last_death() {
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

/// The phases of a cluster of one worker that gets these events once it is ready.
fn phases(shutdown_delay: Millis, events: &[(Event, Millis)]) -> Vec<Phase> {
    let mut supervisor = Supervisor::new(1, Limits { shutdown_delay, ..LIMITS }, 1);
    let mut phases = vec![supervisor.phase().clone()];
    let start = [Event::Start, Event::Spawned { worker: ONE, pid: 101 }];
    let start = start.into_iter().chain([Event::Ready { worker: ONE }]).map(|event| (event, 0));
    let end = (Event::Exited { worker: ONE, exit: Exit::Code(0) }, 520);
    for (event, at) in start.chain(events.iter().cloned()).chain([end]) {
        supervisor.on_event(event, at);
        phases.push(supervisor.phase().clone());
    }
    phases.dedup();
    phases
}

#[test]
fn a_cluster_goes_through_its_phases_in_order() {
    let ending = Phase::ShuttingDown { outcome: Outcome::Clean };
    let delayed = Phase::ShutdownDelayed { until: 510 };
    let at_once = [Phase::Idle, Phase::Running, ending, Phase::Finished];
    let late = [at_once[..2].to_vec(), vec![delayed], at_once[2..].to_vec()].concat();
    let shutdown = (Event::Shutdown, 10);
    assert_eq!(phases(0, std::slice::from_ref(&shutdown)), at_once);
    assert_eq!(phases(0, &[(Event::Stop, 10)]), at_once);
    assert_eq!(phases(500, &[shutdown.clone(), (Event::Tick, 260), (Event::Tick, 510)]), late);
    assert_eq!(phases(500, &[shutdown, (Event::Stop, 20)]), late, "a stop ends the delay");
}

#[test]
fn a_drain_that_times_out_ends_by_a_kill_and_is_reported() {
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
fn a_stop_during_a_shutdown_kills_the_workers_that_are_left() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Shutdown, 10);
    supervisor.on_event(Event::Exited { worker: ONE, exit: Exit::Code(0) }, 20);
    assert_eq!(supervisor.on_event(Event::Stop, 30), [Action::Kill { worker: TWO }]);
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
