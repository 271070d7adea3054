//! The last minutes of a cluster: what the counters of one status after another say about the time between, and its drawing.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::protocol::status::{Status, WorkerStatus};

/// How often a sample is taken.
pub const EVERY: Duration = Duration::from_secs(2);
/// How many samples are kept: five minutes.
pub const SAMPLES: usize = 150;

/// The size of a drawing, in its own units; a sample is [`STEP`] wide.
pub const WIDTH: usize = (SAMPLES - 1) * STEP;
/// See [`WIDTH`].
pub const HEIGHT: i64 = 100;
const STEP: usize = 2;

/// The last samples of one number, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Ring(VecDeque<f64>);

impl Ring {
    fn push(&mut self, value: f64) {
        if self.0.len() == SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(if value.is_finite() { value.max(0.0) } else { 0.0 });
    }

    /// The youngest; 0 as long as there is none.
    pub fn last(&self) -> f64 {
        self.0.back().copied().unwrap_or(0.0)
    }

    /// The highest; 0 as long as there is none.
    pub fn highest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// The samples as the data of an SVG path, at the right of a drawing whose upper edge is `top`. Empty for less than two.
    pub fn line(&self, top: f64) -> String {
        let mut path = String::new();
        if self.0.len() < 2 {
            return path;
        }
        let height =
            |value: &f64| ((1.0 - (value / top).clamp(0.0, 1.0)) * HEIGHT as f64).round() as i64;
        let mut before = None;
        for value in &self.0 {
            let y = height(value);
            // Writing to a string does not fail.
            let _ = match before {
                None => write!(path, "M{} {y}", (SAMPLES - self.0.len()) * STEP),
                Some(before) => write!(path, "l{STEP} {}", y - before),
            };
            before = Some(y);
        }
        path
    }

    /// The same, as the area below the line.
    pub fn area(&self, top: f64) -> String {
        let line = self.line(top);
        if line.is_empty() {
            line
        } else {
            format!("{line}V{HEIGHT}H{}Z", (SAMPLES - self.0.len()) * STEP)
        }
    }
}

/// What is remembered of one worker.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Requests a second.
    pub requests: Ring,
    /// Processor time, percent of one core.
    pub cpu: f64,
    last: (u64, f64),
}

/// What is remembered of the cluster.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Requests a second.
    pub requests: Ring,
    /// Open connections.
    pub connections: Ring,
    /// Processor time of master and workers, percent of one core.
    pub cpu: Ring,
    /// Resident memory of master and workers, bytes.
    pub memory: Ring,
    /// Each worker, by its pid.
    pub workers: BTreeMap<u32, Past>,
    last: Option<(Instant, u64, f64)>,
}

impl History {
    /// Takes a sample. The first one says nothing about rates yet.
    pub fn add(&mut self, status: &Status, now: Instant) {
        let (master, requests) = (&status.master, status.totals.requests);
        let seconds = self
            .last
            .map(|(then, ..)| now.duration_since(then).as_secs_f64())
            .filter(|passed| *passed > 0.0);
        // With `cluster: false` the only worker is the master itself, and must not count twice.
        let (mut rss, mut cpu) = if status.workers.iter().any(|worker| worker.pid == master.pid) {
            (0, 0.0)
        } else {
            (
                master.rss,
                self.last.map_or(0.0, |(.., before)| percent(master.cpu - before, seconds)),
            )
        };
        let mut workers = BTreeMap::new();
        for worker in &status.workers {
            let past = Past::next(self.workers.remove(&worker.pid), worker, seconds);
            cpu += past.cpu;
            rss = rss.saturating_add(worker.rss);
            workers.insert(worker.pid, past);
        }
        if let (Some(seconds), Some((_, before, _))) = (seconds, self.last) {
            self.requests.push(requests.saturating_sub(before) as f64 / seconds);
            self.cpu.push(cpu);
        }
        self.connections
            .push(status.workers.iter().map(|worker| worker.connections.active as f64).sum());
        self.memory.push(rss as f64);
        self.workers = workers;
        self.last = Some((now, requests, master.cpu));
    }
}

impl Past {
    /// A worker that was not there before began at nothing.
    fn next(past: Option<Self>, worker: &WorkerStatus, seconds: Option<f64>) -> Self {
        let mut past = past.unwrap_or_default();
        if let Some(seconds) = seconds {
            past.requests.push(worker.requests.total.saturating_sub(past.last.0) as f64 / seconds);
            past.cpu = percent(worker.cpu - past.last.1, Some(seconds));
        }
        past.last = (worker.requests.total, worker.cpu);
        past
    }
}

/// Milliseconds of processor time within `seconds`, as percent of one core.
fn percent(millis: f64, seconds: Option<f64>) -> f64 {
    seconds.map_or(0.0, |seconds| (millis / seconds / 10.0).max(0.0))
}

/// The next round number (one of few digits times a power of ten) that is not below `value`, and at least `least`.
pub fn round_up(value: f64, least: f64) -> f64 {
    let value = value.max(least);
    let power = 10_f64.powf(value.log10().floor());
    let factor =
        [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0].into_iter().find(|factor| factor * power >= value);
    factor.unwrap_or(10.0) * power
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::status;
    use crate::monitor::tests::worker;

    #[test]
    fn counters_become_rates() {
        let start = Instant::now();
        let mut history = History::default();
        let mut status = status();
        history.add(&status, start);
        assert_eq!(
            (history.requests.last(), history.connections.last()),
            (0.0, 6.0),
            "no rate yet"
        );
        status.totals.requests += 300;
        status.workers[0].requests.total += 100;
        status.workers[0].cpu += 500.0;
        status.master.cpu += 100.0;
        status.workers.push(WorkerStatus {
            pid: 9,
            requests: Default::default(),
            cpu: 20.0,
            ..worker(2, "starting")
        });
        history.add(&status, start + Duration::from_secs(2));
        assert_eq!((history.requests.last(), history.cpu.last()), (150.0, 31.0));
        assert_eq!(
            (history.workers[&4000].requests.last(), history.workers[&4000].cpu),
            (50.0, 25.0)
        );
        assert_eq!(history.workers[&9].cpu, 1.0);
        status.workers.remove(0);
        history.add(&status, start + Duration::from_secs(4));
        assert_eq!(history.workers.len(), 2, "who is gone is forgotten");
    }

    #[test]
    fn a_ring_keeps_the_last_samples_and_draws_them_to_the_right() {
        let mut ring = Ring::default();
        ring.push(50.0);
        assert_eq!(ring.line(100.0), "");
        ring.push(100.0);
        ring.push(f64::NAN);
        assert_eq!(ring.line(100.0), "M294 50l2 -50l2 100");
        assert_eq!(ring.area(100.0), "M294 50l2 -50l2 100V100H294Z");
        (0..1000).for_each(|value| ring.push(f64::from(value)));
        assert_eq!((ring.0.len(), ring.last(), ring.highest()), (SAMPLES, 999.0, 999.0));
        assert!(ring.line(1000.0).starts_with("M0 "));
    }

    #[test]
    fn scales_are_round() {
        let cases = [
            (0.0, 1.0),
            (1.0, 1.0),
            (1.1, 1.5),
            (41.0, 50.0),
            (81.0, 100.0),
            (1634.0, 2000.0),
            (f64::MIN, 1.0),
        ];
        for (value, round) in cases {
            assert_eq!(round_up(value, 1.0), round, "{value}");
        }
    }
}
