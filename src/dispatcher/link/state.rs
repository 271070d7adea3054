//! The dispatcher's end of one worker: its channel, its ledger, and what is still to be sent.

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::balancing::{Ledger, LoadSnapshot, Standing};
use crate::clock::Millis;
use crate::os::channel::Channel;
use crate::os::scoreboard::{Field, Row};
use crate::protocol::frame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{ListenerId, Order, Origin, Report};
use crate::quota::{Quota, Share};

/// Reports of one worker that the supervisor has not dealt with, and orders that it has not read itself; it is read no further then.
pub(super) const MAX_UNHEARD: usize = 64;
/// Connections on the way to one worker; more wait where every worker can still get them.
pub(super) const MAX_UNTAKEN: usize = 128;

/// Listeners in one order, so that it fits into a frame.
pub(super) const MAX_RETIRED: usize = 1_000;

/// An accepted connection that no worker has taken yet.
#[derive(Debug)]
pub struct Connection {
    /// The socket.
    pub fd: OwnedFd,
    /// Where it came in, and how.
    pub origin: Origin,
    /// Who it is, on TCP.
    pub client: Option<IpAddr>,
}

/// What came from a worker.
#[derive(Debug)]
pub enum Received {
    /// A report.
    Report(Report),
    /// A report whose answer it waits for, and the socket for that.
    Question(Report, Channel),
    /// Connections that it gives back.
    Connections(Vec<Connection>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Draining,
    /// Drained; may leave as soon as nothing is on the way.
    AskedToLeave,
    Left,
}

/// See the module's text.
#[derive(Debug)]
pub struct WorkerLink {
    pub(super) id: WorkerId,
    pub(super) slot: u32,
    /// Where orders go, and reports come from.
    pub(super) orders: Channel,
    /// Our end.
    pub(super) channel: Channel,
    /// The worker's end, to read back what it did not take.
    pub(super) theirs: Channel,
    pub(super) row: Row,
    pub(super) state: State,
    pub(super) ready: bool,
    pub(super) leaves_by_itself: bool,
    pub(super) ledger: Ledger,
    /// Orders that are still to be sent, with a lane's descriptor, if one belongs to it.
    pub(super) unsent: VecDeque<(Vec<u8>, Option<OwnedFd>)>,
    /// Connections that are still to be sent.
    pub(super) outbox: VecDeque<Connection>,
    /// How many connections it will have taken when it has no descriptor left; `None`: it has plenty.
    pub(super) room: Option<u64>,
    /// Listeners it was told of, served or not yet.
    pub(super) claims: BTreeSet<ListenerId>,
    pub(super) serves: BTreeSet<ListenerId>,
    /// Of those, where it accepts on its slot's lane by itself.
    pub(super) lanes: BTreeSet<ListenerId>,
    /// The report that it is ready, and until when it is not told.
    pub(super) kept_back: Option<(Report, Millis)>,
    /// When it last failed to take its connections, and how many it had ever had then; it counts as stuck until its beat is younger, or
    /// it has more.
    pub(super) stalled: Option<(Millis, u64)>,
    /// What came of a report that is longer than a frame.
    pub(super) parts: Vec<u8>,
    /// What it gave back could not be received for lack of descriptors.
    pub(super) starved: bool,
    /// It has closed its end of the orders.
    pub(super) deaf: bool,
    /// Which of the sockets are full; the epoll loop waits for room.
    pub(super) blocked: [bool; 2],
    /// For reports.
    pub(super) quota: Quota,
    /// Its reports are not read for now.
    pub(super) unheard: bool,
}

impl WorkerLink {
    /// A worker that serves nothing yet. `theirs` is a second descriptor of the worker's end of `channel`.
    pub fn new(
        id: WorkerId,
        slot: u32,
        orders: Channel,
        channel: Channel,
        theirs: Channel,
        row: Row,
    ) -> Self {
        Self {
            id,
            slot,
            orders,
            channel,
            theirs,
            row,
            state: State::Open,
            ready: false,
            leaves_by_itself: false,
            ledger: Ledger::default(),
            unsent: VecDeque::new(),
            outbox: VecDeque::new(),
            room: None,
            claims: BTreeSet::new(),
            serves: BTreeSet::new(),
            lanes: BTreeSet::new(),
            kept_back: None,
            stalled: None,
            parts: Vec::new(),
            starved: false,
            deaf: false,
            blocked: [false; 2],
            quota: Quota::new(MAX_UNHEARD),
            unheard: false,
        }
    }

    /// Whether to read no more of its reports: too many of them, or of the answers that it asked for, wait.
    pub fn is_full(&self) -> bool {
        self.quota.is_full() || self.unsent.len() >= MAX_UNHEARD
    }

    /// For one more report, if there is room.
    pub fn share(&self) -> Option<Share> {
        self.quota.try_take(1)
    }

    /// From now on its reports are not read, or are again. Returns whether that is new.
    pub fn set_unheard(&mut self, unheard: bool) -> bool {
        std::mem::replace(&mut self.unheard, unheard) != unheard
    }

    /// Whether its reports are not read for now.
    pub fn is_unheard(&self) -> bool {
        self.unheard
    }

    /// Which worker.
    pub fn id(&self) -> WorkerId {
        self.id
    }

    /// What epoll watches: where orders and reports travel, and where connections do.
    pub fn sockets(&self) -> [BorrowedFd<'_>; 2] {
        [self.orders.as_fd(), self.channel.as_fd()]
    }

    /// It knows of `listener`, and is about to serve it.
    pub fn claim(&mut self, listener: ListenerId) {
        self.claims.insert(listener);
    }

    /// Whether it serves `listener`, or is about to.
    pub fn claims(&self, listener: ListenerId) -> bool {
        self.claims.contains(&listener)
    }

    /// From now on it gets connections of `listener`; with `lane` it takes those of its slot's lane by itself.
    pub fn serve(&mut self, listener: ListenerId, lane: bool) {
        self.claims.insert(listener);
        self.serves.insert(listener);
        if lane {
            self.lanes.insert(listener)
        } else {
            self.lanes.remove(&listener)
        };
    }

    /// From now on it gets no connections of `listener`.
    pub fn unserve(&mut self, listener: ListenerId) {
        self.claims.remove(&listener);
        self.serves.remove(&listener);
        self.lanes.remove(&listener);
    }

    /// It says that it is ready; that is not to be told before it serves all that is expected, or before it is time.
    pub fn keep_back(&mut self, ready: Report, until: Millis) {
        let until = self.kept_back_until().unwrap_or(until);
        self.kept_back = Some((ready, until));
    }

    /// Its readiness that was kept back, if it serves all that is `expected` by now, or if it is time.
    pub fn settled(&mut self, expected: &[ListenerId], now: Millis) -> Option<Report> {
        let until = self.kept_back_until()?;
        let serves_all = expected.iter().all(|listener| self.serves.contains(listener));
        (serves_all || until <= now).then(|| self.kept_back.take())?.map(|(ready, _)| ready)
    }

    /// Until when its readiness is kept back, if it is.
    pub fn kept_back_until(&self) -> Option<Millis> {
        self.kept_back.as_ref().map(|(_, until)| *until)
    }

    /// What it serves.
    pub fn serves(&self) -> impl Iterator<Item = ListenerId> {
        self.serves.iter().copied()
    }

    /// The lanes on which it accepts: the listeners and its slot. A draining worker is told not to.
    pub fn lanes(&self) -> impl Iterator<Item = (ListenerId, u32)> {
        let open = if self.is_open() { Some(&self.lanes) } else { None };
        open.into_iter().flatten().map(|listener| (*listener, self.slot))
    }

    /// Its place.
    pub fn slot(&self) -> u32 {
        self.slot
    }

    /// How many connections it ever had.
    pub fn progress(&self) -> u64 {
        self.row.count(Field::ConnectionsTotal)
    }

    /// All servers of its app listen.
    pub fn set_ready(&mut self) {
        self.ready = true;
    }

    /// Whether all servers of its app listen.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// Whether it is not draining.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is among those that connections of `listener` go to; with `leaving`, a draining one too.
    pub fn may_take(&self, listener: ListenerId, leaving: bool) -> bool {
        let may = match self.state {
            State::Open => true,
            State::Draining | State::AskedToLeave => leaving,
            State::Left => false,
        };
        may && self.serves.contains(&listener)
    }

    /// How it looks to the balancer; with `leaving` it is never full.
    pub fn look(&mut self, leaving: bool) -> LoadSnapshot {
        self.settle();
        let load = self.row.count(Field::ConnectionsActive) + self.on_the_way() as u64;
        let standing = match () {
            () if !leaving && self.on_the_way() >= MAX_UNTAKEN => Standing::Full,
            () if self.room_left() == 0 => Standing::Full,
            () if self.is_stalled() => Standing::Stalled,
            () => Standing::Free,
        };
        LoadSnapshot { standing, load }
    }

    /// Whether connections that somebody else cannot take are well placed here.
    pub fn is_free(&self) -> bool {
        self.is_open()
            && !self.is_stalled()
            && self.on_the_way() < MAX_UNTAKEN / 2
            && self.room_left() > 0
    }

    /// It has descriptors `until` it has taken so many connections.
    pub fn set_room(&mut self, until: Option<u64>) {
        self.room = until;
    }

    /// For how many more connections it has descriptors, as far as it has told.
    pub(super) fn room_left(&self) -> u64 {
        self.room.map_or(u64::MAX, |until| until.saturating_sub(self.promised()))
    }

    pub(super) fn promised(&self) -> u64 {
        self.ledger.total().saturating_add(self.outbox.len() as u64)
    }

    /// Whether more is on the way to it than it has descriptors for. What lies in its channel may be a frame that it cannot take.
    pub fn is_overdrawn(&self) -> bool {
        self.on_the_way() > 0 && self.room.is_some_and(|until| until < self.promised())
    }

    /// Whether it is known to be stuck.
    pub fn is_stalled(&self) -> bool {
        self.stalled
            .is_some_and(|(at, had)| self.row.count(Field::Beat) < at && self.progress() == had)
    }

    /// It counts as stuck from now on. The sign of life that ends this is asked for, where nothing else that it has to take is on the
    /// way: idle, it would beat only once a second, and many only have to wait for a processor.
    pub fn stall(&mut self, now: Millis) {
        self.stalled = Some((now, self.progress()));
        if self.on_the_way() == 0 {
            self.order(&Order::Beat);
        }
    }

    pub(super) fn on_the_way(&self) -> usize {
        self.ledger.untaken() as usize + self.outbox.len()
    }

    /// Puts a connection into the outbox.
    pub fn give(&mut self, connection: Connection) {
        self.outbox.push_back(connection);
    }

    /// Has an order sent.
    pub fn order(&mut self, order: &Order) {
        self.order_with(order, None);
    }

    /// Has an order sent that says no more when it is there twice.
    pub fn order_once(&mut self, order: &Order) {
        let order = frame::order(order);
        if !self.unsent.iter().any(|(there, _)| *there == order) {
            self.unsent.push_back((order, None));
        }
    }

    /// Has an order sent, and the descriptor of a lane with it.
    pub fn order_with(&mut self, order: &Order, lane: Option<OwnedFd>) {
        self.unsent.push_back((frame::order(order), lane));
    }

    /// It begins to leave, and nobody has replaced it yet.
    pub fn leave_by_itself(&mut self) {
        self.leaves_by_itself = true;
    }

    /// Whether it leaves, and not because a replacement is there or nobody wants one.
    pub fn leaves_by_itself(&self) -> bool {
        self.leaves_by_itself
    }

    /// Takes it out of the choice.
    pub fn close(&mut self) {
        if self.state == State::Open {
            self.state = State::Draining;
        }
    }

    /// Takes it out of the choice and tells it to finish what it has; `moving`: and to give back what is idle, but of listeners that
    /// are `retired`. MasterEvent again without `moving` it keeps what it still has, because nobody is left to take it.
    pub fn drain(&mut self, moving: bool, retired: &BTreeSet<ListenerId>) {
        self.close();
        if self.state == State::Left {
            return;
        }
        let own: Vec<ListenerId> = self.serves.intersection(retired).copied().collect();
        let (first, more) = own.split_at(own.len().min(MAX_RETIRED));
        for retired in std::iter::once(first).chain(more.chunks(MAX_RETIRED)) {
            self.order(&Order::Drain { moving, retired: retired.to_vec() });
        }
    }

    /// It says it has nothing left.
    pub fn ask_to_leave(&mut self) {
        if matches!(self.state, State::Open | State::Draining) {
            self.state = State::AskedToLeave;
        }
    }

    /// Lets it go, if it asked and nothing is on the way to it; and whether it does so.
    pub fn grant_leave(&mut self) -> bool {
        let granted = self.state == State::AskedToLeave && self.on_the_way() == 0;
        if granted {
            self.state = State::Left;
            self.order(&Order::Leave);
        }
        granted
    }

    /// Strikes off the ledger what it has taken by now.
    pub(super) fn settle(&mut self) {
        self.ledger.taken(self.row.count(Field::Taken));
    }

    /// Whether connections lie untaken for `bound` milliseconds or longer, in which the worker took nothing else either: one that
    /// works off a heap of them, cold after its start, is not stuck, and what is taken from it would never come back.
    pub fn is_late(&self, now: Millis, bound: Millis) -> bool {
        let beat = self.row.count(Field::Beat);
        self.ledger.oldest().is_some_and(|at| at.max(beat.min(now)) + bound <= now)
    }

    /// When the dispatcher has to look at it again, at the `earliest` if it is full or wants to leave. `None`: nothing was handed to
    /// it that it did not take, and nothing of it is kept back. `bound` as in `is_late`.
    pub fn next_look(&self, bound: Millis, earliest: Millis) -> Option<Millis> {
        let soon = self.state == State::AskedToLeave
            || self.on_the_way() >= MAX_UNTAKEN
            || self.is_overdrawn();
        let untaken = self.ledger.oldest().map(|at| at + bound);
        let next = soon
            .then_some(earliest)
            .into_iter()
            .chain(untaken)
            .chain(self.kept_back_until())
            .min()?;
        Some(next.max(earliest))
    }

    /// Everything it did not take, from outbox and channel. Until it shows a sign of life it counts as stuck.
    pub fn reclaim(&mut self, now: Millis) -> Vec<Connection> {
        let connections = self.take_back(false).0;
        self.stall(now);
        connections
    }
}
