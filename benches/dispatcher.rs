//! What a connection costs the dispatcher, for 1 to 1,024 workers: the choice alone, and a whole turn over real sockets. Workers
//! are played: their numbers are written here, and here is the other end of their channels. Below stands what whole turns cost in
//! processor time of the dispatcher's own thread, which neither clients nor other programs disturb much.
//!
//! `cargo bench --bench dispatcher`

// As in tests: what fails here ends the measurement.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cluster2_rs::balancing::{Balancer, LoadSnapshot};
use cluster2_rs::config::Balance;
use cluster2_rs::dispatcher::event_loop::Dispatcher;
use cluster2_rs::dispatcher::event_loop::Request;
use cluster2_rs::dispatcher::link::state::WorkerLink;
use cluster2_rs::dispatcher::listeners::set::ListenerSet;
use cluster2_rs::os::channel::Channel;
use cluster2_rs::os::channel::MAX_BYTES;
use cluster2_rs::os::scoreboard::Field;
use cluster2_rs::os::scoreboard::Row;
use cluster2_rs::os::scoreboard::Scoreboard;
use cluster2_rs::protocol::Report;
use cluster2_rs::protocol::Wanted;
use cluster2_rs::protocol::frame;
use cluster2_rs::protocol::worker::WorkerId;
use divan::Bencher;
use divan::counter::ItemsCount;
use rustix::event::epoll;
use rustix::process::{Resource, Rlimit};

const WORKERS: [u32; 7] = [1, 2, 4, 16, 64, 256, 1024];
const LISTENER: u32 = 1;
/// Connections of one measured round.
const BATCH: usize = 32;

fn main() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // What is lacking is told where it is missed.
    let _ =
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    divan::main();
    // Not when it is only tried out, or something else was asked for.
    if std::env::args().skip(1).eq(["--bench"]) {
        print_turns();
    }
}

/// Processor time per connection, where each turn brings one of them, and where they come together.
fn print_turns() {
    println!("| workers | one a turn | {BATCH} at once |\n| ---: | ---: | ---: |");
    for workers in WORKERS.into_iter().filter(|workers| fits(*workers)) {
        let mut stage = stage(workers);
        let [single, batch] = [1, BATCH].map(|size| {
            stage.serve(size, 1_000);
            let (before, count) = (stage.dispatcher_time(), 20_000);
            stage.serve(size, count);
            (stage.dispatcher_time() - before) / count as u64
        });
        println!("| {workers} | {:.1} µs | {:.1} µs |", single as f64 / 1e3, batch as f64 / 1e3);
    }
}

/// Whether there are descriptors for so many workers: four each.
fn fits(workers: u32) -> bool {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let fits = limit.is_none_or(|limit| limit > u64::from(workers) * 6 + 256);
    if !fits {
        eprintln!("skipped for {workers} workers: RLIMIT_NOFILE is {limit:?}");
    }
    fits
}

struct Crew {
    peers: BTreeMap<WorkerId, WorkerLink>,
    rows: Vec<Row>,
    _ends: Vec<[Channel; 2]>,
}

fn crew(workers: u32) -> Crew {
    let board = Scoreboard::alone(workers as usize).unwrap();
    let mut crew = Crew { peers: BTreeMap::new(), rows: Vec::new(), _ends: Vec::new() };
    for id in 1..=workers {
        let (ours, theirs) = Channel::pair().unwrap();
        let row = board.row(id as usize - 1).unwrap();
        let (orders, their_orders) = Channel::pair().unwrap();
        let mut peer = WorkerLink::new(
            WorkerId(id),
            id - 1,
            orders,
            ours,
            theirs.duplicate().unwrap(),
            row.clone(),
        );
        peer.serve(LISTENER, false);
        crew.peers.insert(WorkerId(id), peer);
        crew.rows.push(row);
        crew._ends.push([theirs, their_orders]);
    }
    crew
}

fn choose(bencher: Bencher, workers: u32, policy: Balance) {
    if !fits(workers) {
        return;
    }
    let mut crew = crew(workers);
    let mut balancer = Balancer::new(policy);
    for (id, peer) in &mut crew.peers {
        balancer.insert(*id, peer.slot(), peer.look(false));
    }
    let mut random = fastrand::Rng::with_seed(7);
    bencher.bench_local(|| {
        // Somewhere a connection ends.
        let ending = &crew.rows[random.usize(..crew.rows.len())];
        ending.set(Field::ConnectionsActive, (ending.get(Field::ConnectionsActive) - 1.0).max(0.0));
        let client = IpAddr::from(random.u32(..).to_be_bytes());
        let mut look =
            |id| crew.peers.get_mut(&id).map_or(LoadSnapshot::FULL, |peer| peer.look(false));
        let chosen = balancer.choose(Some(client), None, &mut look).unwrap();
        crew.rows[chosen.0 as usize - 1].add(Field::ConnectionsActive, 1.0);
        balancer.refresh(chosen, look(chosen));
    });
}

#[divan::bench(args = WORKERS)]
fn choose_least_connections(bencher: Bencher, workers: u32) {
    choose(bencher, workers, Balance::LeastConnections);
}

#[divan::bench(args = WORKERS)]
fn choose_round_robin(bencher: Bencher, workers: u32) {
    choose(bencher, workers, Balance::RoundRobin);
}

#[divan::bench(args = WORKERS)]
fn choose_ip_hash(bencher: Bencher, workers: u32) {
    choose(bencher, workers, Balance::IpHash);
}

/// A running dispatcher whose workers are played by this thread.
struct Stage {
    _dispatcher: Dispatcher,
    epoll: rustix::fd::OwnedFd,
    workers: Vec<(Channel, Channel, Row)>,
    port: u16,
    buffer: Box<[u8; MAX_BYTES]>,
}

fn stage(workers: u32) -> Stage {
    let mut door = ListenerSet::default();
    let wanted = Wanted {
        address: Some("127.0.0.1".into()),
        port: Some(0),
        v6_only: false,
        backlog: 511,
        index: 0,
    };
    door.pin(&wanted).unwrap();
    let listener = door.bind(&wanted, |_| true).unwrap();
    let port = door.place(listener).0.unwrap().port;
    let (sender, reports) = std::sync::mpsc::channel();
    let tell = Box::new(move |worker, _| sender.send(worker).unwrap_or_default());
    let dispatcher = Dispatcher::start(door, Balance::LeastConnections, tell).unwrap();
    let board: Arc<Scoreboard> = Scoreboard::alone(workers as usize).unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut played = Vec::new();
    for id in 1..=workers {
        let (ours, theirs) = Channel::pair().unwrap();
        let row = board.row(id as usize - 1).unwrap();
        let (orders, their_orders) = Channel::pair().unwrap();
        let peer = WorkerLink::new(
            WorkerId(id),
            id - 1,
            orders,
            ours,
            theirs.duplicate().unwrap(),
            row.clone(),
        );
        assert!(dispatcher.send(Request::Attach(Box::new(peer))));
        their_orders.send(&frame::report(&Report::Serve { listener, lane: false }), &[]).unwrap();
        their_orders
            .send(&frame::report(&Report::Ready { places: Vec::new(), settled: true }), &[])
            .unwrap();
        assert_eq!(reports.recv_timeout(Duration::from_secs(5)), Ok(WorkerId(id)));
        epoll::add(
            &epoll,
            &theirs,
            epoll::EventData::new_u64(u64::from(id) - 1),
            epoll::EventFlags::IN,
        )
        .unwrap();
        played.push((theirs, their_orders, row));
    }
    Stage {
        _dispatcher: dispatcher,
        epoll,
        workers: played,
        port,
        buffer: Box::new([0; MAX_BYTES]),
    }
}

impl Stage {
    /// A client that leaves nothing behind when it closes.
    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream
    }

    /// So many connections or a few more, of which always `size` come together.
    fn serve(&mut self, size: usize, count: usize) {
        for _ in 0..count.div_ceil(size) {
            let _clients: Vec<TcpStream> = (0..size).map(|_| self.client()).collect();
            self.take(size);
        }
    }

    /// Nanoseconds for which the dispatcher's thread has run.
    fn dispatcher_time(&self) -> u64 {
        let threads =
            std::fs::read_dir("/proc/self/task").unwrap().map(|thread| thread.unwrap().path());
        let is_it = |path: &std::path::PathBuf| {
            std::fs::read_to_string(path.join("comm"))
                .is_ok_and(|name| name.starts_with("cluster2-dispat"))
        };
        let its = threads.into_iter().find(is_it).unwrap();
        let times = std::fs::read_to_string(its.join("schedstat")).unwrap();
        times.split(' ').next().unwrap().parse().unwrap()
    }

    /// Takes `count` connections, and ends them.
    fn take(&mut self, mut count: usize) {
        let mut events = Vec::with_capacity(64);
        while count > 0 {
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None).unwrap();
            for event in &events {
                let (end, _, row) = &self.workers[event.data.u64() as usize];
                row.set(Field::Beat, cluster2_rs::os::now() as f64);
                let Some(_claim) = row.claim() else { continue };
                if let Ok(Some(received)) = end.receive(&mut self.buffer) {
                    row.add(Field::Taken, received.fds.len() as f64);
                    count -= received.fds.len();
                }
            }
        }
    }
}

/// Accepted, chosen, handed over, taken; with what the client's own `connect` costs.
#[divan::bench(args = WORKERS, sample_count = 50, sample_size = 4)]
fn turn(bencher: Bencher, workers: u32) {
    if !fits(workers) {
        return;
    }
    let mut stage = stage(workers);
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let clients: Vec<TcpStream> = (0..BATCH).map(|_| stage.client()).collect();
        stage.take(BATCH);
        clients
    });
}
