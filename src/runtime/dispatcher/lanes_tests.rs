//! Lanes, with workers that are played by the test and accept on theirs.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// A worker that accepts on the lane of its slot.
struct OnLane {
    played: Played,
    lane: TcpListener,
}

impl Stage {
    fn on_lane(&self, id: u32, slot: u32) -> OnLane {
        let (ours, theirs) = Channel::pair().unwrap();
        let row = self.board.row(id as usize).unwrap();
        let peer = Peer::new(WorkerId(id), slot, ours, theirs.duplicate().unwrap(), row.clone());
        assert!(self.dispatcher.send(Request::Attach(Box::new(peer))));
        let played = Played { end: theirs, row };
        played.report(&Report::Bind { seq: 1, wanted: wanted() });
        let (order, fds) = played.next(SOON).expect("the answer");
        assert!(matches!(order, FromMaster::Order(Order::Bound { listener: LISTENER, .. })), "{order:?}");
        let [lane] = <[TcpStream; 1]>::try_from(fds).expect("a lane");
        played.report(&Report::Serve { listener: LISTENER, lane: true });
        played.report(&Report::Ready { places: Vec::new(), settled: true });
        while self.reports.recv_timeout(SOON).expect("it is heard").0 != WorkerId(id) {}
        OnLane { played, lane: TcpListener::from(OwnedFd::from(lane)) }
    }

    fn clients(&self, count: usize) -> Vec<TcpStream> {
        (0..count).map(|_| self.client()).collect()
    }

    fn handed(&self) -> u64 {
        self.dispatcher.counts().handed.load(Ordering::Relaxed)
    }
}

impl OnLane {
    /// What waits on its lane, as its event loop would take it.
    fn accept(&self) -> Vec<TcpStream> {
        let accepted: Vec<TcpStream> = std::iter::from_fn(|| self.lane.accept().ok()).map(|(fd, _)| fd).collect();
        self.played.row.add(Field::ConnectionsTotal, accepted.len() as f64);
        accepted
    }
}

#[test]
fn each_worker_accepts_on_its_own_lane_and_the_dispatcher_hands_over_nothing() {
    let stage = stage(Balance::Kernel);
    let (a, b) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
    let mut clients = stage.clients(64);
    let (first, second) = (a.accept(), b.accept());
    assert!(!first.is_empty() && !second.is_empty(), "{} {}", first.len(), second.len());
    answered(first.into_iter().chain(second).collect(), &mut clients);
    assert_eq!(stage.handed(), 0);
}

#[test]
fn a_lane_keeps_its_queue_when_its_worker_dies_and_the_replacement_takes_it_over() {
    let stage = stage(Balance::Kernel);
    let dead = stage.on_lane(1, 0);
    let mut clients = stage.clients(20);
    drop(dead);
    stage.dispatcher.send(Request::Detach(WorkerId(1), Exit::Code(0)));
    answered(stage.on_lane(2, 0).accept(), &mut clients);
    assert_eq!(stage.handed(), 0);
}

#[test]
fn what_waits_on_the_lane_of_a_dead_or_draining_worker_goes_to_another() {
    for draining in [false, true] {
        let stage = stage(Balance::Kernel);
        let (leaving, other) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
        let mut clients = stage.clients(40);
        let mut servers = other.accept();
        let queued = 40 - servers.len();
        assert!(queued > 0);
        stage.dispatcher.send(match draining {
            true => Request::Drain(WorkerId(1)),
            false => Request::Detach(WorkerId(1), Exit::Code(0)),
        });
        servers.extend(other.played.take(queued));
        answered(servers, &mut clients);
        drop(leaving);
    }
}

#[test]
fn what_a_stuck_worker_leaves_on_its_lane_goes_to_a_free_one_until_it_shows_a_sign_of_life() {
    let stage = stage(Balance::Kernel);
    let (stuck, free) = (stage.on_lane(1, 0), stage.on_lane(2, 1));
    let mut clients = stage.clients(40);
    let begun = Instant::now();
    let mut servers = free.accept();
    servers.extend(free.played.take(40 - servers.len()));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    answered(servers, &mut clients);
    // To take the order is the sign.
    assert_eq!(stuck.played.next(SOON).unwrap().0, FromMaster::Order(Order::Beat));
    // The dispatcher sees it with the next that comes.
    let mut clients = stage.clients(40);
    let mut servers = free.accept();
    while servers.len() < 40 {
        servers.extend(stuck.accept());
        servers.extend(free.accept());
        servers.extend(free.played.next(Duration::from_millis(1)).into_iter().flat_map(|(_, fds)| fds));
    }
    answered(servers, &mut clients);
    assert!(stuck.played.row.count(Field::ConnectionsTotal) > 0);
}

#[test]
fn a_worker_that_makes_progress_keeps_its_lane_and_so_does_one_where_nobody_else_is_free() {
    let stage = stage(Balance::Kernel);
    let busy = stage.on_lane(1, 0);
    let mut clients = stage.clients(5);
    // Alone: longer than it would be left with its queue otherwise.
    std::thread::sleep(Duration::from_millis(4 * TAKE_WITHIN));
    let other = stage.on_lane(2, 1);
    for _ in 0..40 {
        busy.played.row.add(Field::ConnectionsTotal, 1.0);
        std::thread::sleep(Duration::from_millis(TAKE_WITHIN / 5));
    }
    assert!(other.played.next(Duration::ZERO).is_none());
    answered(busy.accept(), &mut clients);
    assert_eq!(stage.handed(), 0);
}

#[test]
fn a_worker_that_accepts_no_more_by_itself_gets_what_comes_on_its_lane_from_the_dispatcher() {
    let stage = stage(Balance::Kernel);
    let worker = stage.on_lane(1, 0);
    worker.played.report(&Report::Serve { listener: LISTENER, lane: false });
    let mut clients = stage.clients(10);
    answered(worker.played.take(10), &mut clients);
}

#[test]
fn shutting_the_door_empties_all_lanes_and_leaves_the_port_free_whoever_has_them() {
    let stage = stage(Balance::Kernel);
    let workers = [stage.on_lane(1, 0), stage.on_lane(2, 1)];
    let mut clients = stage.clients(30);
    let (done, shut) = oneshot::channel();
    stage.dispatcher.send(Request::ShutDoor(done));
    shut.blocking_recv().unwrap();
    let mut taken = Vec::new();
    for (index, worker) in workers.iter().enumerate() {
        stage.dispatcher.send(Request::Drain(WorkerId(index as u32 + 1)));
        worker.played.report(&Report::Drained);
        while let Some((order, fds)) = worker.played.next(SOON) {
            taken.extend(fds);
            if order == FromMaster::Order(Order::Leave) {
                break;
            }
        }
    }
    answered(taken, &mut clients);
    let refused = TcpStream::connect(("127.0.0.1", stage.port)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}
