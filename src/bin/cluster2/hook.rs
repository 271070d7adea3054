//! `start --on-event COMMAND`: a command of the user for each event, such as an alert.
//!
//! A thread of its own runs the commands. What always holds: one runs at a time, in the order of
//! the events; none takes longer than [`WITHIN`]; no more than [`WAITING`] events wait, and those
//! that are left out are counted in the next one; nothing of the cluster waits for any of it; and
//! no command outlives a cluster that ends by itself.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use cluster2_rs::master::SERVICE_VARIABLES;
use cluster2_rs::os::thread;
use cluster2_rs::protocol::status::EventRecord;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

/// Events that may wait for their command.
const WAITING: usize = 256;
/// How long one command may take.
const WITHIN: Duration = Duration::from_secs(30);
/// How long the commands of the last events may take, when the cluster has ended.
const LAST_WITHIN: Duration = Duration::from_secs(5);
/// How long it takes at most to kill the one that still runs then.
const KILLED_WITHIN: Duration = Duration::from_secs(1);
/// How often a command is polled.
const POLL_EVERY: Duration = Duration::from_millis(10);

/// Takes events, and never waits.
pub(crate) struct Hook {
    events: SyncSender<(&'static str, Value)>,
    missed: AtomicU64,
}

/// Waits for the commands of the last events.
pub(crate) struct Handled(Option<(Receiver<()>, Arc<AtomicBool>)>);

impl Handled {
    /// Waits until all commands have ended, but not long. Then the one that runs is killed.
    pub(crate) fn wait(self) {
        let Some((done, is_over)) = self.0 else { return };
        if done.recv_timeout(LAST_WITHIN).is_err() {
            is_over.store(true, Ordering::Relaxed);
            let _ = done.recv_timeout(KILLED_WITHIN);
        }
    }
}

/// Starts the thread, if there is a `command`. `note` gets the problem of each command that fails.
pub(crate) fn open(
    command: Option<String>,
    note: impl Fn(String) + Send + 'static,
) -> io::Result<(Option<Hook>, Handled)> {
    let Some(command) = command else { return Ok((None, Handled(None))) };
    let (events, waiting) = sync_channel::<(&'static str, Value)>(WAITING);
    let (done, handled) = sync_channel(1);
    let is_over = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&is_over);
    thread::start("hook", move || {
        for (kind, event) in waiting {
            if let Err(problem) = run(&command, kind, &event, &over) {
                note(format!("--on-event, for '{kind}': {problem}"));
            }
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
        drop(note);
        // Nobody may wait for it.
        let _ = done.send(());
    })?;
    Ok((Some(Hook { events, missed: AtomicU64::new(0) }), Handled(Some((handled, is_over)))))
}

impl Hook {
    /// Has the command run for an event.
    pub(crate) fn tell(&self, record: &EventRecord) {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let mut event = json!(record);
        if missed > 0 {
            event["missed"] = json!(missed);
        }
        if self.events.try_send((record.kind, event)).is_err() {
            self.missed.fetch_add(missed + 1, Ordering::Relaxed);
        }
    }
}

/// Runs the command for one event. Fails with what is wrong with it, in words.
fn run(command: &str, kind: &str, event: &Value, is_over: &AtomicBool) -> Result<(), String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", command]).env("CLUSTER2_EVENT", kind).stdin(Stdio::piped());
    for name in SERVICE_VARIABLES {
        shell.env_remove(name);
    }
    // Of its own, so that Ctrl-C does not reach it, and all of it can be ended.
    shell.process_group(0);
    let mut child = shell.spawn().map_err(|error| format!("cannot run it: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        // A pipe holds much more than an event. The command may not read it.
        let _ = writeln!(input, "{event}");
    }
    match await_end(&mut child, is_over) {
        Ok(Some(status)) if status.success() => Ok(()),
        Ok(Some(status)) => Err(format!("the command ended with {status}")),
        Ok(None) => {
            end(&mut child);
            let limit = if is_over.load(Ordering::Relaxed) { LAST_WITHIN } else { WITHIN };
            Err(format!("the command took longer than {} s and was killed", limit.as_secs()))
        }
        Err(error) => Err(error.to_string()),
    }
}

fn await_end(child: &mut Child, is_over: &AtomicBool) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    while begun.elapsed() < WITHIN && !is_over.load(Ordering::Relaxed) {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::sleep(POLL_EVERY);
    }
    Ok(None)
}

/// Kills a command with all that it has started.
fn end(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended just now.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}
