//! How many connections one turn of the event loop accepts.
//!
//! Without the option `overload` as many as each look takes. With it, what was accepted has to be
//! answered soon; see `balancing::Pace`. All looks of one turn share what that allows.

use std::time::Duration;

use crate::balancing::Pace;

/// The pace of this worker, and the turn that runs.
#[derive(Debug)]
pub(super) struct Pacing {
    pace: Pace,
    /// The number of the turn of the last look.
    turn: u64,
    /// When that look was, microseconds, and how long the event loop had been idle by then.
    since: (u64, Duration),
    /// How many more that turn may accept.
    left: u64,
}

impl Pacing {
    /// `turn`: how long a turn should take at most, milliseconds. `most`: the connections that one
    /// turn may accept at most.
    pub(super) fn new(turn: u64, most: u64) -> Self {
        let pace = Pace::new(turn * 1_000, most);
        let left = pace.batch();
        Self { pace, turn: 0, since: (0, Duration::ZERO), left }
    }

    /// Returns how many connections this turn may still accept.
    pub(super) fn left(&self) -> u64 {
        self.left
    }

    /// A connection was accepted.
    pub(super) fn accepted(&mut self) {
        self.left = self.left.saturating_sub(1);
    }

    /// Begins the turn of the event loop with this number, unless it has begun. `now`:
    /// microseconds. `idle`: how long the event loop has waited for events since its start.
    pub(super) fn begin(&mut self, turn: u64, now: u64, idle: Duration) {
        if turn == self.turn {
            return;
        }
        // The time between two looks is that of one turn only if no other came between them.
        if turn == self.turn + 1 {
            let (then, idle_then) = self.since;
            let idle = idle.saturating_sub(idle_then).as_micros() as u64;
            self.pace.turned(now.saturating_sub(then).saturating_sub(idle), self.left == 0);
        }
        (self.turn, self.since) = (turn, (now, idle));
        self.left = self.pace.batch();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_time_of_a_single_turn_counts_and_not_that_in_which_the_loop_was_idle() {
        let most = 4;
        let mut pacing = Pacing::new(10, most);
        let ms = Duration::from_millis;
        assert_eq!(pacing.left, most);
        pacing.begin(1, 0, ms(0));
        pacing.left = 0;
        pacing.begin(1, 9_000, ms(0));
        assert_eq!(pacing.left, 0, "the same turn");
        pacing.begin(2, 40_000, ms(0));
        assert_eq!(pacing.left, most / 4, "40 ms");
        pacing.begin(4, 900_000, ms(0));
        assert_eq!(pacing.left, most / 4, "two turns");
        pacing.left = 0;
        pacing.begin(5, 990_000, ms(85));
        assert_eq!(pacing.left, most / 2, "5 ms");
    }
}
