//! What one worker knows of the sockets from which it accepts.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::pacing::Pacing;
use super::peers::Peers;
use super::sockets::SharedSockets;
use crate::os::loop_epoll::LoopEpoll;
use crate::os::scoreboard::Row;
use crate::os::uv::Timer;
use crate::os::waker::Waker;
use crate::protocol::{ListenerId, SharedSocket};

/// The most connections that one look takes from all queues. More wait in the kernel, where they
/// cost nothing: a worker that first accepts dozens and then reads from each has them all in the
/// caches and in what the collector copies, which cost 5 % of the processor time. And a worker that
/// gets stuck has fewer that it has not read.
pub(super) const AT_ONCE: usize = 4;
/// How long a worker leaves connections to another one before it looks again.
pub(super) const PATIENCE: Duration = Duration::from_millis(5);
/// After so long a worker that lacked descriptors looks whether there are some.
pub(super) const RETRY: Duration = Duration::from_millis(20);

/// A socket from which this worker accepts.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) listener: ListenerId,
    /// Whether its server speaks HTTP/1 without TLS.
    pub(super) http1: bool,
    pub(super) shared: SharedSocket,
    pub(super) socket: Arc<OwnedFd>,
    pub(super) is_watched: bool,
}

/// Whether the event loop polls descriptors that are added to its epoll.
#[derive(Debug)]
pub(super) enum Proof {
    /// It will say so by this descriptor, which can be read. It had so many chances.
    Awaited(Waker, u32),
    Given,
    /// It does not. The master hands over connections.
    Failed,
}

/// What belongs to the event loop.
pub(super) struct OnLoop {
    pub(super) event_loop: *mut c_void,
    pub(super) epoll: LoopEpoll,
    pub(super) timer: Timer,
}

/// Accepts connections for this worker.
pub(in crate::worker) struct Acceptor {
    pub(super) row: Row,
    pub(super) peers: Peers,
    pub(super) sockets: SharedSockets,
    pub(super) served: Vec<Served>,
    /// Accepted, but not taken by JavaScript yet.
    pub(super) accepted: VecDeque<(OwnedFd, ListenerId)>,
    pub(super) waker: Rc<Waker>,
    pub(super) on_loop: Option<OnLoop>,
    pub(super) proof: Proof,
    /// How many connections a turn accepts, where the option `overload` is on.
    pub(super) pacing: Option<Pacing>,
    /// Whether descriptors are lacking: the others accept.
    pub(super) is_short: bool,
    /// Whether the master does not know yet from which listeners this worker accepts.
    pub(super) has_changed: bool,
}

impl Acceptor {
    /// `waker`: by which other processes wake this worker.
    pub(in crate::worker) fn new(row: Row, waker: Waker) -> Self {
        Self {
            peers: Peers::new(row.clone()),
            sockets: SharedSockets::new(row.board().header()),
            row,
            served: Vec::new(),
            accepted: VecDeque::new(),
            waker: Rc::new(waker),
            on_loop: None,
            proof: Proof::Failed,
            pacing: None,
            is_short: false,
            has_changed: false,
        }
    }

    pub(super) fn has_news(&self) -> bool {
        !self.accepted.is_empty() || self.has_changed
    }

    pub(super) fn accepts(&self) -> bool {
        !self.is_short && !matches!(self.proof, Proof::Failed)
    }

    /// Says on the scoreboard from which listeners it accepts.
    pub(super) fn publish(&self) {
        let bits = self.served.iter().fold(0, |bits, served| bits | 1 << served.shared.bit);
        self.peers.own().set_accepts(if self.accepts() { bits } else { 0 });
    }
}
