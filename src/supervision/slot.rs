//! A slot, which one worker holds and its replacement takes over.

use crate::clock::Millis;
use crate::protocol::worker::WorkerId;
use crate::supervision::backoff::Backoff;

/// A slot. One beyond the target keeps its generation and backoff for when it
/// is used again.
#[derive(Debug, Default)]
pub(super) struct Slot {
    /// Workers that the slot ever had.
    pub(super) generation: u32,
    /// How many of them ended although nobody asked them to.
    pub(super) crashes: u32,
    pub(super) backoff: Backoff,
    pub(super) occupancy: Occupancy,
}

/// Who holds a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupancy {
    /// No worker. `refill_at` is when the next one starts; `None` beyond the target.
    Vacant { refill_at: Option<Millis> },
    /// This one: starting, ready, or killed because it did not become ready in time.
    Held(WorkerId),
}

impl Default for Occupancy {
    fn default() -> Self {
        Self::Vacant { refill_at: None }
    }
}

impl Slot {
    /// The worker that holds the slot.
    pub(super) fn holder(&self) -> Option<WorkerId> {
        match self.occupancy {
            Occupancy::Held(worker) => Some(worker),
            Occupancy::Vacant { .. } => None,
        }
    }

    /// When the next worker starts, if the slot waits for one.
    pub(super) fn refill_at(&self) -> Option<Millis> {
        match self.occupancy {
            Occupancy::Vacant { refill_at } => refill_at,
            Occupancy::Held(_) => None,
        }
    }

    /// Empties the slot; the next worker starts at `refill_at`.
    pub(super) fn vacate(&mut self, refill_at: Option<Millis>) {
        self.occupancy = Occupancy::Vacant { refill_at };
    }

    /// Cancels the refill that the slot waits for, if any.
    pub(super) fn stop_waiting(&mut self) {
        if self.holder().is_none() {
            self.vacate(None);
        }
    }

    /// Whether the slot waits for its next worker after it lost one that had been ready.
    pub(super) fn waits_after_loss(&self) -> bool {
        self.refill_at().is_some() && self.backoff.is_after_loss()
    }
}
