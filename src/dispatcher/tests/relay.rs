//! Two dispatchers with the same listening socket, while one takes over from the other.

use std::net::TcpStream;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{LISTENER, Played, answered, drain, wanted};
use crate::dispatcher::tests::still::Still;
use crate::listeners::{CLOSING_GRACE, ListenerSet};
use crate::os::channel::Channel;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report, Wanted};

/// A predecessor and its heir, each with one worker, and the channel between them.
struct Pair {
    old: Still,
    new: Still,
    old_worker: Played,
    new_worker: Played,
}

impl Pair {
    fn new() -> Self {
        let mut old = Still::new(Balance::RoundRobin);
        let old_worker = old.worker(1);
        old.ask(Request::Lend(true));
        let (reply, mut copies) = oneshot::channel();
        old.ask(Request::CopySockets(reply));
        let copies = copies.try_recv().unwrap().unwrap();
        assert_eq!((copies.len(), copies[0].key), (1, LISTENER));
        let set = ListenerSet::default().with_legacy(copies);
        let mut new = Still::of(set, Balance::RoundRobin);
        let new_worker = new.worker(2);
        let (ours, theirs) = Channel::pair().unwrap();
        old.ask(Request::Relay { channel: ours, is_heir: false });
        new.ask(Request::Relay { channel: theirs, is_heir: true });
        Self { old, new, old_worker, new_worker }
    }

    fn settle(&mut self) {
        for _ in 0..3 {
            self.old.settle();
            self.new.settle();
        }
    }
}

#[test]
fn what_old_workers_give_back_goes_to_those_of_the_heir() {
    let mut pair = Pair::new();
    let (reply, mut adopted) = oneshot::channel();
    pair.new.ask(Request::ListAdopted(reply));
    assert_eq!(adopted.try_recv().unwrap(), [LISTENER], "by the predecessor's number");
    let mut clients = pair.old.clients(2);
    pair.settle();
    let taken: Vec<TcpStream> =
        pair.old_worker.take_now().into_iter().chain(pair.new_worker.take_now()).collect();
    assert_eq!(taken.len(), 2, "both accept");
    pair.old.ask(Request::GiveAway(Some(vec![LISTENER])));
    pair.old.ask(Request::Drain(WorkerId(1)));
    assert_eq!(pair.old_worker.orders(), [drain(&[])], "it moves what is idle");
    for stream in &taken {
        pair.old_worker.give_back(LISTENER, stream);
    }
    drop(taken);
    pair.settle();
    answered(pair.new_worker.take(2), &mut clients);
    let mut later = pair.old.clients(1);
    pair.settle();
    assert_eq!(pair.old_worker.take_all(), 0, "the heir alone accepts");
    answered(pair.new_worker.take(1), &mut later);
}

#[test]
fn what_the_heir_gives_back_goes_to_the_old_workers() {
    let mut pair = Pair::new();
    let mut clients = pair.old.clients(1);
    pair.settle();
    let taken: Vec<TcpStream> =
        pair.old_worker.take_now().into_iter().chain(pair.new_worker.take_now()).collect();
    pair.new.ask(Request::GiveAway(None));
    pair.new.ask(Request::Drain(WorkerId(2)));
    pair.new_worker.give_back(LISTENER, &taken[0]);
    drop(taken);
    pair.settle();
    answered(pair.old_worker.take(1), &mut clients);
}

#[test]
fn what_the_heir_did_not_take_is_kept_for_workers_that_are_still_to_come() {
    let mut pair = Pair::new();
    let mut clients = pair.old.clients(1);
    pair.settle();
    let taken: Vec<TcpStream> =
        pair.old_worker.take_now().into_iter().chain(pair.new_worker.take_now()).collect();
    pair.old.ask(Request::GiveAway(Some(vec![LISTENER])));
    pair.old.ask(Request::Drain(WorkerId(1)));
    drop(pair.new);
    pair.old_worker.give_back(LISTENER, &taken[0]);
    drop(taken);
    pair.old.settle();
    pair.old.ask(Request::Detach(WorkerId(1), Exit::Code(0)));
    pair.old.ask(Request::Lend(false));
    pair.old.ask(Request::Keep { last: false });
    let again = pair.old.worker(2);
    pair.old.pass(3);
    answered(again.take(1), &mut clients);
    assert!(again.next(Duration::from_millis(1)).is_none());
}

#[test]
fn a_listener_that_the_heir_does_not_serve_closes() {
    let mut pair = Pair::new();
    pair.old.ask(Request::GiveAway(Some(Vec::new())));
    pair.old.ask(Request::Drain(WorkerId(1)));
    assert_eq!(pair.old_worker.orders(), [drain(&[LISTENER])], "its connections are kept");
}

#[test]
fn draining_workers_keep_what_they_have_if_the_heir_that_leaves_is_gone_first() {
    let mut pair = Pair::new();
    pair.old.ask(Request::GiveAway(Some(vec![LISTENER])));
    pair.old.ask(Request::Drain(WorkerId(1)));
    assert_eq!(pair.old_worker.orders(), [drain(&[])]);
    drop(pair.new);
    pair.old.settle();
    pair.old.ask(Request::Keep { last: true });
    assert_eq!(
        pair.old_worker.orders(),
        [MasterFrame::Order(Order::Drain { moving: false, retired: Vec::new() })]
    );
}

#[test]
fn a_port_that_the_former_master_has_closed_is_bound_again_if_a_worker_asks_for_it_later() {
    let mut pair = Pair::new();
    let port = pair.old.port();
    pair.new_worker.report(&Report::Unserve { listener: LISTENER });
    pair.new.settle();
    let (reply, mut adopted) = oneshot::channel();
    pair.new.ask(Request::ListAdopted(reply));
    assert!(adopted.try_recv().unwrap().is_empty());
    pair.new.ask(Request::Own { alone: false });
    pair.old.ask(Request::GiveAway(Some(Vec::new())));
    drop(pair.old_worker);
    pair.old.detach(1);
    pair.old.pass(2 * CLOSING_GRACE);
    let wanted = Wanted { port: Some(port), ..wanted() };
    pair.new_worker.report(&Report::Bind { seq: 1, wanted });
    pair.new.settle();
    let bound = pair.new_worker.next_now();
    let Some((MasterFrame::Order(Order::Bound { listener, .. }), _)) = bound else {
        panic!("{bound:?}");
    };
    pair.new_worker.serve(listener);
    pair.new.settle();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    pair.new.settle();
    answered(pair.new_worker.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn a_predecessor_that_closes_still_refuses_new_clients_once_its_heir_is_gone() {
    let mut pair = Pair::new();
    let (done, _closed) = oneshot::channel();
    pair.old.ask(Request::StopAdmitting(done));
    pair.old.ask(Request::Lend(false));
    let address = ([127, 0, 0, 1], pair.old.port()).into();
    assert!(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err());
}
