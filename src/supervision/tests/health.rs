//! Notices about the health of the cluster.

use super::{ONE, TWO, running};
use crate::protocol::worker::Exit;
use crate::supervision::{Action, Event, Notice};

#[test]
fn health_is_reported_once_for_the_cluster_and_the_problem_of_a_worker_goes_with_it() {
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
fn the_end_of_all_unhealthy_workers_is_no_recovery_before_a_check() {
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
        "still unhealthy, and reported already"
    );
    let well = Event::Checked { worker: TWO, problem: None };
    assert_eq!(supervisor.on_event(well, 5), [Action::Notify(Notice::Enabled)]);
}

#[test]
fn problems_of_the_master_itself_count_and_are_reported_once_with_those_of_workers() {
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
fn a_switch_is_reported_with_who_did_it() {
    let mut supervisor = running(1);
    let off = Event::Switched { disabled: true, by: "127.0.0.1".into() };
    let notice = Notice::Disabled { pid: None, reason: "switched off by 127.0.0.1".into() };
    assert_eq!(supervisor.on_event(off, 1), [Action::Notify(notice)]);
    let on = Event::Switched { disabled: false, by: String::new() };
    assert_eq!(supervisor.on_event(on, 2), [Action::Notify(Notice::Enabled)]);
}
