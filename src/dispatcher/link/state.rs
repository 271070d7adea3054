//! What the dispatcher knows of one worker.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::OwnedFd;

use crate::balancing::Ledger;
use crate::clock::Millis;
use crate::connection::Connection;
use crate::os::channel::Channel;
use crate::os::scoreboard::Row;
use crate::os::waker::Waker;
use crate::protocol::worker::WorkerId;
use crate::protocol::{ListenerId, Report};
use crate::quota::{Quota, Share};

/// Reports of one worker that the supervisor has not dealt with, and orders that the worker has not
/// read. Beyond that its reports are not read.
const MAX_UNREAD: usize = 64;

/// From the first connection to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkPhase {
    Open,
    Draining,
    /// Drained; may leave as soon as nothing is on the way.
    AskedToLeave,
    Left,
}

/// Whether all servers of the app listen.
#[derive(Debug)]
pub(super) enum Readiness {
    Starting,
    /// It says so, but does not serve all that is expected. Passed on at the latest at `until`.
    Deferred {
        report: Report,
        until: Millis,
    },
    Ready,
}

/// Whether a worker's reports are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reports {
    Read,
    /// Not for now, because too many wait.
    Paused,
    /// The worker has closed its end, which happens before its process is known to have ended.
    Closed,
}

/// Which of the two channels are full; epoll reports room in them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Blocked {
    pub(super) orders: bool,
    pub(super) connections: bool,
}

/// When a worker last failed to take its connections, and how many it had ever had then. It counts
/// as stuck until its beat is younger, or it has had more.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stall {
    pub(super) at: Millis,
    pub(super) progress: u64,
}

/// How it serves a listener.
#[derive(Debug, Clone, Copy)]
pub(super) struct Serving {
    /// Whether it accepts by itself.
    pub(super) accepts: bool,
    /// Whether its server speaks HTTP/1 without TLS.
    pub(super) http1: bool,
}

/// The dispatcher's end of one worker.
#[derive(Debug)]
pub struct WorkerLink {
    pub(super) id: WorkerId,
    pub(super) slot: u32,
    /// Where orders go, and reports come from.
    pub(super) orders: Channel,
    /// Our end of the channel for connections.
    pub(super) channel: Channel,
    /// The worker's end, to read back what it did not take.
    pub(super) theirs: Channel,
    pub(super) row: Row,
    /// Wakes its event loop.
    pub(super) waker: Waker,
    /// What wakes other workers, by their rows; still to be sent.
    pub(super) unsent_wakers: BTreeMap<u32, OwnedFd>,
    pub(super) phase: LinkPhase,
    pub(super) readiness: Readiness,
    /// Its servers wait until it is activated.
    pub(super) is_spare: bool,
    pub(super) leaves_by_itself: bool,
    pub(super) ledger: Ledger,
    /// Orders that are still to be sent, with a socket, if one belongs to it.
    pub(super) unsent_orders: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    /// Connections that are still to be sent.
    pub(super) outbox: VecDeque<Connection>,
    pub(super) blocked: Blocked,
    /// How many connections it will have taken when it has no descriptor left. `None`: it has
    /// plenty.
    pub(super) room: Option<u64>,
    pub(super) stall: Option<Stall>,
    /// When it served its first listener.
    pub(super) first_served: Option<Millis>,
    /// How long after that it served the last one that belongs to its start, milliseconds.
    pub(super) served_after: Millis,
    /// Listeners that it knows of. `None`: not served yet. Those of a spare keep none open.
    pub(super) claims: BTreeMap<ListenerId, Option<Serving>>,
    pub(super) reports: Reports,
    /// The beginning of a report that is longer than a frame.
    pub(super) parts: Vec<u8>,
    /// What it gave back could not be received for lack of descriptors.
    pub(super) starved: bool,
    /// For reports that the supervisor has not dealt with.
    quota: Quota,
}

impl WorkerLink {
    /// A worker that serves nothing yet. `theirs` is a second descriptor of the worker's end of
    /// `channel`.
    pub fn new(
        id: WorkerId,
        slot: u32,
        orders: Channel,
        channel: Channel,
        theirs: Channel,
        row: Row,
        waker: Waker,
    ) -> Self {
        Self {
            id,
            slot,
            orders,
            channel,
            theirs,
            row,
            waker,
            unsent_wakers: BTreeMap::new(),
            phase: LinkPhase::Open,
            readiness: Readiness::Starting,
            is_spare: false,
            leaves_by_itself: false,
            ledger: Ledger::default(),
            unsent_orders: VecDeque::new(),
            outbox: VecDeque::new(),
            blocked: Blocked::default(),
            room: None,
            stall: None,
            first_served: None,
            served_after: 0,
            claims: BTreeMap::new(),
            reports: Reports::Read,
            parts: Vec::new(),
            starved: false,
            quota: Quota::new(MAX_UNREAD),
        }
    }

    /// The same as a spare, if it `is_spare`: one that serves nothing until it is activated.
    pub fn as_spare(self, is_spare: bool) -> Self {
        Self { is_spare, ..self }
    }

    pub(in crate::dispatcher) fn id(&self) -> WorkerId {
        self.id
    }

    /// The slot that it fills.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// Takes the share of one more report, if there is room.
    pub(in crate::dispatcher) fn share(&self) -> Option<Share> {
        self.quota.try_take(1)
    }

    /// Whether to read no more of its reports: too many of them, or of the answers that it asked
    /// for, wait.
    pub(in crate::dispatcher) fn is_full(&self) -> bool {
        self.quota.is_full() || self.unsent_orders.len() >= MAX_UNREAD
    }
}
