//! The live part of the overview: the cluster now, its last minutes, and what happened.

use std::time::SystemTime;

use askama::Template;

use super::rows::WorkerRow;
use crate::counts::counted;
use crate::monitor::format::{self, age, amount, bytes, count, millis, utc, wait_of};
use crate::monitor::history::History;
use crate::monitor::series::{HEIGHT, Series, WIDTH, round_up};
use crate::protocol::status::{EventRecord, SlotStatus, Status, is_crash};
use crate::protocol::time::Time;
use crate::protocol::totals::Totals;

/// The part of the overview that changes.
#[derive(Template)]
#[template(path = "live.html")]
pub(crate) struct LiveView<'a> {
    status: &'a Status,
    /// Whether the cluster serves: the style, and the text.
    verdict: (&'static str, String),
    /// The same of the health check.
    health_check: (&'static str, String),
    uptime: String,
    as_of: String,
    notes: Vec<Note<'a>>,
    charts: [Chart; 4],
    totals: Vec<Total>,
    rows: Vec<WorkerRow>,
    events: Vec<Event<'a>>,
}

/// Notes that are shown; workers of a script that is broken all end for the same reason.
const NOTES: usize = 4;

/// Something that is wrong.
struct Note<'a> {
    text: String,
    /// The last lines of a worker.
    lines: &'a [String],
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

/// A number since the start.
struct Total {
    name: String,
    value: String,
    /// What the name means, where it needs an explanation.
    meaning: Option<&'static str>,
    is_bad: bool,
}

/// Something that happened.
struct Event<'a> {
    record: &'a EventRecord,
    time: String,
}

impl<'a> LiveView<'a> {
    /// `history` ends with `status`.
    pub(crate) fn new(status: &'a Status, history: &History) -> Self {
        Self {
            status,
            verdict: verdict(status),
            health_check: health_check(status),
            uptime: age(status.master.started_at.0),
            as_of: utc(Time(SystemTime::now())),
            notes: notes(status),
            charts: charts(history),
            totals: totals(&status.totals, status.overload.is_some()),
            rows: WorkerRow::all(status, history),
            events: status.events.iter().rev().map(Event::new).collect(),
        }
    }

    fn width(&self) -> usize {
        WIDTH
    }

    fn height(&self) -> i64 {
        HEIGHT
    }
}

impl<'a> Event<'a> {
    fn new(record: &'a EventRecord) -> Self {
        Self { record, time: utc(record.time).trim_end_matches(" UTC").to_owned() }
    }
}

/// Returns whether the cluster serves: the style, and the text.
fn verdict(status: &Status) -> (&'static str, String) {
    let is_ready = |state: &str| state == "ready";
    let ready = status.workers.iter().filter(|worker| is_ready(worker.state)).count() as u64;
    let target = u64::from(status.master.target);
    let spares = status.workers.iter().filter(|worker| worker.state == "spare").count();
    let spares = format::spares(spares, status.master.spares.into());
    match (ready, target) {
        _ if status.master.state == "leaving" => ("warn", "Shutting down".into()),
        // One process, which is its own worker.
        (0, 0) => ("bad", "Stuck".into()),
        (_, 0) => ("good", "Serving".into()),
        (0, _) => ("bad", "No worker is ready".into()),
        (1, 1) => ("good", format!("Its worker is ready{spares}")),
        _ if ready < target => ("warn", format!("{ready} of {target} workers are ready")),
        _ => ("good", format!("All {target} workers are ready{spares}")),
    }
}

fn health_check(status: &Status) -> (&'static str, String) {
    let ecv = &status.ecv;
    match (ecv.disabled, &ecv.unavailable, ecv.unhealthy.len()) {
        (true, ..) => ("off", format!("disabled since {}", utc(ecv.since))),
        (false, Some(reason), _) => ("bad", reason.clone()),
        (false, None, 0) => ("good", "available".into()),
        (false, None, some) => ("bad", format!("{} unhealthy", counted(some as u64, "worker"))),
    }
}

fn notes(status: &Status) -> Vec<Note<'_>> {
    let unhealthy = status.ecv.unhealthy.iter().map(|worker| Note {
        text: format!("Worker {} is unhealthy: {}", worker.pid, worker.reason),
        lines: &[],
    });
    let waiting = status.slots.iter().filter(|slot| slot.state == "waiting").map(waiting);
    let mut notes: Vec<_> = unhealthy.chain(waiting).collect();
    let more = notes.len().saturating_sub(NOTES);
    if more > 0 {
        notes.truncate(NOTES);
        let text = format!("And {}, as the table shows", counted(more as u64, "more worker"));
        notes.push(Note { text, lines: &[] });
    }
    notes
}

/// Describes a slot that waits for its next worker.
fn waiting(slot: &SlotStatus) -> Note<'_> {
    let now = SystemTime::now();
    let wait = slot.next_start.and_then(|at| at.0.duration_since(now).ok()).unwrap_or_default();
    let (number, crashes) = (slot.slot, slot.crashes);
    let crashes = counted(u64::from(crashes), "crash");
    let mut text =
        format!("Slot {number} waits: its next worker starts {}. {crashes} so far", wait_of(wait));
    let Some(exit) = &slot.last_exit else { return Note { text, lines: &[] } };
    let how = match (exit.code, exit.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => signal.unwrap_or("ended").to_owned(),
    };
    let ago = age(exit.at.0);
    text.push_str(&format!("; worker {} ended {ago} ago ({}, {how})", exit.pid, exit.reason));
    if let Some(error) = &exit.error {
        text.push_str(&format!(": {error}"));
    } else if exit.lines.is_empty() {
        text.push_str("; its script wrote nothing to stderr, what Node itself wrote is there");
    }
    Note { text, lines: &exit.lines }
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
        Chart::new("Requests", "a second", &history.requests, top(&history.requests, 10.0), amount),
        Chart::new(
            "Connections",
            "open",
            &history.connections,
            top(&history.connections, 10.0),
            amount,
        ),
        Chart::new("CPU", "% of one core", &history.cpu, top(&history.cpu, 10.0), amount),
        Chart::new("Memory", "resident", &history.memory, memory, bytes),
    ]
}

fn totals(totals: &Totals, is_overloaded: bool) -> Vec<Total> {
    let average = totals.drains.total.checked_div(totals.drains.count);
    let plain = |name: &str, value: String| Total {
        name: name.to_owned(),
        value,
        meaning: None,
        is_bad: false,
    };
    let explained = |name, value, meaning| Total { meaning: Some(meaning), ..plain(name, value) };
    let mut all = vec![
        plain("Requests", count(totals.requests)),
        plain("Connections", count(totals.connections)),
        plain("Timed out", count(totals.timed_out)),
        explained(
            "Handed",
            count(totals.handed),
            "Connections that the master handed to workers. With least-connections, workers accept \
             those of TCP by themselves.",
        ),
        explained(
            "Moved",
            count(totals.moved),
            "Idle connections that a worker gave back when it left, and that went on with another.",
        ),
        explained(
            "Retried",
            count(totals.retried),
            "Requests that another worker answered, because theirs ended before it had begun \
             (option retry).",
        ),
        explained(
            "Reclaimed",
            count(totals.reclaimed),
            "Connections taken back from workers that died, or did not take them in time.",
        ),
        Total {
            is_bad: is_overloaded,
            ..explained(
                "Shed",
                count(totals.shed),
                "Connections that were answered 503, because they waited for too long to be \
                 accepted (option overload).",
            )
        },
        plain("Waiting now", count(totals.waiting)),
        plain("Reloads", count(totals.reloads)),
        Total {
            is_bad: totals.reloads_failed > 0,
            ..plain("Failed reloads", count(totals.reloads_failed))
        },
        plain("Drains", count(totals.drains.count)),
        plain("Average drain", average.map_or("–".into(), |average| millis(average as f64))),
        plain("Exits", count(totals.exits.values().sum())),
    ];
    all.extend(totals.exits.iter().map(|(reason, exits)| Total {
        is_bad: is_crash(reason),
        ..plain(&format!("Exits: {reason}"), count(*exits))
    }));
    all
}
