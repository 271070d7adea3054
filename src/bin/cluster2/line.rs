//! One line of the master on standard error: for people, or for a collector of logs.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use anstyle::{AnsiColor, Style};
use cluster2_rs::protocol::status::{EventRecord, Level, Time};
use serde::Serialize;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text {
        /// Whether each line begins with its time: a terminal is read at once, and journald keeps
        /// times itself.
        has_times: bool,
    },
    /// One object on each line.
    Json,
}

impl Format {
    /// Returns the format called `name`, `text` or `json`, for this standard error.
    pub fn of(name: Option<&str>) -> Self {
        let has_times = !io::stderr().is_terminal() && !is_journal();
        if name == Some("json") { Self::Json } else { Self::Text { has_times } }
    }
}

/// Whether standard error is read by journald, which says so in `JOURNAL_STREAM` (systemd.exec(5)):
/// the numbers of device and inode.
fn is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() else { return false };
    let Ok(found) = File::from(stderr).metadata() else { return false };
    stream == format!("{}:{}", found.dev(), found.ino())
}

/// One line. Its JSON is that of an event, except for the number.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    time: Time,
    /// As of an event, or `note`.
    #[serde(rename = "type")]
    kind: &'static str,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    message: String,
}

impl Line {
    /// A line about an event.
    pub fn event(record: &EventRecord) -> Self {
        let EventRecord { time, kind, level, slot, pid, message, .. } = record.clone();
        Self { time, kind, level, slot, pid, message }
    }

    /// A line about something else.
    pub fn note(message: String) -> Self {
        Self::about("note", Level::Info, message)
    }

    /// A warning that is not an event.
    pub fn warning(message: String) -> Self {
        Self::about("warning", Level::Warn, message)
    }

    /// The last line of a command that fails.
    pub fn failure(message: String) -> Self {
        Self::about("failure", Level::Error, message)
    }

    fn about(kind: &'static str, level: Level, message: String) -> Self {
        Self { time: Time(SystemTime::now()), kind, level, slot: None, pid: None, message }
    }
}

/// Returns the colour of an event.
pub fn style(kind: &str, level: &str) -> Style {
    match (kind, level) {
        (_, "error") => BAD,
        (_, "warn") => NOTE,
        ("ready", _) => GOOD,
        _ => PLAIN,
    }
}

/// Writes one line to standard error, without control characters that other processes may have put
/// into it.
pub fn write_line(format: Format, line: &Line) {
    let message = printable(&line.message);
    // Standard error may be closed: nobody reads it.
    let _ = match format {
        Format::Json => {
            let text = serde_json::to_string(line).unwrap_or_default();
            writeln!(io::stderr(), "{text}")
        }
        // Each worker is named again once it is ready.
        Format::Text { .. } if line.kind == "start" => Ok(()),
        Format::Text { has_times } => {
            let time = if has_times { format!("{} ", line.time) } else { String::new() };
            let style = style(line.kind, line.level.word());
            let warning = if line.kind == "warning" { "warning: " } else { "" };
            writeln!(anstream::stderr(), "{time}cluster2: {style}{warning}{message}{style:#}")
        }
    };
}

/// Writes one line at once, for a command that has nothing else to do meanwhile.
pub fn note(text: &str) {
    write_line(Format::Text { has_times: false }, &Line::note(text.to_owned()));
}

/// Replaces control characters, which would steer a terminal.
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}
