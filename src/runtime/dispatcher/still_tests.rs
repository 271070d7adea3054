//! The dispatcher's loop on the test's own thread, by the test's clock: however long the machine holds the test up, no worker that it
//! plays looks stuck for that.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::*;

pub(super) struct Still {
    pub(super) run: Loop,
    clock: Rc<Cell<Millis>>,
    requests: Sender<Request>,
    board: Arc<Scoreboard>,
    port: u16,
    events: Vec<epoll::Event>,
}

impl Still {
    pub(super) fn new(policy: Balance) -> Self {
        let (door, port) = door(policy);
        let wake = Arc::new(rustix::event::eventfd(0, EventfdFlags::NONBLOCK).unwrap());
        let (requests, inbox) = channel();
        let run = Loop::new(door, policy, wake, inbox, Box::new(|_, _| {}), Arc::default()).unwrap();
        let clock = Rc::new(Cell::new(run.now));
        Self { run, clock, requests, board: Scoreboard::create(8).unwrap(), port, events: Vec::with_capacity(256) }
    }

    /// A worker that serves nothing yet.
    pub(super) fn attach(&mut self, id: u32, slot: u32) -> Played {
        let (played, peer) = play(&self.board, id, slot);
        self.run.attach(peer);
        Played { clock: Some(Rc::clone(&self.clock)), ..played }
    }

    /// Turns until there is nothing more to do, and in no time.
    pub(super) fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..100 {
            self.events.clear();
            let no_time = Timespec { tv_sec: 0, tv_nsec: 0 };
            epoll::wait(&self.run.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&no_time)).unwrap();
            self.run.act(&self.events, self.clock.get());
            // What a turn begins to watch is seen in the next one.
            idle = if self.events.is_empty() { idle + 1 } else { 0 };
            if idle == 2 {
                return;
            }
        }
        panic!("it spins");
    }

    /// Some time later.
    pub(super) fn pass(&mut self, time: Millis) {
        self.clock.update(|now| now + time);
        self.settle();
    }

    pub(super) fn ask(&mut self, request: Request) {
        self.requests.send(request).unwrap();
        self.run.read_inbox();
        self.settle();
    }

    /// Clients that wait in the kernel's queues.
    pub(super) fn clients(&self, count: usize) -> Vec<TcpStream> {
        let before = self.queued();
        let clients = (0..count).map(|_| connect(self.port)).collect();
        // A client is connected a moment before its last packet has been handled at our end.
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.queued() < before + count {
            assert!(Instant::now() < deadline, "{} of {count}", self.queued() - before);
            std::thread::yield_now();
        }
        clients
    }

    /// How many wait in the queues of all sockets that listen on the port, by the kernel's table: it begins with those that listen.
    fn queued(&self) -> usize {
        const LISTENS: &str = "0A";
        let port = format!(":{:04X}", self.port);
        let queue = |line: String| {
            let columns: Vec<&str> = line.split_whitespace().take(5).collect();
            let [_, local, _, LISTENS, queues] = columns[..] else { return None };
            let (_, waiting) = queues.split_once(':').filter(|_| local.ends_with(&port)).unwrap_or(("", "0"));
            Some(usize::from_str_radix(waiting, 16).unwrap())
        };
        let table = BufReader::new(File::open("/proc/self/net/tcp").unwrap());
        table.lines().skip(1).map_while(|line| queue(line.unwrap())).sum()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn handed(&self) -> u64 {
        self.run.counts.handed.load(Ordering::Relaxed)
    }
}

fn with_workers(policy: Balance, workers: u32) -> (Still, Vec<Played>) {
    let mut still = Still::new(policy);
    let serving = |id| {
        let played = still.attach(id, id);
        played.report(&Report::Serve { listener: LISTENER, lane: false });
        played
    };
    let played = (1..=workers).map(serving).collect();
    still.settle();
    (still, played)
}

fn all_taken_by(workers: &[Played]) -> usize {
    workers.iter().map(Played::take_all).sum()
}

#[test]
fn in_the_long_run_nothing_is_allocated_for_a_connection() {
    for policy in [Balance::LeastConnections, Balance::RoundRobin, Balance::IpHash] {
        let (mut still, workers) = with_workers(policy, 4);
        let mut allocated = 0;
        for round in 1..=60 {
            let _clients = still.clients(20);
            let handing_over = allocation_counter::measure(|| still.settle());
            assert_eq!(all_taken_by(&workers), 20);
            let looking = allocation_counter::measure(|| {
                still.pass(TAKE_WITHIN);
                assert_eq!(still.run.next_wake(), None);
            });
            // The first ones make room.
            allocated += if round > 10 { handing_over.count_total + looking.count_total } else { 0 };
        }
        assert_eq!(allocated, 0, "with {policy:?}");
    }
}

#[test]
fn a_worker_that_nothing_goes_to_is_not_looked_at() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 6);
    assert_eq!((&still.run.busy, &still.run.unsent, still.run.next_wake()), (&Vec::new(), &Vec::new(), None));
    let _clients = still.clients(2);
    still.settle();
    assert_eq!((&still.run.busy, &still.run.unsent), (&vec![WorkerId(1), WorkerId(2)], &Vec::new()));
    assert_eq!(all_taken_by(&workers), 2);
    // When it would be late.
    still.pass(TAKE_WITHIN);
    assert_eq!((&still.run.busy, still.run.next_wake()), (&Vec::new(), None));
}
