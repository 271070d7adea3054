//! How busy the event loop of one worker has been over the last [`WINDOW`].
//!
//! What always holds: there is a value only after a whole window of measurements since the worker
//! became ready, and none while the worker measures nothing. Its event loop is stuck then, and
//! nobody knows how much there is for it to do.

use std::collections::VecDeque;

use crate::clock::Millis;

/// Over how long the utilization is taken, milliseconds.
pub(super) const WINDOW: Millis = 10_000;
/// Measurements that are kept are at least so far apart, milliseconds.
const APART: Millis = 900;
/// A worker whose latest measurement is older measures nothing now, milliseconds: an idle one does
/// so each 5 s.
const STALE: Millis = 7_000;

/// One worker's measurements. All times are of the machine's clock.
#[derive(Debug, Clone, Default)]
pub(super) struct Utilization {
    /// When each was made, and the part of the time since the one before in which the event loop
    /// was not idle, in thousandths. Only the time of the first one counts.
    measured: VecDeque<(Millis, u32)>,
}

impl Utilization {
    /// Takes what the worker measured at `at`, unless that is known already.
    pub(super) fn take(&mut self, at: Millis, thousandths: u32) {
        if self.measured.back().is_some_and(|(last, _)| at < last + APART) {
            return;
        }
        self.measured.push_back((at, thousandths.min(1_000)));
        let begin = at.saturating_sub(WINDOW);
        while self.measured.get(1).is_some_and(|(second, _)| *second <= begin) {
            self.measured.pop_front();
        }
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.measured.clear();
    }

    /// Returns the mean over the last window, in thousandths.
    pub(super) fn mean(&self, now: Millis) -> Option<u32> {
        let (first, last) = (self.measured.front()?.0, self.measured.back()?.0);
        let begin = last.checked_sub(WINDOW).filter(|begin| first <= *begin)?;
        if now.saturating_sub(last) > STALE {
            return None;
        }
        let later = self.measured.iter().skip(1);
        let sum: u64 = self
            .measured
            .iter()
            .zip(later)
            .map(|((from, _), (to, part))| (to - (*from).max(begin)) * u64::from(*part))
            .sum();
        Some((sum / WINDOW) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A worker that measures once a second from 1 s to `until` seconds.
    fn steady(until: u64, thousandths: u32) -> Utilization {
        let mut utilization = Utilization::default();
        (1..=until).for_each(|second| utilization.take(second * 1_000, thousandths));
        utilization
    }

    #[test]
    fn there_is_none_before_a_whole_window_nor_once_measurements_stop() {
        assert_eq!(Utilization::default().mean(0), None);
        assert_eq!(steady(10, 300).mean(10_000), None);
        let utilization = steady(11, 300);
        assert_eq!(utilization.mean(11_500), Some(300));
        assert_eq!(utilization.mean(18_000), Some(300));
        assert_eq!(utilization.mean(18_001), None, "it is stuck");
    }

    #[test]
    fn each_measurement_counts_for_its_time_and_old_ones_not_at_all() {
        let mut utilization = steady(11, 1_000);
        (12..=15).for_each(|second| utilization.take(second * 1_000, 0));
        assert_eq!(utilization.mean(15_000), Some(600));
        utilization.take(19_000, 1_000);
        assert_eq!(
            utilization.mean(19_000),
            Some(600),
            "4 s of work, 4 s idle, 2 s of work before"
        );
        utilization.take(60_000, 250);
        assert_eq!(utilization.mean(60_000), Some(250), "one measurement of more than a window");
        assert_eq!(utilization.measured.len(), 2);
    }

    #[test]
    fn what_is_read_often_is_kept_once_a_second() {
        let mut utilization = Utilization::default();
        (0..3_000).for_each(|tick| utilization.take(1_000 + tick * 10, 400));
        assert_eq!(utilization.mean(31_000), Some(400));
        assert!(utilization.measured.len() < 14, "{}", utilization.measured.len());
    }
}
