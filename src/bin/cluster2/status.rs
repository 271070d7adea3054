//! `cluster2 status`: the status of a cluster, for people or for programs.
//!
//! What always holds: the first line says whether the cluster serves, in red if no worker is ready;
//! and the table is no wider than 80 columns.

use std::path::Path;
use std::time::{Duration, Instant};

use anstyle::{AnsiColor, Style};
use clap::ArgMatches;
use cluster2_rs::counts::counted;
use cluster2_rs::monitor::format;
use cluster2_rs::protocol::control::Command;
use cluster2_rs::protocol::scaling::ScalingStatus;
use serde_json::Value;

use super::line::printable;
use super::status_table::{Before, number, since, table, troubles};
use super::table::wrap;
use super::{Failed, commands, planned_start, print, settings};

/// Time between two statuses of `--watch`.
const WATCH_EVERY: Duration = Duration::from_secs(1);
const CLEAR: &str = "\x1b[H\x1b[2J";
const BOLD: Style = Style::new().bold();
const RED: Style = AnsiColor::Red.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const GREEN: Style = AnsiColor::Green.on_default();

/// Runs the command.
pub(crate) fn status(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let ask = || commands::ask(&pids, &Command::Status);
    let shown = |status: &Value, before: Before<'_>| {
        if matches.get_flag("json") { format!("{status:#}\n") } else { page(status, before) }
    };
    if !matches.get_flag("watch") {
        let status = ask()?;
        print(shown(&status, None).as_bytes())?;
        return if status["running"] == true { Ok(()) } else { Err(not_running(&pids, &status)) };
    }
    let mut before: Option<(Value, Instant)> = None;
    loop {
        let status = ask()?;
        if status["running"] != true {
            return Err(not_running(&pids, &status));
        }
        let clear = if matches.get_flag("json") { "" } else { CLEAR };
        print(format!("{clear}{}", shown(&status, before.as_ref())).as_bytes())?;
        before = Some((status, Instant::now()));
        std::thread::sleep(WATCH_EVERY);
    }
}

fn not_running(pids: &Path, status: &Value) -> Failed {
    let error = super::not_running(pids);
    let text = match status["reason"].as_str() {
        _ if planned_start::is_announced(pids) => format!("{error}; its parent starts it again"),
        Some(reason) => reason.to_owned(),
        None => error.message(),
    };
    Failed::not_running(text)
}

/// Returns a few lines about the cluster, a table of the workers, and what is wrong with them.
fn page(status: &Value, before: Before<'_>) -> String {
    if status["running"] != true {
        return String::new();
    }
    let text = format!("{}\n{}{}", summary(status), table(status, before), troubles(status));
    text.replace('\u{a0}', " ")
}

fn summary(status: &Value) -> String {
    let master = &status["master"];
    let text = |name: &str| printable(master[name].as_str().unwrap_or_default());
    let is_leaving = master["state"] == "leaving";
    let (style, state) = state(status, is_leaving);
    let mut lines = vec![format!("{BOLD}{}{BOLD:#}: {style}{state}{style:#}", text("name"))];
    lines.extend(scaling(&master["scaling"]));
    lines.extend(reload(&master["reload"]));
    lines.extend(upgrade(&master["upgrade"]));
    let (style, words) = rotation(&status["ecv"], is_leaving);
    lines.push(format!("health check {style}{words}{style:#}"));
    lines.extend(overload(&status["overload"]));
    let listening: Vec<&str> =
        master["listening"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let nowhere = if listening.is_empty() { "nowhere".to_owned() } else { listening.join(", ") };
    let monitor = master["monitor"].as_str().unwrap_or("off");
    lines.push(wrap(&format!("listening on {nowhere}; monitor {monitor}")));
    lines.push(wrap(&format!("running {}", script(&text("script"), &text("directory")))));
    lines.push(wrap(&format!(
        "cluster2 {} on {}: master {}, up {}, {:.0}% CPU, {}; Node {}",
        text("version"),
        text("hostname"),
        master["pid"],
        since(&master["startedAt"]),
        master["cpuPercent"].as_f64().unwrap_or_default(),
        format::bytes(master["rss"].as_f64().unwrap_or_default()),
        text("node"),
    )));
    lines.push(wrap(&so_far(&status["totals"])));
    lines.join("\n") + "\n"
}

/// Describes how the number of workers follows their work.
fn scaling(scaling: &Value) -> Option<String> {
    let number = |name: &str| scaling[name].as_u64().and_then(|number| u32::try_from(number).ok());
    let limited = scaling["limitedBy"].as_str();
    let status = ScalingStatus {
        min: number("min")?,
        max: number("max")?,
        utilization: scaling["utilization"].as_f64(),
        limited_by: ScalingStatus::LIMITS.into_iter().find(|limit| limited == Some(*limit)),
    };
    Some(wrap(&format!("scaling: {}", status.describe())))
}

/// Describes a reload that runs.
fn reload(reload: &Value) -> Option<String> {
    let reload = reload.as_object()?;
    let again = if reload["again"] == true { "; once more after that" } else { "" };
    let total = counted(reload["total"].as_u64().unwrap_or_default(), "worker");
    Some(format!("reload: {} of {total} replaced{again}", reload["replaced"]))
}

/// Describes an upgrade that runs.
fn upgrade(upgrade: &Value) -> Option<String> {
    let upgrade = upgrade.as_object()?;
    let workers = |name: &str| counted(upgrade[name].as_u64().unwrap_or_default(), "worker");
    let state = upgrade["state"].as_str().unwrap_or_default();
    let far = match state {
        "starting" => format!(", {} of {} ready", upgrade["ready"], workers("target")),
        "draining" => format!(", {} left", workers("draining")),
        _ => String::new(),
    };
    Some(format!("upgrade: master {}: {state}{far}", upgrade["pid"]))
}

/// Describes an overload that there is.
fn overload(overload: &Value) -> Option<String> {
    let overload = overload.as_object()?;
    let shed = counted(overload["shed"].as_u64().unwrap_or_default(), "connection");
    let time = since(&overload["since"]);
    Some(format!("{RED}OVERLOAD for {time}{RED:#}: {shed} got a 503"))
}

fn so_far(totals: &Value) -> String {
    let count = |name: &str| totals[name].as_u64().unwrap_or_default();
    let reloads = count("reloads") + count("reloadsFailed");
    let total = |name: &str| number(&totals[name]);
    format!(
        "so far {} ({} moved, {} timed out, {} waiting), {}; {} of {} failed",
        counted(count("connections"), "connection"),
        total("moved"),
        total("timedOut"),
        total("waiting"),
        counted(count("requests"), "request"),
        total("reloadsFailed"),
        counted(reloads, "reload"),
    )
}

/// Returns the style and the text of the cluster's state.
fn state(status: &Value, is_leaving: bool) -> (Style, String) {
    let workers = status["workers"].as_array().into_iter().flatten();
    let ready = workers.filter(|worker| worker["state"] == "ready").count() as u64;
    let target = status["master"]["target"].as_u64().unwrap_or_default();
    let workers = status["workers"].as_array().into_iter().flatten();
    let spares = workers.filter(|worker| worker["state"] == "spare").count();
    let spares = format::spares(spares, status["master"]["spares"].as_u64().unwrap_or_default());
    match ready {
        _ if is_leaving => (YELLOW, "leaving, the cluster is shutting down".to_owned()),
        0 => (RED, format!("NO WORKER IS READY, of {target}")),
        _ if ready < target => (YELLOW, format!("{ready} of {target} workers are ready")),
        1 if target == 1 => (GREEN, format!("its worker is ready{spares}")),
        _ => (GREEN, format!("all {target} workers are ready{spares}")),
    }
}

/// Names a script by its path below the directory, if it lies there.
fn script(script: &str, directory: &str) -> String {
    let below = script.strip_prefix(directory).and_then(|rest| rest.strip_prefix('/'));
    format!("{} in {directory}", below.unwrap_or(script))
}

fn rotation(ecv: &Value, is_leaving: bool) -> (Style, String) {
    let unhealthy = ecv["unhealthy"].as_array().and_then(|unhealthy| unhealthy.first());
    let unavailable = ecv["unavailable"].as_str();
    match (unavailable, unhealthy) {
        _ if is_leaving => (YELLOW, "DISABLED: the cluster is shutting down".to_owned()),
        _ if ecv["disabled"] == true => (YELLOW, format!("DISABLED for {}", since(&ecv["since"]))),
        (Some(reason), _) => (RED, format!("WARNING: {}", printable(reason))),
        (None, Some(found)) => {
            let reason = printable(found["reason"].as_str().unwrap_or_default());
            (RED, format!("WARNING: {reason}"))
        }
        (None, None) => (GREEN, "AVAILABLE".to_owned()),
    }
}
