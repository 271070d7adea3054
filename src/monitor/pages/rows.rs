//! The rows of the table of workers: one for each worker, and for each slot that waits for one.

use crate::monitor::format::{age, amount, bytes, count, duration, millis, state};
use crate::monitor::history::{History, WorkerHistory};
use crate::monitor::series::round_up;
use crate::protocol::status::{SlotStatus, Status, WorkerStatus, is_crash};

/// What stands for a number that a slot without a worker has not.
const NONE: &str = "–";

/// A row.
pub(super) struct WorkerRow {
    pub(super) slot: u32,
    /// The state in words.
    pub(super) state: String,
    /// The style of the state.
    pub(super) style: &'static str,
    pub(super) label: String,
    pub(super) line: String,
    /// The cells of numbers, by the names of their columns.
    pub(super) numbers: Vec<Number>,
}

/// A cell.
pub(super) struct Number {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) is_bad: bool,
}

impl WorkerRow {
    /// Returns all rows, by slot.
    pub(super) fn all(status: &Status, history: &History) -> Vec<Self> {
        let scale =
            history.workers.values().map(|past| past.requests.highest()).fold(0.0, f64::max);
        let scale = round_up(scale, 1.0);
        let unknown = WorkerHistory::default();
        let past = |worker: &WorkerStatus| history.workers.get(&worker.pid).unwrap_or(&unknown);
        let workers = status.workers.iter().map(|one| Self::of_worker(one, past(one), scale));
        let waiting = status.slots.iter().filter(|slot| slot.state == "waiting");
        let mut rows: Vec<Self> = workers.chain(waiting.map(Self::of_slot)).collect();
        rows.sort_by_key(|row| row.slot);
        rows
    }

    fn of_worker(worker: &WorkerStatus, past: &WorkerHistory, scale: f64) -> Self {
        let rate = amount(past.requests.last());
        let highest = amount(past.requests.highest());
        let utilization = worker.event_loop_utilization;
        let busy = utilization.map_or(NONE.into(), |part| format!("{:.0} %", part * 100.0));
        Self {
            slot: worker.slot,
            state: state(worker.state, worker.stuck_for),
            style: if worker.stuck_for.is_some() { "stuck" } else { worker.state },
            label: format!(
                "Requests a second over the last 5 minutes: now {rate}, at most {highest}"
            ),
            line: past.requests.line(scale),
            numbers: numbers(
                [
                    rate,
                    count(worker.requests.active),
                    count(worker.connections.active),
                    count(worker.connections.total),
                    millis(worker.event_loop_delay),
                    busy,
                    format!("{} %", amount(worker.cpu_percent)),
                    bytes(worker.rss as f64),
                    age(worker.started_at.0),
                    worker.restarts.to_string(),
                    worker.crashes.to_string(),
                    worker.pid.to_string(),
                ],
                worker.crashes,
            ),
        }
    }

    fn of_slot(slot: &SlotStatus) -> Self {
        let now = std::time::SystemTime::now();
        let wait = slot.next_start.and_then(|at| at.0.duration_since(now).ok());
        let mut values: [String; COLUMNS.len()] = std::array::from_fn(|_| NONE.to_owned());
        values[RESTARTS] = slot.restarts.to_string();
        values[RESTARTS + 1] = slot.crashes.to_string();
        // Nothing is wrong with a slot that gets its first worker.
        let crashed = slot.last_exit.as_ref().is_some_and(|exit| is_crash(exit.reason));
        let style = if crashed { "waiting" } else { "starting" };
        Self {
            slot: slot.slot,
            state: format!("waiting {}", duration(wait.unwrap_or_default())),
            style,
            label: String::new(),
            line: String::new(),
            numbers: numbers(values, slot.crashes),
        }
    }
}

/// The columns of numbers.
const COLUMNS: [&str; 12] = [
    "Requests / s",
    "Active",
    "Connections",
    "Accepted",
    "Loop delay",
    "Loop busy",
    "CPU",
    "Memory",
    "Uptime",
    "Restarts",
    "Crashes",
    "Pid",
];
const RESTARTS: usize = 9;

fn numbers(values: [String; COLUMNS.len()], crashes: u32) -> Vec<Number> {
    let named = COLUMNS.into_iter().zip(values);
    named
        .map(|(name, value)| Number { name, value, is_bad: name == "Crashes" && crashes > 0 })
        .collect()
}
