//! How long a slot waits for its next worker.
//!
//! A worker that never became ready has failed to start. The first failed start is followed at
//! once; further ones wait longer and longer, up to 30 s, so that a crash loop costs neither the
//! machine nor the log (Unitech/pm2#705: 40,000 restarts). A worker that had been ready is
//! replaced at once a few times, and then within a second, whatever kills it again and again.
//! While no worker is ready or starting, one slot at a time skips that wait (see `refill`).
//! Jitter keeps slots apart.

use crate::clock::Millis;

/// The loss of a worker that was ready for this long counts as a first one.
const HEALTHY_AFTER: Millis = 10_000;
/// How many losses in quick succession are followed at once.
const AT_ONCE: u32 = 3;
/// The first wait that is not zero.
const FIRST: Millis = 100;
/// The longest wait after a failed start, jitter included.
const START_CAP: Millis = 30_000;
/// The longest wait after the loss of a worker that had been ready, jitter included.
pub(super) const LOSS_CAP: Millis = 1_000;

/// How the latest workers of one slot ended.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backoff {
    /// Failed starts in a row.
    failed: u32,
    /// Losses of workers that had been ready, in quick succession.
    lost: u32,
}

impl Backoff {
    /// Counts a worker that ended before it was ready. Returns how long to wait.
    ///
    /// `jitter` is a random number. The result is 75 % to 100 % of the doubled wait.
    pub(super) fn after_failed_start(&mut self, jitter: u64) -> Millis {
        self.failed = self.failed.saturating_add(1);
        wait(self.failed - 1, START_CAP, jitter)
    }

    /// Counts the loss of a worker that had been ready for `ready_for`. Returns how long to wait;
    /// `jitter` is as above.
    pub(super) fn after_loss(&mut self, ready_for: Millis, jitter: u64) -> Millis {
        self.failed = 0;
        self.lost = if ready_for >= HEALTHY_AFTER { 1 } else { self.lost.saturating_add(1) };
        wait(self.lost.saturating_sub(AT_ONCE), LOSS_CAP, jitter)
    }

    /// Whether the latest worker had been ready.
    pub(super) fn is_after_loss(&self) -> bool {
        self.failed == 0 && self.lost > 0
    }
}

/// Returns 0 for no `doublings`, [`FIRST`] for one, then twice as long for each, up to `cap`.
fn wait(doublings: u32, cap: Millis, jitter: u64) -> Millis {
    if doublings == 0 {
        return 0;
    }
    let wait = (FIRST << (doublings - 1).min(16)).min(cap);
    wait - jitter % (wait / 4 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failed_start_is_followed_at_once_and_later_ones_wait_up_to_the_cap() {
        let mut backoff = Backoff::default();
        let waits: Vec<Millis> = (0..12).map(|_| backoff.after_failed_start(0)).collect();
        assert_eq!(waits[..5], [0, 100, 200, 400, 800]);
        assert_eq!(waits[11], START_CAP);
        assert!(!backoff.is_after_loss());
    }

    #[test]
    fn a_worker_that_had_been_ready_is_replaced_at_once_a_few_times_and_then_within_a_second() {
        let mut backoff = Backoff::default();
        let waits: Vec<Millis> = (0..20).map(|_| backoff.after_loss(500, 0)).collect();
        assert_eq!(waits[..8], [0, 0, 0, 100, 200, 400, 800, 1_000]);
        assert_eq!(waits[19], LOSS_CAP);
        assert!(backoff.is_after_loss());
    }

    #[test]
    fn jitter_only_shortens_and_never_below_three_quarters() {
        for jitter in 0..10_000 {
            let mut backoff = Backoff { failed: 9, lost: 0 };
            let wait = backoff.after_failed_start(jitter);
            assert!((25_600 * 3 / 4..=25_600).contains(&wait), "{wait}");
        }
    }

    #[test]
    fn a_healthy_life_makes_the_next_loss_a_first_one_and_any_readiness_the_next_failed_start() {
        let mut backoff = Backoff { failed: 20, lost: 20 };
        assert_eq!(backoff.after_loss(HEALTHY_AFTER, 7), 0);
        assert_eq!(backoff.after_failed_start(7), 0);
    }
}
