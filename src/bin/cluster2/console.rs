//! Shows what happens to the cluster on standard error, one line for each event.
//!
//! A thread of its own writes the lines, so a terminal that takes none holds up nothing: lines that
//! it does not take in time are dropped and counted in a later line, and the process ends with the
//! cluster all the same.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use cluster2_rs::embedder::{Embedder, ExecutionReport, Failure, MasterEvent};
use cluster2_rs::os::thread;
use cluster2_rs::quota::Share;
use serde_json::value::RawValue;

use super::settings;

/// Lines that may wait to be written; more are dropped.
const WAITING: usize = 4096;
/// Characters that are shown of a message that nobody takes.
const MESSAGE: usize = 80;
/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// Takes lines, and never waits.
#[derive(Clone)]
pub struct Console {
    lines: SyncSender<(Style, String)>,
    dropped: Arc<AtomicU64>,
}

impl Console {
    /// Starts the thread. Returns a console, and a handle to wait until all clones of the console
    /// are dropped and all lines are written.
    pub fn open() -> std::io::Result<(Self, Written)> {
        let (sender, lines) = sync_channel::<(Style, String)>(WAITING);
        let (done, written) = sync_channel(1);
        let dropped = Arc::<AtomicU64>::default();
        let missing = Arc::clone(&dropped);
        thread::start("console", move || {
            for (style, line) in lines {
                write_line(style, &line);
                let count = missing.swap(0, Ordering::Relaxed);
                if count > 0 {
                    write_line(
                        NOTE,
                        &format!(
                            "{count} lines are missing after this one: they were not taken in time"
                        ),
                    );
                }
            }
            // Nobody may wait for it.
            let _ = done.send(());
        })?;
        Ok((Self { lines: sender, dropped }, Written(written)))
    }

    /// Writes a line that is not an event.
    pub fn note(&self, line: String) {
        self.write(PLAIN, line);
    }

    fn write(&self, style: Style, line: String) {
        if self.lines.try_send((style, line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for the last lines.
pub struct Written(Receiver<()>);

impl Written {
    /// Waits until all is written, but not for a terminal that takes nothing.
    pub fn wait(self) {
        let _ = self.0.recv_timeout(LAST_LINES);
    }
}

/// The embedder of a master without JavaScript.
pub struct ConsoleEmbedder<F: FnOnce() + Send + 'static> {
    console: Console,
    file: settings::File,
    /// Whether a line has said that nobody takes messages here.
    has_warned: AtomicBool,
    failure: Arc<Mutex<Option<Failure>>>,
    on_end: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send + 'static> ConsoleEmbedder<F> {
    /// Stores in `failure` why the cluster ended, if nobody asked it to. Calls `on_end` when the
    /// cluster has ended and dropped its embedder. `file` is where the options came from.
    pub fn new(
        console: Console,
        file: settings::File,
        failure: Arc<Mutex<Option<Failure>>>,
        on_end: F,
    ) -> Self {
        Self {
            console,
            file,
            has_warned: AtomicBool::new(false),
            failure,
            on_end: Mutex::new(Some(on_end)),
        }
    }

    /// Returns a warning if a reload begins after the configuration file has changed: a reload does
    /// not read it.
    fn ignored_change(&self, event: &MasterEvent) -> Option<String> {
        let begins = matches!(event, MasterEvent::Reloading { replaced: 0, .. });
        (begins && self.file.has_changed()).then(|| {
            format!(
                "{} has changed since the start: the workers' code is new, the options count from \
                the next start on",
                self.file.name()
            )
        })
    }
}

impl<F: FnOnce() + Send + 'static> Embedder for ConsoleEmbedder<F> {
    fn emit(&self, event: MasterEvent) {
        if let MasterEvent::Finished { error } = event {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = error;
            return;
        }
        let change = self.ignored_change(&event).map(|text| (NOTE, format!("warning: {text}")));
        for (style, line) in line(&event).into_iter().chain(change) {
            self.console.write(style, line);
        }
    }

    fn message(&self, pid: u32, _id: u32, message: Box<RawValue>, _share: Share) {
        // PM2's way to say that a worker is ready.
        if message.get() != "\"ready\"" && !self.has_warned.swap(true, Ordering::Relaxed) {
            let begin: String = message.get().chars().take(MESSAGE).collect();
            let text = format!(
                "warning: worker {pid} sends messages to its master, where no script takes them: \
                {begin}"
            );
            self.console.write(NOTE, text);
        }
    }

    fn end_of_messages(&self, _pid: u32) {}

    fn forward(&self, _connection: OwnedFd) -> bool {
        false
    }
}

impl<F: FnOnce() + Send + 'static> Drop for ConsoleEmbedder<F> {
    fn drop(&mut self) {
        if let Some(on_end) = self.on_end.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            on_end();
        }
    }
}

/// Writes one line, without control characters that other processes may have put into it.
fn write_line(style: Style, line: &str) {
    // Standard error may be closed: nobody reads it.
    let _ = writeln!(anstream::stderr(), "cluster2: {style}{}{style:#}", printable(line));
}

/// Writes one line at once, for a command that has nothing else to do meanwhile.
pub fn note(line: &str) {
    write_line(PLAIN, line);
}

/// Replaces control characters, which would steer a terminal.
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

/// Describes what a worker executes: in words, and with its stack on indented lines.
pub fn executing_lines(report: &ExecutionReport) -> String {
    match (&report.stack, report.execution.describe_waiting()) {
        (Some(stack), _) => format!("executing\n{stack}"),
        (None, Some(waiting)) => waiting,
        (None, None) => "executing something that cannot be seen".to_owned(),
    }
}

/// Describes what a worker executes in one line.
fn innermost(report: &ExecutionReport) -> String {
    match report.execution.frames.first() {
        Some(frame) => {
            format!("executing {}", frame.to_string().trim_start().trim_start_matches("at "))
        }
        None => executing_lines(report),
    }
}

/// Returns the line that shows an event, if one does.
fn line(event: &MasterEvent) -> Option<(Style, String)> {
    Some(match event {
        MasterEvent::Listening { pid, addresses } if addresses.is_empty() => {
            (GOOD, format!("worker {pid} is ready"))
        }
        MasterEvent::Listening { pid, addresses } => {
            (GOOD, format!("worker {pid} is ready, listening on {}", addresses.join(", ")))
        }
        MasterEvent::Died { pid, code, signal, reason, executed } => {
            let how = match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => (*signal).to_owned(),
                _ => "ended".to_owned(),
            };
            let style = if matches!(*reason, "crash" | "start-timeout") { BAD } else { PLAIN };
            let executed = executed.as_deref().map(innermost);
            let executed =
                executed.map_or(String::new(), |executed| format!("; it was {executed}"));
            (style, format!("worker {pid} is gone ({reason}, {how}){executed}"))
        }
        MasterEvent::Reloading { slot, pid, replaced, total } => (
            PLAIN,
            format!("reload {} of {total}: replacing worker {pid} in slot {slot}", replaced + 1),
        ),
        MasterEvent::Reload { replaced, again } => {
            let next = if *again { "; once more, as was asked for meanwhile" } else { "" };
            (GOOD, format!("reload: all {replaced} workers are new{next}"))
        }
        MasterEvent::Recycle { pid, reason } => {
            (PLAIN, format!("worker {pid} is being recycled: {reason}"))
        }
        MasterEvent::Unresponsive { pid, age, executing } => {
            let what = executing_lines(executing);
            let text = format!("worker {pid} hangs, its event loop did not turn for {age} ms; ");
            (BAD, format!("{text}it is replaced. It is {what}"))
        }
        MasterEvent::Blocked { pid, duration, executing } => {
            let what = executing_lines(executing);
            (NOTE, format!("worker {pid} has been blocked for {duration} ms so far. It is {what}"))
        }
        MasterEvent::Disable { pid: Some(pid), reason } => {
            (NOTE, format!("out of rotation: worker {pid}: {reason}"))
        }
        MasterEvent::Disable { pid: None, reason } => (NOTE, format!("out of rotation: {reason}")),
        MasterEvent::Enable => (GOOD, "in rotation again".to_owned()),
        MasterEvent::Warning { message } => (NOTE, format!("warning: {message}")),
        MasterEvent::Forked { .. }
        | MasterEvent::Signal { .. }
        | MasterEvent::Message { .. }
        | MasterEvent::Validate { .. }
        | MasterEvent::Finished { .. } => return None,
    })
}
