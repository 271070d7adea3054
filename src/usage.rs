//! Rates of what a process uses, from the numbers that it leaves in its row once a second.
//!
//! What always holds: a rate is that of the last second or two, no matter who asks and how often;
//! and a process that leaves no numbers any more, because its event loop is stuck, is not shown as
//! idle.

use crate::os::measured::Measured;
use crate::os::scoreboard::{Field, Row};

/// Samples are at least so far apart, milliseconds.
const APART: u64 = 900;

/// The processor time that a process had used at a moment, milliseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    at: u64,
    cpu: f64,
}

/// The last two usage at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UsageSamples {
    before: Look,
    last: Look,
}

impl UsageSamples {
    /// Of a process that starts at `now`, on the monotonic clock.
    pub(crate) fn new(now: u64) -> Self {
        let start = Look { at: now, cpu: 0.0 };
        Self { before: start, last: start }
    }

    /// Takes the numbers of the process's row, if they are new.
    pub(crate) fn take_row(&mut self, row: &Row) {
        let measured = Measured::from_number(row.get(Field::Measured));
        self.take_cpu(measured.at, row.get(Field::Cpu));
    }

    /// Takes the processor time at `at`.
    pub(crate) fn take_cpu(&mut self, at: u64, cpu: f64) {
        if at.saturating_sub(self.last.at) >= APART {
            self.before = std::mem::replace(&mut self.last, Look { at, cpu });
        }
    }

    /// Returns the processor time since the sample before the last one, percent of one core. The
    /// process has used `cpu` milliseconds at `now`.
    pub(crate) fn cpu_percent(&self, now: u64, cpu: f64) -> f64 {
        let passed = now.saturating_sub(self.before.at) as f64;
        if passed < 1.0 { 0.0 } else { ((cpu - self.before.cpu) / passed * 100.0).max(0.0) }
    }
}

/// Returns the part of the last second in which the event loop of the process was not idle, from 0
/// to 1. `None`: it is not known yet.
pub(crate) fn utilization(row: &Row, is_stuck: bool) -> Option<f64> {
    let measured = Measured::from_number(row.get(Field::Measured));
    if is_stuck { Some(1.0) } else { measured.utilization.filter(|_| measured.at > 0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::Scoreboard;

    fn leave(row: &Row, at: u64, cpu: f64, utilization: f64) {
        row.set(Field::Cpu, cpu);
        let measured = Measured { at, utilization: Some(utilization) };
        row.set(Field::Measured, measured.to_number());
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let row = Scoreboard::alone(1).unwrap().row(0).unwrap();
        let mut usage = UsageSamples::new(1_000);
        usage.take_row(&row);
        assert_eq!((usage.cpu_percent(1_000, 0.0), utilization(&row, false)), (0.0, None));
        assert_eq!(usage.cpu_percent(1_500, 100.0), 20.0, "since the start");
        leave(&row, 2_000, 100.0, 0.5);
        usage.take_row(&row);
        leave(&row, 3_000, 600.0, 0.25);
        usage.take_row(&row);
        usage.take_row(&row);
        assert_eq!(utilization(&row, false), Some(0.25));
        assert_eq!(usage.cpu_percent(3_000, 600.0), 50.0);
    }

    #[test]
    fn a_stuck_process_is_busy_although_it_leaves_no_numbers() {
        let row = Scoreboard::alone(1).unwrap().row(0).unwrap();
        let mut usage = UsageSamples::new(0);
        for second in [1_000, 2_000] {
            leave(&row, second, 10.0, 0.0);
            usage.take_row(&row);
        }
        (0..5).for_each(|_| usage.take_row(&row));
        assert_eq!(utilization(&row, true), Some(1.0));
        assert_eq!(usage.cpu_percent(11_000, 10_010.0), 100.0);
        assert_eq!(usage.cpu_percent(500, 0.0), 0.0);
    }
}
