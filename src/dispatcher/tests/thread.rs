//! The dispatcher's own thread, by the real clock. Only tests that hold on a machine of any speed
//! are here; the others use `Still`.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::Balance;
use crate::dispatcher::handle::Dispatcher;
use crate::dispatcher::messages::{DispatcherEvent, Notify, Request};
use crate::dispatcher::tests::played::{LISTENER, Played, answered, connect, listener_set, play};
use crate::listeners::ListenerSet;
use crate::os;
use crate::os::scoreboard::Scoreboard;
use crate::os::thread;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Report};

struct Stage {
    dispatcher: Dispatcher,
    board: Arc<Scoreboard>,
    events: Receiver<(WorkerId, DispatcherEvent)>,
    port: u16,
}

fn stage(policy: Balance) -> Stage {
    let (listeners, port) = listener_set(ListenerSet::default());
    let (sender, events) = channel();
    let notify: Notify =
        Box::new(move |worker, event| sender.send((worker, event)).unwrap_or_default());
    Stage {
        dispatcher: Dispatcher::start(listeners, policy, None, notify).unwrap(),
        board: Scoreboard::create(8).unwrap(),
        events,
        port,
    }
}

impl Stage {
    fn worker(&self, id: u32) -> Played {
        let (played, link) = play(&self.board, id, id);
        assert!(self.dispatcher.send(Request::Attach(Box::new(link))));
        played.serve(LISTENER);
        played.ready();
        let is_ready = |(worker, event): (WorkerId, DispatcherEvent)| {
            worker == WorkerId(id)
                && matches!(event, DispatcherEvent::Report(Report::Ready { .. }, _))
        };
        let next = || self.events.recv_timeout(Duration::from_secs(5)).expect("an event");
        while !is_ready(next()) {}
        played
    }
}

#[test]
fn without_a_worker_connections_wait_and_are_served_by_the_next_one() {
    let stage = stage(Balance::RoundRobin);
    let mut client = connect(stage.port);
    let worker = stage.worker(1);
    answered(worker.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn it_wakes_by_itself_for_what_a_stuck_worker_does_not_take() {
    let stage = stage(Balance::RoundRobin);
    let (_stuck, free) = (stage.worker(1), stage.worker(2));
    let mut clients: Vec<_> = (0..8).map(|_| connect(stage.port)).collect();
    answered(free.take(8), &mut clients);
}

#[test]
fn closing_to_new_clients_hands_out_the_queue_before_any_worker_may_leave() {
    let stage = stage(Balance::LeastConnections);
    let mut clients: Vec<_> = (0..20).map(|_| connect(stage.port)).collect();
    let worker = stage.worker(1);
    let (done, stopped) = oneshot::channel();
    stage.dispatcher.send(Request::StopAdmitting(done));
    stage.dispatcher.send(Request::Drain(WorkerId(1)));
    stopped.blocking_recv().unwrap();
    worker.report(&Report::Drained);
    let mut taken = Vec::new();
    loop {
        match worker.next(Duration::from_secs(5)).expect("an order or connections") {
            (MasterFrame::Order(Order::Leave), _) => break,
            (_, streams) => taken.extend(streams),
        }
    }
    assert_eq!(taken.len(), 20);
    answered(taken, &mut clients);
    assert!(std::net::TcpStream::connect(("127.0.0.1", stage.port)).is_err());
}

#[test]
fn a_dispatcher_that_fails_ends_the_process() {
    let name = "dispatcher::tests::thread::a_dispatcher_that_fails_ends_the_process";
    let output = os::descriptors::alone::apart(name, || {
        let (listeners, _) = listener_set(ListenerSet::default());
        let fail: Notify = Box::new(|_, _| panic!("on purpose"));
        let dispatcher = Dispatcher::start(listeners, Balance::RoundRobin, None, fail).unwrap();
        let (played, link) = play(&Scoreboard::create(2).unwrap(), 1, 1);
        dispatcher.send(Request::Attach(Box::new(link)));
        played.report(&Report::Reopened);
        std::thread::sleep(Duration::from_secs(5));
    });
    let Some(output) = output else { return };
    assert_eq!(
        output.status.code(),
        Some(thread::FAILED),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
