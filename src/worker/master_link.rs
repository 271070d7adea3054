//! The worker's end: what JavaScript in a worker calls, and the watch.
//!
//! The channel and the orders lie on Node's own event loop, which only ever tells JavaScript that something is there; taking it off is a
//! call made on the JavaScript thread, so that a stuck event loop takes nothing and the master can give what it has not taken to somebody
//! else.
//!
//! What always holds: orders, and the end of the master, are read however few descriptors are free; a connection is taken with its
//! descriptor, or stays where it is; and while there is no room for a whole frame, the master is told for how many there is.
//!
//! The *watch* is a thread that waits for the end of the master. It then has the lanes listen no more, as the master's other
//! sockets do, gives the event loop `orphan_limit` to finish, and ends the process itself.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::event::epoll;

use crate::clock::{Clock, MAX_WAIT, Millis};
use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::channel::{Channel, MAX_BYTES, MAX_FDS};
use crate::os::scoreboard::{Header, Row, Scoreboard};
use crate::os::spawn::{CHANNEL_FD, ORDERS_FD, SCOREBOARD_FD};
use crate::os::uv::Poll;
use crate::os::{channel, descriptors, listener, thread, uv};
use crate::protocol::{ListenerId, Order, Origin, Report};
use crate::protocol::{frame, parts};
use crate::worker::beats::Beats;

/// What one call took off the channel.
#[derive(Debug)]
pub enum WorkerSignal {
    /// Connections, each with where it came from.
    Connections(Vec<(OwnedFd, Origin)>),
    /// An order, and beside the answer to `Bind` perhaps a lane.
    Order(Order, Option<OwnedFd>),
    /// Nothing is there.
    Nothing,
    /// What is there cannot be taken for lack of descriptors; the event loop does not look again before `catch_up`.
    Starved,
    /// The master is gone.
    Orphaned,
}

/// Whether the event loop is to look at the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Looking {
    Yes,
    /// What lies there cannot be taken for lack of descriptors: it would be told again and again.
    Starved,
    /// Nobody is there any more who could send something.
    Ended,
}

/// What is known of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    Read,
    /// There may be some.
    Unread,
    /// The master is gone. `told`: and JavaScript knows.
    Ended {
        told: bool,
    },
}

/// See the module's text.
pub struct MasterLink {
    pub(super) channel: Arc<Channel>,
    /// Where orders come from, and reports go.
    pub(super) orders: Arc<Channel>,
    pub(super) row: Row,
    pub(super) header: Header,
    /// Reports that did not fit into their socket; sent before the next one.
    pub(super) unsent: VecDeque<Vec<u8>>,
    pub(super) looking: Rc<Cell<Looking>>,
    pub(super) poll: Option<Poll>,
    /// The master left a question unanswered, and has not been heard of since.
    pub(super) silent: bool,
    pub(super) heard: Rc<Cell<Orders>>,
    /// How many connections will have been taken when no descriptor is left, as the master was told; `None`: there are plenty.
    pub(super) room: Option<u64>,
    /// A descriptor of each lane that JavaScript has, for the watch.
    pub(super) lanes: Arc<Mutex<BTreeMap<ListenerId, OwnedFd>>>,
    pub(super) buffer: Box<[u8; MAX_BYTES]>,
}

/// Reports that may wait for room in the channel; beyond them only what the master must know.
pub(super) const MAX_UNSENT: usize = 1024;

impl MasterLink {
    /// Takes over the descriptors that the master passed. Only the first call in a process can succeed.
    pub fn enter(row: usize) -> Result<Self> {
        let [channel, board, orders] = os::spawn::inherited([CHANNEL_FD, SCOREBOARD_FD, ORDERS_FD])
            .map_err(ClusterError::system("taking over the master's descriptors"))?;
        let board =
            Scoreboard::open(board).map_err(ClusterError::system("mapping the scoreboard"))?;
        let row = board.row(row).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
        let row = row.map_err(ClusterError::system("finding the scoreboard's row"))?;
        Ok(Self::new(Channel::from(channel), Channel::from(orders), row, board.header()))
    }

    pub(super) fn new(channel: Channel, orders: Channel, row: Row, header: Header) -> Self {
        Self {
            channel: Arc::new(channel),
            orders: Arc::new(orders),
            row,
            header,
            unsent: VecDeque::new(),
            looking: Rc::new(Cell::new(Looking::Yes)),
            poll: None,
            silent: false,
            heard: Rc::new(Cell::new(Orders::Unread)),
            room: None,
            lanes: Arc::default(),
            buffer: Box::new([0; MAX_BYTES]),
        }
    }

    /// This worker's row.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// What concerns all workers.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Starts to look, the beats, and the watch. `notify` is called on this thread when there may be something to take. `event_loop` is
    /// Node's own, of this thread.
    pub fn watch(
        &mut self,
        event_loop: *mut c_void,
        beat: Duration,
        orphan_limit: Duration,
        notify: impl Fn() + 'static,
    ) -> Result<()> {
        let notify = Rc::new(notify);
        let (heard, told) = (Rc::clone(&self.heard), Rc::clone(&notify));
        let ordered = move || {
            if heard.get() == Orders::Read {
                heard.set(Orders::Unread);
            }
            told();
            !matches!(heard.get(), Orders::Ended { .. })
        };
        let orders = Poll::start(event_loop, self.orders.as_fd(), Box::new(ordered));
        orders.map_err(ClusterError::system("looking for orders"))?;
        let looking = Rc::clone(&self.looking);
        let readable = move || {
            notify();
            looking.get() == Looking::Yes
        };
        let poll = Poll::start(event_loop, self.channel.as_fd(), Box::new(readable));
        self.poll = Some(poll.map_err(ClusterError::system("looking at the channel"))?);
        let mut beats = Beats::new(self.row.clone());
        beats.beat(beat);
        let started = uv::each(event_loop, beat, move || beats.beat(beat));
        started.map_err(ClusterError::system("starting the beats"))?;
        let watch = || -> io::Result<OwnedFd> {
            let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
            let flags = epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
            epoll::add(&epoll, &*self.orders, epoll::EventData::new_u64(0), flags)?;
            Ok(epoll)
        };
        let epoll = watch().map_err(ClusterError::system("watching the master"))?;
        // Held by the thread, so that the descriptor is not closed under it.
        let orders = Arc::clone(&self.orders);
        let lanes = Arc::clone(&self.lanes);
        let watch = move || {
            until_orphaned(&epoll);
            if let Ok(lanes) = lanes.lock() {
                lanes.values().for_each(listener::stop_listening);
            }
            drop(orders);
            grant(orphan_limit);
            tracing::error!("the master is gone and the event loop did not end in time");
            os::process::kill_self();
        };
        thread::start("cluster2-watch", watch)
            .map_err(ClusterError::system("starting the watch"))?;
        Ok(())
    }

    /// Has `notify` called once, when there is no room for a batch of descriptors, and before `event_loop` looks for what came. libuv
    /// ends everybody who waits on a socket where it cannot accept, and says nothing of it.
    pub fn watch_room(
        &mut self,
        event_loop: *mut c_void,
        notify: impl Fn() + 'static,
    ) -> Result<()> {
        let like = Arc::clone(&self.channel);
        let look = move || {
            let has_room = descriptors::leave_room_for(MAX_FDS, like.as_fd());
            if !has_room {
                notify();
            }
            has_room
        };
        uv::before_each_look(event_loop, look)
            .map_err(ClusterError::system("watching the descriptors"))
    }

    /// Without a descriptor of its own the watch does nothing, and JavaScript closes the lane alone.
    pub(super) fn remember_lane(&self, order: &Order, lane: Option<&OwnedFd>) {
        if let (Order::Bound { listener, .. }, Some(Ok(lane)), Ok(mut lanes)) =
            (order, lane.map(OwnedFd::try_clone), self.lanes.lock())
        {
            lanes.insert(*listener, lane);
        }
    }

    pub(super) fn forget_lane(&self, report: &Report) {
        if let (Report::Unserve { listener }, Ok(mut lanes)) = (report, self.lanes.lock()) {
            lanes.remove(listener);
        }
    }

    /// Gives a connection back to the master, which finds another worker for it. `fd` stays open here. False: there is no room
    /// for it now.
    pub fn give_back(&mut self, fd: i32, origin: Origin) -> Result<bool> {
        let frame = frame::connections(std::iter::once(origin));
        match self.channel.send_number(&frame, fd) {
            Ok(()) => Ok(true),
            Err(error) if channel::is_full(&error) => Ok(false),
            Err(source) => Err(ClusterError::System { doing: "giving a connection back", source }),
        }
    }

    /// Reports to the master. False: it finds no room, and is sent with the next report or the next `catch_up`. Where too many
    /// wait, what a person is only told is left out, and logged.
    pub fn report(&mut self, report: &Report) -> Result<bool> {
        let is_news = matches!(
            report,
            Report::Warning { .. } | Report::Signal { .. } | Report::LastLines { .. }
        );
        if is_news && self.unsent.len() >= MAX_UNSENT {
            tracing::error!(?report, "the master does not keep up; this is not reported");
            return Ok(false);
        }
        self.forget_lane(report);
        let frames =
            parts::split(report).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge));
        self.unsent.extend(frames.map_err(ClusterError::system("reporting to the master"))?);
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<bool> {
        while let Some(frame) = self.unsent.front() {
            match self.orders.send(frame, &[]) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // An orphan has nobody to report to; that it is one is told by `take`.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
                    ) =>
                {
                    self.unsent.clear();
                }
                Err(source) => {
                    return Err(ClusterError::System { doing: "reporting to the master", source });
                }
            }
        }
        Ok(true)
    }

    /// The most connections that one `take` can bring.
    pub const MAX_TAKEN: usize = MAX_FDS;
}

/// Waits for so long, not counting time in which this process was stopped.
pub(super) fn grant(limit: Duration) {
    let mut clock = Clock::default();
    let end = clock.turn(os::now()) + limit.as_millis() as Millis;
    loop {
        let machine = os::now();
        let wait = end.saturating_sub(clock.turn(machine)).min(MAX_WAIT);
        if wait == 0 {
            return;
        }
        clock.wait(machine, wait);
        std::thread::sleep(Duration::from_millis(wait));
    }
}

pub(super) fn until_orphaned(epoll: &OwnedFd) {
    let mut events = Vec::with_capacity(1);
    while events.is_empty() {
        match epoll::wait(epoll.as_fd(), rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return tracing::error!(%error, "the watch cannot wait"),
        }
    }
}
