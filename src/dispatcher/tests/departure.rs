//! Workers that drain, leave or die: connections on the way to them go to others.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::link::RETRY;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{LISTENER, answered, drain};
use crate::dispatcher::tests::still::Still;
use crate::listeners::CLOSING_GRACE;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Report};

#[test]
fn what_a_dead_worker_did_not_take_goes_to_another() {
    let (mut still, [dying]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(4);
    still.settle();
    clients.extend(still.clients(6));
    still.settle();
    let (_, taken) = dying.next_now().unwrap();
    assert_eq!(taken.len(), 4);
    drop((dying, taken));
    still.detach(1);
    answered(still.worker(2).take_now(), &mut clients[4..]);
}

#[test]
fn what_a_worker_gave_back_just_before_its_death_goes_to_another() {
    let (mut still, [moving]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(5);
    still.settle();
    for stream in still.take(&moving, 5) {
        moving.give_back(LISTENER, &stream);
    }
    drop(moving);
    still.detach(1);
    answered(still.worker(2).take_now(), &mut clients);
}

#[test]
fn a_request_goes_with_its_connection_until_a_worker_takes_it() {
    let (mut still, [ending]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(3);
    still.settle();
    let [first, asked, last] = still.take(&ending, 3).try_into().unwrap();
    ending.give_back(LISTENER, &first);
    ending.give_request(&asked, b"GET /");
    ending.give_back(LISTENER, &last);
    drop((ending, first, asked, last));
    still.detach(1);
    // The next one dies before it takes them.
    drop(still.worker(2));
    still.detach(2);
    let worker = still.worker(3);
    let (messages, streams): (Vec<_>, Vec<_>) = std::iter::from_fn(|| worker.next_now()).unzip();
    let requests: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            MasterFrame::Connections(_, request) => request.as_deref(),
            _ => None,
        })
        .collect();
    assert_eq!(requests, [b"GET /"]);
    answered(streams.into_iter().flatten().collect(), &mut clients);
    let counts = &still.event_loop.counts;
    let [moved, retried] = [&counts.moved, &counts.retried].map(|n| n.load(Ordering::Relaxed));
    assert_eq!((moved, retried), (2, 1));
}

#[test]
fn a_draining_worker_gets_nothing_new_and_leaves_only_when_nothing_is_on_the_way() {
    let (mut still, [old, new]) = Still::with_ready(Balance::LeastConnections);
    let _before = still.clients(2);
    still.settle();
    still.ask(Request::Drain(WorkerId(1)));
    assert_eq!(old.next_order(), Some(drain(&[])));
    let _clients = still.clients(6);
    still.settle();
    assert_eq!(new.take_all(), 1 + 6);
    old.report(&Report::Drained);
    still.settle();
    assert_eq!(old.next_order(), None);
    assert_eq!(old.take_all(), 1);
    still.pass(RETRY);
    assert_eq!(old.next_now().unwrap().0, MasterFrame::Order(Order::Leave));
}

#[test]
fn where_all_workers_leave_by_themselves_the_address_stays_and_clients_wait_for_the_next_one() {
    let (mut still, all) = Still::with_ready::<2>(Balance::LeastConnections);
    for worker in &all {
        worker.report(&Report::Leaving);
        worker.report(&Report::Unserve { listener: LISTENER });
    }
    still.settle();
    for worker in &all {
        // At once, and not only when the supervisor asks for it.
        assert_eq!(worker.next_now().unwrap().0, drain(&[]));
    }
    let mut client = still.clients(1);
    still.settle();
    answered(still.worker(3).take_now(), &mut client);
}

#[test]
fn at_the_end_a_worker_without_room_stays_until_it_has_what_waits_for_it() {
    for policy in [Balance::RoundRobin, Balance::IpHash] {
        let (mut still, [last]) = Still::with_ready(policy);
        last.report(&Report::Room { until: Some(0) });
        still.settle();
        let mut clients = still.clients(3);
        still.settle();
        let (done, _) = oneshot::channel();
        still.ask(Request::StopAdmitting(done));
        still.ask(Request::Drain(WorkerId(1)));
        last.report(&Report::Drained);
        still.pass(CLOSING_GRACE);
        still.pass(RETRY);
        assert!(matches!(last.next_order(), Some(MasterFrame::Order(Order::Drain { .. }))));
        assert_eq!(last.next_order(), None, "{policy:?}: three clients wait for it");
        last.report(&Report::Room { until: None });
        still.settle();
        answered(last.take_now(), &mut clients);
        still.pass(RETRY);
        assert_eq!(last.next_now().unwrap().0, MasterFrame::Order(Order::Leave));
    }
}
