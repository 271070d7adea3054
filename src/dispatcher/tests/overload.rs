//! The option `overload`. The test plays the workers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use crate::clock::Millis;
use crate::config::OverloadOptions;
use crate::dispatcher::messages::Request;
use crate::dispatcher::tests::guard::Acceptor;
use crate::dispatcher::tests::played::LISTENER;
use crate::dispatcher::tests::still::Still;
use crate::overload::PATIENCE;
use crate::protocol::Report;
use crate::protocol::frame::MasterFrame;

const DELAY: Millis = 160;
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const CHECK: &[u8] = b"GET /ecv HTTP/1.1\r\nHost: a\r\n\r\n";

fn stage(waiting: Option<u64>, delay: Option<Millis>) -> (Still, Acceptor) {
    let mut stage = Still::shedding(OverloadOptions { waiting, delay });
    let worker = stage.acceptor(1);
    (stage, worker)
}

/// Clients that have asked.
fn asking(stage: &Still, count: usize, request: &[u8]) -> Vec<TcpStream> {
    let mut clients = stage.clients(count);
    clients.iter_mut().for_each(|client| client.write_all(request).unwrap());
    clients
}

/// Reads what a client gets until the end.
fn answer(client: &mut TcpStream) -> String {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    text
}

fn is_503(text: &str) -> bool {
    text.starts_with("HTTP/1.1 503 Service Unavailable\r\n")
        && text.contains("\r\nRetry-After: 1\r\n")
        && text.ends_with("\r\nConnection: close\r\n\r\n")
}

fn has_nothing(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let nothing = client.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    nothing
}

#[test]
fn of_more_than_may_wait_the_oldest_are_answered_503() {
    let (mut stage, worker) = stage(Some(10), None);
    let mut clients = asking(&stage, 13, GET);
    stage.settle();
    assert_eq!((stage.shed(), stage.handed()), (3, 0));
    assert!(clients[..3].iter_mut().all(|client| is_503(&answer(client))));
    assert!(clients[3..].iter_mut().all(has_nothing));
    assert_eq!(worker.accept().len(), 10);
}

#[test]
fn those_that_have_waited_too_long_are_answered_503_and_no_others() {
    let (mut stage, worker) = stage(None, Some(DELAY));
    let mut old = asking(&stage, 4, GET);
    stage.settle();
    stage.pass(DELAY / 2);
    let mut young = asking(&stage, 2, GET);
    stage.settle();
    stage.pass(DELAY / 2 - 1);
    assert_eq!(stage.shed(), 0);
    let accepted = worker.accept_some(1);
    assert_eq!(accepted.len(), 1);
    (0..5).for_each(|_| stage.pass(5));
    assert_eq!(stage.shed(), 3);
    assert!(has_nothing(&mut old[0]));
    assert!(old[1..].iter_mut().all(|client| is_503(&answer(client))));
    assert!(young.iter_mut().all(has_nothing));
    assert_eq!(worker.accept().len(), 2);
    stage.pass(2 * DELAY);
    assert_eq!(stage.shed(), 3, "an empty queue has no oldest connection");
}

#[test]
fn a_health_check_goes_to_a_worker_with_all_that_it_sent() {
    let (mut stage, worker) = stage(Some(1), None);
    let mut clients = asking(&stage, 2, CHECK);
    clients.extend(asking(&stage, 1, GET));
    stage.settle();
    let mut passed = worker.played.take_now();
    assert_eq!((stage.shed(), stage.handed(), passed.len()), (0, 2, 2));
    let mut request = [0; CHECK.len()];
    passed[0].read_exact(&mut request).unwrap();
    assert_eq!(request, CHECK);
}

#[test]
fn a_client_that_has_not_asked_yet_is_heard_first() {
    let (mut stage, worker) = stage(Some(1), None);
    let mut clients = stage.clients(4);
    stage.settle();
    assert_eq!((stage.shed(), worker.accept().len()), (0, 1));
    let [check, other, silent, ..] = &mut clients[..] else { unreachable!() };
    check.write_all(&CHECK[..6]).unwrap();
    other.write_all(&GET[..3]).unwrap();
    stage.settle();
    check.write_all(&CHECK[6..]).unwrap();
    other.write_all(&GET[3..]).unwrap();
    stage.settle();
    assert_eq!((stage.shed(), worker.played.take_now().len()), (1, 1));
    assert!(is_503(&answer(other)));
    stage.pass(PATIENCE - 1);
    assert!(has_nothing(silent));
    stage.pass(1);
    assert!(is_503(&answer(silent)));
    assert_eq!(stage.shed(), 2);
}

#[test]
fn what_a_client_still_sends_does_not_reset_the_answer() {
    let (mut stage, _worker) = stage(Some(1), None);
    let mut clients = asking(&stage, 2, b"POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n");
    stage.settle();
    let body = [b'x'; 100_000];
    for _ in 0..4 {
        let mut left = &body[..];
        clients[0].set_nonblocking(true).unwrap();
        while !left.is_empty() {
            match clients[0].write(left) {
                Ok(length) => left = &left[length..],
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            stage.settle();
        }
        clients[0].set_nonblocking(false).unwrap();
    }
    assert!(is_503(&answer(&mut clients[0])));
    // Closed once the client has closed, and not before.
    clients[0].write_all(b"x").unwrap();
    clients[0].shutdown(Shutdown::Write).unwrap();
    stage.settle();
    assert_eq!(stage.event_loop.shedding.as_ref().unwrap().open(), 0);
}

#[test]
fn a_client_that_does_not_close_is_closed_in_time() {
    let (mut stage, _worker) = stage(Some(1), None);
    let _clients = asking(&stage, 3, GET);
    stage.settle();
    let open = |stage: &Still| stage.event_loop.shedding.as_ref().unwrap().open();
    assert_eq!(open(&stage), 2);
    stage.pass(PATIENCE - 1);
    assert_eq!(open(&stage), 2);
    stage.pass(1);
    assert_eq!(open(&stage), 0);
}

#[test]
fn connections_of_a_server_that_speaks_something_else_are_left_alone() {
    let (mut stage, worker) = stage(Some(1), Some(DELAY));
    worker.played.report(&Report::Serve { listener: LISTENER, accepts: true, http1: false });
    let mut clients = asking(&stage, 5, GET);
    stage.settle();
    (0..20).for_each(|_| stage.pass(DELAY / 4));
    assert_eq!((stage.shed(), stage.handed()), (0, 0));
    assert!(clients.iter_mut().all(has_nothing));
}

#[test]
fn while_two_masters_accept_nobody_knows_how_long_connections_wait() {
    let (mut stage, _worker) = stage(Some(4), Some(DELAY));
    stage.ask(Request::Lend(true));
    let _clients = asking(&stage, 5, GET);
    stage.settle();
    (0..20).for_each(|_| stage.pass(DELAY / 4));
    assert_eq!(stage.shed(), 1, "only their number is known");
    stage.ask(Request::Lend(false));
    (0..40).for_each(|_| stage.pass(5));
    assert_eq!(stage.shed(), 5);
}

#[test]
fn workers_learn_how_long_a_turn_may_take_where_it_matters() {
    for (delay, turn) in [(None, None), (Some(160), Some(20))] {
        let mut stage = Still::shedding(OverloadOptions { waiting: Some(1), delay });
        let worker = stage.attach(1, 1);
        worker.report(&Report::Bind { seq: 1, wanted: super::played::wanted() });
        stage.settle();
        let (order, _) = worker.next_now().unwrap();
        let MasterFrame::Order(crate::protocol::Order::Bound { shared: Some(shared), .. }) = order
        else {
            panic!("{order:?}");
        };
        assert_eq!(shared.turn, turn);
    }
}
