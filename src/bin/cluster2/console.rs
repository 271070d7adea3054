//! Shows what happens to the cluster on standard error: one line for each event, or one JSON
//! object.
//!
//! A thread of its own writes the lines, so a terminal that takes none holds up nothing: lines that
//! it does not take in time are dropped and counted in a later line, and the process ends with the
//! cluster all the same.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cluster2_rs::counts::counted;
use cluster2_rs::embedder::{Embedder, Failure, MasterEvent};
use cluster2_rs::os::thread;
use cluster2_rs::protocol::status::EventRecord;
use cluster2_rs::quota::Share;
use serde_json::value::RawValue;

use super::hook::Hook;
use super::line::{Format, Line, write_line};
use super::settings;

/// Lines that may wait to be written; more are dropped.
const WAITING: usize = 4096;
/// Characters that are shown of a message that nobody takes.
const MESSAGE: usize = 80;
/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_millis(500);

/// Takes lines, and never waits.
#[derive(Clone)]
pub(crate) struct Console {
    lines: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
}

impl Console {
    /// Starts the thread. Returns a console, and a handle to wait until all clones of the console
    /// are dropped and all lines are written.
    pub(crate) fn open(format: Format) -> std::io::Result<(Self, Written)> {
        let (sender, lines) = sync_channel::<Line>(WAITING);
        let (done, written) = sync_channel(1);
        let dropped = Arc::<AtomicU64>::default();
        let missing = Arc::clone(&dropped);
        thread::start("console", move || {
            for line in lines {
                write_line(format, &line);
                let count = missing.swap(0, Ordering::Relaxed);
                if count > 0 {
                    let text = format!(
                        "after this line {} missing, not taken in time",
                        counted(count, "line")
                    );
                    write_line(format, &Line::warning(text));
                }
            }
            // Nobody may wait for it.
            let _ = done.send(());
        })?;
        Ok((Self { lines: sender, dropped }, Written(written)))
    }

    /// Writes a line that is not an event.
    pub(crate) fn note(&self, text: String) {
        self.write(Line::note(text));
    }

    fn write(&self, line: Line) {
        if self.lines.try_send(line).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits for the last lines.
pub(crate) struct Written(Receiver<()>);

impl Written {
    /// Waits until all is written, but not for a terminal that takes nothing.
    pub(crate) fn wait(self) {
        let _ = self.0.recv_timeout(LAST_LINES);
    }
}

/// The embedder of a master without JavaScript.
pub(crate) struct ConsoleEmbedder<F: FnOnce() + Send + 'static> {
    console: Console,
    file: settings::File,
    /// Whether a line has said that nobody takes messages here.
    has_warned: AtomicBool,
    failure: Arc<Mutex<Option<Failure>>>,
    restart: Restart,
    hook: Option<Hook>,
    on_end: Mutex<Option<F>>,
}

/// Whether the process starts again when its cluster has ended.
#[derive(Clone, Default)]
pub(crate) struct Restart {
    is_asked: Arc<AtomicBool>,
    /// Why it cannot.
    obstacle: Option<&'static str>,
}

impl Restart {
    /// Of a cluster that cannot start again because of `obstacle`, if there is one.
    pub(crate) fn unless(obstacle: Option<&'static str>) -> Self {
        Self { obstacle, ..Self::default() }
    }

    /// Whether somebody has asked for it.
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.load(Ordering::Relaxed)
    }
}

impl<F: FnOnce() + Send + 'static> ConsoleEmbedder<F> {
    /// Stores in `failure` why the cluster ended, if nobody asked it to. Calls `on_end` when the
    /// cluster has ended and dropped its embedder. `file` is where the options came from.
    pub(crate) fn new(
        console: Console,
        file: settings::File,
        failure: Arc<Mutex<Option<Failure>>>,
        restart: Restart,
        hook: Option<Hook>,
        on_end: F,
    ) -> Self {
        Self {
            console,
            file,
            has_warned: AtomicBool::new(false),
            failure,
            restart,
            hook,
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
        if let MasterEvent::Finished { error, .. } = event {
            *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = error;
            return;
        }
        if let Some(change) = self.ignored_change(&event) {
            self.console.write(Line::warning(change));
        }
    }

    fn record(&self, record: &EventRecord) {
        self.console.write(Line::event(record));
        if let Some(hook) = &self.hook {
            hook.tell(record);
        }
    }

    fn message(&self, pid: u32, _id: u32, message: Box<RawValue>, _share: Share) {
        // PM2's way to say that a worker is ready.
        if message.get() != "\"ready\"" && !self.has_warned.swap(true, Ordering::Relaxed) {
            let begin: String = message.get().chars().take(MESSAGE).collect();
            let text = format!(
                "worker {pid} sends messages to its master, where no script takes them: {begin}"
            );
            self.console.write(Line::warning(text));
        }
    }

    fn end_of_messages(&self, _pid: u32) {}

    fn restart(&self) -> Result<(), &'static str> {
        self.restart.obstacle.map_or(Ok(()), Err)?;
        self.restart.is_asked.store(true, Ordering::Relaxed);
        Ok(())
    }

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
