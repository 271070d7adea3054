//! The supervisor's own clock: it stands still while the master does.
//!
//! Runs in the master, as part of the supervisor. A master that is stopped (SIGSTOP, a paused container, a suspended machine) or gets no
//! processor misses what happens meanwhile, and so do its workers where they are stopped with it. That time counts for
//! no deadline. What always holds:
//!
//! - the clock never goes back, and a turn that comes on time moves it by exactly the time that passed;
//! - a turn that comes late moves it no further than a turn on time would have: so all deadlines together are later by the gap;
//! - after a gap it stands still for a moment more, in which what happened during the gap is heard;
//! - with each turn it moves by half of the wait at least, so a master that is always late still keeps its deadlines.

/// A point in time: milliseconds on a monotonic clock whose zero does not matter.
pub type Millis = u64;

/// The longest wait while there is a deadline, milliseconds: nothing of a gap that is longer counts.
pub const LOOK: Millis = 250;
/// A turn that is late by less is on time, milliseconds: timers are not exact.
const GRAIN: Millis = 20;
/// How long the clock stands still after a gap, milliseconds; but never longer than the gap was. Less than `LOOK`.
const SETTLE: Millis = LOOK / 2;

/// See the module's text.
#[derive(Debug, Default)]
pub struct Clock {
    /// Time on the machine's clock that does not count.
    lost: Millis,
    now: Millis,
    /// By when the next turn was promised, on the machine's clock.
    due: Option<Millis>,
}

impl Clock {
    /// A turn begins at `machine`, on the machine's monotonic clock. Returns the time on this one.
    pub fn turn(&mut self, machine: Millis) -> Millis {
        let late = self.due.map_or(0, |due| machine.saturating_sub(due));
        if late > GRAIN {
            self.lost += late + late.min(SETTLE);
        }
        self.now = self.now.max(machine.saturating_sub(self.lost));
        self.now
    }

    /// The time of the latest turn.
    #[cfg(test)]
    pub fn now(&self) -> Millis {
        self.now
    }

    /// The turn of `machine` is over; the next one comes within `wait`.
    pub fn wait(&mut self, machine: Millis, wait: Millis) {
        self.due = Some(machine + wait);
    }

    /// When it will be `at` on the machine's clock, if no time is lost before.
    pub fn on_machine(&self, at: Millis) -> Millis {
        at + self.lost
    }

    /// By when the next turn was promised, on the machine's clock.
    pub fn due(&self) -> Option<Millis> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(clock: &mut Clock, machine: Millis) -> Millis {
        let now = clock.turn(machine);
        clock.wait(machine, LOOK);
        now
    }

    #[test]
    fn turns_on_time_move_it_by_the_time_that_passed() {
        let mut clock = Clock::default();
        let at = [1_000, 1_250, 1_251, 1_501, 1_501 + LOOK + GRAIN];
        assert_eq!(at.map(|machine| turn(&mut clock, machine)), at);
    }

    #[test]
    fn a_gap_does_not_count_and_what_happened_in_it_has_a_moment_to_be_heard() {
        let mut clock = Clock::default();
        turn(&mut clock, 1_000);
        let now = turn(&mut clock, 61_000);
        assert!((1_000..=1_250).contains(&now), "{now}");
        assert_eq!(clock.on_machine(now + 1_000), 62_000, "a deadline is later by the gap");
        assert_eq!(turn(&mut clock, 61_250), now + 250);
    }

    #[test]
    fn a_deadline_that_was_due_in_the_gap_is_not_due_right_after_it() {
        let mut clock = Clock::default();
        turn(&mut clock, 1_000);
        // Due on time except the gap.
        let due = 1_000 + LOOK;
        turn(&mut clock, 61_000);
        assert_eq!(clock.on_machine(due), 61_000 + SETTLE);
    }

    #[test]
    fn a_master_that_is_always_late_still_gets_on() {
        let mut clock = Clock::default();
        turn(&mut clock, 0);
        let last = (1..=100).map(|n| turn(&mut clock, n * 10_000)).last();
        assert!(last >= Some(99 * LOOK / 2), "{last:?}");
    }
}
