//! Which connections in an accept queue are too many, where the option `overload` is on.
//!
//! An accept queue is first in, first out. So the number of a connection is how many came before
//! it: those that were ever accepted, and those before it in the queue. A *mark* is a time and the
//! number of the newest connection then: all up to that number had come by that time.
//!
//! What always holds: a connection counts as too many only if it is known to have waited for
//! `delay`, or if more than `waiting` wait. One that waits longer is found as soon as a mark that
//! was made after it came is `delay` old: marks are made at most a [`STEPS`]th of it apart, if the
//! queue is looked at so often. The oldest are those that are too many. Accepting takes them first
//! anyway; and their clients are the first to give up, so that an answer would be for nobody.

use std::collections::VecDeque;

use crate::clock::Millis;
use crate::config::OverloadOptions;

/// Marks within `delay`, which bounds how many are kept.
const STEPS: Millis = 32;

/// What is known of the connections that wait in one accept queue.
#[derive(Debug)]
pub(crate) struct Backlog {
    limits: OverloadOptions,
    /// The oldest first, with rising numbers.
    marks: VecDeque<Mark>,
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Millis,
    number: u64,
}

impl Backlog {
    /// Returns one of a queue of which nothing is known yet.
    pub(crate) fn new(limits: OverloadOptions) -> Self {
        Self { limits, marks: VecDeque::new() }
    }

    /// Looks at the queue. Returns how many of its oldest connections are too many. `accepted`: how
    /// many were ever accepted from it. `waiting`: how many wait. `room`: how many can; 0 if that is
    /// not known. More than seven eighths of that are too many where more may wait: the kernel makes
    /// clients of a full queue try again after a second.
    pub(crate) fn excess(&mut self, now: Millis, accepted: u64, waiting: u64, room: u64) -> u64 {
        let bearable = if room == 0 { u64::MAX } else { room - room / 8 };
        let most = self.limits.waiting.map(|most| most.min(bearable));
        let above = most.map_or(0, |most| waiting.saturating_sub(most));
        let late = self.limits.delay.map_or(0, |delay| self.late(delay, now, accepted, waiting));
        above.max(late).min(waiting)
    }

    /// Forgets since when connections wait: from now on they count as new.
    pub(crate) fn forget(&mut self) {
        self.marks.clear();
    }

    /// Returns how many are known to have waited for `delay`.
    fn late(&mut self, delay: Millis, now: Millis, accepted: u64, waiting: u64) -> u64 {
        while self.marks.front().is_some_and(|mark| mark.number <= accepted) {
            self.marks.pop_front();
        }
        let number = accepted + waiting;
        let is_news = |last: &Mark| last.number < number && last.at + delay.div_ceil(STEPS) <= now;
        if waiting > 0 && self.marks.back().is_none_or(is_news) {
            self.marks.push_back(Mark { at: now, number });
        }
        let is_old = |mark: &Mark| mark.at + delay <= now;
        // Of those that are old enough, the newest says all that the others do.
        while self.marks.get(1).is_some_and(is_old) {
            self.marks.pop_front();
        }
        let oldest = self.marks.front().filter(|mark| is_old(mark));
        oldest.map_or(0, |mark| mark.number - accepted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: u64 = 4_096;

    fn backlog(waiting: Option<u64>, delay: Option<Millis>) -> Backlog {
        Backlog::new(OverloadOptions { waiting, delay })
    }

    #[test]
    fn more_than_may_wait_are_too_many_at_once() {
        let mut backlog = backlog(Some(10), None);
        assert_eq!(
            [0, 10, 11, 99].map(|waiting| backlog.excess(5, 7, waiting, ROOM)),
            [0, 0, 1, 89]
        );
    }

    #[test]
    fn more_may_wait_than_the_queue_holds() {
        for (waiting, room, above) in
            [(Some(10), 16, 6), (Some(99), 16, 2), (Some(99), 0, 0), (None, 16, 0)]
        {
            let mut backlog = backlog(waiting, None);
            assert_eq!(backlog.excess(5, 7, 16, room), above);
            assert_eq!(backlog.excess(5, 7, 16, ROOM), waiting.map_or(0, |most| 16 - most.min(16)));
        }
    }

    #[test]
    fn a_connection_is_too_many_once_it_is_known_to_have_waited_too_long() {
        let mut backlog = backlog(None, Some(160));
        assert_eq!(backlog.excess(1_000, 0, 3, ROOM), 0);
        assert_eq!(backlog.excess(1_100, 0, 5, ROOM), 0);
        assert_eq!(backlog.excess(1_159, 1, 4, ROOM), 0);
        assert_eq!(backlog.excess(1_160, 1, 4, ROOM), 2, "of the first three, one was accepted");
        assert_eq!(backlog.excess(1_170, 3, 2, ROOM), 0);
        assert_eq!(backlog.excess(1_260, 3, 9, ROOM), 2);
        assert_eq!(backlog.excess(1_261, 12, 0, ROOM), 0);
        assert_eq!(backlog.excess(2_000, 12, 4, ROOM), 0, "those have just come");
    }

    #[test]
    fn what_is_forgotten_counts_as_new() {
        let mut backlog = backlog(Some(100), Some(160));
        backlog.excess(1_000, 0, 3, ROOM);
        backlog.forget();
        assert_eq!(backlog.excess(1_200, 0, 3, ROOM), 0);
        assert_eq!(backlog.excess(1_360, 0, 101, ROOM), 3);
    }

    /// Clients that come and workers that accept at random, against the true ages.
    #[test]
    fn none_is_too_many_before_its_time_and_none_stays_long_after_it() {
        const EVERY: Millis = 5;
        let mut random = fastrand::Rng::with_seed(20);
        for _ in 0..200 {
            let delay = random.u64(20..500);
            let (come, go) = (random.u64(0..6), random.u64(0..4));
            let mut backlog = backlog(None, Some(delay));
            let (mut queue, mut accepted) = (VecDeque::new(), 0);
            for now in (0..3_000).step_by(EVERY as usize) {
                (0..random.u64(0..=come)).for_each(|_| queue.push_back(now));
                for _ in 0..random.u64(0..=go) {
                    accepted += u64::from(queue.pop_front().is_some());
                }
                let excess = backlog.excess(now, accepted, queue.len() as u64, ROOM);
                for _ in 0..excess {
                    let came: Millis = queue.pop_front().expect("it waits");
                    assert!(came + delay <= now, "{came} {now} {delay}");
                }
                accepted += excess;
                let latest = delay + delay.div_ceil(STEPS) + 2 * EVERY;
                assert!(queue.front().is_none_or(|came| now < came + latest), "{delay}");
                assert!(backlog.marks.len() <= STEPS as usize + 2);
            }
        }
    }
}
