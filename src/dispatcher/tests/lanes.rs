//! Lanes, with workers that are played by the test and accept on theirs.

use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{LISTENER, Played, answered, wanted};
use crate::dispatcher::tests::still::Still;
use crate::dispatcher::timing::{CLOSING_GRACE, RETRY, TAKE_WITHIN};
use crate::os::scoreboard::Field;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report};

/// A worker that accepts on the lane of its slot.
struct OnLane {
    played: Played,
    lane: TcpListener,
}

impl Still {
    fn on_lane(&mut self, id: u32, slot: u32) -> OnLane {
        let played = self.attach(id, slot);
        played.report(&Report::Bind { seq: 1, wanted: wanted() });
        self.settle();
        let (order, fds) = played.next_now().expect("the answer");
        assert!(
            matches!(order, MasterFrame::Order(Order::Bound { listener: LISTENER, .. })),
            "{order:?}"
        );
        let [lane] = <[TcpStream; 1]>::try_from(fds).expect("a lane");
        played.report(&Report::Serve { listener: LISTENER, lane: true });
        played.ready();
        self.settle();
        OnLane { played, lane: TcpListener::from(OwnedFd::from(lane)) }
    }
}

impl OnLane {
    /// What waits on its lane, as its event loop would take it.
    fn accept(&self) -> Vec<TcpStream> {
        let accepted: Vec<TcpStream> =
            std::iter::from_fn(|| self.lane.accept().ok()).map(|(fd, _)| fd).collect();
        self.played.row.add(Field::ConnectionsTotal, accepted.len() as f64);
        accepted
    }

    /// What the dispatcher has handed to it.
    fn take(&self) -> Vec<TcpStream> {
        self.played.take_now()
    }
}

fn joined(mut some: Vec<TcpStream>, more: Vec<TcpStream>) -> Vec<TcpStream> {
    some.extend(more);
    some
}

#[test]
fn each_worker_accepts_on_its_own_lane_and_the_dispatcher_hands_over_nothing() {
    let mut stage = Still::new(Balance::Kernel);
    let (a, b) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
    let mut clients = stage.clients(64);
    stage.settle();
    let (first, second) = (a.accept(), b.accept());
    assert!(!first.is_empty() && !second.is_empty(), "{} {}", first.len(), second.len());
    stage.pass(TAKE_WITHIN);
    answered(joined(first, second), &mut clients);
    assert_eq!(stage.handed(), 0);
}

#[test]
fn a_lane_keeps_its_queue_when_its_worker_dies_and_the_replacement_takes_it_over() {
    let mut stage = Still::new(Balance::Kernel);
    let dead = stage.on_lane(1, 0);
    let mut clients = stage.clients(20);
    drop(dead);
    stage.ask(Request::Detach(WorkerId(1), Exit::Code(0)));
    answered(stage.on_lane(2, 0).accept(), &mut clients);
    assert_eq!(stage.handed(), 0);
}

#[test]
fn what_waits_on_the_lane_of_a_dead_or_draining_worker_goes_to_another() {
    for request in [Request::Drain(WorkerId(1)), Request::Detach(WorkerId(1), Exit::Code(0))] {
        let mut stage = Still::new(Balance::Kernel);
        let (_leaving, other) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
        let mut clients = stage.clients(40);
        let own = other.accept();
        stage.ask(request);
        assert_eq!(stage.handed(), 40 - own.len() as u64);
        assert!(stage.handed() > 0);
        answered(joined(own, other.take()), &mut clients);
    }
}

#[test]
fn what_a_stuck_worker_leaves_on_its_lane_goes_to_a_free_one_until_it_shows_a_sign_of_life() {
    let mut stage = Still::new(Balance::Kernel);
    let (stuck, free) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
    let mut clients = stage.clients(40);
    stage.settle();
    let own = free.accept();
    stage.pass(TAKE_WITHIN - 1);
    assert_eq!(stage.handed(), 0, "it has its time");
    stage.pass(1);
    assert!(stage.handed() > 0);
    answered(joined(own, free.take()), &mut clients);
    // To take the order is the sign.
    assert_eq!(stuck.played.next_now().unwrap().0, MasterFrame::Order(Order::Beat));
    stage.settle();
    let handed = stage.handed();
    let mut clients = stage.clients(40);
    stage.settle();
    let (own, others) = (stuck.accept(), free.accept());
    assert!(!own.is_empty());
    answered(joined(own, others), &mut clients);
    assert_eq!(stage.handed(), handed);
}

#[test]
fn a_worker_that_makes_progress_keeps_its_lane_and_so_does_one_where_nobody_else_is_free() {
    let mut stage = Still::new(Balance::Kernel);
    let busy = stage.on_lane(1, 0);
    let mut clients = stage.clients(5);
    stage.settle();
    // Alone: longer than it would be left with its queue otherwise.
    for _ in 0..4 {
        stage.pass(TAKE_WITHIN);
    }
    let other = stage.on_lane(2, 1);
    for _ in 0..40 {
        busy.played.row.add(Field::ConnectionsTotal, 1.0);
        stage.pass(TAKE_WITHIN);
    }
    assert_eq!(stage.handed(), 0);
    answered(busy.accept(), &mut clients);
    // Without progress it would not have kept it; at the next check, it has had these five.
    let mut clients = stage.clients(40);
    stage.settle();
    let own = other.accept();
    stage.pass(TAKE_WITHIN);
    stage.pass(TAKE_WITHIN);
    answered(joined(own, other.take()), &mut clients);
}

#[test]
fn a_worker_that_accepts_no_more_by_itself_gets_what_comes_on_its_lane_from_the_dispatcher() {
    let mut stage = Still::new(Balance::Kernel);
    let worker = stage.on_lane(1, 0);
    worker.played.report(&Report::Serve { listener: LISTENER, lane: false });
    let mut clients = stage.clients(10);
    stage.settle();
    answered(worker.take(), &mut clients);
}

#[test]
fn closing_to_new_clients_empties_all_lanes_and_frees_the_port_although_workers_have_them() {
    let mut stage = Still::new(Balance::Kernel);
    let workers = [stage.on_lane(1, 0), stage.on_lane(2, 1)];
    let mut clients = stage.clients(30);
    let (done, mut stopped) = oneshot::channel();
    stage.ask(Request::StopAdmitting(done));
    stopped.try_recv().unwrap();
    for (index, worker) in workers.iter().enumerate() {
        stage.ask(Request::Drain(WorkerId(index as u32 + 1)));
        worker.played.report(&Report::Drained);
    }
    stage.pass(CLOSING_GRACE);
    answered(workers.iter().flat_map(OnLane::take).collect(), &mut clients);
    stage.pass(RETRY);
    for worker in &workers {
        assert_eq!(worker.played.next_now().unwrap().0, MasterFrame::Order(Order::Leave));
    }
    let refused = TcpStream::connect(("127.0.0.1", stage.port())).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
