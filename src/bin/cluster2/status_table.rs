//! The workers in the output of `cluster2 status`: a table, and what is wrong with some.

use std::time::{Duration, Instant, SystemTime};

use anstyle::{AnsiColor, Style};
use cluster2_rs::counts::counted;
use cluster2_rs::monitor::format;
use cluster2_rs::protocol::status::is_crash;
use serde_json::Value;

use super::line::printable;
use super::table::{Cell, Table, wrap};

/// An older status, and when it was taken, for rates.
pub(crate) type Before<'a> = Option<&'a (Value, Instant)>;

const PLAIN: Style = Style::new();
const RED: Style = AnsiColor::Red.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const TITLES: &[&str] = &[
    "slot", "pid", "state", " up", " conns", " reqs", " req/s", " loop", " cpu", " memory", " gen",
    " crash",
];
/// For how long the crash of a slot that serves again is described.
const RECENT: Duration = Duration::from_secs(60);
/// Slots that are described; workers of a script that is broken all end for the same reason.
const TROUBLES: usize = 4;
/// Last lines of a worker that are shown.
const LINES: usize = 3;
/// What is shown where none are known: Node's own messages, and those of addons, are seen only
/// where standard error is a file of the worker.
const NO_LINES: &str =
    "\n    (its script wrote nothing to stderr; what Node itself wrote is there)";

/// Returns the workers by slot, and the slots that wait for one.
pub(crate) fn table(status: &Value, before: Before<'_>) -> String {
    let mut rows: Vec<(u64, Vec<Cell>)> = Vec::new();
    for worker in list(&status["workers"]) {
        rows.push((worker["slot"].as_u64().unwrap_or_default(), row(worker, before)));
    }
    for slot in waiting(status) {
        rows.push((slot["slot"].as_u64().unwrap_or_default(), waiting_row(slot)));
    }
    rows.sort_by_key(|(slot, _)| *slot);
    let mut table = Table::new(TITLES);
    rows.into_iter().for_each(|(_, row)| table.push(row));
    table.text()
}

/// Returns what is wrong with workers, a paragraph for each of some slots.
pub(crate) fn troubles(status: &Value) -> String {
    let slots = list(&status["slots"]);
    let troubled = slots.filter(|slot| slot["state"] == "waiting" || crashed_lately(slot));
    let mut texts: Vec<String> = stuck(status).chain(troubled.map(trouble)).collect();
    let more = texts.len().saturating_sub(TROUBLES);
    if more > 0 {
        texts.truncate(TROUBLES);
        texts.push(format!("and {}: see `status --json`", counted(more as u64, "more slot")));
    }
    if texts.is_empty() { String::new() } else { format!("\n{}\n", texts.join("\n")) }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn waiting(status: &Value) -> impl Iterator<Item = &Value> {
    list(&status["slots"]).filter(|slot| slot["state"] == "waiting")
}

fn row(worker: &Value, before: Before<'_>) -> Vec<Cell> {
    let state = worker["state"].as_str().unwrap_or_default();
    let stuck_for = worker["stuckFor"].as_u64().map(Duration::from_millis);
    let color = match state {
        _ if stuck_for.is_some() => RED,
        "ready" => GREEN,
        "spare" => PLAIN,
        "killed" => RED,
        _ => YELLOW,
    };
    let state = match stuck_for.filter(|_| state == "stuck") {
        Some(stuck) => format!("stuck {}", format::short_duration(stuck)),
        None => state.to_owned(),
    };
    let up = at(&worker["startedAt"]).and_then(|at| SystemTime::now().duration_since(at).ok());
    let utilization = worker["eventLoopUtilization"].as_f64();
    let cells = [
        (worker["slot"].to_string(), PLAIN),
        (worker["pid"].to_string(), PLAIN),
        (state, color),
        (format::short_duration(up.unwrap_or_default()), PLAIN),
        (short(&worker["connections"]["active"]), PLAIN),
        (short(&worker["requests"]["active"]), PLAIN),
        (rate(worker, before).map_or("-".to_owned(), format::short_count), PLAIN),
        (utilization.map_or("-".to_owned(), |part| format!("{:.0}%", part * 100.0)), PLAIN),
        (format!("{:.0}%", worker["cpuPercent"].as_f64().unwrap_or_default()), PLAIN),
        (format::bytes(worker["rss"].as_f64().unwrap_or_default()), PLAIN),
        (short(&worker["generation"]), PLAIN),
        crashes(worker),
    ];
    cells.into()
}

fn waiting_row(slot: &Value) -> Vec<Cell> {
    let none = || ("-".to_owned(), PLAIN);
    let wait = format!("waiting {}", format::short_duration(until(&slot["nextStart"])));
    let mut cells = vec![(slot["slot"].to_string(), PLAIN), none(), (wait, RED)];
    cells.resize_with(TITLES.len() - 2, none);
    let generation = slot["restarts"].as_u64().unwrap_or_default() + 1;
    cells.push((format::short_count(generation as f64), PLAIN));
    cells.push(crashes(slot));
    cells
}

/// How often a slot's workers crashed; coloured unless never.
fn crashes(counted: &Value) -> Cell {
    let style = if counted["crashes"] == 0 { PLAIN } else { RED };
    (short(&counted["crashes"]), style)
}

fn crashed_lately(slot: &Value) -> bool {
    let exit = &slot["lastExit"];
    let is_crash = exit["reason"].as_str().is_some_and(is_crash);
    let ago = at(&exit["at"]).and_then(|at| SystemTime::now().duration_since(at).ok());
    is_crash && ago.is_some_and(|ago| ago < RECENT)
}

/// Describes how often the workers of a slot crashed, and the last one's end.
fn trouble(slot: &Value) -> String {
    let mut text = format!("slot {}: ", slot["slot"]);
    if slot["state"] == "waiting" {
        let wait = format::short_wait(until(&slot["nextStart"]));
        text.push_str(&format!("waiting, the next worker starts {wait}; "));
    }
    let crashes = slot["crashes"].as_u64().unwrap_or_default();
    text.push_str(&counted(crashes, "crash"));
    let exit = &slot["lastExit"];
    if !exit.is_object() {
        return text;
    }
    let how = match (exit["code"].as_i64(), exit["signal"].as_str()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => signal.unwrap_or("ended").to_owned(),
    };
    let reason = exit["reason"].as_str().unwrap_or_default();
    let (pid, ago) = (&exit["pid"], since(&exit["at"]));
    text.push_str(&format!("; worker {pid} ended {ago} ago ({reason}, {how})"));
    if let Some(error) = exit["error"].as_str() {
        text.push_str(&format!(": {}", printable(error)));
    }
    let mut text = wrap(&text.replace('\u{a0}', " "));
    let lines: Vec<&str> = list(&exit["lines"]).filter_map(Value::as_str).collect();
    if lines.is_empty() && exit["error"].is_null() {
        text.push_str(NO_LINES);
    }
    for line in shown(&lines, exit["error"].as_str()) {
        text.push_str(&format!("\n    | {}", printable(line)));
    }
    text
}

/// Returns the lines that say most: the last ones; or around an error, which is shown by itself,
/// the last one before it and the first ones of its stack.
fn shown<'a>(lines: &[&'a str], error: Option<&str>) -> Vec<&'a str> {
    let Some(at) = lines.iter().position(|line| Some(*line) == error) else {
        return lines[lines.len().saturating_sub(LINES)..].to_vec();
    };
    let (before, stack) = (&lines[..at], &lines[at + 1..]);
    before.iter().rev().take(1).chain(stack.iter().take(LINES - 1)).copied().collect()
}

/// Workers that are stuck while they leave: their state in the table is another one.
fn stuck(status: &Value) -> impl Iterator<Item = String> {
    let leaving = list(&status["workers"]).filter(|worker| worker["state"] != "stuck");
    leaving.filter_map(|worker| {
        let stuck = Duration::from_millis(worker["stuckFor"].as_u64()?);
        let (slot, pid, time) = (&worker["slot"], &worker["pid"], format::short_duration(stuck));
        let state = worker["state"].as_str()?;
        Some(format!("slot {slot}: worker {pid} is {state}, and stuck for {time}"))
    })
}

/// Requests a second since the older status.
fn rate(worker: &Value, before: Before<'_>) -> Option<f64> {
    let (status, taken) = before?;
    let then = list(&status["workers"]).find(|then| then["pid"] == worker["pid"])?;
    let total = |worker: &Value| worker["requests"]["total"].as_f64();
    Some((total(worker)? - total(then)?) / taken.elapsed().as_secs_f64())
}

fn short(value: &Value) -> String {
    format::short_count(value.as_f64().unwrap_or_default())
}

/// Formats a count.
pub(crate) fn number(value: &Value) -> String {
    format::count(value.as_u64().unwrap_or_default())
}

/// Formats how long ago a time is.
pub(crate) fn since(time: &Value) -> String {
    at(time).map_or_else(|| "?".to_owned(), format::age)
}

fn until(time: &Value) -> Duration {
    let wait = at(time).and_then(|at| at.duration_since(SystemTime::now()).ok());
    wait.unwrap_or_default()
}

fn at(time: &Value) -> Option<SystemTime> {
    Some(time.as_str()?.parse::<jiff::Timestamp>().ok()?.into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_some_of_many_slots_that_crash_are_described() {
        let exit = json!({ "at": jiff::Timestamp::now().to_string(), "reason": "crash", "code": 1,
            "pid": 7, "error": null, "lines": [] });
        let slot = |number| {
            json!({ "slot": number, "state": "waiting", "crashes": 1,
            "nextStart": exit["at"], "lastExit": exit })
        };
        let text = |slots: u32| {
            troubles(&json!({ "slots": (0..slots).map(slot).collect::<Vec<_>>(), "workers": [] }))
        };
        assert_eq!(text(0), "");
        assert_eq!((text(4).matches("slot ").count(), text(4).contains("more slot")), (4, false));
        assert!(text(4).contains("(its script wrote nothing to stderr"));
        assert!(text(5).ends_with("\nand 1 more slot: see `status --json`\n"), "{}", text(5));
        assert!(text(64).ends_with("\nand 60 more slots: see `status --json`\n"));
    }

    #[test]
    fn the_place_of_an_error_is_shown_rather_than_the_end_of_its_stack() {
        let lines = ["a", "b", "Error: c", "at d", "at e", "at f"];
        assert_eq!(shown(&lines, Some("Error: c")), ["b", "at d", "at e"]);
        assert_eq!(shown(&lines[2..], Some("Error: c")), ["at d", "at e"]);
        assert_eq!(shown(&lines, None), ["at d", "at e", "at f"]);
        assert_eq!(shown(&lines[..1], Some("x")), ["a"]);
    }

    #[test]
    fn the_table_fits_into_80_columns_with_the_widest_values() {
        let started = jiff::Timestamp::now() - jiff::Span::new().hours(99 * 24 + 23);
        let worker = json!({
            "slot": 1023, "pid": 4_194_304, "generation": 9_999, "state": "stuck",
            "stuckFor": 3_599_000, "startedAt": started.to_string(),
            "connections": { "active": 99_999 }, "requests": { "active": 9_999, "total": 9e9 },
            "eventLoopUtilization": 1, "cpuPercent": 1_599.0, "rss": 1_047_527_424u64,
            "crashes": 999,
        });
        let slot = json!({
            "slot": 7, "state": "waiting", "restarts": 3, "crashes": 3,
            "nextStart": (jiff::Timestamp::now() + jiff::Span::new().seconds(30)).to_string(),
        });
        let status = json!({ "workers": [worker], "slots": [slot] });
        let mut earlier = status.clone();
        earlier["workers"][0]["requests"]["total"] = json!(0);
        let text = table(&status, Some(&(earlier, Instant::now() - Duration::from_secs(1))));
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains("waiting 29s") && text.contains("stuck 59m59s"), "{text}");
        let waits = text.lines().nth(1).unwrap_or_default();
        assert!(waits.starts_with("7 "), "sorted by slot: {text}");
    }
}
