//! The dispatcher's loop on the test's own thread, by the test's clock: no worker that the test
//! plays looks stuck because the machine is slow.

use std::cell::Cell;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::event::{Timespec, epoll};

use crate::clock::Millis;
use crate::config::{Balance, OverloadOptions};
use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::RETRY;
use crate::dispatcher::messages::{DispatcherEvent, Request};
use crate::dispatcher::tests::played::{LISTENER, Played, connect, listener_set, play, wanted};
use crate::listeners::ListenerSet;
use crate::os::scoreboard::Scoreboard;
use crate::os::waker::Waker;
use crate::overload::OverloadPolicy;
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::{Exit, WorkerId};
use crate::protocol::{Order, Report, Wanted, parts};

pub(super) struct Still {
    pub(super) event_loop: EventLoop,
    clock: Rc<Cell<Millis>>,
    requests: Sender<Request>,
    events: Receiver<(WorkerId, DispatcherEvent)>,
    board: Arc<Scoreboard>,
    port: u16,
    polled: Vec<epoll::Event>,
}

impl Still {
    pub(super) fn new(policy: Balance) -> Self {
        Self::of(ListenerSet::default(), policy)
    }

    /// With sockets from which workers accept by themselves.
    pub(super) fn sharing() -> Self {
        Self::of(ListenerSet::default().with_sharing(), Balance::LeastConnections)
    }

    /// As `sharing`, with the option `overload`. Requests for `/ecv` are of the health check.
    pub(super) fn shedding(limits: OverloadOptions) -> Self {
        let (listeners, policy) =
            (ListenerSet::default().with_sharing(), Balance::LeastConnections);
        Self::with(listeners, policy, |board| {
            let is_health_check = |_: &str, target: &str| target == "/ecv";
            Some(OverloadPolicy::new(limits, board.header(), is_health_check))
        })
    }

    pub(super) fn of(listeners: ListenerSet, policy: Balance) -> Self {
        Self::with(listeners, policy, |_| None)
    }

    fn with(
        listeners: ListenerSet,
        policy: Balance,
        overload: impl FnOnce(&Arc<Scoreboard>) -> Option<OverloadPolicy>,
    ) -> Self {
        let board = Scoreboard::create(8).unwrap();
        let overload = overload(&board);
        let (listeners, port) = listener_set(listeners);
        let wake = Arc::new(Waker::new().unwrap());
        let (requests, inbox) = channel();
        let (sender, events) = channel();
        let notify =
            Box::new(move |worker, event| sender.send((worker, event)).unwrap_or_default());
        let event_loop =
            EventLoop::new(listeners, policy, overload, wake, inbox, notify, Arc::default())
                .unwrap();
        Self {
            clock: Rc::new(Cell::new(event_loop.now)),
            event_loop,
            requests,
            events,
            board,
            port,
            polled: Vec::with_capacity(256),
        }
    }

    /// With workers 1 to `workers` that serve, and may serve more: they are not ready.
    pub(super) fn with_workers(policy: Balance, workers: u32) -> (Self, Vec<Played>) {
        let mut still = Self::new(policy);
        let serving = |id| {
            let played = still.attach(id, id);
            played.serve(LISTENER);
            played
        };
        let played = (1..=workers).map(serving).collect();
        still.settle();
        (still, played)
    }

    /// With workers 1 to `N` that are ready.
    pub(super) fn with_ready<const N: usize>(policy: Balance) -> (Self, [Played; N]) {
        let mut still = Self::new(policy);
        let workers = std::array::from_fn(|index| still.worker(index as u32 + 1));
        (still, workers)
    }

    /// A worker that serves nothing yet.
    pub(super) fn attach(&mut self, id: u32, slot: u32) -> Played {
        let (played, link) = play(&self.board, id, slot);
        self.event_loop.attach(link);
        Played { clock: Some(Rc::clone(&self.clock)), ..played }
    }

    pub(super) fn attach_spare(&mut self, id: u32, slot: u32) -> Played {
        let (played, link) = play(&self.board, id, slot);
        self.event_loop.attach(link.as_spare(true));
        Played { clock: Some(Rc::clone(&self.clock)), ..played }
    }

    /// A worker that serves and is ready.
    pub(super) fn worker(&mut self, id: u32) -> Played {
        let played = self.attach(id, id);
        played.serve(LISTENER);
        played.ready();
        self.settle();
        played
    }

    /// Turns until there is nothing more to do. The clock stands still meanwhile.
    pub(super) fn settle(&mut self) {
        let mut idle = 0;
        for _ in 0..100 {
            self.polled.clear();
            let no_time = Timespec::default();
            epoll::wait(
                &self.event_loop.epoll,
                rustix::buffer::spare_capacity(&mut self.polled),
                Some(&no_time),
            )
            .unwrap();
            self.event_loop.act(&self.polled, self.clock.get());
            // Events of what a turn begins to watch come in the next one.
            idle = if self.polled.is_empty() { idle + 1 } else { 0 };
            if idle == 2 {
                return;
            }
        }
        panic!("it spins");
    }

    /// Moves the clock on, and settles.
    pub(super) fn pass(&mut self, time: Millis) {
        self.clock.update(|now| now + time);
        self.settle();
    }

    pub(super) fn ask(&mut self, request: Request) {
        self.requests.send(request).unwrap();
        self.event_loop.read_requests();
        self.settle();
    }

    /// Reports that the process of a worker has ended.
    pub(super) fn detach(&mut self, worker: u32) {
        self.ask(Request::Detach(WorkerId(worker), Exit::Code(0)));
    }

    /// Sends a report of any length. The dispatcher reads meanwhile if the channel is full.
    pub(super) fn report(&mut self, worker: &Played, report: &Report) {
        for frame in parts::split(report).unwrap() {
            while worker.orders.send(&frame, &[]).is_err() {
                self.settle();
            }
        }
        self.settle();
    }

    /// The next event.
    pub(super) fn event(&mut self) -> (WorkerId, DispatcherEvent) {
        for _ in 0..2 {
            if let Ok(event) = self.events.try_recv() {
                return event;
            }
            self.settle();
        }
        panic!("no event");
    }

    /// All events so far.
    pub(super) fn events(&mut self) -> Vec<(WorkerId, DispatcherEvent)> {
        self.events.try_iter().collect()
    }

    /// Has a worker take what it gets until it has `count` connections, or time does not help.
    pub(super) fn take(&mut self, worker: &Played, count: usize) -> Vec<TcpStream> {
        let mut all = worker.take_now();
        for _ in 0..10 {
            if all.len() < count {
                self.pass(RETRY);
                all.extend(worker.take_now());
            }
        }
        all
    }

    /// Clients that wait in the kernel's queues.
    pub(super) fn clients(&self, count: usize) -> Vec<TcpStream> {
        Self::clients_of(self.port, count)
    }

    pub(super) fn clients_of(port: u16, count: usize) -> Vec<TcpStream> {
        let before = queued(port);
        let clients = (0..count).map(|_| connect(port)).collect();
        // A client is connected a moment before its last packet has been handled at our end.
        let deadline = Instant::now() + Duration::from_secs(5);
        while queued(port) < before + count {
            assert!(Instant::now() < deadline, "{} of {count}", queued(port) - before);
            std::thread::yield_now();
        }
        clients
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Has a worker ask for a further listener and serve it. Returns its number and port.
    pub(super) fn listen(&mut self, worker: &Played, index: u32) -> (u32, u16) {
        worker.report(&Report::Bind { seq: index, wanted: Wanted { index, ..wanted() } });
        self.settle();
        let Some((MasterFrame::Order(Order::Bound { listener, address, .. }), _)) =
            worker.next_now()
        else {
            panic!("no answer");
        };
        worker.serve(listener);
        self.settle();
        (listener, address.unwrap().port)
    }

    pub(super) fn handed(&self) -> u64 {
        self.event_loop.counts.handed.load(Ordering::Relaxed)
    }

    pub(super) fn shed(&self) -> u64 {
        self.event_loop.counts.shed.load(Ordering::Relaxed)
    }

    pub(super) fn reclaimed(&self) -> u64 {
        self.event_loop.counts.reclaimed.load(Ordering::Relaxed)
    }
}

/// How many clients wait in the queues of all sockets that listen on a port. The kernel's table
/// begins with sockets that listen.
fn queued(port: u16) -> usize {
    const LISTENS: &str = "0A";
    let port = format!(":{port:04X}");
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
