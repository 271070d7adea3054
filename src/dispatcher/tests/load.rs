//! Which worker gets a connection, and what happens to those that a worker does not take.

use std::io::Write;

use crate::config::Balance;
use crate::dispatcher::link::{RETRY, TAKE_WITHIN};
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::played::{LISTENER, Played, answered, is_closed};
use crate::dispatcher::tests::still::Still;
use crate::os::scoreboard::Field;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Report, Wanted};

#[test]
fn connections_are_shared_evenly() {
    let (mut still, workers) = Still::with_ready::<2>(Balance::LeastConnections);
    let (mut clients, mut taken) = (Vec::new(), [0, 0]);
    for _ in 0..64 {
        clients.extend(still.clients(1));
        still.settle();
        for (worker, taken) in workers.iter().zip(&mut taken) {
            *taken += worker.take_all();
        }
    }
    assert_eq!(taken, [32, 32]);
}

#[test]
fn a_worker_gets_connections_of_those_listeners_only_that_it_serves() {
    let (mut still, [both, one]) = Still::with_ready(Balance::LeastConnections);
    let (_, port) = still.listen(&both, 1);
    let mut clients = Still::clients_of(port, 6);
    still.settle();
    answered(both.take_now(), &mut clients);
    assert!(one.next_now().is_none());
    // It gets no more of them either, and those that come go to a worker that does.
    both.report(&Report::Unserve { listener: LISTENER });
    let mut others = still.clients(6);
    still.settle();
    answered(one.take_now(), &mut others);
}

#[test]
fn a_connection_that_nobody_will_serve_is_closed_and_holds_up_nobody_else() {
    let (mut still, [worker]) = Still::with_ready(Balance::RoundRobin);
    let mut strays = still.clients(2);
    still.settle();
    for stream in still.take(&worker, 2) {
        // As after a reload to code that does not listen there any more.
        worker.give_back(77, &stream);
    }
    let mut client = still.clients(1);
    still.settle();
    answered(worker.take_now(), &mut client);
    let _next = still.worker(2);
    for stray in &mut strays {
        assert!(is_closed(stray), "closed, and not left waiting");
    }
}

#[test]
fn what_a_stuck_worker_does_not_take_goes_to_a_free_one_and_the_stuck_one_is_spared() {
    let (mut still, [stuck, free]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(8);
    still.settle();
    let mut streams = free.take_now();
    assert_eq!(streams.len(), 4);
    still.pass(TAKE_WITHIN - 1);
    assert!(free.next_now().is_none(), "the stuck one has its time");
    still.pass(1);
    streams.extend(free.take_now());
    assert_eq!(streams.len(), 8);
    // Once taken, this order shows that it is not stuck: an idle worker beats only once a second.
    assert_eq!(stuck.next_now().unwrap().0, MasterFrame::Order(Order::Beat));
    assert!(stuck.next_now().is_none(), "nothing is left for the stuck one");
    for client in &mut clients {
        client.write_all(b"?").unwrap();
    }
    // While it shows no sign of life it gets nothing; afterwards it does.
    stuck.row.set(Field::Beat, 0.0);
    let _more = still.clients(4);
    still.settle();
    assert_eq!(free.take_all(), 4);
    stuck.row.set(Field::Beat, still.event_loop.now as f64 + 1.0);
    let _again = still.clients(4);
    still.settle();
    assert_eq!(stuck.take_all(), 2);
    drop(streams);
}

#[test]
fn a_worker_that_gives_back_while_it_is_stuck_gets_nothing_until_it_shows_a_sign_of_life() {
    let (mut still, [stuck, free]) = Still::with_ready(Balance::LeastConnections);
    let mut clients = still.clients(8);
    still.settle();
    let (idle, mut taken) = (stuck.take_now(), free.take_now());
    assert_eq!((idle.len(), taken.len()), (4, 4));
    // As its watch does, which needs no turn of its event loop.
    stuck.row.admission().set_serving(true);
    stuck.row.admission().set_stuck(true);
    still.pass(1);
    idle.iter().for_each(|stream| stuck.give_back(LISTENER, stream));
    stuck.row.add(Field::ConnectionsActive, -4.0);
    still.settle();
    taken.extend(free.take_now());
    answered(taken, &mut clients);
    // It has fewer connections, and gets none all the same: also right after the block.
    for is_stuck in [true, false] {
        stuck.row.admission().set_stuck(is_stuck);
        let _more = still.clients(4);
        still.settle();
        assert_eq!(free.take_all(), 4);
    }
    stuck.row.set(Field::Beat, still.event_loop.now as f64 + 1.0);
    let _again = still.clients(4);
    still.settle();
    assert_eq!(stuck.take_all(), 4);
}

#[test]
fn with_ip_hash_what_a_stuck_worker_does_not_take_waits_for_it() {
    let (mut still, workers) = Still::with_ready::<2>(Balance::IpHash);
    let _clients = still.clients(8);
    still.settle();
    // Longer than any of them may wait by the other policies.
    still.pass(4 * TAKE_WITHIN);
    let mut taken = workers.each_ref().map(Played::take_all);
    taken.sort_unstable();
    assert_eq!(taken, [0, 8], "all are of one address");
    assert_eq!(still.reclaimed(), 0);
    // What it has taken does not keep it from leaving.
    for (index, worker) in workers.iter().enumerate() {
        still.ask(Request::Drain(WorkerId(index as u32 + 1)));
        assert!(matches!(worker.next_now().unwrap().0, MasterFrame::Order(Order::Drain { .. })));
        worker.report(&Report::Drained);
        still.settle();
        assert_eq!(worker.next_now().unwrap().0, MasterFrame::Order(Order::Leave));
    }
}

#[test]
fn what_a_full_worker_cannot_get_waits_until_it_takes_something() {
    let (mut still, [worker]) = Still::with_ready(Balance::LeastConnections);
    // However long it takes nothing, no other is free.
    let mut clients = Vec::new();
    for _ in 0..2 {
        clients.extend(still.clients(100));
        still.settle();
    }
    assert_eq!(still.handed(), 128);
    still.pass(2 * TAKE_WITHIN);
    assert_eq!(still.handed(), 128);
    answered(still.take(&worker, 200), &mut clients);
}

#[test]
fn a_worker_without_descriptors_gets_no_more_than_fit_and_others_get_what_it_had_not_taken() {
    let (mut still, [short]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(20);
    still.settle();
    assert_eq!(still.handed(), 20);
    // All of that lies in its channel.
    short.report(&Report::Room { until: Some(3) });
    still.settle();
    assert_eq!(still.reclaimed(), 20);
    let mut taken = short.take_now();
    assert_eq!(taken.len(), 3);
    still.pass(3 * TAKE_WITHIN);
    assert!(short.next_now().is_none());
    short.report(&Report::Room { until: Some(5) });
    taken.extend(still.take(&short, 2));
    still.pass(3 * TAKE_WITHIN);
    assert!(short.next_now().is_none());
    let other = still.worker(2);
    taken.extend(still.take(&other, 15));
    answered(taken, &mut clients);
    let mut clients = still.clients(4);
    still.settle();
    answered(other.take_now(), &mut clients);
    short.report(&Report::Room { until: None });
    still.settle();
    let mut clients = still.clients(4);
    still.settle();
    let taken = [short.take_now(), other.take_now()];
    assert_eq!(taken.each_ref().map(Vec::len), [2, 2]);
    answered(taken.into_iter().flatten().collect(), &mut clients);
}

#[test]
fn while_a_worker_takes_nobody_else_takes_what_is_its_own() {
    let (mut still, [taking]) = Still::with_ready(Balance::RoundRobin);
    let claim = taking.row.claim().unwrap();
    let mut clients = still.clients(3);
    still.settle();
    assert_eq!(still.handed(), 3);
    taking.report(&Report::Room { until: Some(0) });
    let other = still.worker(2);
    still.pass(3 * TAKE_WITHIN);
    assert!(other.next_now().is_none());
    drop(claim);
    still.pass(RETRY);
    answered(other.take_now(), &mut clients);
    // A worker that died while it took holds back nothing.
    let mut clients = still.clients(2);
    still.settle();
    assert_eq!(still.handed(), 8);
    std::mem::forget(other.row.claim());
    drop(other);
    still.detach(2);
    answered(still.worker(3).take_now(), &mut clients);
}

#[test]
fn an_order_does_not_wait_behind_connections() {
    let (mut still, [worker]) = Still::with_ready(Balance::RoundRobin);
    let mut clients = still.clients(100);
    still.settle();
    let wanted = Wanted {
        address: Some("not an address".into()),
        port: Some(1),
        v6_only: false,
        backlog: 0,
        index: 0,
    };
    worker.report(&Report::Bind { seq: 9, wanted });
    still.settle();
    let order = worker.next_order().expect("the answer");
    assert_eq!(order, MasterFrame::Order(Order::BindFailed { seq: 9, errno: 22 }));
    answered(still.take(&worker, 100), &mut clients);
}
