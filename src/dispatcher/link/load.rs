//! What a worker has, what is on the way to it, and whether it takes it in time.

use crate::balancing::{LoadSnapshot, Standing};
use crate::clock::Millis;
use crate::connection::Connection;
use crate::dispatcher::link::state::{LinkPhase, Stall, WorkerLink};
use crate::os::scoreboard::Field;
use crate::protocol::Order;

/// A connection that its worker did not take in this time goes to a free one, milliseconds.
pub(in crate::dispatcher) const TAKE_WITHIN: Millis = 3;
/// Retry interval for what epoll does not report, such as connections that wait while every worker
/// is full, milliseconds.
pub(in crate::dispatcher) const RETRY: Millis = 3;
/// Connections on the way to one worker. More wait where every worker can still get them.
const MAX_UNTAKEN: usize = 128;

impl WorkerLink {
    /// Returns its present load for the balancer. Where `draining` workers are admitted it is never
    /// full for what is on the way, since there may be no other.
    pub fn load(&mut self, draining: bool) -> LoadSnapshot {
        self.settle();
        let load = self.row.count(Field::ConnectionsActive) + self.on_the_way() as u64;
        let standing = if !draining && self.on_the_way() >= MAX_UNTAKEN || self.room_left() == 0 {
            Standing::Full
        } else if self.is_stalled() {
            Standing::Stalled
        } else {
            Standing::Free
        };
        LoadSnapshot { standing, load }
    }

    /// Removes from the ledger what it has taken by now.
    fn settle(&mut self) {
        self.ledger.taken(self.row.count(Field::Taken));
    }

    /// Whether it is a good choice for connections that another worker cannot take.
    pub(in crate::dispatcher) fn is_free(&self) -> bool {
        self.goes_on()
            && !self.is_stalled()
            && self.on_the_way() < MAX_UNTAKEN / 2
            && self.room_left() > 0
    }

    /// Connections that it was given and has not taken.
    pub(super) fn on_the_way(&self) -> usize {
        self.ledger.untaken() as usize + self.outbox.len()
    }

    /// It has descriptors `until` it has taken so many connections.
    pub(in crate::dispatcher) fn set_room(&mut self, until: Option<u64>) {
        self.room = until;
    }

    /// For how many more connections it has descriptors, as far as it has reported.
    fn room_left(&self) -> u64 {
        self.room.map_or(u64::MAX, |until| until.saturating_sub(self.promised()))
    }

    fn promised(&self) -> u64 {
        self.ledger.total().saturating_add(self.outbox.len() as u64)
    }

    /// Whether more is on the way to it than it has descriptors for. What lies in its channel may
    /// be a frame that it cannot take.
    pub(in crate::dispatcher) fn is_overdrawn(&self) -> bool {
        self.on_the_way() > 0 && self.room.is_some_and(|until| until < self.promised())
    }

    /// Whether it is known to be stuck.
    pub(in crate::dispatcher) fn is_stalled(&self) -> bool {
        self.row.admission().is_stuck()
            || self.stall.is_some_and(|stall| {
                self.row.count(Field::Beat) < stall.at && self.progress() == stall.progress
            })
    }

    /// From now on it counts as stuck. The sign of life that ends this is asked for, where nothing
    /// else that it has to take is on the way: an idle worker beats seldom, and many
    /// only have to wait for a processor.
    pub(in crate::dispatcher) fn stall(&mut self, now: Millis) {
        self.stall = Some(Stall { at: now, progress: self.progress() });
        if self.on_the_way() == 0 {
            self.order(&Order::Beat);
        }
    }

    /// It gives connections back. One that is stuck does so without its event loop, and is no
    /// choice for them until it shows a sign of life.
    pub(in crate::dispatcher) fn stall_if_stuck(&mut self, now: Millis) {
        if self.is_open() && self.row.admission().is_stuck() {
            self.stall(now);
        }
    }

    /// Whether connections lie untaken for `TAKE_WITHIN` or longer, in which the worker took
    /// nothing else either: one that works off a heap of them, cold after its start, is not stuck,
    /// and what is taken from it would never come back.
    pub(in crate::dispatcher) fn is_late(&self, now: Millis) -> bool {
        let beat = self.row.count(Field::Beat);
        self.ledger.oldest().is_some_and(|at| at.max(beat.min(now)) + TAKE_WITHIN <= now)
    }

    /// When to poll it again, at the earliest after `RETRY`, and then if it is full or wants to
    /// leave. `None`: it took all that it was given, and no report of it is deferred.
    pub(in crate::dispatcher) fn next_poll(&self, now: Millis) -> Option<Millis> {
        let earliest = now + RETRY;
        let soon = self.phase == LinkPhase::AskedToLeave
            || self.on_the_way() >= MAX_UNTAKEN
            || self.is_overdrawn();
        let untaken = self.ledger.oldest().map(|at| at + TAKE_WITHIN);
        let next = soon
            .then_some(earliest)
            .into_iter()
            .chain(untaken)
            .chain(self.deferred_until())
            .min()?;
        Some(next.max(earliest))
    }

    /// Takes back everything it did not take, from outbox and channel. Until it shows a sign of
    /// life it counts as stuck.
    pub(in crate::dispatcher) fn reclaim(&mut self, now: Millis) -> Vec<Connection> {
        let connections = self.take_back(false).0;
        self.stall(now);
        connections
    }
}
