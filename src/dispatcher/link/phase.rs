//! How far a worker is: from its start to its leave.

use crate::clock::Millis;
use crate::dispatcher::link::state::{LinkPhase, Readiness, WorkerLink};
use crate::protocol::{ListenerId, Order, Report};

/// Listeners in one order, so that it fits into a frame.
const MAX_RETIRED: usize = 1_000;

/// Readiness.
impl WorkerLink {
    /// Keeps the report that it is ready, or waits as a spare, back until it serves all that is
    /// expected or, at the latest, `until`.
    pub(in crate::dispatcher) fn defer_ready(&mut self, report: Report, until: Millis) {
        let until = self.deferred_until().unwrap_or(until);
        self.readiness = Readiness::Deferred { report, until };
    }

    pub(in crate::dispatcher) fn deferred_until(&self) -> Option<Millis> {
        if let Readiness::Deferred { until, .. } = self.readiness { Some(until) } else { None }
    }

    /// Returns the deferred report, if it serves all that is `expected` by now or if it is time. A
    /// spare only has to know of it. `None`: more is expected than there is yet.
    pub(in crate::dispatcher) fn take_deferred(
        &mut self,
        expected: Option<&[ListenerId]>,
        now: Millis,
    ) -> Option<Report> {
        let until = self.deferred_until()?;
        let has = |listener| {
            self.claims.get(listener).is_some_and(|serving| self.is_spare || serving.is_some())
        };
        let serves_all = expected.is_some_and(|all| all.iter().all(has));
        if !serves_all && until > now {
            return None;
        }
        match std::mem::replace(&mut self.readiness, Readiness::Starting) {
            Readiness::Deferred { report, .. } => Some(report),
            _ => None,
        }
    }

    /// Whether its servers wait until it is activated.
    pub(in crate::dispatcher) fn is_spare(&self) -> bool {
        self.is_spare
    }

    /// Has a spare listen: from now on it is a worker that starts.
    pub(in crate::dispatcher) fn activate(&mut self) {
        if std::mem::take(&mut self.is_spare) {
            self.claims.retain(|_, serving| serving.is_some());
            self.readiness = Readiness::Starting;
            self.order(&Order::Activate);
        }
    }

    pub(in crate::dispatcher) fn set_ready(&mut self) {
        self.readiness = Readiness::Ready;
    }

    pub(in crate::dispatcher) fn is_ready(&self) -> bool {
        matches!(self.readiness, Readiness::Ready)
    }
}

/// Phases.
impl WorkerLink {
    /// Whether it is not draining.
    pub(in crate::dispatcher) fn is_open(&self) -> bool {
        self.phase == LinkPhase::Open
    }

    /// Whether it serves or will: it does not drain, and waits for no activation.
    pub(in crate::dispatcher) fn goes_on(&self) -> bool {
        self.is_open() && !self.is_spare
    }

    /// It begins to leave, and nothing has replaced it yet.
    pub(in crate::dispatcher) fn leave_by_itself(&mut self) {
        self.leaves_by_itself = true;
    }

    /// Whether it leaves for a reason of its own: its replacement is still to come.
    pub(in crate::dispatcher) fn leaves_by_itself(&self) -> bool {
        self.leaves_by_itself
    }

    /// Gives it nothing new.
    pub(in crate::dispatcher) fn close(&mut self) {
        if self.phase == LinkPhase::Open {
            self.phase = LinkPhase::Draining;
        }
    }

    /// Gives it nothing new, and tells it to finish what it has. With `moving` it gives back idle
    /// connections, except those of listeners that are retired. Ordered again without `moving`, it
    /// keeps what it still has, because nobody is left to take it.
    pub(in crate::dispatcher) fn drain(
        &mut self,
        moving: bool,
        is_retired: impl Fn(ListenerId) -> bool,
    ) {
        self.close();
        if self.phase == LinkPhase::Left {
            return;
        }
        let own: Vec<ListenerId> = self.serves().filter(|listener| is_retired(*listener)).collect();
        let (first, more) = own.split_at(own.len().min(MAX_RETIRED));
        for retired in std::iter::once(first).chain(more.chunks(MAX_RETIRED)) {
            self.order(&Order::Drain { moving, retired: retired.to_vec() });
        }
    }

    /// It says that it has nothing left.
    pub(in crate::dispatcher) fn ask_to_leave(&mut self) {
        if matches!(self.phase, LinkPhase::Open | LinkPhase::Draining) {
            self.phase = LinkPhase::AskedToLeave;
        }
    }

    /// Lets it leave, if it asked and nothing is on the way to it. Returns whether it does.
    pub(in crate::dispatcher) fn grant_leave(&mut self) -> bool {
        let granted = self.phase == LinkPhase::AskedToLeave && self.on_the_way() == 0;
        if granted {
            self.phase = LinkPhase::Left;
            self.order(&Order::Leave);
        }
        granted
    }
}
