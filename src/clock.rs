//! A clock that stands still while the process does.
//!
//! The supervisor's, in the master, and that of the watch thread, in a worker. A process that is
//! stopped (SIGSTOP, a paused container, a suspended machine) or gets no processor misses what
//! happens meanwhile, and so do the processes that it waits for where they are stopped with it.
//! That time counts for no deadline. What always holds:
//!
//! - The clock never goes back. A turn on time moves it by exactly the time that passed.
//! - A late turn moves it no further than a turn on time would have. So all deadlines together are
//!   later by the gap.
//! - After a gap it stands still for a moment more, in which events of the gap can be handled.
//! - Each turn moves it by at least half of the wait, so that a process that is always late still
//!   keeps its deadlines.

/// A point in time or a duration: milliseconds on a monotonic clock whose zero does not matter.
pub(crate) type Millis = u64;

/// The longest wait while there is a deadline, milliseconds. Nothing of a longer gap counts.
pub(crate) const MAX_WAIT: Millis = 250;
/// A turn that is late by less is on time, milliseconds: timers are not exact.
const GRAIN: Millis = 20;
/// How long the clock stands still after a gap, milliseconds, but never longer than the gap or half
/// of the wait before it.
const SETTLE: Millis = MAX_WAIT / 2;

/// Counts only the time in which the process ran.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    /// Time on the machine's clock that does not count.
    lost: Millis,
    now: Millis,
    /// By when the next turn was promised, on the machine's clock.
    due: Option<Millis>,
    /// Within what time it was promised.
    promised: Millis,
}

impl Clock {
    /// Begins a turn at `machine`, on the machine's monotonic clock. Returns the time on this one.
    pub(crate) fn turn(&mut self, machine: Millis) -> Millis {
        let late = self.due.map_or(0, |due| machine.saturating_sub(due));
        if late > GRAIN {
            self.lost += late + late.min(SETTLE).min(self.promised / 2);
        }
        self.now = self.now.max(machine.saturating_sub(self.lost));
        self.now
    }

    /// The time of the latest turn.
    #[cfg(test)]
    pub(crate) fn now(&self) -> Millis {
        self.now
    }

    /// Ends the turn of `machine`, and promises the next one within `wait`.
    pub(crate) fn wait(&mut self, machine: Millis, wait: Millis) {
        self.due = Some(machine.saturating_add(wait));
        self.promised = wait;
    }

    /// Returns the time on the machine's clock at which it is `at`, if no time is lost before.
    pub(crate) fn on_machine(&self, at: Millis) -> Millis {
        at.saturating_add(self.lost)
    }

    /// By when the next turn was promised, on the machine's clock.
    pub(crate) fn due(&self) -> Option<Millis> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(clock: &mut Clock, machine: Millis) -> Millis {
        let now = clock.turn(machine);
        clock.wait(machine, MAX_WAIT);
        now
    }

    #[test]
    fn turns_on_time_move_it_by_the_time_that_passed() {
        let mut clock = Clock::default();
        let at = [1_000, 1_250, 1_251, 1_501, 1_501 + MAX_WAIT + GRAIN];
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
        let due = 1_000 + MAX_WAIT;
        turn(&mut clock, 61_000);
        assert_eq!(clock.on_machine(due), 61_000 + SETTLE);
    }

    #[test]
    fn a_master_that_is_always_late_still_gets_on() {
        let mut clock = Clock::default();
        turn(&mut clock, 0);
        let last = (1..=100).map(|n| turn(&mut clock, n * 10_000)).last();
        assert!(last >= Some(99 * MAX_WAIT / 2), "{last:?}");
    }

    #[test]
    fn a_process_that_is_always_late_for_its_last_short_waits_still_ends_them() {
        for (wait, late) in [(1, 21), (5, 30), (50, 130), (120, 10_000)] {
            let mut clock = Clock::default();
            let mut machine = 1_000;
            let begun = clock.turn(machine);
            clock.wait(machine, wait);
            let turns = (1..=100).find(|_| {
                machine += wait + late;
                let now = clock.turn(machine);
                clock.wait(machine, wait);
                now >= begun + wait
            });
            assert!(matches!(turns, Some(1 | 2)), "{wait}, late by {late}: {turns:?}");
        }
    }
}
