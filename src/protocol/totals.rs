//! What a cluster has counted since its master's start, as `status()` shows it.

use std::collections::BTreeMap;

use serde::Serialize;

/// Counters since the master's start.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Totals {
    /// Connections served.
    pub connections: u64,
    /// Connections ended by the idle time-out.
    pub timed_out: u64,
    /// Requests begun.
    pub requests: u64,
    /// Connections that the master handed to workers.
    pub handed: u64,
    /// Connections taken back from workers that died or did not take them in time.
    pub reclaimed: u64,
    /// Idle connections that workers gave back for another one.
    pub moved: u64,
    /// Requests that workers handed over when they ended, for another one to answer.
    pub retried: u64,
    /// Connections that were answered 503, as the option `overload` says.
    pub shed: u64,
    /// Connections that wait in the dispatcher.
    pub waiting: u64,
    /// Workers that ended, by the reason that `died` gives.
    pub exits: BTreeMap<&'static str, u64>,
    /// Reloads that replaced all workers.
    pub reloads: u64,
    /// Reloads that failed.
    pub reloads_failed: u64,
    /// How often the number of workers grew.
    pub scaled_up: u64,
    /// How often the number of workers fell.
    pub scaled_down: u64,
    /// Durations of the drains that ended.
    pub drains: Durations,
}

/// Upper bounds of the buckets of [`Durations`], seconds.
pub const BUCKETS: [f64; 8] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];

/// A histogram of durations.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Durations {
    /// Number of durations.
    pub count: u64,
    /// Their sum, milliseconds.
    pub total: u64,
    /// Durations up to each of [`BUCKETS`] and above the bound before it. The last bucket: above
    /// all bounds.
    #[serde(skip)]
    pub buckets: [u64; BUCKETS.len() + 1],
}

impl Durations {
    /// Adds a duration of `millis` milliseconds.
    pub fn add(&mut self, millis: u64) {
        self.count += 1;
        self.total += millis;
        let seconds = millis as f64 / 1000.0;
        let bucket = BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        let mut durations = Durations::default();
        [100, 101, 60_000, 60_001].into_iter().for_each(|millis| durations.add(millis));
        assert_eq!((durations.count, durations.total), (4, 120_202));
        assert_eq!(durations.buckets, [1, 1, 0, 0, 0, 0, 0, 1, 1]);
    }
}
