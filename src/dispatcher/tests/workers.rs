//! The indices over all workers: each change reaches all of them.

use std::sync::Arc;

use crate::config::Balance;
use crate::dispatcher::link::{RETRY, WorkerLink};
use crate::dispatcher::tests::played::{LISTENER, Played, play};
use crate::dispatcher::workers::WorkerSet;
use crate::os::scoreboard::Scoreboard;
use crate::protocol::Order;
use crate::protocol::worker::WorkerId;

const ONE: WorkerId = WorkerId(1);

/// A set with one worker that serves.
fn serving() -> (WorkerSet, Played, Arc<Scoreboard>) {
    let board = Scoreboard::create(2).unwrap();
    let (played, link) = play(&board, 1, 0);
    let mut workers = WorkerSet::new(Balance::LeastConnections);
    workers.insert(link, false);
    workers.change(ONE, |link| link.serve(LISTENER, false, false));
    workers.reschedule_due(0, false);
    (workers, played, board)
}

fn has_room(workers: &WorkerSet) -> bool {
    workers.queues().has_room(LISTENER)
}

#[test]
fn a_change_puts_a_worker_into_the_queues_that_it_may_take_and_the_lists_that_wait_for_it() {
    let (mut workers, _played, _board) = serving();
    assert!(has_room(&workers));
    assert_eq!((workers.unsent(), workers.due(), workers.next_poll()), (&[][..], &[][..], None));

    workers.change(ONE, |link| link.set_room(Some(0)));
    assert!(!has_room(&workers));
    workers.change(ONE, |link| link.set_room(None));
    assert!(has_room(&workers));

    workers.change(ONE, |link| link.order(&Order::Beat));
    assert_eq!(workers.unsent(), [ONE]);

    workers.change(ONE, WorkerLink::ask_to_leave);
    assert!(!has_room(&workers));
    assert_eq!(
        (workers.due(), workers.next_poll()),
        (&[ONE][..], Some(0)),
        "polled in this very turn"
    );
    workers.reschedule_due(7, false);
    assert_eq!((workers.due(), workers.next_poll()), (&[ONE][..], Some(7 + RETRY)));
    workers.reschedule_due(7, true);
    assert_eq!((workers.due(), workers.next_poll()), (&[][..], None), "it may leave");
}

#[test]
fn a_worker_that_was_removed_is_in_no_index() {
    let (mut workers, _played, _board) = serving();
    workers.change(ONE, |link| link.order(&Order::Beat));
    workers.change(ONE, |link| link.set_room(Some(0)));
    workers.change(ONE, WorkerLink::ask_to_leave);
    assert!(workers.remove(ONE).is_some());
    assert!(!has_room(&workers));
    assert_eq!((workers.unsent(), workers.due()), (&[][..], &[][..]));
    assert!(!workers.must_retry());
    assert_eq!(workers.change(ONE, |_| ()), None);
    assert!(workers.remove(ONE).is_none());
}

#[test]
fn a_retired_listener_admits_draining_workers_until_it_comes_back_under_its_number() {
    let (mut workers, _played, _board) = serving();
    workers.change(ONE, WorkerLink::close);
    assert!(!has_room(&workers));
    assert!(workers.retire(LISTENER));
    assert!(has_room(&workers));
    assert!(!workers.retire(LISTENER), "it is retired");
    // As an inherited socket does.
    workers.reinstate(LISTENER);
    assert!(!has_room(&workers));
}

#[test]
fn once_all_listeners_are_closed_to_new_clients_draining_workers_are_in_all_queues() {
    let (mut workers, _played, _board) = serving();
    workers.change(ONE, WorkerLink::close);
    workers.admit_draining_everywhere();
    assert!(has_room(&workers));
}
