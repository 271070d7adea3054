//! Workers without a process, and clients.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use crate::clock::Millis;
use crate::dispatcher::link::WorkerLink;
use crate::listeners::ListenerSet;
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::scoreboard::{Field, Row, Scoreboard};
use crate::os::waker::Waker;
use crate::os::{self, timespec};
use crate::protocol::frame::MasterFrame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{Order, Origin, Past, Report, Wanted, frame, parts};

pub(super) const LISTENER: u32 = 1;
const MOVED: Past = Past { stage: 2, since: 1_000, timeout: 5_000, requests: 0 };

/// A worker without a process.
pub(super) struct Played {
    pub(super) end: Channel,
    pub(super) orders: Channel,
    pub(super) row: Row,
    /// The test's clock, if it has one.
    pub(super) clock: Option<Rc<Cell<Millis>>>,
}

/// A set with one listener, and its port.
pub(super) fn listener_set(mut set: ListenerSet) -> (ListenerSet, u16) {
    set.pin(&wanted()).unwrap();
    let listener = set.bind(&wanted(), |_| true).unwrap();
    let (address, _) = set.address(listener);
    assert_eq!(listener, LISTENER);
    (set, address.unwrap().port)
}

/// A worker of the board, and the dispatcher's end of it.
pub(super) fn play(board: &Arc<Scoreboard>, id: u32, slot: u32) -> (Played, WorkerLink) {
    let (ours, theirs) = Channel::pair().unwrap();
    let (orders, their_orders) = Channel::pair().unwrap();
    let row = board.row(id as usize).unwrap();
    let (id, readable) = (WorkerId(id), theirs.duplicate().unwrap());
    let waker = Waker::new().unwrap();
    let link = WorkerLink::new(id, slot, orders, ours, readable, row.clone(), waker);
    (Played { end: theirs, orders: their_orders, row, clock: None }, link)
}

pub(super) fn wanted() -> Wanted {
    Wanted {
        address: Some("127.0.0.1".into()),
        port: Some(0),
        v6_only: false,
        backlog: 128,
        index: 0,
    }
}

pub(super) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream
}

impl Played {
    pub(super) fn report(&self, report: &Report) {
        for frame in parts::split(report).unwrap() {
            self.orders.send(&frame, &[]).unwrap();
        }
    }

    pub(super) fn serve(&self, listener: u32) {
        self.report(&Report::Serve { listener, accepts: false, http1: false });
    }

    pub(super) fn ready(&self) {
        self.report(&Report::Ready { endpoints: Vec::new(), settled: true });
    }

    /// Gives a connection back, as one that was moved.
    pub(super) fn give_back(&self, listener: u32, stream: &TcpStream) {
        let origin = Origin { listener, past: MOVED };
        self.end.send(&frame::connections(std::iter::once(origin)), &[stream.as_fd()]).unwrap();
    }

    /// Gives a connection back with a request on it.
    pub(super) fn give_request(&self, stream: &TcpStream, request: &[u8]) {
        let origin = Origin { listener: LISTENER, past: MOVED };
        self.end.send(&frame::request(origin, request), &[stream.as_fd()]).unwrap();
    }

    /// The next message that comes within `limit`.
    pub(super) fn next(&self, limit: Duration) -> Option<(MasterFrame, Vec<TcpStream>)> {
        self.next_of(true, limit)
    }

    /// The next message that is there.
    pub(super) fn next_now(&self) -> Option<(MasterFrame, Vec<TcpStream>)> {
        self.next_of(true, Duration::ZERO)
    }

    /// The next order that is there; connections stay where they are.
    pub(super) fn next_order(&self) -> Option<MasterFrame> {
        Some(self.next_of(false, Duration::ZERO)?.0)
    }

    fn next_of(&self, connected: bool, limit: Duration) -> Option<(MasterFrame, Vec<TcpStream>)> {
        let deadline = Instant::now() + limit;
        let (mut buffer, mut connections) = ([0; MAX_BYTES], [0; MAX_BYTES]);
        loop {
            // As in a real worker, a turn of the event loop is a sign of life.
            let now = self.clock.as_ref().map_or_else(os::now, |clock| clock.get());
            self.row.set(Field::Beat, now as f64);
            let order = self.orders.receive_lossy(&mut buffer).ok().flatten();
            let received =
                order.or_else(|| if connected { self.receive(&mut connections) } else { None });
            if let Some(received) = received {
                let message = frame::from_master(received.bytes, received.fds.len()).unwrap();
                let streams: Vec<TcpStream> =
                    received.fds.into_iter().map(TcpStream::from).collect();
                if !matches!(message, MasterFrame::Order(_)) {
                    self.row.add(Field::Taken, streams.len() as f64);
                    self.row.add(Field::ConnectionsActive, streams.len() as f64);
                }
                return Some((message, streams));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let left = timespec(left);
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

    /// Takes the connections that are there.
    pub(super) fn take_now(&self) -> Vec<TcpStream> {
        let all = std::iter::from_fn(|| self.next_now());
        let connections =
            all.filter(|(frame, _)| matches!(frame, MasterFrame::Connections(_, None)));
        connections.flat_map(|(_, streams)| streams).collect()
    }

    /// Takes, and ends, the connections that are there. Returns how many.
    pub(super) fn take_all(&self) -> usize {
        self.take_now().len()
    }

    /// Takes connections until `count` are there.
    pub(super) fn take(&self, count: usize) -> Vec<TcpStream> {
        let mut all = Vec::new();
        while all.len() < count {
            let (_, streams) = self.next(Duration::from_secs(5)).expect("a connection in time");
            all.extend(streams);
        }
        all
    }

    /// The orders that are there; connections are only taken.
    pub(super) fn orders(&self) -> Vec<MasterFrame> {
        let all = std::iter::from_fn(|| self.next_now()).map(|(message, _)| message);
        all.filter(|message| matches!(message, MasterFrame::Order(_))).collect()
    }
}

/// The order to give back what is idle except listeners that are `retired`.
pub(super) fn drain(retired: &[u32]) -> MasterFrame {
    MasterFrame::Order(Order::Drain { moving: true, retired: retired.to_vec() })
}

/// Each connection leads to one of the clients; in which order does not matter.
pub(super) fn answered(servers: Vec<TcpStream>, clients: &mut [TcpStream]) {
    assert_eq!(servers.len(), clients.len());
    for mut server in servers {
        server.set_nonblocking(false).unwrap();
        server.write_all(b"!").unwrap();
    }
    for client in clients {
        client.read_exact(&mut [0]).unwrap();
    }
}

pub(super) fn is_closed(client: &mut TcpStream) -> bool {
    let read = client.read(&mut [0]);
    matches!(&read, Ok(0))
        || read.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
}
