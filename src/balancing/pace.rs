//! How many connections a worker accepts in one turn of its event loop, where the option `overload`
//! is on.
//!
//! What a worker has accepted waits in it for the requests before it, where nobody sees how long.
//! So it accepts no more than it can begin to answer in a short turn; the others wait in the accept
//! queue, where their wait is known.
//!
//! What always holds: if each connection costs the same, a turn takes no longer than it should or
//! answers one connection; and a worker that could answer more in a turn accepts twice as many in
//! the next one.

#[derive(Debug)]
pub(crate) struct Pace {
    /// How long a turn should take at most, microseconds.
    turn: u64,
    /// What one turn may accept at most.
    most: u64,
    batch: u64,
}

impl Pace {
    /// `turn`: how long a turn should take at most, microseconds. `most`: the connections that one
    /// turn may accept at most.
    pub(crate) fn new(turn: u64, most: u64) -> Self {
        Self { turn, most, batch: most }
    }

    /// Returns how many connections one turn may accept.
    pub(crate) fn batch(&self) -> u64 {
        self.batch
    }

    /// A turn is over, in which the event loop was busy for `busy` microseconds. `was_full`: the
    /// turn before it had accepted a whole batch, which this one has answered.
    pub(crate) fn turned(&mut self, busy: u64, was_full: bool) {
        if busy > self.turn {
            self.batch = (self.batch * self.turn / busy).max(1);
        } else if was_full && busy <= self.turn / 2 {
            self.batch = (2 * self.batch).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: u64 = 12_000;

    /// The batch after some turns in which each connection costs so many microseconds.
    fn settled(pace: &mut Pace, cost: u64) -> u64 {
        (0..10).for_each(|_| pace.turned(pace.batch() * cost, true));
        pace.batch()
    }

    #[test]
    fn as_many_are_accepted_as_one_turn_can_answer() {
        let mut pace = Pace::new(TURN, 64);
        assert_eq!(settled(&mut pace, 100), 64);
        for cost in [5_000, 700, 90_000, 1_500] {
            let batch = settled(&mut pace, cost);
            assert!(batch == 1 || batch * cost <= TURN, "{cost}: {batch}");
            assert!(batch * cost > TURN / 2, "{cost}: {batch}");
        }
    }

    #[test]
    fn one_long_turn_is_made_up_for_in_a_few() {
        let mut pace = Pace::new(TURN, 64);
        settled(&mut pace, 100);
        pace.turned(100 * TURN, true);
        assert_eq!(pace.batch(), 1);
        assert_eq!(settled(&mut pace, 100), 64);
    }

    #[test]
    fn turns_that_had_nothing_to_accept_say_nothing() {
        let mut pace = Pace::new(TURN, 64);
        settled(&mut pace, 6_500);
        (0..10).for_each(|_| pace.turned(0, false));
        assert_eq!(pace.batch(), 1);
    }
}
