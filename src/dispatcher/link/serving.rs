//! Which listeners a worker serves.

use crate::dispatcher::link::state::{LinkPhase, WorkerLink};
use crate::os::scoreboard::Field;
use crate::protocol::ListenerId;

impl WorkerLink {
    /// It knows of `listener`, and is about to serve it.
    pub(in crate::dispatcher) fn claim(&mut self, listener: ListenerId) {
        self.claims.insert(listener);
    }

    /// Whether it serves `listener`, or is about to.
    pub(in crate::dispatcher) fn claims(&self, listener: ListenerId) -> bool {
        self.claims.contains(&listener)
    }

    /// From now on it gets connections of `listener`; with `lane` it takes those of its slot's lane
    /// by itself.
    pub fn serve(&mut self, listener: ListenerId, lane: bool) {
        self.claims.insert(listener);
        self.serves.insert(listener);
        if lane {
            self.lanes.insert(listener);
        } else {
            self.lanes.remove(&listener);
        }
    }

    /// From now on it gets no connections of `listener`.
    pub(in crate::dispatcher) fn unserve(&mut self, listener: ListenerId) {
        self.claims.remove(&listener);
        self.serves.remove(&listener);
        self.lanes.remove(&listener);
    }

    pub(in crate::dispatcher) fn serves(&self) -> impl Iterator<Item = ListenerId> {
        self.serves.iter().copied()
    }

    /// Whether it may be given connections of `listener`. A draining worker may only where
    /// `draining` workers are admitted.
    pub(in crate::dispatcher) fn may_take(&self, listener: ListenerId, draining: bool) -> bool {
        let may = match self.phase {
            LinkPhase::Open => true,
            LinkPhase::Draining | LinkPhase::AskedToLeave => draining,
            LinkPhase::Left => false,
        };
        may && self.serves.contains(&listener)
    }

    /// The lanes on which it accepts: the listeners and its slot. A draining worker does not.
    pub(in crate::dispatcher) fn lanes(&self) -> impl Iterator<Item = (ListenerId, u32)> {
        let open = if self.is_open() { Some(&self.lanes) } else { None };
        open.into_iter().flatten().map(|listener| (*listener, self.slot))
    }

    /// Returns how many connections it ever had.
    pub(in crate::dispatcher) fn progress(&self) -> u64 {
        self.row.count(Field::ConnectionsTotal)
    }
}
