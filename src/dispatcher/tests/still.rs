//! The dispatcher's loop on the test's own thread, by the test's clock: however long the machine holds the test up, no worker that it
//! plays looks stuck for that.

use std::fs::File;
use std::io::{BufRead, BufReader};

use super::*;

pub(super) struct Still {
    pub(super) run: EventLoop,
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
        let run =
            EventLoop::new(door, policy, wake, inbox, Box::new(|_, _| {}), Arc::default()).unwrap();
        let clock = Rc::new(Cell::new(run.now));
        Self {
            run,
            clock,
            requests,
            board: Scoreboard::create(8).unwrap(),
            port,
            events: Vec::with_capacity(256),
        }
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
            epoll::wait(
                &self.run.epoll,
                rustix::buffer::spare_capacity(&mut self.events),
                Some(&no_time),
            )
            .unwrap();
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
            let (_, waiting) =
                queues.split_once(':').filter(|_| local.ends_with(&port)).unwrap_or(("", "0"));
            Some(usize::from_str_radix(waiting, 16).unwrap())
        };
        let table = BufReader::new(File::open("/proc/self/net/tcp").unwrap());
        table.lines().skip(1).map_while(|line| queue(line.unwrap())).sum()
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// A further listener that a worker asks for and serves: its number and port.
    fn listen(&mut self, worker: &Played, index: u32) -> (u32, u16) {
        worker.report(&Report::Bind { seq: index, wanted: Wanted { index, ..wanted() } });
        self.settle();
        let Some((MasterFrame::Order(Order::Bound { listener, address, .. }), _)) =
            worker.next(Duration::ZERO)
        else {
            panic!("no answer");
        };
        worker.report(&Report::Serve { listener, lane: false });
        self.settle();
        (listener, address.unwrap().port)
    }

    fn is_bound(&self, port: u16) -> bool {
        std::net::TcpListener::bind(("127.0.0.1", port)).is_err()
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
            allocated +=
                if round > 10 { handing_over.count_total + looking.count_total } else { 0 };
        }
        assert_eq!(allocated, 0, "with {policy:?}");
    }
}

#[test]
fn a_worker_that_nothing_goes_to_is_not_looked_at() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 6);
    assert_eq!(
        (&still.run.busy, &still.run.unsent, still.run.next_wake()),
        (&Vec::new(), &Vec::new(), None)
    );
    let _clients = still.clients(2);
    still.settle();
    assert_eq!(
        (&still.run.busy, &still.run.unsent),
        (&vec![WorkerId(1), WorkerId(2)], &Vec::new())
    );
    assert_eq!(all_taken_by(&workers), 2);
    // When it would be late.
    still.pass(TAKE_WITHIN);
    assert_eq!((&still.run.busy, still.run.next_wake()), (&Vec::new(), None));
}

fn ready(worker: &Played) {
    worker.report(&Report::Ready { places: Vec::new(), settled: true });
}

fn give_back(worker: &Played, listener: u32, stream: &TcpStream) {
    let origin = Origin { listener, past: MOVED };
    worker.end.send(&frame::connections(std::iter::once(origin)), &[stream.as_fd()]).unwrap();
}

/// What comes to a worker at once, without connections that are only there to be taken.
fn orders(worker: &Played) -> Vec<MasterFrame> {
    let all = std::iter::from_fn(|| worker.next(Duration::ZERO)).map(|(message, _)| message);
    all.filter(|message| matches!(message, MasterFrame::Order(_))).collect()
}

fn is_closed(client: &mut TcpStream) -> bool {
    let read = client.read(&mut [0]);
    matches!(&read, Ok(0))
        || read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
}

#[test]
fn a_port_that_a_worker_closes_is_free_at_once_whatever_the_others_do() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 2);
    // Nobody is ready yet, so others may come that serve whatever is there.
    let (listener, port) = still.listen(&workers[0], 1);
    let mut taken = connect(port);
    still.settle();
    let Some((_, streams)) = workers[0].next(Duration::ZERO) else { panic!() };
    let (ours, theirs) = Channel::pair().unwrap();
    workers[0]
        .orders
        .send(&frame::question(&Report::Unserve { listener }), &[theirs.as_fd()])
        .unwrap();
    still.settle();
    assert!(!still.is_bound(port));
    let mut buffer = [0; MAX_BYTES];
    let answer = ours.receive(&mut buffer).unwrap().unwrap();
    assert_eq!(frame::from_master(answer.bytes, 0).unwrap(), MasterFrame::Order(Order::Unserved));
    // What was on its way to it has nobody.
    give_back(&workers[0], listener, &streams[0]);
    still.settle();
    drop(streams);
    assert!(is_closed(&mut taken));
}

#[test]
fn a_port_that_another_worker_has_or_that_was_pinned_stays() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    assert_eq!(still.listen(&workers[1], 1), (listener, port));
    workers[0].report(&Report::Unserve { listener });
    still.settle();
    assert!(still.is_bound(port));
    workers.iter().for_each(|worker| worker.report(&Report::Unserve { listener: LISTENER }));
    still.settle();
    assert!(still.is_bound(still.port()), "who is not ready may still ask for it");
    workers.iter().for_each(ready);
    still.settle();
    assert!(!still.is_bound(still.port()));
}

#[test]
fn what_only_draining_workers_serve_lets_nobody_new_in_and_ends_with_them() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 3);
    let [first, last, new] = &workers[..] else { panic!() };
    let (listener, port) = still.listen(first, 1);
    still.listen(last, 1);
    workers.iter().for_each(ready);
    still.settle();
    // As long as another worker serves it, connections are moved there.
    still.ask(Request::Drain(WorkerId(1)));
    assert_eq!(orders(first), [drain(&[])]);
    let mut moved = connect(port);
    still.settle();
    let Some((_, streams)) = last.next(Duration::ZERO) else { panic!() };
    let waiting = connect(port);
    still.ask(Request::Drain(WorkerId(2)));
    assert!(orders(first).contains(&drain(&[listener])), "it is told that nobody is left");
    assert!(orders(last).contains(&drain(&[listener])));
    // One that was on its way back goes to a worker that keeps it, and one that came meanwhile too.
    give_back(last, listener, &streams[0]);
    still.settle();
    assert_eq!([first, last].map(Played::take_all).iter().sum::<usize>(), 1);
    assert_eq!(new.take_all(), 0);
    // Nobody may leave while somebody may come out of the queue.
    last.report(&Report::Drained);
    still.settle();
    assert_eq!(orders(last), []);
    still.pass(DOOR_GRACE);
    assert!(!still.is_bound(port));
    still.pass(RETRY);
    assert_eq!(orders(last), [MasterFrame::Order(Order::Leave)]);
    // Without a worker that has it, a connection that comes back is closed.
    for worker in [1, 2] {
        still.ask(Request::Detach(WorkerId(worker), Exit::Code(0)));
    }
    assert!(still.run.retired.is_empty());
    give_back(new, listener, &streams[0]);
    drop(streams);
    still.settle();
    assert!(is_closed(&mut moved));
    drop(waiting);
}

#[test]
fn what_a_worker_that_leaves_by_itself_served_waits_for_its_replacement() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    workers.iter().for_each(ready);
    workers[0].report(&Report::Leaving);
    still.settle();
    assert_eq!(orders(&workers[0]), [drain(&[])]);
    let replacement = still.attach(3, 1);
    let mut client = connect(port);
    assert_eq!(still.listen(&replacement, 1), (listener, port));
    answered(replacement.take(1), std::slice::from_mut(&mut client));
}

#[test]
fn a_retired_port_may_be_asked_for_again_at_once() {
    let (mut still, workers) = with_workers(Balance::LeastConnections, 2);
    let (listener, port) = still.listen(&workers[0], 1);
    workers.iter().for_each(ready);
    still.settle();
    still.ask(Request::Drain(WorkerId(1)));
    assert_eq!(orders(&workers[0]), [drain(&[listener])]);
    workers[1].report(&Report::Bind { seq: 1, wanted: Wanted { port: Some(port), ..wanted() } });
    still.settle();
    let Some((MasterFrame::Order(Order::Bound { listener: again, .. }), _)) =
        workers[1].next(Duration::ZERO)
    else {
        panic!("no answer");
    };
    assert_ne!(again, listener);
    workers[1].report(&Report::Serve { listener: again, lane: false });
    let mut client = connect(port);
    still.settle();
    answered(workers[1].take(1), std::slice::from_mut(&mut client));
}
