//! The turns of the event loop, counted in the worker's row.
//!
//! The watch thread says that the event loop is stuck; the event loop itself says that it is not
//! any more. What always holds: it says so before it waits for the events of its third turn, and
//! not after one turn alone, which may only lie between two long ones. To leave that to the watch
//! would take one of its ticks, in which others go on waiting for this worker.

use std::sync::atomic::{AtomicU64, Ordering};

use super::free_workers::WHOLE;
use crate::os::scoreboard::Row;

#[derive(Debug)]
pub(super) struct Turns {
    row: &'static Row,
    /// How many in a row have begun while it counted as stuck.
    stuck: u64,
}

impl Turns {
    /// `row` is that of this worker.
    pub(super) fn new(row: Row) -> Self {
        Self { row: Box::leak(Box::new(row)), stuck: 0 }
    }

    /// Returns how often the event loop has turned.
    pub(super) fn count(&self) -> &'static AtomicU64 {
        self.row.turns()
    }

    /// The event loop turns. Called by its thread only.
    pub(super) fn turn(&mut self) {
        self.count().fetch_add(1, Ordering::Relaxed);
        let shared = self.row.admission();
        self.stuck = if shared.is_stuck() { self.stuck + 1 } else { 0 };
        if self.stuck >= WHOLE {
            shared.set_stuck(false);
            self.stuck = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::Scoreboard;

    #[test]
    fn an_event_loop_that_turns_twice_is_stuck_no_longer() {
        let board = Scoreboard::create(1).unwrap();
        let mut turns = Turns::new(board.row(0).unwrap());
        let shared = board.admission(0);
        shared.set_serving(true);
        turns.turn();
        for again in 0..2 {
            assert!(shared.set_stuck(true));
            turns.turn();
            assert!(shared.is_stuck(), "one turn may lie between two long ones ({again})");
            turns.turn();
            assert!(!shared.is_stuck());
        }
        assert_eq!(turns.count().load(Ordering::Relaxed), 5);
    }
}
