//! One line of the master on standard error: for people, or for a collector of logs.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};
use cluster2_rs::protocol::status::{EventRecord, Level};
use cluster2_rs::protocol::time::Time;
use serde::Serialize;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
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
    pub(crate) fn of(name: Option<&str>) -> Self {
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
pub(crate) struct Line {
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
    pub(crate) fn event(record: &EventRecord) -> Self {
        let EventRecord { time, kind, level, slot, pid, message, .. } = record.clone();
        Self { time, kind, level, slot, pid, message }
    }

    /// A line about something else.
    pub(crate) fn note(message: String) -> Self {
        Self::about("note", Level::Info, message)
    }

    /// A warning that is not an event.
    pub(crate) fn warning(message: String) -> Self {
        Self::about("warning", Level::Warn, message)
    }

    /// The last line of a command that fails.
    pub(crate) fn failure(message: String) -> Self {
        Self::about("failure", Level::Error, message)
    }

    fn about(kind: &'static str, level: Level, message: String) -> Self {
        Self { time: Time(SystemTime::now()), kind, level, slot: None, pid: None, message }
    }
}

/// Returns the colour of an event.
pub(crate) fn style(kind: &str, level: &str) -> Style {
    match (kind, level) {
        (_, "error") => BAD,
        (_, "warn") => NOTE,
        ("ready", _) => GOOD,
        _ => PLAIN,
    }
}

/// Writes one line to standard error, without control characters that other processes may have put
/// into it.
pub(crate) fn write_line(format: Format, line: &Line) {
    match format {
        Format::Json => write_whole(&serde_json::to_string(line).unwrap_or_default()),
        // Each worker is named again once it is ready.
        Format::Text { .. } if line.kind == "start" => {}
        Format::Text { has_times } => {
            let message = printable(&line.message);
            let time = if has_times { format!("{} ", line.time) } else { String::new() };
            let style = style(line.kind, line.level.word());
            let warning = if line.kind == "warning" { "warning: " } else { "" };
            write_whole(&format!("{time}cluster2: {style}{warning}{message}{style:#}"));
        }
    }
}

/// Writes `text` and the end of the line to standard error, by one system call: workers write
/// there too, and what they write must not get between the parts of a line.
pub(crate) fn write_whole(text: &str) {
    write_at_once(io::stderr(), anstream::stderr().current_choice(), text);
}

fn write_at_once(mut to: impl Write, colours: ColorChoice, text: &str) {
    // Formatting writes each part by itself, and standard error has no buffer.
    let mut styled = AutoStream::new(Vec::new(), colours);
    let _ = writeln!(styled, "{text}");
    // Standard error may be closed.
    let _ = to.write_all(&styled.into_inner());
}

/// Writes one line at once, for a command that has nothing else to do meanwhile.
pub(crate) fn note(text: &str) {
    write_line(Format::Text { has_times: false }, &Line::note(text.to_owned()));
}

/// Replaces control characters, which would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keeps what each call writes.
    struct Writes<'a>(&'a mut Vec<String>);

    impl Write for Writes<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(String::from_utf8_lossy(bytes).into_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_written_at_once_so_that_no_other_process_writes_into_it() {
        for (colours, written) in
            [(ColorChoice::Never, "a b\n"), (ColorChoice::AlwaysAnsi, "a \u{1b}[31mb\u{1b}[0m\n")]
        {
            let mut writes = Vec::new();
            write_at_once(Writes(&mut writes), colours, &format!("a {BAD}b{BAD:#}"));
            assert_eq!(writes, [written]);
        }
    }
}
