//! Heartbeats: a process writes into its row that its event loop turns, and what it uses.
//!
//! What always holds: a beat is made on the JavaScript thread, between two turns of its event loop,
//! so that a stuck one makes none; and it runs no JavaScript, which would cost an idle process
//! several times as much.

use std::time::Duration;

use crate::os;
use crate::os::channel::MAX_FDS;
use crate::os::scoreboard::{Field, Row};

/// The beats of one process.
#[derive(Debug)]
pub struct Beats {
    row: Row,
    /// When the next one is due, microseconds on the monotonic clock.
    due: u64,
}

impl Beats {
    /// Returns the beats of the process that owns `row`, before the first one.
    pub fn new(row: Row) -> Self {
        Self { row, due: u64::MAX }
    }

    /// Makes a beat; the next one is due after `interval`. `idle`: how long the event loop has
    /// waited for events since its start.
    pub fn beat(&mut self, interval: Duration, idle: Duration) {
        self.row.set(Field::Idle, idle.as_secs_f64() * 1e3);
        self.beat_at(os::now_micros(), interval);
    }

    fn beat_at(&mut self, now: u64, interval: Duration) {
        let (rss, cpu) = os::process::usage();
        self.row.set(Field::Beat, now as f64 / 1e3);
        self.row.set(Field::EventLoopDelay, now.saturating_sub(self.due) as f64 / 1e3);
        // Without a free descriptor it cannot be read; then the last value stays.
        if rss > 0 {
            self.row.set(Field::Rss, rss as f64);
        }
        self.row.set(Field::Cpu, cpu);
        self.row.set(Field::LastDescriptor, os::descriptors::last(MAX_FDS) as f64);
        self.due = now + interval.as_micros() as u64;
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
        beats.beat(interval, Duration::from_micros(1_500));
        assert_eq!(row.get(Field::Idle), 1.5);
        assert!(row.count(Field::Beat) > 0);
        assert_eq!(row.get(Field::EventLoopDelay), 0.0, "the first is never late");
        assert!(
            row.get(Field::Rss) > 1e5
                && row.get(Field::Cpu) > 0.0
                && row.get(Field::LastDescriptor) > 0.0
        );
        for (now, beat, delay) in
            [(1_000_000, 1_000.0, 0.0), (1_012_500, 1_012.5, 2.5), (1_013_000, 1_013.0, 0.0)]
        {
            beats.beat_at(now, interval);
            assert_eq!((row.get(Field::Beat), row.get(Field::EventLoopDelay)), (beat, delay));
        }
    }
}
