//! Measures what a connection costs the dispatcher, for 1 to 1,024 workers: the choice of a worker
//! alone, and whole turns over real sockets. The workers are simulated: the benchmark holds the
//! other ends of their channels and writes their numbers. The last table shows whole turns in
//! processor time of the dispatcher's own thread, which clients and other programs hardly disturb.
//!
//! `cargo bench --bench dispatcher`

// As in tests: what fails here ends the measurement.
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up should fail")]

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use cluster2_rs::balancing::{Balancer, LoadSnapshot};
use cluster2_rs::config::Balance;
use cluster2_rs::dispatcher::{Dispatcher, DispatcherEvent, Request, WorkerLink};
use cluster2_rs::listeners::ListenerSet;
use cluster2_rs::os::channel::Channel;
use cluster2_rs::os::channel::MAX_BYTES;
use cluster2_rs::os::scoreboard::Field;
use cluster2_rs::os::scoreboard::Row;
use cluster2_rs::os::scoreboard::Scoreboard;
use cluster2_rs::os::waker::Waker;
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
/// How many connections come together.
const BATCH: usize = 32;

fn main() {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    // A limit that stays too low is reported by `fits`.
    let _ =
        rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    divan::main();
    // Not in a dry run, nor when only some benchmarks were selected.
    if std::env::args().skip(1).eq(["--bench"]) {
        print_turns();
    }
}

/// Prints processor time per connection: for turns of one connection, and of a batch.
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

/// Whether there are enough descriptors for this many workers.
fn fits(workers: u32) -> bool {
    let limit = rustix::process::getrlimit(Resource::Nofile).current;
    let fits = limit.is_none_or(|limit| limit > u64::from(workers) * 6 + 256);
    if !fits {
        eprintln!("skipped for {workers} workers: RLIMIT_NOFILE is {limit:?}");
    }
    fits
}

/// Worker links without a dispatcher.
struct Links {
    links: BTreeMap<WorkerId, WorkerLink>,
    rows: Vec<Row>,
    _ends: Vec<[Channel; 2]>,
}

/// Makes the link of worker `id`. Returns it with the worker's row, and its ends of channel and
/// orders.
fn link(board: &Arc<Scoreboard>, id: u32) -> (WorkerLink, Row, Channel, Channel) {
    let (ours, theirs) = Channel::pair().unwrap();
    let (orders, their_orders) = Channel::pair().unwrap();
    let row = board.row(id as usize - 1).unwrap();
    let duplicate = theirs.duplicate().unwrap();
    let (worker, waker) = (WorkerId(id), Waker::new().unwrap());
    let link = WorkerLink::new(worker, id - 1, orders, ours, duplicate, row.clone(), waker);
    (link, row, theirs, their_orders)
}

fn links(workers: u32) -> Links {
    let board = Scoreboard::alone(workers as usize).unwrap();
    let mut all = Links { links: BTreeMap::new(), rows: Vec::new(), _ends: Vec::new() };
    for id in 1..=workers {
        let (mut link, row, theirs, their_orders) = link(&board, id);
        link.serve(LISTENER, false, false);
        all.links.insert(WorkerId(id), link);
        all.rows.push(row);
        all._ends.push([theirs, their_orders]);
    }
    all
}

fn choose(bencher: Bencher, workers: u32, policy: Balance) {
    if !fits(workers) {
        return;
    }
    let mut all = links(workers);
    let mut balancer = Balancer::new(policy);
    for (id, link) in &mut all.links {
        balancer.insert(*id, link.slot(), link.load(false));
    }
    let mut random = fastrand::Rng::with_seed(7);
    bencher.bench_local(|| {
        // A connection ends somewhere.
        let ending = &all.rows[random.usize(..all.rows.len())];
        ending.set(Field::ConnectionsActive, (ending.get(Field::ConnectionsActive) - 1.0).max(0.0));
        let client = IpAddr::from(random.u32(..).to_be_bytes());
        let mut snapshot =
            |id| all.links.get_mut(&id).map_or(LoadSnapshot::FULL, |link| link.load(false));
        let chosen = balancer.choose(Some(client), None, &mut snapshot).unwrap();
        all.rows[chosen.0 as usize - 1].add(Field::ConnectionsActive, 1.0);
        balancer.refresh(chosen, snapshot(chosen));
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

/// A running dispatcher whose workers are simulated by this thread.
struct Stage {
    _dispatcher: Dispatcher,
    epoll: rustix::fd::OwnedFd,
    workers: Vec<(Channel, Channel, Row)>,
    port: u16,
    buffer: Box<[u8; MAX_BYTES]>,
}

fn stage(workers: u32) -> Stage {
    let mut listeners = ListenerSet::default();
    let wanted = Wanted {
        address: Some("127.0.0.1".into()),
        port: Some(0),
        v6_only: false,
        backlog: 511,
        index: 0,
    };
    listeners.pin(&wanted).unwrap();
    let listener = listeners.bind(&wanted, |_| true).unwrap();
    let port = listeners.address(listener).0.unwrap().port;
    let (sender, reports) = std::sync::mpsc::channel();
    let notify = Box::new(move |worker, event| {
        if let DispatcherEvent::Report(Report::Ready { .. }, _) = event {
            sender.send(worker).unwrap_or_default();
        }
    });
    let dispatcher = Dispatcher::start(listeners, Balance::LeastConnections, None, notify).unwrap();
    let board: Arc<Scoreboard> = Scoreboard::alone(workers as usize).unwrap();
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let mut simulated = Vec::new();
    for id in 1..=workers {
        let (link, row, theirs, their_orders) = link(&board, id);
        assert!(dispatcher.send(Request::Attach(Box::new(link))));
        their_orders
            .send(&frame::report(&Report::Serve { listener, accepts: false, http1: false }), &[])
            .unwrap();
        their_orders
            .send(&frame::report(&Report::Ready { endpoints: Vec::new(), settled: true }), &[])
            .unwrap();
        assert_eq!(reports.recv_timeout(Duration::from_secs(5)), Ok(WorkerId(id)));
        epoll::add(
            &epoll,
            &theirs,
            epoll::EventData::new_u64(u64::from(id) - 1),
            epoll::EventFlags::IN,
        )
        .unwrap();
        simulated.push((theirs, their_orders, row));
    }
    Stage {
        _dispatcher: dispatcher,
        epoll,
        workers: simulated,
        port,
        buffer: Box::new([0; MAX_BYTES]),
    }
}

impl Stage {
    /// Connects a client whose socket leaves nothing behind when it closes.
    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream
    }

    /// Serves at least `count` connections, in batches of `size`.
    fn serve(&mut self, size: usize, count: usize) {
        for _ in 0..count.div_ceil(size) {
            let _clients: Vec<TcpStream> = (0..size).map(|_| self.client()).collect();
            self.take(size);
        }
    }

    /// Returns for how long the dispatcher's thread has run, nanoseconds.
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

    /// Takes `count` connections, and closes them.
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

/// A connection is accepted, a worker chosen, and the connection handed over and taken. Includes
/// the cost of the client's own `connect`.
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
