//! Heartbeats: a process writes into its row that its event loop turns, and what it uses.
//!
//! What always holds: a beat is made on the JavaScript thread, between two turns of its event loop,
//! so that a stuck one makes none; and it runs no JavaScript, which would cost an idle process
//! several times as much.

use std::time::Duration;

use crate::os;
use crate::os::channel::MAX_FDS;
use crate::os::measured::Measured;
use crate::os::scoreboard::{Field, Row};

/// Writes that the event loop turns at `now`, milliseconds. A time that lies in the future
/// announces a pause (`lib/worker/inspection.js`), and stays.
pub(super) fn show_life(row: &Row, now: f64) {
    row.set(Field::Beat, row.get(Field::Beat).max(now));
}

/// The beats of one process.
#[derive(Debug)]
pub(crate) struct Beats {
    row: Row,
    /// When the next one is due, microseconds on the monotonic clock.
    due: u64,
    /// Where the measurement of the event loop's utilization began.
    before: (u64, Duration),
    /// What it was.
    utilization: Option<f64>,
}

/// The event loop's utilization is measured over at least this long, microseconds.
const MEASURED_FOR: u64 = 900_000;

impl Beats {
    /// Returns the beats of the process that owns `row`, before the first one.
    pub(crate) fn new(row: Row) -> Self {
        Self { row, due: u64::MAX, before: (u64::MAX, Duration::ZERO), utilization: None }
    }

    /// Makes a beat; the next one is due after `interval`. `idle`: how long the event loop has
    /// waited for events since its start.
    pub(crate) fn beat(&mut self, interval: Duration, idle: Duration) {
        self.beat_at(os::now_micros(), interval, idle);
    }

    fn beat_at(&mut self, now: u64, interval: Duration, idle: Duration) {
        let (rss, cpu) = os::process::usage();
        let last_descriptor = os::descriptors::last(MAX_FDS);
        self.measure(now, idle);
        let measured = Measured { at: now / 1_000, utilization: self.utilization };
        // These belong together: nothing slow comes between them.
        self.row.set(Field::Cpu, cpu);
        self.row.set(Field::Measured, measured.to_number());
        show_life(&self.row, now as f64 / 1e3);
        self.row.set(Field::EventLoopDelay, now.saturating_sub(self.due) as f64 / 1e3);
        // Without a free descriptor it cannot be read; then the last value stays.
        if rss > 0 {
            self.row.set(Field::Rss, rss as f64);
        }
        self.row.set(Field::LastDescriptor, last_descriptor as f64);
        self.due = now + interval.as_micros() as u64;
    }

    /// Measures the event loop's utilization; `idle` is 0 if libuv does not count it.
    fn measure(&mut self, now: u64, idle: Duration) {
        let (then, idle_then) = self.before;
        let passed = now.saturating_sub(then);
        if then == u64::MAX {
            self.before = (now, idle);
        } else if passed >= MEASURED_FOR {
            let idle_part = idle.saturating_sub(idle_then).as_micros() as f64 / passed as f64;
            self.utilization = (!idle.is_zero()).then(|| (1.0 - idle_part).clamp(0.0, 1.0));
            self.before = (now, idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::Scoreboard;

    #[test]
    fn a_beat_shows_what_the_process_uses_and_how_late_it_was() {
        let row = Scoreboard::create(1).unwrap().row(0).unwrap();
        let mut beats = Beats::new(row.clone());
        let interval = Duration::from_millis(10);
        beats.beat(interval, Duration::ZERO);
        assert!(row.count(Field::Beat) > 0);
        assert_eq!(row.get(Field::EventLoopDelay), 0.0, "the first is never late");
        assert!(
            row.get(Field::Rss) > 1e5
                && row.get(Field::Cpu) > 0.0
                && row.get(Field::LastDescriptor) > 0.0
        );
        // The times below lie before those above.
        row.set(Field::Beat, 0.0);
        for (now, beat, delay) in
            [(1_000_000, 1_000.0, 0.0), (1_012_500, 1_012.5, 2.5), (1_013_000, 1_013.0, 0.0)]
        {
            beats.beat_at(now, interval, Duration::ZERO);
            assert_eq!((row.get(Field::Beat), row.get(Field::EventLoopDelay)), (beat, delay));
        }
        row.set(Field::Beat, 5_000.0);
        beats.beat_at(1_014_000, interval, Duration::ZERO);
        assert_eq!(row.get(Field::Beat), 5_000.0, "an announced pause goes on");
    }

    #[test]
    fn the_utilization_is_that_of_the_last_second_however_often_it_beats() {
        let row = Scoreboard::create(1).unwrap().row(0).unwrap();
        let mut beats = Beats::new(row.clone());
        let measured = || Measured::from_number(row.get(Field::Measured));
        for tenth in 0..=20 {
            let idle = Duration::from_millis(75 * tenth + 1);
            beats.beat_at(5_000_000 + tenth * 100_000, Duration::from_millis(100), idle);
            let wanted = (tenth >= 9).then_some(0.25);
            assert_eq!(measured().utilization, wanted, "{tenth}");
        }
        assert_eq!(measured().at, 7_000);
        beats.beat_at(8_000_000, Duration::from_secs(1), Duration::ZERO);
        assert_eq!(measured(), Measured { at: 8_000, utilization: None }, "libuv does not count");
    }
}
