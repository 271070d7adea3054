//! Shared sockets. The test plays the workers, which accept or do not.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::link::RETRY;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{LISTENER, Played, answered, wanted};
use crate::dispatcher::tests::still::Still;
use crate::listeners::{CHECK_AFTER, CLOSING_GRACE, ListenerSet};
use crate::os::scoreboard::Field;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report, SharedSocket};

/// A worker that accepts by itself.
pub(super) struct Acceptor {
    pub(super) played: Played,
    socket: TcpListener,
}

impl Still {
    pub(super) fn acceptor(&mut self, id: u32) -> Acceptor {
        let played = self.attach(id, id);
        played.report(&Report::Bind { seq: 1, wanted: wanted() });
        self.settle();
        let is_bound = |order: &MasterFrame| {
            matches!(
                order,
                MasterFrame::Order(Order::Bound {
                    listener: LISTENER,
                    shared: Some(SharedSocket { bit: 0, inherited: false, .. }),
                    ..
                })
            )
        };
        let (_, fds) = std::iter::from_fn(|| played.next_now())
            .find(|(order, _)| is_bound(order))
            .expect("the answer");
        let [socket] = <[TcpStream; 1]>::try_from(fds).expect("a socket");
        played.report(&Report::Serve { listener: LISTENER, accepts: true, http1: true });
        played.ready();
        played.row.admission().set_accepts(1);
        self.settle();
        Acceptor { played, socket: TcpListener::from(OwnedFd::from(socket)) }
    }

    /// Lets the time of one check pass.
    fn check(&mut self) {
        self.pass(CHECK_AFTER);
    }
}

impl Acceptor {
    /// Accepts all connections that wait.
    pub(super) fn accept(&self) -> Vec<TcpStream> {
        self.accept_some(usize::MAX)
    }

    /// Accepts up to `most` connections that wait.
    pub(super) fn accept_some(&self, most: usize) -> Vec<TcpStream> {
        let all = std::iter::from_fn(|| self.socket.accept().ok()).map(|(stream, _)| stream);
        let accepted: Vec<TcpStream> = all.take(most).collect();
        let counter = self.played.row.board().header();
        counter.accepted(0).fetch_add(accepted.len() as u64, Ordering::Relaxed);
        self.played.row.add(Field::ConnectionsTotal, accepted.len() as f64);
        self.played.row.admission().answer_kick();
        accepted
    }

    fn is_kicked(&self) -> bool {
        self.played.row.admission().is_kicked()
    }
}

#[test]
fn workers_accept_by_themselves_and_the_dispatcher_hands_over_nothing() {
    let mut stage = Still::sharing();
    let (first, second) = (stage.acceptor(1), stage.acceptor(2));
    let mut clients = stage.clients(8);
    stage.settle();
    let accepted = first.accept();
    (0..3).for_each(|_| stage.check());
    answered(accepted, &mut clients);
    assert_eq!((stage.handed(), first.is_kicked(), second.is_kicked()), (0, false, false));
}

#[test]
fn each_worker_learns_what_wakes_the_others() {
    let mut stage = Still::sharing();
    let first = stage.attach(1, 0);
    let second = stage.attach(2, 1);
    stage.settle();
    for (worker, other) in [(&first, 2), (&second, 1)] {
        let (order, wakers) = worker.next_now().unwrap();
        assert_eq!(order, MasterFrame::Order(Order::Wakers { rows: vec![other] }));
        assert_eq!(wakers.len(), 1);
    }
}

#[test]
fn a_queue_that_does_not_move_is_shown_to_all_workers_and_then_emptied_by_the_master() {
    let mut stage = Still::sharing();
    let (first, second) = (stage.acceptor(1), stage.acceptor(2));
    let mut clients = stage.clients(6);
    stage.settle();
    stage.check();
    assert!(first.is_kicked() && second.is_kicked(), "both may have slept through it");
    assert_eq!(stage.handed(), 0);
    first.played.row.admission().answer_kick();
    stage.check();
    assert_eq!(stage.handed(), 6);
    let both = [&first, &second].into_iter().flat_map(|worker| worker.played.take_now());
    answered(both.collect(), &mut clients);
}

#[test]
fn a_queue_stays_as_it_is_while_all_workers_are_stuck() {
    let mut stage = Still::sharing();
    let worker = stage.acceptor(1);
    let mut clients = stage.clients(3);
    stage.settle();
    (0..5).for_each(|_| stage.check());
    assert_eq!(stage.handed(), 0, "whichever is free first takes them");
    answered(worker.accept(), &mut clients);
}

#[test]
fn a_queue_that_moves_is_left_alone_however_long_it_is() {
    let mut stage = Still::sharing();
    let worker = stage.acceptor(1);
    let _clients = stage.clients(3);
    stage.settle();
    for _ in 0..5 {
        worker.played.row.add(Field::ConnectionsTotal, 1.0);
        stage.check();
    }
    assert_eq!((stage.handed(), worker.is_kicked()), (0, false));
}

#[test]
fn a_queue_outlives_its_workers() {
    let mut stage = Still::sharing();
    let dead = stage.acceptor(1);
    let mut clients = stage.clients(20);
    stage.settle();
    let row = dead.played.row.clone();
    drop(dead);
    stage.ask(Request::Detach(WorkerId(1), Exit::Code(0)));
    assert_eq!(row.admission().accepts(), 0, "the others do not count on it");
    stage.check();
    assert_eq!(stage.handed(), 0);
    answered(stage.acceptor(2).accept(), &mut clients);
}

#[test]
fn a_worker_that_accepts_no_more_by_itself_gets_connections_from_the_master() {
    let mut stage = Still::sharing();
    let worker = stage.acceptor(1);
    worker.played.report(&Report::Serve { listener: LISTENER, accepts: false, http1: false });
    let mut clients = stage.clients(10);
    stage.settle();
    answered(worker.played.take_now(), &mut clients);
}

#[test]
fn closing_to_new_clients_empties_the_queue_and_frees_the_port_although_workers_have_the_socket() {
    let mut stage = Still::sharing();
    let workers = [stage.acceptor(1), stage.acceptor(2)];
    let mut clients = stage.clients(30);
    let (done, mut stopped) = oneshot::channel();
    stage.ask(Request::StopAdmitting(done));
    stopped.try_recv().unwrap();
    for (index, worker) in workers.iter().enumerate() {
        stage.ask(Request::Drain(WorkerId(index as u32 + 1)));
        worker.played.report(&Report::Drained);
    }
    stage.pass(CLOSING_GRACE);
    let taken = workers.iter().flat_map(|worker| worker.played.take_now()).collect();
    answered(taken, &mut clients);
    stage.pass(RETRY);
    for worker in &workers {
        assert_eq!(worker.played.next_now().unwrap().0, MasterFrame::Order(Order::Leave));
    }
    let refused = TcpStream::connect(("127.0.0.1", stage.port())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn a_unix_socket_is_not_shared() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock").to_string_lossy().into_owned();
    let mut stage = Still::sharing();
    let worker = stage.attach(1, 1);
    let wanted = crate::protocol::Wanted { address: Some(path), port: None, ..wanted() };
    worker.report(&Report::Bind { seq: 1, wanted });
    stage.settle();
    let (order, fds) = worker.next_now().unwrap();
    assert!(matches!(order, MasterFrame::Order(Order::Bound { shared: None, .. })), "{order:?}");
    assert!(fds.is_empty());
}

#[test]
fn an_heir_leaves_a_queue_that_does_not_move_to_the_former_master_until_it_has_taken_over() {
    let mut old = Still::sharing();
    let old_worker = old.acceptor(1);
    old.ask(Request::Lend(true));
    let (reply, mut copies) = oneshot::channel();
    old.ask(Request::CopySockets(reply));
    let legacy = copies.try_recv().unwrap().unwrap();
    let set = ListenerSet::default().with_sharing().with_legacy(legacy);
    let mut new = Still::of(set, Balance::LeastConnections);
    let new_worker = new.acceptor(2);
    let answer_kick = |worker: &Acceptor| worker.played.row.admission().answer_kick();
    let mut clients = old.clients(2);
    new.settle();
    new.check();
    assert!(new_worker.is_kicked(), "its worker may have slept through it");
    answer_kick(&new_worker);
    (0..3).for_each(|_| new.check());
    assert_eq!(new.handed(), 0, "what it had would be lost with it");
    old.settle();
    old.check();
    answer_kick(&old_worker);
    old.check();
    assert_eq!(old.handed(), 2);
    answered(old_worker.played.take_now(), &mut clients);
    new.ask(Request::Own { alone: false });
    let mut later = old.clients(2);
    (0..2).for_each(|_| {
        new.check();
        answer_kick(&new_worker);
    });
    new.check();
    assert_eq!(new.handed(), 2);
    answered(new_worker.played.take_now(), &mut later);
}
