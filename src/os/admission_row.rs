//! What workers that accept from the same sockets know of each other: three more numbers in each
//! row of the scoreboard.
//!
//! A worker that leaves connections to another one *kicks* it. What always holds: a kick is seen
//! before its worker waits for events, or wakes it. For that, `set_polling` comes before `kicked`
//! in the worker, and `kick` comes before `is_polling` in the one that kicks, all of them
//! sequentially consistent: one of the two sees the other.

use std::sync::atomic::{AtomicU64, Ordering};

use super::scoreboard::{FIELDS, Field, Row, Scoreboard};

/// The cells that JavaScript does not know, before the claim.
const KICKED: usize = FIELDS - 2;
const ACCEPTS: usize = FIELDS - 3;

/// How many listeners workers can accept from at the same time: each has a bit.
pub const MAX_SHARED: u32 = u64::BITS;

/// How long a kick may stay unanswered, microseconds, before the worker counts as stuck: while it
/// works, and while it should be woken by it.
const WORKING: u64 = 5_000;
const WAKING: u64 = 25_000;

/// One worker's row, as other workers see it.
#[derive(Debug, Clone, Copy)]
pub struct AdmissionRow<'a> {
    accepts: &'a AtomicU64,
    polling: &'a AtomicU64,
    kicked: &'a AtomicU64,
    load: &'a AtomicU64,
}

impl Scoreboard {
    /// Returns the row `index`, which is below [`Scoreboard::used`].
    pub fn admission(&self, index: usize) -> AdmissionRow<'_> {
        let cell = |field| self.cell(index + 1, field);
        AdmissionRow {
            accepts: cell(ACCEPTS),
            polling: cell(Field::Polling as usize),
            kicked: cell(KICKED),
            load: cell(Field::ConnectionsActive as usize),
        }
    }
}

impl Row {
    /// Returns it as other workers see it.
    pub fn admission(&self) -> AdmissionRow<'_> {
        self.board().admission(self.index())
    }
}

impl AdmissionRow<'_> {
    /// Whether the worker accepts from the listener of this bit and, as far as is known, will soon
    /// look at it. `now`: microseconds on the monotonic clock.
    pub fn is_free(&self, bit: u32, now: u64) -> bool {
        if self.accepts.load(Ordering::Relaxed) >> bit & 1 == 0 {
            return false;
        }
        let kicked = self.kicked.load(Ordering::Relaxed);
        let limit = if self.is_polling() { WAKING } else { WORKING };
        kicked == 0 || now.saturating_sub(kicked) <= limit
    }

    /// Returns the number of its open connections.
    pub fn load(&self) -> u64 {
        f64::from_bits(self.load.load(Ordering::Relaxed)).max(0.0) as u64
    }

    /// Sets from which listeners it accepts: a bit for each. 0: from none.
    pub fn set_accepts(&self, bits: u64) {
        self.accepts.store(bits, Ordering::SeqCst);
    }

    /// Returns from which listeners it accepts.
    pub fn accepts(&self) -> u64 {
        self.accepts.load(Ordering::Relaxed)
    }

    /// Says whether its event loop waits for events.
    pub fn set_polling(&self, polling: bool) {
        self.polling.store(f64::from(polling).to_bits(), Ordering::SeqCst);
    }

    fn is_polling(&self) -> bool {
        self.polling.load(Ordering::SeqCst) != 0
    }

    /// Asks the worker to look at the queues. Returns whether its event loop has to be woken for
    /// that. `now` as for `is_free`, and never 0.
    pub fn kick(&self, now: u64) -> bool {
        let first = self.kicked.compare_exchange(0, now, Ordering::SeqCst, Ordering::Relaxed);
        first.is_ok() && self.is_polling()
    }

    /// Whether it was kicked and has not answered.
    pub fn is_kicked(&self) -> bool {
        self.kicked.load(Ordering::SeqCst) != 0
    }

    /// The worker answers a kick: it is about to look at the queues. Returns whether there was one.
    pub fn answer_kick(&self) -> bool {
        self.is_kicked() && self.kicked.swap(0, Ordering::SeqCst) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_is_free_unless_it_accepts_nothing_or_leaves_a_kick_unanswered() {
        let board = Scoreboard::create(2).unwrap();
        let row = board.admission(0);
        assert!(!row.is_free(3, 1), "it accepts nothing");
        row.set_accepts(1 << 3);
        assert!(row.is_free(3, 1) && !row.is_free(2, 1));
        for (polling, limit) in [(false, WORKING), (true, WAKING)] {
            row.set_polling(polling);
            assert_eq!(row.kick(7), polling, "only one that waits has to be woken");
            assert!(!row.kick(8), "it was kicked already");
            assert!(row.is_free(3, 7 + limit) && !row.is_free(3, 8 + limit));
            assert!(row.answer_kick() && !row.answer_kick());
            assert!(row.is_free(3, 8 + limit));
        }
    }

    #[test]
    fn the_cells_are_its_own() {
        let board = Scoreboard::create(2).unwrap();
        let (row, next) = (board.row(0).unwrap(), board.row(1).unwrap());
        let _claim = row.claim().unwrap();
        let shared = board.admission(0);
        shared.set_accepts(u64::MAX);
        assert!(!shared.kick(u64::MAX));
        assert!(
            (0..Field::NAMES.len()).all(|field| board.cell(1, field).load(Ordering::Relaxed) == 0)
        );
        next.clear();
        assert_eq!(board.used(), 2);
        row.clear();
        assert_eq!((board.used(), shared.accepts(), shared.is_kicked()), (2, 0, false));
    }
}
