//! The ledger of one worker: connections that were handed to it and that it has not taken yet.
//!
//! The worker counts what it takes on the scoreboard, so it sends nothing back. The channel keeps
//! the order, so a count is enough: the oldest entries were taken, or read back, first. What
//! always holds: `untaken` is what was handed minus what was taken or read back, and `oldest` is
//! the time of the oldest of those.

use std::collections::VecDeque;

use crate::clock::Millis;

/// Counts the connections that lie in the channel of one worker.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// When connections were handed over, and how many together; oldest first.
    handed: VecDeque<(Millis, u32)>,
    untaken: u32,
    /// The worker's own counter at the latest update.
    taken: u64,
}

impl Ledger {
    /// Enters `count` connections that went into the channel at `now`.
    pub(crate) fn hand(&mut self, count: u32, now: Millis) {
        match self.handed.back_mut() {
            Some((at, before)) if *at == now => *before += count,
            _ => self.handed.push_back((now, count)),
        }
        self.untaken += count;
    }

    /// Removes what the worker has taken. `counter` is how many connections it ever took.
    pub(crate) fn taken(&mut self, counter: u64) {
        let new = counter.saturating_sub(self.taken);
        self.taken = counter;
        self.settle(u32::try_from(new).unwrap_or(u32::MAX));
    }

    /// Removes `count` connections that were read back from the channel.
    pub(crate) fn read_back(&mut self, count: u32) {
        self.settle(count);
    }

    /// How many connections lie in the channel.
    pub(crate) fn untaken(&self) -> u32 {
        self.untaken
    }

    /// How many connections the worker ever took, and those that lie in the channel.
    pub(crate) fn total(&self) -> u64 {
        self.taken.saturating_add(u64::from(self.untaken))
    }

    /// When the oldest untaken connection was handed over.
    pub(crate) fn oldest(&self) -> Option<Millis> {
        self.handed.front().map(|(at, _)| *at)
    }

    fn settle(&mut self, mut count: u32) {
        count = count.min(self.untaken);
        self.untaken -= count;
        while let Some((_, waiting)) = self.handed.front_mut() {
            if *waiting > count {
                *waiting -= count;
                return;
            }
            count -= *waiting;
            self.handed.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untaken_and_oldest_follow_the_counter_of_the_worker() {
        let mut ledger = Ledger::default();
        ledger.hand(2, 10);
        ledger.hand(3, 20);
        assert_eq!((ledger.untaken(), ledger.oldest()), (5, Some(10)));
        ledger.taken(1);
        assert_eq!((ledger.untaken(), ledger.oldest()), (4, Some(10)));
        ledger.taken(3);
        assert_eq!((ledger.untaken(), ledger.oldest()), (2, Some(20)));
        assert_eq!(ledger.total(), 5);
        ledger.read_back(2);
        assert_eq!((ledger.untaken(), ledger.oldest(), ledger.total()), (0, None, 3));
    }

    #[test]
    fn a_wrong_counter_of_a_worker_cannot_make_it_negative() {
        let mut ledger = Ledger::default();
        ledger.hand(1, 0);
        ledger.taken(u64::MAX);
        ledger.taken(0);
        ledger.read_back(9);
        assert_eq!((ledger.untaken(), ledger.oldest()), (0, None));
    }

    #[test]
    fn the_sum_is_right_in_any_order() {
        let mut random = fastrand::Rng::with_seed(7);
        let (mut ledger, mut open, mut taken) = (Ledger::default(), 0, 0);
        for now in 0..10_000 {
            let count = random.u32(0..4);
            match random.u8(0..3) {
                0 => {
                    ledger.hand(count + 1, now);
                    open += count + 1;
                }
                1 => {
                    taken += u64::from(count.min(open));
                    open -= count.min(open);
                    ledger.taken(taken);
                }
                _ => {
                    ledger.read_back(count.min(open));
                    open -= count.min(open);
                }
            }
            assert_eq!(ledger.untaken(), open);
            assert_eq!(ledger.oldest().is_some(), open > 0);
        }
    }
}
