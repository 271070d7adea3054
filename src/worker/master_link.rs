//! A worker's link to its master: its descriptors, and its reports.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::unix::process::parent_id;
use std::rc::Rc;
use std::sync::Arc;

use super::accept::Acceptor;
use crate::error::{ClusterError, Result};
use crate::os::channel::{Channel, MAX_BYTES, MAX_FDS};
use crate::os::code_cache::CodeCache;
use crate::os::file_pages;
use crate::os::process::is_ending;
use crate::os::scoreboard::{Header, Row, Scoreboard};
use crate::os::seize::Table;
use crate::os::spawn::{self, CHANNEL_FD, EXECUTION_FD, ORDERS_FD, SCOREBOARD_FD, WAKER_FD};
use crate::os::uv::Poll;
use crate::os::waker::Waker;
use crate::protocol::{ListenerId, Report, parts};

/// The state of the poll on the channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ChannelPoll {
    Active,
    /// Paused, because descriptors are lacking for what is there: the poll would fire again and
    /// again.
    Starved,
    /// Ended, because the master is gone.
    Ended,
}

/// The state of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OrdersState {
    /// All are read.
    Read,
    /// There may be some.
    Unread,
    /// The master is gone. `reported`: JavaScript knows.
    Ended { reported: bool },
}

/// A worker's link to its master.
pub struct MasterLink {
    pub(super) channel: Arc<Channel>,
    /// For orders, and for reports in the other direction.
    pub(super) orders: Arc<Channel>,
    /// For questions what the worker executes, until the watch has it.
    pub(super) execution: Option<Channel>,
    pub(super) row: Row,
    pub(super) header: Header,
    /// Frames of reports for which there was no room; sent before the next report.
    unsent: VecDeque<Vec<u8>>,
    pub(super) channel_poll: Rc<Cell<ChannelPoll>>,
    pub(super) poll: Option<Poll>,
    /// The master's pid.
    master: u32,
    /// Whether the master left a question unanswered, and has sent nothing since.
    pub(super) silent: bool,
    pub(super) orders_state: Rc<Cell<OrdersState>>,
    pub(super) orders_poll: Option<Poll>,
    /// What is served: the event loop lives until the end of the master was taken, even if nothing
    /// else keeps it alive. What this worker has accepted would be lost with it.
    served: BTreeSet<ListenerId>,
    /// How many connections will be taken when no descriptor is left, as the master knows it.
    /// `None`: there are plenty.
    pub(super) room: Option<u64>,
    pub(super) acceptor: Rc<RefCell<Acceptor>>,
    /// What is known of its connections, where others take them while it is stuck.
    pub(super) idle_marks: Option<&'static Table>,
    /// The request that came with the last connection.
    pub(super) request: Option<Box<[u8]>>,
    pub(super) buffer: Box<[u8; MAX_BYTES]>,
    /// Its script has come to its `listen`, or serves.
    has_started: bool,
}

/// Frames that may wait for room. Beyond them only reports that the master needs may wait.
const MAX_UNSENT: usize = 1024;

impl MasterLink {
    /// The most connections of one `take`.
    pub const MAX_TAKEN: usize = MAX_FDS;

    /// Takes over the descriptors that the master passed. Only the first call in a process can
    /// succeed.
    pub fn enter(row: usize) -> Result<Self> {
        let fds = [CHANNEL_FD, SCOREBOARD_FD, ORDERS_FD, EXECUTION_FD, WAKER_FD];
        let [channel, board, orders, execution, waker] = spawn::inherited(fds)
            .map_err(ClusterError::system("taking over the master's descriptors"))?;
        // Where our JavaScript was loaded in files of its own, nobody has taken it.
        drop(CodeCache::inherited());
        let board =
            Scoreboard::open(board).map_err(ClusterError::system("mapping the scoreboard"))?;
        let row = board.row(row).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput));
        let row = row.map_err(ClusterError::system("finding the scoreboard's row"))?;
        let (channel, orders) = (Channel::from(channel), Channel::from(orders));
        let link = Self::new(channel, orders, Waker::from(waker), row, board.header());
        Ok(Self { execution: Some(Channel::from(execution)), ..link })
    }

    pub(super) fn new(
        channel: Channel,
        orders: Channel,
        waker: Waker,
        row: Row,
        header: Header,
    ) -> Self {
        Self {
            channel: Arc::new(channel),
            orders: Arc::new(orders),
            execution: None,
            header,
            unsent: VecDeque::new(),
            channel_poll: Rc::new(Cell::new(ChannelPoll::Active)),
            poll: None,
            master: parent_id(),
            silent: false,
            orders_state: Rc::new(Cell::new(OrdersState::Unread)),
            orders_poll: None,
            served: BTreeSet::new(),
            room: None,
            request: None,
            acceptor: Rc::new(RefCell::new(Acceptor::new(row.clone(), waker))),
            row,
            idle_marks: None,
            buffer: Box::new([0; MAX_BYTES]),
            has_started: false,
        }
    }

    /// Returns this worker's row.
    pub fn row(&self) -> &Row {
        &self.row
    }

    /// Returns what is known of its connections, where others take them while it is stuck.
    pub fn idle_marks(&self) -> Option<&'static Table> {
        self.idle_marks
    }

    /// Whether the master is gone or has begun to end. Exact after the end of Node's IPC.
    pub fn is_master_ending(&self) -> bool {
        parent_id() != self.master || is_ending(self.master)
    }

    /// Returns the scoreboard's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Reports to the master. Returns `false` if there is no room: then it is sent with the next
    /// report or the next [`Self::catch_up`]. If too many wait, a report that is only for people is
    /// logged instead.
    pub fn report(&mut self, report: &Report) -> Result<bool> {
        let is_news = matches!(report, Report::Warning { .. } | Report::Signal { .. });
        if is_news && self.unsent.len() >= MAX_UNSENT {
            tracing::error!(?report, "the master does not keep up; this is not reported");
            return Ok(false);
        }
        let frames =
            parts::split(report).ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge));
        self.unsent.extend(frames.map_err(ClusterError::system("reporting to the master"))?);
        let sent = self.flush();
        let ends_start = matches!(report, Report::Ready { .. } | Report::Waiting { .. });
        // Not when a spare is activated: it serves later for each page.
        if ends_start && !std::mem::replace(&mut self.has_started, true) {
            file_pages::give_back_own();
        }
        sent
    }

    /// Serves a listener from now on: by accepting from its socket, or by what the master sends.
    /// `http1`: whether its server speaks HTTP/1 without TLS.
    pub fn serve(&mut self, listener: ListenerId, http1: bool) -> Result<bool> {
        self.row.admission().set_serving(true);
        self.served.insert(listener);
        self.hold_event_loop();
        let accepts = self.acceptor.borrow_mut().serve(listener, http1);
        self.report(&Report::Serve { listener, accepts, http1 })
    }

    /// Accepts nothing more from a listener. The master does not know.
    pub fn stop_accepting(&mut self, listener: ListenerId) {
        self.acceptor.borrow_mut().stop(listener);
        self.served.remove(&listener);
        self.hold_event_loop();
    }

    /// Accepts nothing more from any listener.
    pub fn stop_accepting_all(&mut self) {
        self.row.admission().set_serving(false);
        self.acceptor.borrow_mut().stop_all();
        self.served.clear();
        self.hold_event_loop();
    }

    fn hold_event_loop(&self) {
        if let Some(poll) = &self.orders_poll {
            poll.keep_alive(!self.served.is_empty());
        }
    }

    /// Sends as many waiting frames as fit. Returns `false` if some are left.
    pub(super) fn flush(&mut self) -> Result<bool> {
        while let Some(frame) = self.unsent.front() {
            match self.orders.send(frame, &[]) {
                Ok(()) => drop(self.unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // No master is left; `take` returns that.
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
}
