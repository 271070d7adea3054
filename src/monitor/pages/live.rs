//! The live part of the overview: the cluster now, and its last minutes.

use std::time::SystemTime;

use askama::Template;

use crate::monitor::format::{age, amount, bytes, count, millis, state, utc};
use crate::monitor::history::{History, WorkerHistory};
use crate::monitor::series::{HEIGHT, Series, WIDTH, round_up};
use crate::protocol::status::{EcvStatus, Status, Time, Totals, WorkerStatus};

/// The part of the overview that changes.
#[derive(Template)]
#[template(path = "live.html")]
pub(crate) struct LiveView<'a> {
    status: &'a Status,
    uptime: String,
    as_of: String,
    ready: usize,
    /// The style of the health check, and its text.
    health_check: (&'static str, String),
    charts: [Chart; 4],
    totals: Vec<(&'static str, String)>,
    rows: Vec<WorkerRow<'a>>,
}

/// A number and its last minutes.
struct Chart {
    title: &'static str,
    now: String,
    unit: &'static str,
    top: String,
    label: String,
    line: String,
    area: String,
}

/// A worker.
struct WorkerRow<'a> {
    worker: &'a WorkerStatus,
    /// The state in words.
    state: String,
    /// The style of the state.
    style: &'static str,
    uptime: String,
    rate: String,
    label: String,
    line: String,
    connections: String,
    served: String,
    delay: String,
    memory: String,
    cpu: String,
}

impl<'a> LiveView<'a> {
    /// `history` ends with `status`.
    pub(crate) fn new(status: &'a Status, history: &History) -> Self {
        let scale =
            history.workers.values().map(|past| past.requests.highest()).fold(0.0, f64::max);
        let scale = round_up(scale, 1.0);
        let unknown = WorkerHistory::default();
        let past = |worker: &WorkerStatus| history.workers.get(&worker.pid).unwrap_or(&unknown);
        Self {
            status,
            uptime: age(status.master.started_at.0),
            as_of: utc(Time(SystemTime::now())),
            ready: status.workers.iter().filter(|worker| worker.state == "ready").count(),
            health_check: health_check(&status.ecv),
            charts: charts(history),
            totals: totals(&status.totals),
            rows: status
                .workers
                .iter()
                .map(|worker| WorkerRow::new(worker, past(worker), scale))
                .collect(),
        }
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn height(&self) -> i64 {
        HEIGHT
    }
}

impl Chart {
    fn new(
        title: &'static str,
        unit: &'static str,
        series: &Series,
        top: f64,
        text: fn(f64) -> String,
    ) -> Self {
        let (now, highest) = (text(series.last()), text(series.highest()));
        let label = format!("{title} over the last 5 minutes: now {now} {unit}, at most {highest}");
        Self {
            title,
            now,
            unit,
            top: text(top),
            label,
            line: series.line(top),
            area: series.area(top),
        }
    }
}

fn charts(history: &History) -> [Chart; 4] {
    const MIB: f64 = 1_048_576.0;
    let top = |series: &Series, least| round_up(series.highest(), least);
    let memory = round_up(history.memory.highest() / MIB, 1.0) * MIB;
    [
        Chart::new("Requests", "/ s", &history.requests, top(&history.requests, 10.0), amount),
        Chart::new(
            "Connections",
            "open",
            &history.connections,
            top(&history.connections, 10.0),
            amount,
        ),
        Chart::new("CPU", "%", &history.cpu, top(&history.cpu, 10.0), amount),
        Chart::new("Memory", "", &history.memory, memory, bytes),
    ]
}

impl<'a> WorkerRow<'a> {
    fn new(worker: &'a WorkerStatus, past: &WorkerHistory, scale: f64) -> Self {
        let rate = amount(past.requests.last());
        let highest = amount(past.requests.highest());
        Self {
            worker,
            state: state(worker.state, worker.stuck_for),
            style: if worker.stuck_for.is_some() { "stuck" } else { worker.state },
            uptime: age(worker.started_at.0),
            label: format!(
                "Requests a second over the last 5 minutes: now {rate}, at most {highest}"
            ),
            rate,
            line: past.requests.line(scale),
            connections: count(worker.connections.active),
            served: count(worker.connections.total),
            delay: millis(worker.event_loop_delay),
            memory: bytes(worker.rss as f64),
            cpu: amount(past.cpu),
        }
    }
}

/// Returns the style and the text of the health check.
fn health_check(ecv: &EcvStatus) -> (&'static str, String) {
    match (ecv.disabled, ecv.unhealthy.len()) {
        (true, _) => ("off", format!("disabled since {}", utc(ecv.since))),
        (false, 0) => ("good", "available".into()),
        (false, 1) => ("bad", "1 worker unhealthy".into()),
        (false, several) => ("bad", format!("{several} workers unhealthy")),
    }
}

fn totals(totals: &Totals) -> Vec<(&'static str, String)> {
    let average = totals.drains.total.checked_div(totals.drains.count);
    vec![
        ("Requests", count(totals.requests)),
        ("Connections", count(totals.connections)),
        ("Timed out", count(totals.timed_out)),
        ("Handed", count(totals.handed)),
        ("Moved", count(totals.moved)),
        ("Retried", count(totals.retried)),
        ("Reclaimed", count(totals.reclaimed)),
        ("Waiting now", count(totals.waiting)),
        ("Reloads", count(totals.reloads)),
        ("Failed reloads", count(totals.reloads_failed)),
        ("Drains", count(totals.drains.count)),
        ("Average drain", average.map_or("–".into(), |average| millis(average as f64))),
        ("Deaths", count(totals.deaths.values().sum())),
    ]
}
