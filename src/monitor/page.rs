//! The pages as people see them: what each template is given, all of it text by then.

use std::time::SystemTime;

use askama::Template;
use hyper::{Response, StatusCode};

use crate::monitor::dependencies::Package;
use crate::monitor::format::{age, amount, bytes, count, millis};
use crate::monitor::history::{HEIGHT, History, Past, Ring, WIDTH, round_up};
use crate::monitor::logs::Log;
use crate::monitor::respond::{Answer, Body, HTML, Problem, TEXT, whole};
use crate::protocol::status::{EcvStatus, Status, Time, Totals, WorkerStatus};

/// A page as a response. A template that fails is a fault of ours.
pub fn render(status: StatusCode, page: &impl Template) -> Answer {
    page.render().map(|text| whole(status, HTML, text)).map_err(Problem::internal)
}

/// What is around every page.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// Before every path.
    pub prefix: &'a str,
    /// Name of the page, as in the navigation.
    pub title: &'static str,
}

/// The first page, with the live part in it.
#[derive(Template)]
#[template(path = "page.html")]
pub struct Page<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The live part as it is now.
    pub live: &'a str,
}

/// `/logs`.
#[derive(Template)]
#[template(path = "logs.html")]
pub struct Logs<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The files.
    pub logs: &'a [Log],
}

impl Log {
    fn size_text(&self) -> String {
        bytes(self.size as f64)
    }

    fn modified_text(&self) -> String {
        clock(self.modified)
    }
}

/// `/deps`.
#[derive(Template)]
#[template(path = "deps.html")]
pub struct Deps<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The app.
    pub app: &'a Package,
    /// The lines of its tree.
    pub lines: Vec<Line<'a>>,
}

/// One line of a tree: a package, or the end of what lies below one.
pub enum Line<'a> {
    /// A package; whether something lies below it.
    Package(&'a str, &'a Package, bool),
    /// The end.
    End,
}

impl<'a> Deps<'a> {
    /// The page about a tree, which is not deeper than `deps` reads it.
    pub fn new(frame: Frame<'a>, app: &'a Package) -> Self {
        let mut lines = Vec::new();
        list(app, &mut lines);
        Self { frame, app, lines }
    }
}

fn list<'a>(package: &'a Package, lines: &mut Vec<Line<'a>>) {
    for (name, package) in &package.dependencies {
        let opens = !package.dependencies.is_empty();
        lines.push(Line::Package(name, package, opens));
        if opens {
            list(package, lines);
            lines.push(Line::End);
        }
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage<'a> {
    frame: Frame<'a>,
    code: u16,
    reason: &'a str,
    text: &'a str,
}

/// A problem as a page in the look of the others.
pub fn problem(prefix: &str, problem: &Problem) -> Response<Body> {
    let reason = problem.status.canonical_reason().unwrap_or("Problem");
    let frame = Frame { prefix, title: "Problem" };
    let page = ProblemPage { frame, code: problem.status.as_u16(), reason, text: &problem.text };
    render(problem.status, &page)
        .unwrap_or_else(|problem| whole(problem.status, TEXT, problem.text))
}

/// The part of the first page that changes.
#[derive(Template)]
#[template(path = "live.html")]
pub struct Live<'a> {
    status: &'a Status,
    uptime: String,
    taken: String,
    ready: usize,
    ecv: (&'static str, String),
    charts: [Chart; 4],
    totals: Vec<(&'static str, String)>,
    rows: Vec<Row<'a>>,
}

/// A number with its last minutes.
pub struct Chart {
    title: &'static str,
    now: String,
    unit: &'static str,
    top: String,
    label: String,
    line: String,
    area: String,
}

/// One worker.
pub struct Row<'a> {
    worker: &'a WorkerStatus,
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

impl<'a> Live<'a> {
    /// The part about `status`, with what came before it.
    pub fn new(status: &'a Status, history: &History) -> Self {
        let scale =
            history.workers.values().map(|past| past.requests.highest()).fold(0.0, f64::max);
        let scale = round_up(scale, 1.0);
        let unknown = Past::default();
        let past = |worker: &WorkerStatus| history.workers.get(&worker.pid).unwrap_or(&unknown);
        Self {
            status,
            uptime: age(status.master.started_at.0),
            taken: clock(Time(SystemTime::now())),
            ready: status.workers.iter().filter(|worker| worker.state == "ready").count(),
            ecv: ecv(&status.ecv),
            charts: charts(history),
            totals: totals(&status.totals),
            rows: status
                .workers
                .iter()
                .map(|worker| Row::new(worker, past(worker), scale))
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
        ring: &Ring,
        top: f64,
        text: fn(f64) -> String,
    ) -> Self {
        let (now, highest) = (text(ring.last()), text(ring.highest()));
        let label = format!("{title} over the last 5 minutes: now {now} {unit}, at most {highest}");
        Self { title, now, unit, top: text(top), label, line: ring.line(top), area: ring.area(top) }
    }
}

fn charts(history: &History) -> [Chart; 4] {
    const MIB: f64 = 1_048_576.0;
    let top = |ring: &Ring, least| round_up(ring.highest(), least);
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

impl<'a> Row<'a> {
    fn new(worker: &'a WorkerStatus, past: &Past, scale: f64) -> Self {
        let rate = amount(past.requests.last());
        let highest = amount(past.requests.highest());
        Self {
            worker,
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

/// What load balancers are told: its kind for the style, and in words.
fn ecv(ecv: &EcvStatus) -> (&'static str, String) {
    match (ecv.disabled, ecv.unhealthy.len()) {
        (true, _) => ("off", format!("disabled since {}", clock(ecv.since))),
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
        ("Reclaimed", count(totals.reclaimed)),
        ("Waiting now", count(totals.waiting)),
        ("Reloads", count(totals.reloads)),
        ("Failed reloads", count(totals.reloads_failed)),
        ("Drains", count(totals.drains.count)),
        ("Average drain", average.map_or("–".into(), |average| millis(average as f64))),
        ("Deaths", count(totals.deaths.values().sum())),
    ]
}

/// A time in UTC, to the second.
fn clock(time: Time) -> String {
    let stamp = jiff::Timestamp::from_millisecond(time.millis() as i64).unwrap_or_default();
    stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
