//! Tells a person on standard error what happens to the cluster, in one line each.
//!
//! The lines are written by a thread of its own, so that a terminal which does not take them holds up nobody: what it does not take
//! in time is dropped, which is said in the next line that it takes, and the end of the cluster is the end of the process all the
//! same. Nothing else depends on what is written here.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use cluster2_rs::embedder::Embedder;
use cluster2_rs::embedder::Failure;
use cluster2_rs::embedder::MasterEvent;
use cluster2_rs::os::thread;
use cluster2_rs::quota::Share;
use serde_json::value::RawValue;

use super::settings;

/// Lines that may wait to be written; more are dropped.
const WAITING: usize = 4096;
/// So much of a message that nobody takes is shown, characters.
const MESSAGE: usize = 80;
/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(500);

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// Takes lines.
#[derive(Clone)]
pub struct Console {
    lines: SyncSender<(Style, String)>,
    dropped: Arc<AtomicU64>,
}

impl Console {
    /// A console, and what comes when everybody has let go of it and all is written.
    pub fn open() -> std::io::Result<(Self, Written)> {
        let (sender, lines) = sync_channel::<(Style, String)>(WAITING);
        let (done, written) = sync_channel(1);
        let dropped = Arc::<AtomicU64>::default();
        let missing = Arc::clone(&dropped);
        thread::start("console", move || {
            for (style, line) in lines {
                say(style, &line);
                let count = missing.swap(0, Ordering::Relaxed);
                if count > 0 {
                    say(
                        NOTE,
                        &format!(
                            "{count} lines are missing after this one: they were not taken in time"
                        ),
                    );
                }
            }
            // Whoever waits for it may be gone.
            let _ = done.send(());
        })?;
        Ok((Self { lines: sender, dropped }, Written(written)))
    }

    /// Writes one line that is no event.
    pub fn note(&self, line: String) {
        self.write(PLAIN, line);
    }

    fn write(&self, style: Style, line: String) {
        if self.lines.try_send((style, line)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// See [`Console::open`].
pub struct Written(Receiver<()>);

impl Written {
    /// Waits for it, but not for a terminal that takes nothing.
    pub fn wait(self) {
        let _ = self.0.recv_timeout(LAST_LINES);
    }
}

/// The embedder of a master that has no JavaScript. `on_end` is called when the cluster has ended and everybody has let go of it.
pub struct Watcher<F: FnOnce() + Send + 'static> {
    console: Console,
    file: settings::File,
    /// Whether it was told that nobody takes messages here.
    is_deaf: AtomicBool,
    failure: Arc<Mutex<Option<Failure>>>,
    on_end: Mutex<Option<F>>,
}

impl<F: FnOnce() + Send + 'static> Watcher<F> {
    /// Why the cluster ended, if it was not asked to, is left in `failure`. `file`: where the options came from.
    pub fn new(
        console: Console,
        file: settings::File,
        failure: Arc<Mutex<Option<Failure>>>,
        on_end: F,
    ) -> Self {
        Self {
            console,
            file,
            is_deaf: AtomicBool::new(false),
            failure,
            on_end: Mutex::new(Some(on_end)),
        }
    }

    /// What people expect of a reload, and what does not happen.
    fn change(&self, told: &MasterEvent) -> Option<String> {
        let begins = matches!(told, MasterEvent::Reloading { replaced: 0, .. });
        (begins && self.file.has_changed()).then(|| {
            format!(
                "{} has changed since the start: the workers' code is new, the options count from the next start on",
                self.file.name()
            )
        })
    }
}

impl<F: FnOnce() + Send + 'static> Embedder for Watcher<F> {
    fn tell(&self, told: MasterEvent) {
        if let MasterEvent::Finished { error } = told {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = error;
            return;
        }
        let change = self.change(&told).map(|text| (NOTE, format!("warning: {text}")));
        for (style, line) in line(&told).into_iter().chain(change) {
            self.console.write(style, line);
        }
    }

    fn message(&self, pid: u32, _id: u32, message: Box<RawValue>, _share: Share) {
        // PM2's way to say that a worker is ready.
        if message.get() != "\"ready\"" && !self.is_deaf.swap(true, Ordering::Relaxed) {
            let begin: String = message.get().chars().take(MESSAGE).collect();
            let text = format!(
                "warning: worker {pid} sends messages to its master, where no script takes them: {begin}"
            );
            self.console.write(NOTE, text);
        }
    }

    fn silent(&self, _pid: u32) {}

    fn connect(&self, _connection: OwnedFd) -> bool {
        false
    }
}

impl<F: FnOnce() + Send + 'static> Drop for Watcher<F> {
    fn drop(&mut self) {
        if let Some(on_end) = self.on_end.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            on_end();
        }
    }
}

/// Writes one line. What other processes said is not to steer the terminal.
fn say(style: Style, line: &str) {
    // Standard error may be closed: nobody is there to be told.
    let _ = writeln!(anstream::stderr(), "cluster2: {style}{}{style:#}", printable(line));
}

/// Writes one line of a command, which has nothing else to do meanwhile.
pub fn note(line: &str) {
    say(PLAIN, line);
}

/// The text without what would steer a terminal.
pub fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
}

fn line(told: &MasterEvent) -> Option<(Style, String)> {
    Some(match told {
        MasterEvent::Listening { pid, places } => {
            (GOOD, format!("worker {pid} is ready, listening on {}", places.join(", ")))
        }
        MasterEvent::Died { pid, code, signal, reason } => {
            let how = match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => (*signal).to_owned(),
                _ => "ended".to_owned(),
            };
            let style = if matches!(*reason, "crash" | "start-timeout") { BAD } else { PLAIN };
            (style, format!("worker {pid} is gone ({reason}, {how})"))
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
        MasterEvent::Unresponsive { pid, age } => (
            BAD,
            format!("worker {pid} hangs, its event loop did not turn for {age} ms; it is replaced"),
        ),
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
