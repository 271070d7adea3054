//! Ports that workers close, or that new code no longer has.

use std::os::fd::AsFd;

use crate::config::Balance;
use crate::dispatcher::link::RETRY;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{
    LISTENER, Played, answered, connect, drain, is_closed, wanted,
};
use crate::dispatcher::tests::still::Still;
use crate::listeners::CLOSING_GRACE;
use crate::os::channel::{Channel, MAX_BYTES};
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Report, Wanted, frame};

pub(super) fn is_bound(port: u16) -> bool {
    std::net::TcpListener::bind(("127.0.0.1", port)).is_err()
}

#[test]
fn a_port_that_a_worker_closes_is_free_at_once_whatever_the_others_do() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 2);
    // Nobody is ready yet, so others may come that serve whatever is there.
    let (listener, port) = still.listen(&workers[0], 1);
    let mut taken = connect(port);
    still.settle();
    let Some((_, streams)) = workers[0].next_now() else { panic!() };
    let (ours, theirs) = Channel::pair().unwrap();
    workers[0]
        .orders
        .send(&frame::question(&Report::Unserve { listener }), &[theirs.as_fd()])
        .unwrap();
    still.settle();
    assert!(!is_bound(port));
    let mut buffer = [0; MAX_BYTES];
    let answer = ours.receive(&mut buffer).unwrap().unwrap();
    assert_eq!(frame::from_master(answer.bytes, 0).unwrap(), MasterFrame::Order(Order::Unserved));
    // Nobody serves what was on its way to it.
    workers[0].give_back(listener, &streams[0]);
    still.settle();
    drop(streams);
    assert!(is_closed(&mut taken));
}

#[test]
fn a_port_that_another_worker_has_or_that_was_pinned_stays() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    assert_eq!(still.listen(&workers[1], 1), (listener, port));
    workers[0].report(&Report::Unserve { listener });
    still.settle();
    assert!(is_bound(port));
    workers.iter().for_each(|worker| worker.report(&Report::Unserve { listener: LISTENER }));
    still.settle();
    assert!(is_bound(still.port()), "a worker that is not ready may still ask for it");
    workers.iter().for_each(Played::ready);
    still.settle();
    assert!(!is_bound(still.port()));
}

#[test]
fn what_only_draining_workers_serve_lets_nobody_new_in_and_ends_with_them() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 3);
    let [first, last, new] = &workers[..] else { panic!() };
    let (listener, port) = still.listen(first, 1);
    still.listen(last, 1);
    workers.iter().for_each(Played::ready);
    still.settle();
    // As long as another worker serves it, connections are moved there.
    still.ask(Request::Drain(WorkerId(1)));
    assert_eq!(first.orders(), [drain(&[])]);
    let mut moved = connect(port);
    still.settle();
    let Some((_, streams)) = last.next_now() else { panic!() };
    let waiting = connect(port);
    still.ask(Request::Drain(WorkerId(2)));
    assert!(first.orders().contains(&drain(&[listener])), "it learns that no other is left");
    assert!(last.orders().contains(&drain(&[listener])));
    // One that was on its way back goes to a worker that keeps it, and one that came meanwhile too.
    last.give_back(listener, &streams[0]);
    still.settle();
    assert_eq!([first, last].map(Played::take_all).iter().sum::<usize>(), 1);
    assert_eq!(new.take_all(), 0);
    // Nobody may leave while somebody may come out of the queue.
    last.report(&Report::Drained);
    still.settle();
    assert_eq!(last.orders(), []);
    still.pass(CLOSING_GRACE);
    assert!(!is_bound(port));
    still.pass(RETRY);
    assert_eq!(last.orders(), [MasterFrame::Order(Order::Leave)]);
    // Without a worker that has it, a connection that comes back is closed.
    for worker in [1, 2] {
        still.detach(worker);
    }
    assert!(!still.event_loop.workers.queues().is_retired(listener));
    new.give_back(listener, &streams[0]);
    drop(streams);
    still.settle();
    assert!(is_closed(&mut moved));
    drop(waiting);
}

#[test]
fn what_a_worker_that_leaves_by_itself_served_waits_for_its_replacement() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    workers.iter().for_each(Played::ready);
    workers[0].report(&Report::Leaving);
    still.settle();
    assert_eq!(workers[0].orders(), [drain(&[])]);
    let replacement = still.attach(3, 1);
    let mut client = connect(port);
    assert_eq!(still.listen(&replacement, 1), (listener, port));
    answered(replacement.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn a_retired_port_may_be_asked_for_again_at_once() {
    let (mut still, workers) = Still::with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    workers.iter().for_each(Played::ready);
    still.settle();
    still.ask(Request::Drain(WorkerId(1)));
    assert_eq!(workers[0].orders(), [drain(&[listener])]);
    workers[1].report(&Report::Bind { seq: 1, wanted: Wanted { port: Some(port), ..wanted() } });
    still.settle();
    let Some((MasterFrame::Order(Order::Bound { listener: again, .. }), _)) = workers[1].next_now()
    else {
        panic!("no answer");
    };
    assert_ne!(again, listener);
    workers[1].serve(again);
    let mut client = connect(port);
    still.settle();
    answered(workers[1].take(1), std::slice::from_mut(&mut client));
}

#[test]
fn a_leaving_worker_binds_what_only_it_asks_for_itself() {
    let (mut still, [leaving, other]) = Still::with_ready(Balance::LeastConnections);
    let (listener, _) = still.listen(&other, 1);
    still.ask(Request::Drain(WorkerId(1)));
    leaving.orders();
    let mut ask = |index| {
        leaving.report(&Report::Bind { seq: index, wanted: Wanted { index, ..wanted() } });
        still.settle();
        leaving.next_order()
    };
    let errno = rustix::io::Errno::CANCELED.raw_os_error();
    assert_eq!(ask(7), Some(MasterFrame::Order(Order::BindFailed { seq: 7, errno })));
    // What others serve stays theirs: its own server there gets nothing.
    let Some(MasterFrame::Order(Order::Bound { listener: known, .. })) = ask(1) else { panic!() };
    assert_eq!(known, listener);
}
