//! `cluster2 status`: the status of a cluster, for people or for programs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::ArgMatches;
use cluster2_rs::monitor::format;
use cluster2_rs::protocol::control::Command;
use serde_json::Value;
use tabwriter::TabWriter;

use super::console::printable;
use super::{Failed, commands, print, settings};

/// Time between two statuses of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const CLEAR: &str = "\x1b[H\x1b[2J";
const BOLD: Style = Style::new().bold();
const COLUMNS: &str =
    "slot\tpid\tgen\tstate\tup\tconnections\trequests\treq/s\tdelay\tcpu\tmemory\trestarts";

/// Runs the command.
pub fn status(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let ask = || commands::ask(&pids, &Command::Status);
    let shown = |status: &Value, before: Option<&(Value, Instant)>| {
        if matches.get_flag("json") { Ok(format!("{status:#}\n")) } else { page(status, before) }
    };
    if !matches.get_flag("watch") {
        let status = ask()?;
        print(shown(&status, None)?.as_bytes())?;
        return if status["running"] == true { Ok(()) } else { Err(not_running(&pids, &status)) };
    }
    let mut before: Option<(Value, Instant)> = None;
    loop {
        let status = ask()?;
        if status["running"] != true {
            return Err(not_running(&pids, &status));
        }
        let clear = if matches.get_flag("json") { "" } else { CLEAR };
        print(format!("{clear}{}", shown(&status, before.as_ref())?).as_bytes())?;
        before = Some((status, Instant::now()));
        std::thread::sleep(WATCH_EVERY);
    }
}

fn not_running(pids: &std::path::Path, status: &Value) -> Failed {
    let reason = status["reason"].as_str().map(str::to_owned);
    Failed::not_running(
        reason.unwrap_or_else(|| format!("no cluster is running in {}", pids.display())),
    )
}

/// Returns a few lines about the cluster and a table of the workers. `before` is an older status,
/// for rates.
fn page(status: &Value, before: Option<&(Value, Instant)>) -> Result<String, Failed> {
    if status["running"] != true {
        return Ok(String::new());
    }
    let mut text = summary(status);
    let mut table = TabWriter::new(Vec::new()).padding(2).ansi(true);
    writeln!(table, "{}", bold(COLUMNS))?;
    for worker in status["workers"].as_array().into_iter().flatten() {
        writeln!(table, "{}", row(worker, before))?;
    }
    let table = table.into_inner().map_err(|error| Failed::new(error.to_string()))?;
    text.push_str(&String::from_utf8_lossy(&table));
    Ok(text.replace('\u{a0}', " "))
}

/// Makes each column bold on its own, so that the escapes count for no column's width.
fn bold(columns: &str) -> String {
    let each = columns.split('\t').map(|name| format!("{BOLD}{name}{BOLD:#}"));
    each.collect::<Vec<_>>().join("\t")
}

fn summary(status: &Value) -> String {
    let master = &status["master"];
    let text = |name: &str| printable(master[name].as_str().unwrap_or_default());
    let listening: Vec<&str> =
        master["listening"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let mut lines = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        lines,
        "{BOLD}cluster2 {}{BOLD:#} on {}: master {}, {}, Node {}, up {}",
        text("version"),
        text("hostname"),
        master["pid"],
        text("state"),
        text("node"),
        since(&master["startedAt"]),
    );
    let nowhere =
        if listening.is_empty() { "nowhere yet".to_owned() } else { listening.join(", ") };
    let _ = writeln!(
        lines,
        "listening on {nowhere}; monitor {}",
        master["monitor"].as_str().unwrap_or("off")
    );
    let ready = status["workers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|worker| worker["state"] == "ready")
        .count();
    let target = master["target"].as_u64().unwrap_or_default();
    if (ready as u64) < target && master["state"] != "leaving" {
        let _ = writeln!(lines, "{ready} of {target} workers are ready");
    }
    if let Some(reload) = master["reload"].as_object() {
        let again = if reload["again"] == true { "; once more after that" } else { "" };
        let _ = writeln!(
            lines,
            "reload: {} of {} workers are new{again}",
            reload["replaced"], reload["total"]
        );
    }
    let _ = writeln!(lines, "{}", rotation(&status["ecv"], master["state"] == "leaving"));
    let totals = &status["totals"];
    let _ = writeln!(
        lines,
        "so far {} connections, {} requests, {} moved, {} reloads, {} waiting\n",
        number(&totals["connections"]),
        number(&totals["requests"]),
        number(&totals["moved"]),
        number(&totals["reloads"]),
        number(&totals["waiting"]),
    );
    lines
}

fn rotation(ecv: &Value, is_leaving: bool) -> String {
    let unhealthy = ecv["unhealthy"].as_array().and_then(|unhealthy| unhealthy.first());
    let (color, words) = match unhealthy {
        _ if is_leaving => (AnsiColor::Yellow, "DISABLED: the cluster is shutting down".to_owned()),
        _ if ecv["disabled"] == true => {
            (AnsiColor::Yellow, format!("DISABLED for {}", since(&ecv["since"])))
        }
        Some(found) => {
            let reason = printable(found["reason"].as_str().unwrap_or_default());
            (AnsiColor::Red, format!("WARNING: {reason}"))
        }
        None => (AnsiColor::Green, "AVAILABLE".to_owned()),
    };
    let style = color.on_default();
    format!("health check {style}{words}{style:#}")
}

fn row(worker: &Value, before: Option<&(Value, Instant)>) -> String {
    let state = worker["state"].as_str().unwrap_or_default();
    let stuck_for = worker["stuckFor"].as_u64();
    let color = match state {
        _ if stuck_for.is_some() => AnsiColor::Red,
        "ready" => AnsiColor::Green,
        "killed" => AnsiColor::Red,
        _ => AnsiColor::Yellow,
    };
    let style = color.on_default();
    let rate =
        |path: [&str; 2]| Some((worker[path[0]][path[1]].as_f64()?, earlier(worker, before?)?));
    let requests = rate(["requests", "total"]);
    let rate = requests.map_or("-".to_owned(), |(now, (then, seconds))| {
        format::amount((now - then["requests"]["total"].as_f64().unwrap_or(now)) / seconds)
    });
    [
        worker["slot"].to_string(),
        worker["pid"].to_string(),
        worker["generation"].to_string(),
        format!("{style}{}{style:#}", format::state(state, stuck_for)),
        since(&worker["startedAt"]),
        format!(
            "{} of {}",
            number(&worker["connections"]["active"]),
            number(&worker["connections"]["total"])
        ),
        format!(
            "{} of {}",
            number(&worker["requests"]["active"]),
            number(&worker["requests"]["total"])
        ),
        rate,
        format::millis(worker["eventLoopDelay"].as_f64().unwrap_or_default()),
        format::millis(worker["cpu"].as_f64().unwrap_or_default()),
        format::bytes(worker["rss"].as_f64().unwrap_or_default()),
        worker["restarts"].to_string(),
    ]
    .join("\t")
}

/// Returns the same worker in an older status, and how many seconds ago that was.
fn earlier<'a>(worker: &Value, (status, at): &'a (Value, Instant)) -> Option<(&'a Value, f64)> {
    let then = status["workers"].as_array()?.iter().find(|then| then["pid"] == worker["pid"])?;
    Some((then, at.elapsed().as_secs_f64()))
}

fn number(value: &Value) -> String {
    format::count(value.as_u64().unwrap_or_default())
}

fn since(time: &Value) -> String {
    let at = time.as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    at.map_or_else(|| "?".to_owned(), |at| format::age(at.into()))
}
