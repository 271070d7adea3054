//! Which other workers are free, by what their rows show.
//!
//! What always holds: a worker counts as free only if it waits for events, or its event loop has
//! lately turned much faster than one that is stuck. Workers that all have more work than they can
//! do would otherwise hand their connections to and fro, each of which then waits longer.

use std::time::{Duration, Instant};

use crate::os::scoreboard::Row;

/// The turns of an event loop after which it is known that a whole turn was short.
pub(super) const WHOLE: u64 = 2;

/// Looks at the other workers.
#[derive(Debug)]
pub(super) struct FreeWorkers {
    own: Row,
    /// For each row, since when it is watched, and its turns then.
    seen: Vec<(Instant, u64)>,
}

impl FreeWorkers {
    pub(super) fn new(own: Row) -> Self {
        Self { own, seen: Vec::new() }
    }

    /// Returns whether another worker takes connections and its event loop turns.
    pub(super) fn is_one_alive(&self) -> bool {
        let board = self.own.board();
        self.others().any(|row| board.admission(row).is_responsive())
    }

    /// Returns whether another worker is free: it waits for events, or its event loop has turned
    /// twice within `short` since an earlier look.
    pub(super) fn is_one_free(&mut self, now: Instant, short: Duration) -> bool {
        let board = self.own.board();
        self.seen.resize(board.used(), (now, u64::MAX));
        let mut is_free = false;
        for row in self.others() {
            let other = board.admission(row);
            let (turns, (since, before)) = (other.turns(), self.seen[row]);
            let is_short = now.saturating_duration_since(since) <= short;
            let has_turned = turns >= before.saturating_add(WHOLE);
            if has_turned || !is_short || turns < before {
                self.seen[row] = (now, turns);
            }
            let is_fast = has_turned && is_short;
            is_free |= (is_fast || other.is_polling()) && other.is_responsive();
        }
        is_free
    }

    fn others(&self) -> impl Iterator<Item = usize> + use<> {
        let own = self.own.index();
        (0..self.own.board().used()).filter(move |row| *row != own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::{Field, Scoreboard};
    use std::sync::atomic::Ordering;

    const SHORT: Duration = Duration::from_millis(10);
    const TICK: Duration = Duration::from_millis(5);

    #[test]
    fn a_worker_is_free_if_it_waits_or_turns_fast() {
        let board = Scoreboard::create(2).unwrap();
        let [own, other] = [0, 1].map(|row| board.row(row).unwrap());
        [&own, &other].into_iter().for_each(Row::clear);
        other.set(Field::Beat, crate::os::now() as f64);
        other.admission().set_serving(true);
        let turn = |times| other.turns().fetch_add(times, Ordering::Relaxed);
        let mut free = FreeWorkers::new(own);
        let mut now = Instant::now();
        assert!(free.is_one_alive() && !free.is_one_free(now, SHORT), "nothing is known of it");
        let mut look = |turns, wait: Duration| {
            turn(turns);
            now += wait;
            free.is_one_free(now, SHORT)
        };
        assert!(!look(1, TICK), "one turn may be the end of a long one");
        assert!(look(1, TICK), "two within 10 ms");
        assert!(!look(0, TICK), "none since");
        assert!(!look(2, TICK * 3), "two within 20 ms");
        assert!(look(2, TICK));
        other.admission().set_polling(true);
        assert!(look(0, TICK * 9), "it waits");
        other.admission().set_stuck(true);
        assert!(!look(2, TICK), "its own watch says that it is stuck");
        other.admission().set_stuck(false);
        other.admission().set_serving(false);
        assert!(!look(2, TICK), "it takes none");
    }
}
