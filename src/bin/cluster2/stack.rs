//! `cluster2 stack`: what workers execute.

use anstyle::{AnsiColor, Style};
use clap::ArgMatches;
use cluster2_rs::embedder::{ExecutionReport, executing_lines};
use cluster2_rs::monitor::format;
use cluster2_rs::protocol::control::Command;
use cluster2_rs::protocol::execution::Execution;
use serde::Deserialize;
use serde_json::Value;

use super::line::printable;
use super::{Failed, commands, print, settings};

const BOLD: Style = Style::new().bold();

/// Runs the command.
pub(crate) fn stack(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let pid = matches.get_one::<u32>("pid").copied();
    let answer = commands::ask(&pids, &Command::Stack { pid })?;
    let one = [answer.clone()];
    let workers = answer["workers"].as_array().map_or(&one[..], Vec::as_slice);
    if matches.get_flag("json") {
        return print(format!("{:#}\n", Value::from(workers)).as_bytes());
    }
    let texts: Vec<String> = workers.iter().map(describe).collect();
    print(texts.concat().as_bytes())
}

fn describe(worker: &Value) -> String {
    let execution = Execution::deserialize(worker).unwrap_or_default();
    let stuck_for = worker["stuckFor"].as_u64();
    let mut numbers = String::new();
    if let Some(heap) = execution.heap {
        let [used, limit] = [heap.used, heap.limit].map(|bytes| format::bytes(bytes as f64));
        numbers.push_str(&format!(", heap {used} of {limit}"));
    }
    if let Some(gc) = execution.gc {
        let total = format::millis(gc.total);
        numbers.push_str(&format!(", {total} in garbage collections"));
    }
    let stuck = stuck_for.map_or(String::new(), |_| {
        let style = AnsiColor::Red.on_default();
        format!(", {style}{}{style:#}", format::state("stuck", stuck_for))
    });
    let what = printable(&executing_lines(&ExecutionReport::from(execution)));
    let text = format!("{BOLD}worker {}{BOLD:#}{stuck}{numbers}: {what}\n", worker["pid"]);
    text.replace('\u{a0}', " ")
}
