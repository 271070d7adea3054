//! Which listeners a worker serves.

use crate::clock::Millis;
use crate::dispatcher::link::state::{LinkPhase, Serving, WorkerLink};
use crate::os::scoreboard::Field;
use crate::protocol::ListenerId;

/// What a worker serves later than that after its first listener does not belong to its start,
/// milliseconds.
const START_WITHIN: Millis = 60_000;

impl WorkerLink {
    /// It knows of `listener`, and is about to serve it.
    pub(in crate::dispatcher) fn claim(&mut self, listener: ListenerId) {
        self.claims.entry(listener).or_insert(None);
    }

    /// Whether it serves `listener`, or is about to; a spare, whether it would.
    pub(in crate::dispatcher) fn claims(&self, listener: ListenerId) -> bool {
        self.claims.contains_key(&listener)
    }

    /// From now on it gets connections of `listener`; if it `accepts`, by itself. `http1`: whether
    /// its server speaks HTTP/1 without TLS.
    pub fn serve(&mut self, listener: ListenerId, accepts: bool, http1: bool) {
        self.claims.insert(listener, Some(Serving { accepts, http1 }));
    }

    /// It has begun to serve a listener.
    pub(in crate::dispatcher) fn note_served(&mut self, now: Millis) {
        let after = now.saturating_sub(*self.first_served.get_or_insert(now));
        if after <= START_WITHIN {
            self.served_after = after;
        }
    }

    /// How long after its first listener it served the last one of its start, milliseconds.
    pub(in crate::dispatcher) fn served_after(&self) -> Millis {
        self.served_after
    }

    fn serving(&self, listener: ListenerId) -> Option<&Serving> {
        self.claims.get(&listener)?.as_ref()
    }

    /// Whether its server of `listener` speaks HTTP/1 without TLS.
    pub(in crate::dispatcher) fn speaks_http1(&self, listener: ListenerId) -> bool {
        self.serving(listener).is_some_and(|serving| serving.http1)
    }

    /// From now on it gets no connections of `listener`.
    pub(in crate::dispatcher) fn unserve(&mut self, listener: ListenerId) {
        self.claims.remove(&listener);
    }

    pub(in crate::dispatcher) fn serves(&self) -> impl Iterator<Item = ListenerId> {
        self.claims.iter().filter(|(_, serving)| serving.is_some()).map(|(listener, _)| *listener)
    }

    /// Whether it may be given connections of `listener`. A draining worker may only where
    /// `draining` workers are admitted.
    pub(in crate::dispatcher) fn may_take(&self, listener: ListenerId, draining: bool) -> bool {
        let may = match self.phase {
            LinkPhase::Open => true,
            LinkPhase::Draining | LinkPhase::AskedToLeave => draining,
            LinkPhase::Left => false,
        };
        may && self.serving(listener).is_some()
    }

    /// The listeners from which it accepts by itself. A draining worker does not.
    pub(in crate::dispatcher) fn accepts(&self) -> impl Iterator<Item = ListenerId> {
        let open = if self.is_open() { Some(&self.claims) } else { None };
        let accepts = |serving: &Option<Serving>| serving.is_some_and(|serving| serving.accepts);
        open.into_iter()
            .flatten()
            .filter(move |(_, serving)| accepts(serving))
            .map(|(listener, _)| *listener)
    }

    /// Has it look at the queues of shared sockets. `now`: microseconds on the monotonic clock.
    pub(in crate::dispatcher) fn kick(&self, now: u64) {
        if self.row.admission().kick(now) {
            self.waker.wake();
        }
    }

    /// Whether it has looked at the queues since it was last kicked.
    pub(in crate::dispatcher) fn has_answered(&self) -> bool {
        !self.row.admission().is_kicked()
    }

    /// Its process has ended: other workers do not count on it any more.
    pub(in crate::dispatcher) fn stop_accepting(&mut self) {
        self.claims.values_mut().flatten().for_each(|serving| serving.accepts = false);
        self.row.admission().set_accepts(0);
    }

    /// Returns how many connections it ever had.
    pub(in crate::dispatcher) fn progress(&self) -> u64 {
        self.row.count(Field::ConnectionsTotal)
    }
}
