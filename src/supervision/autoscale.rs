//! How many workers there is work for: the policy of the option `maxWorkers`.
//!
//! *Demand* is the sum of the utilizations of the workers: 1.5 is the work of one and a half event
//! loops. A worker that has no utilization yet adds nothing to it, and is room for it all the same.
//! So what one window measured never makes more workers than it proves work for, however quickly
//! they start. What always holds:
//!
//! - The number stays between the least and the most.
//! - It grows while the workers would be busier than [`AIM`] on average. It shrinks by one where
//!   those that stay would be less busy than [`LOW`], and all of them have been measured.
//! - After a step the next one down, or in the other direction, comes no earlier than a whole
//!   window. Together with the distance of both bounds, a constant load never makes it go back and
//!   forth.

use crate::clock::Millis;
use crate::supervision::utilization::WINDOW;

/// Workers are added until they are no busier than this on average, thousandths.
const AIM: u32 = 600;
/// A worker is one too many if the others would be less busy than this without it, thousandths.
const LOW: u32 = 400;

/// Where a step leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// What keeps the number from growing although there is work for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// There are `maxWorkers`.
    Most,
    /// Another worker needs so much memory, and less is available. In bytes.
    Memory { needed: u64, available: u64 },
    /// The worker of this slot ended, and the next one waits.
    Crashes { slot: u32 },
}

/// What is measured of the workers at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// How many there should be.
    pub(super) workers: usize,
    /// The sum of the utilizations, in thousandths.
    pub(super) demand: u32,
    /// How many of them have a utilization.
    pub(super) measured: usize,
    /// Whether all have one, as far as the others would miss those without.
    pub(super) is_complete: bool,
}

impl Load {
    /// The mean of the utilizations, in thousandths.
    pub(super) fn mean(&self) -> Option<u32> {
        self.demand.checked_div(self.measured as u32)
    }
}

/// The state of the policy. All times are of the machine's clock.
#[derive(Debug)]
pub(super) struct Autoscale {
    pub(super) least: usize,
    pub(super) most: usize,
    /// The latest step, and when it was made.
    last: Option<(Direction, Millis)>,
    /// What keeps the number from growing, and when it last did.
    limited: Option<(Limit, Millis)>,
    /// The available memory was asked for.
    pub(super) is_asking: bool,
}

impl Autoscale {
    pub(super) fn new(least: u32, most: u32) -> Self {
        let [least, most] = [least, most].map(|workers| workers as usize);
        Self { least, most: most.max(least), last: None, limited: None, is_asking: false }
    }

    /// Returns `workers` within the bounds.
    pub(super) fn bound(&self, workers: usize) -> usize {
        workers.clamp(self.least, self.most)
    }

    /// Returns the direction of a step for which there is reason at `now`. A step up may still meet
    /// a limit.
    pub(super) fn wish(&self, load: &Load, now: Millis) -> Option<Direction> {
        let Load { workers, demand, is_complete, .. } = *load;
        let may = |direction| match self.last {
            None => true,
            Some((last, at)) => [last, direction] == [Direction::Up; 2] || now >= at + WINDOW,
        };
        let of = |bound: u32, workers: usize| bound * workers as u32;
        if demand > of(AIM, workers) && may(Direction::Up) {
            return Some(Direction::Up);
        }
        let is_one_too_many = is_complete && workers > self.least;
        let is_low = is_one_too_many && demand < of(LOW, workers - 1);
        (is_low && may(Direction::Down)).then_some(Direction::Down)
    }

    /// A step was made.
    pub(super) fn stepped(&mut self, direction: Direction, now: Millis) {
        self.last = Some((direction, now));
        self.limited = None;
    }

    /// Notes what keeps the number from growing. Returns whether it is something new.
    pub(super) fn limit(&mut self, limit: Limit, now: Millis) -> bool {
        let kind = |limit: &Limit| std::mem::discriminant(limit);
        let before = self.limited.replace((limit, now));
        before.is_none_or(|(before, _)| kind(&before) != kind(&limit))
    }

    /// There is no reason for a step. A limit is over when there was none for a whole window.
    pub(super) fn rest(&mut self, now: Millis) {
        self.limited = self.limited.filter(|(_, at)| now < at + WINDOW);
    }

    /// What keeps the number from growing.
    pub(super) fn limited(&self) -> Option<Limit> {
        self.limited.map(|(limit, _)| limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(workers: usize, demand: u32) -> Load {
        Load { workers, demand, measured: workers, is_complete: true }
    }

    #[test]
    fn it_grows_above_the_aim_and_shrinks_where_one_less_is_enough() {
        let auto = Autoscale::new(1, 8);
        for (workers, demand, wish) in [
            (1, 600, None),
            (1, 601, Some(Direction::Up)),
            (1, 0, None),
            (2, 399, Some(Direction::Down)),
            (2, 400, None),
            (8, 4_801, Some(Direction::Up)),
            (8, 2_799, Some(Direction::Down)),
        ] {
            assert_eq!(auto.wish(&load(workers, demand), 0), wish, "{workers} workers, {demand}");
        }
        let unknown = Load { is_complete: false, measured: 1, ..load(2, 0) };
        assert_eq!(auto.wish(&unknown, 0), None, "one of them may have much to do");
    }

    #[test]
    fn one_window_makes_no_more_workers_than_it_proves_work_for() {
        let mut auto = Autoscale::new(1, 100);
        let mut workers = 4;
        // All four are as busy as can be; new ones are not measured meanwhile.
        while auto.wish(&load(workers, 4_000), 20_000).is_some() {
            auto.stepped(Direction::Up, 20_000);
            workers += 1;
        }
        assert_eq!(workers, 7);
    }

    #[test]
    fn another_direction_and_a_further_step_down_wait_for_a_whole_window() {
        let mut auto = Autoscale::new(1, 8);
        let (much, little) = (load(4, 4_000), load(4, 0));
        auto.stepped(Direction::Down, 50_000);
        for at in [50_000, 59_999] {
            assert_eq!([auto.wish(&much, at), auto.wish(&little, at)], [None, None]);
        }
        assert_eq!(auto.wish(&much, 60_000), Some(Direction::Up));
        assert_eq!(auto.wish(&little, 60_000), Some(Direction::Down));
        auto.stepped(Direction::Up, 60_000);
        assert_eq!(auto.wish(&much, 60_000), Some(Direction::Up), "further in the same one");
        assert_eq!(auto.wish(&little, 69_999), None);
    }

    #[test]
    fn a_limit_is_new_once_and_over_after_a_window_without_it() {
        let mut auto = Autoscale::new(1, 8);
        let memory = |available| Limit::Memory { needed: 100, available };
        assert!(auto.limit(memory(50), 0));
        assert!(!auto.limit(memory(40), 5_000));
        auto.rest(14_999);
        assert_eq!(auto.limited(), Some(memory(40)));
        assert!(auto.limit(Limit::Most, 14_999));
        auto.rest(24_999);
        assert_eq!(auto.limited(), None);
    }
}
