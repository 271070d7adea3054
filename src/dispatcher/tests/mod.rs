//! The dispatcher with real sockets, and workers that are played by the test: it holds the other end of their channels.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::mpsc::Receiver as TestReceiver;
use std::time::Instant;

use crate::clock::Millis;
use crate::config::Balance;
use crate::dispatcher::event_loop::*;
use crate::os;
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::scoreboard::{Field, Row, Scoreboard};
use crate::os::thread;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report};
use crate::protocol::{Origin, Past, Wanted};
use crate::protocol::{frame, parts};
use rustix::event::{EventfdFlags, Timespec, epoll};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// A worker without a process.
struct Played {
    end: Channel,
    orders: Channel,
    row: Row,
    /// The test's clock, if it has one.
    clock: Option<Rc<Cell<Millis>>>,
}

struct Stage {
    dispatcher: Dispatcher,
    board: Arc<Scoreboard>,
    reports: TestReceiver<(WorkerId, DispatcherEvent)>,
    port: u16,
}

const LISTENER: u32 = 1;
const MOVED: Past = Past { stage: 2, since: 1_000, timeout: 5_000, requests: 0 };

/// A door with one listener, and its port.
fn door(policy: Balance) -> (ListenerSet, u16) {
    let mut door = if policy == Balance::Kernel {
        ListenerSet::default().with_lanes()
    } else {
        ListenerSet::default()
    };
    door.pin(&wanted()).unwrap();
    let listener = door.bind(&wanted(), |_| true).unwrap();
    let (address, _) = door.place(listener);
    assert_eq!(listener, LISTENER);
    (door, address.unwrap().port)
}

fn stage(policy: Balance) -> Stage {
    let (door, port) = door(policy);
    let (sender, reports) = channel();
    let tell: Tell =
        Box::new(move |worker, report| sender.send((worker, report)).unwrap_or_default());
    Stage {
        dispatcher: Dispatcher::start(door, policy, tell).unwrap(),
        board: Scoreboard::create(8).unwrap(),
        reports,
        port,
    }
}

/// A worker of the board, and the dispatcher's end of it.
fn play(board: &Arc<Scoreboard>, id: u32, slot: u32) -> (Played, WorkerLink) {
    let (ours, theirs) = Channel::pair().unwrap();
    let (orders, their_orders) = Channel::pair().unwrap();
    let row = board.row(id as usize).unwrap();
    let peer =
        WorkerLink::new(WorkerId(id), slot, orders, ours, theirs.duplicate().unwrap(), row.clone());
    (Played { end: theirs, orders: their_orders, row, clock: None }, peer)
}

fn wanted() -> Wanted {
    Wanted {
        address: Some("127.0.0.1".into()),
        port: Some(0),
        v6_only: false,
        backlog: 128,
        index: 0,
    }
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

impl Stage {
    fn worker(&self, id: u32) -> Played {
        let (played, peer) = play(&self.board, id, id);
        assert!(self.dispatcher.send(Request::Attach(Box::new(peer))));
        played.report(&Report::Serve { listener: LISTENER, lane: false });
        played.report(&Report::Ready { places: Vec::new(), settled: true });
        let is_ready = |(worker, heard): (WorkerId, DispatcherEvent)| {
            worker == WorkerId(id)
                && matches!(heard, DispatcherEvent::Report(Report::Ready { .. }, _))
        };
        while !is_ready(self.reports.recv_timeout(Duration::from_secs(5)).expect("it is heard")) {}
        played
    }

    fn client(&self) -> TcpStream {
        connect(self.port)
    }

    /// Waits until so many connections were given to workers in all.
    fn until_handed(&self, count: u64) {
        until("so many are handed over", || {
            self.dispatcher.counts().handed.load(Ordering::Relaxed) >= count
        });
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Played {
    fn report(&self, report: &Report) {
        for frame in parts::split(report).unwrap() {
            self.orders.send(&frame, &[]).unwrap();
        }
    }

    /// What comes next, within `limit`.
    fn next(&self, limit: Duration) -> Option<(MasterFrame, Vec<TcpStream>)> {
        self.next_of(true, limit)
    }

    /// The next order, within `limit`; connections stay where they are.
    fn next_order(&self, limit: Duration) -> Option<(MasterFrame, Vec<TcpStream>)> {
        self.next_of(false, limit)
    }

    fn next_of(&self, connected: bool, limit: Duration) -> Option<(MasterFrame, Vec<TcpStream>)> {
        use rustix::event::{PollFd, PollFlags, poll};
        let deadline = Instant::now() + limit;
        let (mut buffer, mut connections) = ([0; MAX_BYTES], [0; MAX_BYTES]);
        loop {
            // As the real one: to look is a sign of life.
            self.row.set(
                Field::Beat,
                self.clock.as_ref().map_or_else(os::now, |clock| clock.get()) as f64,
            );
            let order = self.orders.receive_lossy(&mut buffer).ok().flatten();
            let received =
                order.or_else(|| if connected { self.receive(&mut connections) } else { None });
            if let Some(received) = received {
                let message = frame::from_master(received.bytes, received.fds.len()).unwrap();
                let streams: Vec<TcpStream> =
                    received.fds.into_iter().map(TcpStream::from).collect();
                if matches!(message, MasterFrame::Connections(_)) {
                    self.row.add(Field::Taken, streams.len() as f64);
                    self.row.add(Field::ConnectionsActive, streams.len() as f64);
                }
                return Some((message, streams));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let left =
                Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
            let ends =
                [PollFd::new(&self.orders, PollFlags::IN), PollFd::new(&self.end, PollFlags::IN)];
            poll(&mut ends[..1 + usize::from(connected)].to_vec(), Some(&left)).unwrap();
        }
    }

    fn receive<'a>(
        &self,
        buffer: &'a mut [u8; MAX_BYTES],
    ) -> Option<os::channel::ReceivedMessage<'a>> {
        let _claim = self.row.claim()?;
        self.end.receive(buffer).ok().flatten()
    }

    /// Takes, and ends, the connections that are there; how many.
    fn take_all(&self) -> usize {
        std::iter::from_fn(|| self.next(Duration::ZERO)).map(|(_, streams)| streams.len()).sum()
    }

    /// Takes connections until `count` are there.
    fn take(&self, count: usize) -> Vec<TcpStream> {
        let mut all = Vec::new();
        while all.len() < count {
            let (_, streams) = self.next(Duration::from_secs(5)).expect("a connection in time");
            all.extend(streams);
        }
        all
    }
}

/// The order to give back what is idle except listeners that are `retired`.
fn drain(retired: &[u32]) -> MasterFrame {
    MasterFrame::Order(Order::Drain { moving: true, retired: retired.to_vec() })
}

/// Each connection leads to one of the clients; in which order does not matter.
fn answered(servers: Vec<TcpStream>, clients: &mut [TcpStream]) {
    assert_eq!(servers.len(), clients.len());
    for mut server in servers {
        server.set_nonblocking(false).unwrap();
        server.write_all(b"!").unwrap();
    }
    for client in clients {
        client.read_exact(&mut [0]).unwrap();
    }
}

#[test]
fn connections_are_shared_evenly() {
    let stage = stage(Balance::LeastConnections);
    let (a, b) = (stage.worker(1), stage.worker(2));
    let (mut clients, mut taken) = (Vec::new(), [0, 0]);
    for _ in 0..64 {
        clients.push(stage.client());
        let before = taken;
        while taken == before {
            for (worker, taken) in [&a, &b].into_iter().zip(&mut taken) {
                *taken +=
                    worker.next(Duration::from_millis(1)).map_or(0, |(_, streams)| streams.len());
            }
        }
    }
    // A pause of this very thread can look like a stuck worker, and move the last connection.
    assert!(taken[0].abs_diff(taken[1]) <= 2, "{taken:?}");
}

#[test]
fn a_report_longer_than_a_frame_is_heard_and_what_comes_with_it_too() {
    let stage = stage(Balance::RoundRobin);
    let worker = stage.worker(1);
    let lines = vec!["x".repeat(10 * MAX_BYTES)];
    for _ in 0..2 {
        worker.report(&Report::LastLines { lines: lines.clone() });
        worker.report(&Report::Leaving);
        let next = || stage.reports.recv_timeout(Duration::from_secs(5)).expect("it is heard").1;
        assert!(
            matches!(next(), DispatcherEvent::Report(Report::LastLines { lines: heard }, _) if heard == lines)
        );
        assert!(matches!(next(), DispatcherEvent::Report(Report::Leaving, _)));
    }
}

#[test]
fn without_a_worker_connections_wait_and_are_served_by_the_next_one() {
    let stage = stage(Balance::RoundRobin);
    let mut client = stage.client();
    let worker = stage.worker(1);
    answered(worker.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn a_connection_that_nobody_will_serve_is_closed_and_holds_up_nobody_else() {
    let stage = stage(Balance::RoundRobin);
    let worker = stage.worker(1);
    let mut strays: Vec<TcpStream> = (0..2).map(|_| stage.client()).collect();
    for stream in worker.take(2) {
        // As after a reload to code that does not listen there any more.
        let origin = Origin { listener: 77, past: MOVED };
        worker.end.send(&frame::connections(std::iter::once(origin)), &[stream.as_fd()]).unwrap();
    }
    let mut client = stage.client();
    answered(worker.take(1), std::slice::from_mut(&mut client));
    let _next = stage.worker(2);
    for stray in &mut strays {
        assert!(matches!(stray.read(&mut [0]), Ok(0) | Err(_)), "closed, and not left waiting");
    }
}

#[test]
fn what_a_dead_worker_did_not_take_goes_to_another() {
    let stage = stage(Balance::RoundRobin);
    let dying = stage.worker(1);
    let mut clients: Vec<TcpStream> = (0..10).map(|_| stage.client()).collect();
    let taken = dying.take(1).len();
    drop(dying);
    stage.dispatcher.send(Request::Detach(WorkerId(1), Exit::Code(0)));
    let heir = stage.worker(2);
    answered(heir.take(10 - taken), &mut clients[taken..]);
}

#[test]
fn what_a_stuck_worker_does_not_take_goes_to_a_free_one_and_the_stuck_one_is_spared() {
    let stage = stage(Balance::RoundRobin);
    let (stuck, free) = (stage.worker(1), stage.worker(2));
    let mut clients: Vec<TcpStream> = (0..8).map(|_| stage.client()).collect();
    let begun = Instant::now();
    let streams = free.take(8);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    // Taken, this tells that it is not stuck any more: an idle worker beats by itself once a second only.
    assert_eq!(stuck.next(Duration::from_secs(1)).unwrap().0, MasterFrame::Order(Order::Beat));
    assert!(stuck.next(Duration::ZERO).is_none(), "nothing is left for the stuck one");
    for client in &mut clients {
        client.write_all(b"?").unwrap();
    }
    // While it shows no sign of life it gets nothing; afterwards it does.
    stuck.row.set(Field::Beat, 0.0);
    let _more: Vec<TcpStream> = (0..4).map(|_| stage.client()).collect();
    free.take(4);
    stuck.row.set(Field::Beat, os::now() as f64 + 1.0);
    let _again: Vec<TcpStream> = (0..4).map(|_| stage.client()).collect();
    assert!(!stuck.take(1).is_empty());
    drop(streams);
}

#[test]
fn with_ip_hash_what_a_stuck_worker_does_not_take_waits_for_it() {
    let stage = stage(Balance::IpHash);
    let workers = [stage.worker(1), stage.worker(2)];
    let _clients: Vec<TcpStream> = (0..8).map(|_| stage.client()).collect();
    // Longer than any of them may wait by the other policies.
    std::thread::sleep(Duration::from_millis(4 * TAKE_WITHIN));
    let takes = |worker: &Played| {
        std::iter::from_fn(|| worker.next(Duration::from_millis(50)))
            .map(|(_, fds)| fds.len())
            .sum()
    };
    let mut taken: [usize; 2] = workers.each_ref().map(takes);
    taken.sort_unstable();
    assert_eq!(taken, [0, 8], "all are of one address");
    assert_eq!(stage.dispatcher.counts().reclaimed.load(Ordering::Relaxed), 0);
    // What it has taken does not keep it from leaving.
    for (index, worker) in workers.iter().enumerate() {
        stage.dispatcher.send(Request::Drain(WorkerId(index as u32 + 1)));
        assert!(matches!(
            worker.next(Duration::from_secs(5)).unwrap().0,
            MasterFrame::Order(Order::Drain { .. })
        ));
        worker.report(&Report::Drained);
        assert_eq!(
            worker.next(Duration::from_secs(5)).unwrap().0,
            MasterFrame::Order(Order::Leave)
        );
    }
}

#[test]
fn a_dispatcher_that_fails_ends_the_process() {
    let name = "dispatcher::tests::a_dispatcher_that_fails_ends_the_process";
    let output = os::descriptors::alone::apart(name, || {
        let (door, _) = door(Balance::RoundRobin);
        let dispatcher =
            Dispatcher::start(door, Balance::RoundRobin, Box::new(|_, _| panic!("on purpose")))
                .unwrap();
        let (played, peer) = play(&Scoreboard::create(2).unwrap(), 1, 1);
        dispatcher.send(Request::Attach(Box::new(peer)));
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

#[test]
fn an_order_does_not_wait_behind_connections() {
    let stage = stage(Balance::RoundRobin);
    let worker = stage.worker(1);
    let mut clients: Vec<TcpStream> = (0..100).map(|_| stage.client()).collect();
    worker.report(&Report::Bind {
        seq: 9,
        wanted: Wanted {
            address: Some("not an address".into()),
            port: Some(1),
            v6_only: false,
            backlog: 0,
            index: 0,
        },
    });
    let (order, _) = worker.next_order(Duration::from_secs(5)).expect("the answer");
    assert_eq!(order, MasterFrame::Order(Order::BindFailed { seq: 9, errno: 22 }));
    answered(worker.take(100), &mut clients);
}

#[test]
fn who_has_no_descriptors_gets_no_more_than_fit_and_others_get_what_it_had_not_taken() {
    let stage = stage(Balance::RoundRobin);
    let short = stage.worker(1);
    let mut clients: Vec<TcpStream> = (0..20).map(|_| stage.client()).collect();
    stage.until_handed(20);
    // All of that lies in its channel.
    short.report(&Report::Room { until: Some(3) });
    until("it is taken back", || stage.dispatcher.counts().reclaimed.load(Ordering::Relaxed) == 20);
    let mut taken = short.take(3);
    assert!(short.next(Duration::from_millis(3 * TAKE_WITHIN)).is_none());
    short.report(&Report::Room { until: Some(5) });
    taken.extend(short.take(2));
    assert!(short.next(Duration::from_millis(3 * TAKE_WITHIN)).is_none());
    let other = stage.worker(2);
    taken.extend(other.take(15));
    answered(taken, &mut clients);
    let mut clients: Vec<TcpStream> = (0..4).map(|_| stage.client()).collect();
    answered(other.take(4), &mut clients);
    short.report(&Report::Room { until: None });
    let mut clients: Vec<TcpStream> = (0..4).map(|_| stage.client()).collect();
    answered([short.take(2), other.take(2)].into_iter().flatten().collect(), &mut clients);
}

#[test]
fn while_a_worker_takes_nobody_else_takes_what_is_its_own() {
    let stage = stage(Balance::RoundRobin);
    let taking = stage.worker(1);
    let claim = taking.row.claim().unwrap();
    let mut clients: Vec<TcpStream> = (0..3).map(|_| stage.client()).collect();
    stage.until_handed(3);
    taking.report(&Report::Room { until: Some(0) });
    let other = stage.worker(2);
    assert!(other.next(Duration::from_millis(3 * TAKE_WITHIN)).is_none());
    drop(claim);
    answered(other.take(3), &mut clients);
    // One that died in the middle of it holds back nothing.
    let mut clients: Vec<TcpStream> = (0..2).map(|_| stage.client()).collect();
    stage.until_handed(8);
    std::mem::forget(other.row.claim());
    drop(other);
    stage.dispatcher.send(Request::Detach(WorkerId(2), Exit::Code(0)));
    answered(stage.worker(3).take(2), &mut clients);
}

#[test]
fn what_a_worker_gave_back_just_before_its_death_goes_to_another() {
    let stage = stage(Balance::RoundRobin);
    let moving = stage.worker(1);
    let mut clients: Vec<TcpStream> = (0..5).map(|_| stage.client()).collect();
    let mut taken = Vec::new();
    while taken.len() < 5 {
        taken.extend(moving.take(1));
    }
    for stream in taken {
        let origin = Origin { listener: LISTENER, past: MOVED };
        moving.end.send(&frame::connections(std::iter::once(origin)), &[stream.as_fd()]).unwrap();
    }
    drop(moving);
    stage.dispatcher.send(Request::Detach(WorkerId(1), Exit::Code(0)));
    answered(stage.worker(2).take(5), &mut clients);
}

#[test]
fn a_draining_worker_gets_nothing_new_and_leaves_only_when_nothing_is_on_the_way() {
    let stage = stage(Balance::LeastConnections);
    let (old, new) = (stage.worker(1), stage.worker(2));
    stage.dispatcher.send(Request::Drain(WorkerId(1)));
    assert_eq!(old.next(Duration::from_secs(5)).unwrap().0, drain(&[]));
    let _clients: Vec<TcpStream> = (0..6).map(|_| stage.client()).collect();
    new.take(6);
    old.report(&Report::Drained);
    assert_eq!(old.next(Duration::from_secs(5)).unwrap().0, MasterFrame::Order(Order::Leave));
}

#[test]
fn where_all_workers_leave_by_themselves_the_address_stays_and_who_comes_waits_for_the_next_one() {
    let stage = stage(Balance::LeastConnections);
    let all = [stage.worker(1), stage.worker(2)];
    for worker in &all {
        worker.report(&Report::Leaving);
        worker.report(&Report::Unserve { listener: LISTENER });
    }
    for worker in &all {
        // At once, and not only when the supervisor has heard of it.
        assert_eq!(worker.next(Duration::from_secs(5)).unwrap().0, drain(&[]));
    }
    let mut client = stage.client();
    let next = stage.worker(3);
    answered(next.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn shutting_the_door_hands_out_the_queue_before_anybody_may_leave() {
    let stage = stage(Balance::LeastConnections);
    let mut clients: Vec<TcpStream> = (0..20).map(|_| stage.client()).collect();
    let worker = stage.worker(1);
    let (done, shut) = oneshot::channel();
    stage.dispatcher.send(Request::ShutDoor(done));
    stage.dispatcher.send(Request::Drain(WorkerId(1)));
    shut.blocking_recv().unwrap();
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
    assert!(TcpStream::connect(("127.0.0.1", stage.port)).is_err());
}

#[test]
fn what_a_full_worker_cannot_get_waits_until_it_takes_something() {
    let stage = stage(Balance::LeastConnections);
    let worker = stage.worker(1);
    // However long it takes nothing, nobody else is free.
    let mut clients: Vec<TcpStream> = (0..200).map(|_| stage.client()).collect();
    stage.until_handed(128);
    std::thread::sleep(Duration::from_millis(2 * TAKE_WITHIN));
    assert_eq!(stage.dispatcher.counts().handed.load(Ordering::Relaxed), 128);
    answered(worker.take(200), &mut clients);
}

#[test]
fn a_worker_gets_connections_of_those_listeners_only_that_it_serves() {
    let stage = stage(Balance::LeastConnections);
    let (both, one) = (stage.worker(1), stage.worker(2));
    let wanted = Wanted {
        address: Some("127.0.0.1".into()),
        port: Some(0),
        v6_only: false,
        backlog: 128,
        index: 1,
    };
    both.report(&Report::Bind { seq: 1, wanted });
    let Some((MasterFrame::Order(Order::Bound { listener, address, .. }), _)) =
        both.next(Duration::from_secs(5))
    else {
        panic!("no answer");
    };
    both.report(&Report::Serve { listener, lane: false });
    let connect = || TcpStream::connect(("127.0.0.1", address.as_ref().unwrap().port)).unwrap();
    let mut clients: Vec<TcpStream> = (0..6).map(|_| connect()).collect();
    answered(both.take(6), &mut clients);
    assert!(one.next(Duration::ZERO).is_none());
    // It gets no more of them either, and those who come wait for somebody who does.
    both.report(&Report::Unserve { listener: LISTENER });
    let mut others: Vec<TcpStream> = (0..6).map(|_| stage.client()).collect();
    answered(one.take(6), &mut others);
}

mod still;

mod lanes;

/// What the supervisor would hear next, within five seconds.
fn heard(stage: &Stage) -> (WorkerId, DispatcherEvent) {
    stage.reports.recv_timeout(Duration::from_secs(5)).expect("it is heard")
}

/// Reports warnings until the channel is full; how many.
fn flood(worker: &Played) -> usize {
    let warning = |number: usize| frame::report(&Report::Warning { message: number.to_string() });
    let mut full_since = None;
    for number in 0.. {
        while worker.orders.send(&warning(number), &[]).is_err() {
            if full_since.get_or_insert_with(Instant::now).elapsed() > Duration::from_millis(200) {
                return number;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        full_since = None;
    }
    unreachable!()
}

#[test]
fn a_worker_that_floods_its_channel_is_read_no_further_than_it_is_heard_and_no_report_is_lost() {
    let stage = stage(Balance::LeastConnections);
    let (flooding, other) = (stage.worker(1), stage.worker(2));
    let sent = flood(&flooding);
    let first: Vec<_> = stage.reports.try_iter().collect();
    assert!(first.len() < 100 && first.len() < sent, "{} of {sent} reports wait", first.len());

    other.report(&Report::Leaving);
    assert!(
        matches!(heard(&stage), (WorkerId(2), DispatcherEvent::Report(Report::Leaving, _))),
        "others are heard meanwhile"
    );
    let _client = stage.client();
    assert!(
        flooding
            .next(Duration::from_millis(500))
            .or_else(|| other.next(Duration::from_secs(5)))
            .is_some()
    );

    // DispatcherEvent, each makes room for another one.
    let mut count = first.len();
    drop(first);
    while count < sent {
        let (worker, DispatcherEvent::Report(Report::Warning { message }, _)) = heard(&stage)
        else {
            panic!("a warning")
        };
        assert_eq!((worker, message), (WorkerId(1), count.to_string()));
        count += 1;
    }
}

#[test]
fn a_worker_that_ends_in_a_flood_is_heard_to_the_end_although_nobody_made_room() {
    let stage = stage(Balance::LeastConnections);
    let flooding = stage.worker(1);
    let sent = flood(&flooding);
    assert!(stage.dispatcher.send(Request::Detach(WorkerId(1), Exit::Code(0))));
    let mut count = 0;
    let mut kept = Vec::new();
    loop {
        match heard(&stage) {
            (_, DispatcherEvent::Gone(_)) => break,
            report => kept.push(report),
        }
        count += 1;
    }
    assert_eq!(count, sent);
}

#[test]
fn a_worker_that_asks_without_reading_the_answers_is_read_no_further() {
    let stage = stage(Balance::LeastConnections);
    let asking = stage.worker(1);
    let mut count = 0;
    let mut full_since = Instant::now();
    while full_since.elapsed() < Duration::from_millis(300) && count < 20_000 {
        let bind = frame::report(&Report::Bind { seq: count, wanted: wanted() });
        match asking.orders.send(&bind, &[]) {
            Ok(()) => (count, full_since) = (count + 1, Instant::now()),
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    assert!(count < 20_000, "the channel pushes back");
    for seq in 0..count {
        let (MasterFrame::Order(order), _) =
            asking.next(Duration::from_secs(5)).expect("an answer")
        else {
            panic!("an order")
        };
        assert!(
            matches!(order, Order::Bound { seq: answered, .. } if answered == seq),
            "{order:?}"
        );
    }
}
