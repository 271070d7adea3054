//! The end of a worker's process is known before it is gone, and how it ended still later.

use super::{RELOAD, TWO, born, died, running, spawn};
use crate::protocol::worker::{Exit, WorkerId};
use crate::supervision::worker::Cause;
use crate::supervision::{Action, Event, Notice};

const KILLED: Exit = Exit::Signal("SIGKILL");
/// Nothing, where it really ends.
const KILL: Action = Action::Kill { worker: TWO };
const FORKED: Action = Action::Notify(Notice::Forked { pid: 103 });

#[test]
fn the_next_worker_starts_before_the_end_is_known() {
    let mut supervisor = running(2);
    assert_eq!(supervisor.on_event(Event::Ending { worker: TWO }, 50), [KILL, spawn(3, 1, 2)]);
    assert_eq!(supervisor.on_event(Event::Ending { worker: TWO }, 50), [], "once");
    assert_eq!(supervisor.ready_workers().count(), 1);
    assert_eq!(born(&mut supervisor, 3, false, 51), [FORKED]);
    let exited = Event::Exited { worker: TWO, exit: KILLED };
    assert_eq!(supervisor.on_event(exited, 53), [died(102, KILLED, Cause::Crash)]);
}

#[test]
fn the_next_worker_may_end_first() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Ending { worker: TWO }, 50);
    born(&mut supervisor, 3, false, 51);
    let exited = Event::Exited { worker: WorkerId(3), exit: KILLED };
    assert_eq!(supervisor.on_event(exited, 52).last(), Some(&spawn(4, 1, 3)));
    let exited = Event::Exited { worker: TWO, exit: KILLED };
    assert_eq!(supervisor.on_event(exited, 53), [died(102, KILLED, Cause::Crash)]);
}

#[test]
fn one_that_said_that_it_leaves_before_it_ended_has_not_crashed() {
    let mut supervisor = running(2);
    supervisor.on_event(Event::Ending { worker: TWO }, 50);
    born(&mut supervisor, 3, false, 51);
    supervisor.on_event(Event::Leaving { worker: TWO }, 52);
    let exit = Exit::Code(0);
    let actions = supervisor.on_event(Event::Exited { worker: TWO, exit }, 53);
    assert_eq!(actions, [died(102, exit, Cause::Leave)], "and nobody starts for it twice");
}

#[test]
fn during_a_reload_its_end_has_to_be_known() {
    let mut supervisor = running(2);
    supervisor.on_event(RELOAD, 40);
    assert_eq!(supervisor.on_event(Event::Ending { worker: TWO }, 50), []);
}

#[test]
fn nobody_starts_before_it_is_known_whether_the_cluster_gives_up() {
    let mut supervisor = running(2);
    supervisor.limits.give_up_after = Some(1);
    assert_eq!(supervisor.on_event(Event::Ending { worker: TWO }, 50), []);
}

#[test]
fn nobody_starts_before_what_it_needs_is_free() {
    let mut supervisor = running(2);
    supervisor.limits.follows_early = false;
    assert_eq!(supervisor.on_event(Event::Ending { worker: TWO }, 50), []);
}
