//! Rates of what a process uses, from the numbers that it leaves in its row once a second.
//!
//! What always holds: a rate is that of the last second or two, whoever asks and however often; and
//! a process that leaves no numbers any more, because its event loop is stuck, is not shown as
//! idle.

use crate::os::scoreboard::{Field, Row};

/// Looks are at least so far apart, milliseconds.
const APART: f64 = 900.0;

/// What a process had used at a moment, milliseconds each.
#[derive(Debug, Clone, Copy, Default)]
struct Look {
    at: f64,
    cpu: f64,
    /// Time in which the event loop waited for events.
    idle: f64,
}

/// The last two looks at a process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Looks {
    before: Look,
    last: Look,
}

impl Looks {
    /// Of a process that starts at `now`, on the monotonic clock.
    pub(crate) fn new(now: u64) -> Self {
        let start = Look { at: now as f64, ..Look::default() };
        Self { before: start, last: start }
    }

    /// Takes the numbers of the process's row, if they are new.
    pub(crate) fn take_row(&mut self, row: &Row) {
        self.take(Look {
            at: row.get(Field::Beat),
            cpu: row.get(Field::Cpu),
            idle: row.get(Field::Idle),
        });
    }

    /// Takes the processor time of a process without a row.
    pub(crate) fn take_cpu(&mut self, now: u64, cpu: f64) {
        self.take(Look { at: now as f64, cpu, idle: 0.0 });
    }

    fn take(&mut self, look: Look) {
        if look.at - self.last.at >= APART {
            self.before = std::mem::replace(&mut self.last, look);
        }
    }

    /// Returns the processor time since the look before the last one, percent of one core. The
    /// process has used `cpu` milliseconds at `now`.
    pub(crate) fn cpu_percent(&self, now: u64, cpu: f64) -> f64 {
        let passed = now as f64 - self.before.at;
        if passed < 1.0 { 0.0 } else { ((cpu - self.before.cpu) / passed * 100.0).max(0.0) }
    }

    /// Returns the part of the time in which the event loop was not idle, from 0 to 1. `None`: it
    /// is not known yet, or libuv does not count it.
    pub(crate) fn utilization(&self, is_stuck: bool) -> Option<f64> {
        let passed = self.last.at - self.before.at;
        let is_known = passed > 0.0 && self.last.idle > 0.0;
        let idle = (self.last.idle - self.before.idle) / passed;
        if is_stuck { Some(1.0) } else { is_known.then(|| (1.0 - idle).clamp(0.0, 1.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::scoreboard::Scoreboard;

    fn leave(row: &Row, at: f64, cpu: f64, idle: f64) {
        row.set(Field::Beat, at);
        row.set(Field::Cpu, cpu);
        row.set(Field::Idle, idle);
    }

    #[test]
    fn rates_are_those_of_the_last_seconds() {
        let row = Scoreboard::alone(1).unwrap().row(0).unwrap();
        let mut looks = Looks::new(1_000);
        looks.take_row(&row);
        assert_eq!((looks.cpu_percent(1_000, 0.0), looks.utilization(false)), (0.0, None));
        assert_eq!(looks.cpu_percent(1_500, 100.0), 20.0, "since the start");
        leave(&row, 2_000.0, 100.0, 800.0);
        looks.take_row(&row);
        leave(&row, 3_000.0, 600.0, 1_300.0);
        looks.take_row(&row);
        looks.take_row(&row);
        assert_eq!(looks.utilization(false), Some(0.5));
        assert_eq!(looks.cpu_percent(3_000, 600.0), 50.0);
    }

    #[test]
    fn a_stuck_process_is_busy_although_it_leaves_no_numbers() {
        let row = Scoreboard::alone(1).unwrap().row(0).unwrap();
        let mut looks = Looks::new(0);
        for second in [1_000.0, 2_000.0] {
            leave(&row, second, 10.0, second);
            looks.take_row(&row);
        }
        for _ in 0..5 {
            looks.take_row(&row);
        }
        assert_eq!(looks.utilization(true), Some(1.0));
        assert_eq!(looks.cpu_percent(11_000, 10_010.0), 100.0);
        assert_eq!(looks.cpu_percent(500, 0.0), 0.0);
    }
}
