//! `cluster2 events`: what happened to a cluster last, and what happens.

use std::path::Path;
use std::time::Duration;

use clap::ArgMatches;
use cluster2_rs::counts::counted;
use cluster2_rs::protocol::control::Command;
use serde_json::Value;

use super::line::{printable, style};
use super::{Failed, commands, print, settings};

/// Time between two questions of `--follow`.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How far a master's events have been shown.
#[derive(Default)]
struct Shown {
    master: Option<u64>,
    last: u64,
}

/// Runs the command.
pub(crate) fn events(matches: &ArgMatches) -> Result<(), Failed> {
    let pids = settings::directory("pids", matches)?;
    let describe = if matches.get_flag("json") { json } else { line };
    let mut shown = Shown::default();
    shown.go_on(&pids, describe)?;
    while matches.get_flag("follow") {
        std::thread::sleep(ASK_EVERY);
        shown.go_on(&pids, describe)?;
    }
    Ok(())
}

impl Shown {
    /// Prints the events that came since.
    fn go_on(&mut self, pids: &Path, describe: fn(&Value) -> String) -> Result<(), Failed> {
        let mut answer = commands::ask(pids, &Command::Events { after: self.last })?;
        let master = answer["pid"].as_u64();
        if self.master.is_some() && self.master != master {
            // Another master counts from 1 again.
            self.last = 0;
            answer = commands::ask(pids, &Command::Events { after: 0 })?;
        }
        self.master = master;
        for event in answer["events"].as_array().into_iter().flatten() {
            let seq = event["seq"].as_u64().unwrap_or_default();
            let missing = seq.saturating_sub(self.last + 1);
            if self.last > 0 && missing > 0 {
                super::line::note(&format!("missing here: {}", counted(missing, "event")));
            }
            print(describe(event).as_bytes())?;
            self.last = seq;
        }
        Ok(())
    }
}

fn json(event: &Value) -> String {
    format!("{event}\n")
}

/// Returns an event in a few columns; further lines of its message are indented.
fn line(event: &Value) -> String {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let number = |name: &str| event[name].as_u64().map_or("-".to_owned(), |n| n.to_string());
    let style = style(text("type"), text("level"));
    format!(
        "{}  {:<8} {:>4}  {style}{}{style:#}\n",
        text("time"),
        text("type"),
        number("slot"),
        printable(text("message")).replace('\n', "\n    ")
    )
}
