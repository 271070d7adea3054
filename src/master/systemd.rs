//! Notifications to the service manager (`sd_notify`): readiness, reloads, the end, the state in
//! words, and signs of life.
//!
//! Belongs to the supervisor's task, which shows the cluster's state after each event; only changes
//! are sent. The socket never makes the task wait: a change that finds no room is sent with the
//! next event. Without `NOTIFY_SOCKET` nothing is sent.

use std::env;
use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};

use crate::changed::Changed;
use crate::counts::counted;
use crate::error::{ClusterError, Result};
use crate::os;
use crate::supervision::Supervisor;

/// Variables from a service manager to the master, which its workers do not get.
pub const VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// The cluster's state, as far as a service manager is notified.
#[derive(Debug, Clone, Default)]
struct View {
    ready: usize,
    target: u32,
    living: usize,
    reloading: bool,
    leaving: bool,
}

impl From<&Supervisor> for View {
    fn from(supervisor: &Supervisor) -> Self {
        Self {
            ready: supervisor.ready_workers().count(),
            target: supervisor.target(),
            living: supervisor.workers().count(),
            reloading: supervisor.is_reloading(),
            leaving: supervisor.phase().is_leaving(),
        }
    }
}

impl View {
    fn words(&self) -> String {
        let Self { ready, living, .. } = self;
        let target = counted(u64::from(self.target), "worker");
        match (self.leaving, self.reloading) {
            (true, _) if *living == 1 => "leaving: 1 worker finishes what it has".into(),
            (true, _) => format!("leaving: {living} workers finish what they have"),
            (false, true) => format!("reloading: {ready} of {target} ready"),
            (false, false) => format!("{ready} of {target} ready"),
        }
    }
}

/// What was sent last, and how to send more.
#[derive(Debug, Default)]
pub(super) struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    ready: bool,
    reloading: bool,
    leaving: bool,
    /// Another master is the one that the service manager knows.
    is_muted: bool,
    /// Another master serves, and this one is still the main process.
    is_draining: bool,
    /// A holder keeps the pid that the service manager knows.
    is_held: bool,
    words: Changed<String>,
}

#[derive(Debug)]
struct Watchdog {
    half: Duration,
    /// Whether the dispatcher's thread has answered since it was last asked.
    answered: Arc<AtomicBool>,
}

impl Notifier {
    /// Reads the environment, which nothing may change meanwhile. Fails if it names a socket that
    /// cannot be one.
    pub(super) fn from_env() -> Result<Self> {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let number = |name| env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let is_ours = env::var_os("WATCHDOG_PID").is_none()
            || number("WATCHDOG_PID") == Some(std::process::id().into());
        let limit = number("WATCHDOG_USEC").filter(|limit| is_ours && *limit > 0);
        let half = limit.map(|limit| Duration::from_micros((limit / 2).max(1)));
        Self::new(name, half)
            .map_err(ClusterError::system("reaching the service manager (NOTIFY_SOCKET)"))
    }

    fn new(name: OsString, half: Option<Duration>) -> std::io::Result<Self> {
        let address = match name.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        // Nobody has been asked yet.
        let watchdog =
            half.map(|half| Watchdog { half, answered: Arc::new(AtomicBool::new(true)) });
        Ok(Self { socket: Some((socket, address)), watchdog, ..Self::default() })
    }

    /// Sends what differs from what was sent last.
    pub(super) fn update(&mut self, supervisor: &Supervisor) {
        if self.socket.is_some() && !self.is_muted && !self.is_draining {
            self.show(&View::from(supervisor));
        }
    }

    fn show(&mut self, view: &View) {
        let is_ready = self.ready || view.ready > 0;
        let words = view.words();
        let reloading = self.reloading || view.reloading;
        let mut lines = Vec::new();
        if is_ready && !view.leaving && (!self.ready || (reloading && !view.reloading)) {
            lines.push("READY=1".into());
            if !self.is_held {
                lines.push(format!("MAINPID={}", std::process::id()));
            }
        }
        // A reload before the first worker was ready is part of the start.
        if self.ready && view.reloading && !self.reloading {
            lines.push(reloading_since_now());
        }
        if view.leaving && !self.leaving {
            lines.push("STOPPING=1".into());
        }
        if self.words.differs(&words) {
            lines.push(format!("STATUS={words}"));
        }
        if !lines.is_empty() && self.send(&lines.join("\n")) {
            (self.ready, self.reloading, self.leaving) = (is_ready, view.reloading, view.leaving);
            self.words.set(words);
        }
    }

    /// Whether there is a service manager.
    pub(super) fn is_on(&self) -> bool {
        self.socket.is_some()
    }

    /// Sends nothing until [`Self::take_over`]: another master is the main process.
    pub(super) fn mute(&mut self) {
        self.is_muted = true;
    }

    /// A holder is the main process, now and later.
    pub(super) fn set_held(&mut self) {
        self.is_held = true;
    }

    /// Another master serves. This one is still the main process: its end would be that of the
    /// service, and if the other one dies, it returns. Until then it only sends signs of life.
    pub(super) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Sends that `pid` is the main process, and nothing from then on. Call it right before the
    /// end.
    pub(super) fn hand_over(&mut self, pid: u32) {
        self.send(&format!("MAINPID={pid}"));
        self.is_muted = true;
    }

    /// Sends that this is the main process, and everything else once more, unless it was sent all
    /// the time.
    pub(super) fn take_over(&mut self, supervisor: &Supervisor) {
        let was_draining = std::mem::take(&mut self.is_draining);
        if std::mem::take(&mut self.is_muted) || was_draining {
            (self.ready, self.reloading, self.leaving) = (false, false, false);
            self.words = Changed::default();
            self.update(supervisor);
            self.send("WATCHDOG=1");
        }
    }

    /// Sends that a reload was requested, also while another one is under way: who requested it
    /// waits for a newer `READY=1`.
    pub(super) fn reload_asked(&mut self) {
        if self.ready && !self.leaving && self.send(&reloading_since_now()) {
            self.reloading = true;
        }
    }

    /// Sends that a restart in the same process was requested: the service goes on, and the next
    /// cluster sends `READY=1`. Its end sends no `STOPPING=1`.
    pub(super) fn restart_asked(&mut self) {
        if self.ready && !self.reloading {
            self.send(&reloading_since_now());
        }
        self.leaving = true;
    }

    /// Ticks twice in the time in which the service manager expects a sign of life, if it does.
    pub(super) fn ticks(&self) -> Option<Interval> {
        let mut ticks = tokio::time::interval(self.watchdog.as_ref()?.half);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(ticks)
    }

    /// At each tick: sends the sign of life if the dispatcher has answered since the last one.
    /// Returns what the dispatcher has to set as its next answer.
    pub(super) fn tick(&self) -> Option<Arc<AtomicBool>> {
        let Watchdog { answered, .. } = self.watchdog.as_ref().filter(|_| !self.is_muted)?;
        if !answered.swap(false, Ordering::Relaxed) {
            // It has not answered the last question, so it needs no other.
            tracing::error!(
                "the dispatcher does not answer; the service manager gets no sign of life"
            );
            return None;
        }
        self.send("WATCHDOG=1");
        Some(Arc::clone(answered))
    }

    fn send(&self, message: &str) -> bool {
        let Some((socket, address)) = &self.socket else { return false };
        match socket.send_to_addr(message.as_bytes(), address) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(%error, message, "cannot notify the service manager; trying again");
                false
            }
        }
    }
}

/// Waits for the next tick of [`Notifier::ticks`]; for ever without ticks.
pub(super) async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

fn reloading_since_now() -> String {
    format!("RELOADING=1\nMONOTONIC_USEC={}", os::now_micros())
}

#[cfg(test)]
#[path = "systemd_tests.rs"]
mod tests;
