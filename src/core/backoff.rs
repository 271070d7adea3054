//! How long to wait before a slot gets its next worker.
//!
//! The first death is followed at once; deaths in quick succession wait longer and longer, up to a cap, so that a
//! crash loop costs neither the machine nor the log (Unitech/pm2#705: 40,000 restarts). Jitter keeps slots apart.

use super::Millis;

/// A worker that was ready for so long did not die of its start; the next death counts as a first one.
pub const HEALTHY_AFTER: Millis = 10_000;
/// The wait after the second death in quick succession.
const FIRST: Millis = 100;
/// No wait is longer than this, jitter included.
pub const CAP: Millis = 30_000;

/// Deaths in quick succession of one slot's workers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// Counts a death of a worker that had been ready for `ready_for` (0: never was), and says how long to wait.
    ///
    /// `jitter` is a random number; the result is between 75 % and 100 % of the doubled wait.
    pub fn after_death(&mut self, ready_for: Millis, jitter: u64) -> Millis {
        self.deaths = if ready_for >= HEALTHY_AFTER { 1 } else { self.deaths.saturating_add(1) };
        if self.deaths == 1 {
            return 0;
        }
        let doublings = (self.deaths - 2).min(16);
        let wait = (FIRST << doublings).min(CAP);
        wait - jitter % (wait / 4 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_is_followed_at_once_and_later_ones_wait_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let waits: Vec<Millis> = (0..12).map(|_| backoff.after_death(0, 0)).collect();
        assert_eq!(waits[..5], [0, 100, 200, 400, 800]);
        assert_eq!(waits[11], CAP);
    }

    #[test]
    fn jitter_only_shortens_and_never_below_three_quarters() {
        for jitter in 0..10_000 {
            let mut backoff = Backoff { deaths: 9 };
            let wait = backoff.after_death(0, jitter);
            assert!((25_600 * 3 / 4..=25_600).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn a_healthy_life_makes_the_next_death_a_first_one() {
        let mut backoff = Backoff { deaths: 20 };
        assert_eq!(backoff.after_death(HEALTHY_AFTER, 7), 0);
    }
}
