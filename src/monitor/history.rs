//! The last minutes of a cluster: the counters of two statuses give the rates between them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::series::Series;
use crate::protocol::status::{Status, WorkerStatus};

/// The time between two samples.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Default)]
pub(super) struct WorkerHistory {
    /// Requests a second.
    pub(super) requests: Series,
    /// Requests at the last sample.
    last: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct History {
    /// Requests a second.
    pub(super) requests: Series,
    /// Open connections.
    pub(super) connections: Series,
    /// Processor time of master and workers, percent of one core.
    pub(super) cpu: Series,
    /// Resident memory of master and workers, bytes.
    pub(super) memory: Series,
    /// By pid.
    pub(super) workers: BTreeMap<u32, WorkerHistory>,
    /// The time of the last sample, and the requests then.
    last: Option<(Instant, u64)>,
}

impl History {
    /// Adds a sample. The first one gives no rates.
    pub(super) fn add(&mut self, status: &Status, now: Instant) {
        let (master, requests) = (&status.master, status.totals.requests);
        let seconds = self
            .last
            .map(|(then, _)| now.duration_since(then).as_secs_f64())
            .filter(|passed| *passed > 0.0);
        // With `cluster: false` the only worker is the master itself, which counts once.
        let (mut rss, mut cpu) = if status.workers.iter().any(|worker| worker.pid == master.pid) {
            (0, 0.0)
        } else {
            (master.rss, master.cpu_percent)
        };
        let mut workers = BTreeMap::new();
        for worker in &status.workers {
            let history = WorkerHistory::next(self.workers.remove(&worker.pid), worker, seconds);
            cpu += worker.cpu_percent;
            rss = rss.saturating_add(worker.rss);
            workers.insert(worker.pid, history);
        }
        if let (Some(seconds), Some((_, before))) = (seconds, self.last) {
            self.requests.push(requests.saturating_sub(before) as f64 / seconds);
            self.cpu.push(cpu);
        }
        self.connections
            .push(status.workers.iter().map(|worker| worker.connections.active as f64).sum());
        self.memory.push(rss as f64);
        self.workers = workers;
        self.last = Some((now, requests));
    }
}

impl WorkerHistory {
    /// The counters of a new worker began at 0.
    fn next(past: Option<Self>, worker: &WorkerStatus, seconds: Option<f64>) -> Self {
        let mut past = past.unwrap_or_default();
        if let Some(seconds) = seconds {
            past.requests.push(worker.requests.total.saturating_sub(past.last) as f64 / seconds);
        }
        past.last = worker.requests.total;
        past
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::tests::{status, worker};

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
        status.workers[0].cpu_percent = 25.0;
        status.workers[1].cpu_percent = 0.0;
        status.master.cpu_percent = 5.0;
        status.workers.push(WorkerStatus {
            pid: 9,
            requests: Default::default(),
            cpu_percent: 1.0,
            ..worker(2, "starting")
        });
        history.add(&status, start + Duration::from_secs(2));
        assert_eq!((history.requests.last(), history.cpu.last()), (150.0, 31.0));
        assert_eq!(
            (history.workers[&4000].requests.last(), history.workers[&9].requests.last()),
            (50.0, 0.0)
        );
        status.workers.remove(0);
        history.add(&status, start + Duration::from_secs(4));
        assert_eq!(history.workers.len(), 2, "a worker that has gone is forgotten");
    }
}
