//! What workers that accept from the same sockets know of each other: six more numbers in each
//! row of the scoreboard.
//!
//! A worker that leaves connections to another one *kicks* it. What always holds: a kick is seen
//! before its worker waits for events, or wakes it. For that, `set_polling` comes before `kicked`
//! in the worker, and `kick` comes before `is_polling` in the one that kicks, all of them
//! sequentially consistent: one of the two sees the other.

use std::sync::atomic::{AtomicU64, Ordering};

use super::scoreboard::{ADMISSION, COUNTERS, FIELDS, Field, Row, Scoreboard};
use super::time::now as now_millis;

/// The cells that JavaScript does not know, before the claim.
const KICKED: usize = FIELDS - 2;
const ACCEPTS: usize = FIELDS - 3;
const STANDING: usize = FIELDS - 4;
const TURNS: usize = FIELDS - 5;
const CALM_UNTIL: usize = ADMISSION;

/// What [`STANDING`] is: whether the worker takes connections, and whether its event loop is stuck.
const SERVING: u64 = 1;
const STUCK: u64 = 2;

/// A worker whose event loop has not turned for longer is not there, milliseconds.
const SILENT: u64 = 3_000;
/// A beat that was announced is late after so long, milliseconds.
const LATE: u64 = 1_000;

/// How many listeners workers can accept from at the same time: each has a bit.
pub const MAX_SHARED: u32 = u64::BITS;
const _: () = assert!(MAX_SHARED as usize <= COUNTERS);

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
    standing: &'a AtomicU64,
    turns: &'a AtomicU64,
    calm_until: &'a AtomicU64,
    beat: &'a AtomicU64,
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
            standing: cell(STANDING),
            turns: cell(TURNS),
            calm_until: cell(CALM_UNTIL),
            beat: cell(Field::Beat as usize),
        }
    }
}

impl Row {
    /// Returns it as other workers see it.
    pub fn admission(&self) -> AdmissionRow<'_> {
        self.board().admission(self.index())
    }

    /// Counts the turns of the worker's event loop. Called by its JavaScript thread only.
    pub fn turns(&self) -> &AtomicU64 {
        self.board().cell(self.index() + 1, TURNS)
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

    /// Says whether the worker takes connections of any listener. Called by its JavaScript thread.
    pub fn set_serving(&self, serving: bool) {
        let standing = if serving { SERVING } else { 0 };
        self.standing.store(standing, Ordering::Relaxed);
    }

    /// Says whether its event loop is stuck. Called by its watch thread. Returns `false` if it
    /// takes no connections.
    pub fn set_stuck(&self, stuck: bool) -> bool {
        let (from, to) = if stuck { (SERVING, STUCK) } else { (STUCK, SERVING) };
        let found = self.standing.compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        found.map_or_else(|found| found == to, |_| true)
    }

    /// Whether its own watch says that its event loop is stuck.
    pub fn is_stuck(&self) -> bool {
        self.standing.load(Ordering::Relaxed) == STUCK
    }

    /// Whether it takes connections, and its event loop turns.
    pub fn is_responsive(&self) -> bool {
        let now = now_millis();
        self.standing.load(Ordering::Relaxed) == SERVING
            && now.saturating_sub(self.last_turn(now)) < SILENT
    }

    /// Returns when its event loop last turned, as far as is known, milliseconds. One that waits
    /// for events has nothing to turn for: that is `now`.
    pub fn last_turn(&self, now: u64) -> u64 {
        let beat = f64::from_bits(self.beat.load(Ordering::Relaxed)).max(0.0) as u64;
        let is_calm = now < self.calm_until.load(Ordering::Relaxed).saturating_add(LATE);
        let waits = is_calm && self.is_polling() && !self.is_stuck();
        if waits { beat.max(now) } else { beat }
    }

    /// Announces that its event loop may wait without a beat until then, milliseconds; 0: it beats
    /// as ever. Called by its JavaScript thread.
    pub fn set_calm_until(&self, until: u64) {
        self.calm_until.store(until, Ordering::Relaxed);
    }

    /// Returns how often its event loop has turned.
    pub fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
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

    /// Whether its event loop waits for events, as far as is known.
    pub fn is_polling(&self) -> bool {
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
    fn an_event_loop_that_waits_and_said_so_counts_as_turning_until_its_beat_is_late() {
        let board = Scoreboard::create(1).unwrap();
        let (row, shared) = (board.row(0).unwrap(), board.admission(0));
        row.set(Field::Beat, 1_000.0);
        shared.set_polling(true);
        assert_eq!(shared.last_turn(2_000), 1_000, "it did not say so");
        shared.set_calm_until(6_000);
        for (now, turned) in [(2_000, 2_000), (6_999, 6_999), (7_000, 1_000)] {
            assert_eq!(shared.last_turn(now), turned);
        }
        shared.set_polling(false);
        assert_eq!(shared.last_turn(2_000), 1_000, "it does not wait");
        shared.set_polling(true);
        shared.set_serving(true);
        shared.set_stuck(true);
        assert_eq!(shared.last_turn(2_000), 1_000, "something waits for it");
        shared.set_stuck(false);
        row.set(Field::Beat, 9_000.0);
        assert_eq!(shared.last_turn(2_000), 9_000, "an announced pause");
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
        shared.set_serving(true);
        assert!(!shared.is_responsive(), "it never beat");
        row.set(Field::Beat, now_millis() as f64);
        assert!(shared.is_responsive() && shared.set_stuck(true) && shared.is_stuck());
        assert!(!shared.is_responsive() && shared.set_stuck(false) && shared.is_responsive());
        row.set(Field::Beat, 0.0);
        shared.set_polling(true);
        shared.set_calm_until(now_millis() + 60_000);
        assert!(shared.is_responsive(), "it waits");
        shared.set_polling(false);
        assert!(!shared.is_responsive(), "it has something to do, and does not turn");
        shared.set_serving(false);
        assert!(!shared.set_stuck(true) && !shared.is_responsive() && !shared.is_stuck());
        row.set(Field::Beat, 0.0);
        next.clear();
        assert_eq!(board.used(), 2);
        row.clear();
        assert_eq!((board.used(), shared.accepts(), shared.is_kicked()), (2, 0, false));
    }
}
