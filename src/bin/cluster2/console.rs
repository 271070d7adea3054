//! Tells a person on standard error what happens to the cluster, in one line each.
//!
//! The lines are written by a thread of its own, so that a terminal which does not take them holds up nobody.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use anstyle::{AnsiColor, Style};
use cluster2_rs::runtime::{Failure, Front, Told};

/// Events that may wait to be written; more are dropped.
const WAITING: usize = 4096;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const PLAIN: Style = Style::new();

/// See the module's text.
pub struct Console(SyncSender<Told>);

impl Front for Console {
    fn tell(&self, told: Told) {
        let _ = self.0.try_send(told);
    }

    fn connect(&self, _connection: OwnedFd) -> bool {
        false
    }
}

/// A console, and what comes when everybody has let go of it: why the cluster ended, if it was not asked to. `on_end` is called then.
pub fn open(on_end: impl FnOnce() + Send + 'static) -> std::io::Result<(Console, Receiver<Option<Failure>>)> {
    let (sender, told) = sync_channel(WAITING);
    let (end, ended) = sync_channel(1);
    std::thread::Builder::new().name("console".into()).spawn(move || {
        // Whoever waits for it may be gone.
        let _ = end.send(write(&told));
        on_end();
    })?;
    Ok((Console(sender), ended))
}

fn write(events: &Receiver<Told>) -> Option<Failure> {
    let mut failure = None;
    for told in events {
        if let Told::Finished { error } = told {
            failure = error;
            continue;
        }
        if let Some((style, line)) = line(&told) {
            say(style, &line);
        }
    }
    failure
}

/// Writes one line.
fn say(style: Style, line: &str) {
    // Standard error may be closed: nobody is there to be told.
    let _ = writeln!(anstream::stderr(), "cluster2: {style}{line}{style:#}");
}

/// Writes one line that is no event.
pub fn note(line: &str) {
    say(PLAIN, line);
}

fn line(told: &Told) -> Option<(Style, String)> {
    Some(match told {
        Told::Listening { pid } => (GOOD, format!("worker {pid} is ready")),
        Told::Died { pid, code, signal, reason } => {
            let how = match (code, signal) {
                (Some(code), _) => format!("exit code {code}"),
                (_, Some(signal)) => (*signal).to_owned(),
                _ => "ended".to_owned(),
            };
            let style = if matches!(*reason, "crash" | "start-timeout") { BAD } else { PLAIN };
            (style, format!("worker {pid} is gone ({reason}, {how})"))
        }
        Told::Reloading { slot, pid, replaced, total } => {
            (PLAIN, format!("reload {} of {total}: replacing worker {pid} in slot {slot}", replaced + 1))
        }
        Told::Reload { replaced } => (GOOD, format!("reload: all {replaced} workers are new")),
        Told::Recycle { pid, reason } => (PLAIN, format!("worker {pid} is being recycled: {reason}")),
        Told::Unresponsive { pid, age } => {
            (BAD, format!("worker {pid} hangs, its event loop did not turn for {age} ms; it is replaced"))
        }
        Told::Disable { pid: Some(pid), reason } => (NOTE, format!("out of rotation: worker {pid}: {reason}")),
        Told::Disable { pid: None, reason } => (NOTE, format!("out of rotation: {reason}")),
        Told::Enable => (GOOD, "in rotation again".to_owned()),
        Told::Warning { message } => (NOTE, format!("warning: {message}")),
        Told::Forked { .. }
        | Told::Signal { .. }
        | Told::Message { .. }
        | Told::Validate { .. }
        | Told::Finished { .. } => return None,
    })
}
