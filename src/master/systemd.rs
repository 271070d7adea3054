//! What the service manager is told (`sd_notify`): readiness, reloads, the end, the state in words, and that we are alive.
//!
//! Belongs to the supervisor's task, which hands over how the cluster is after each event; only what changed is sent. The socket
//! never makes the task wait: what finds no room is sent with the next event. Without `NOTIFY_SOCKET` nothing of this is there.

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
use crate::error::{ClusterError, Result};
use crate::os;
use crate::supervision::Supervisor;

/// Variables by which a service manager speaks to us, and to nobody that we start.
pub const VARIABLES: [&str; 7] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
];

/// How the cluster is, as far as a service manager is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    ready: usize,
    target: u32,
    living: usize,
    reloading: bool,
    leaving: bool,
}

impl From<&Supervisor> for View {
    fn from(supervisor: &Supervisor) -> Self {
        Self {
            ready: supervisor.workers().filter(|(_, worker)| worker.is_ready()).count(),
            target: supervisor.target(),
            living: supervisor.workers().count(),
            reloading: supervisor.is_reloading(),
            leaving: supervisor.phase().is_leaving(),
        }
    }
}

impl View {
    fn words(&self) -> String {
        let Self { ready, target, living, .. } = self;
        match (self.leaving, self.reloading) {
            (true, _) if *living == 1 => "leaving: 1 worker finishes what it has".into(),
            (true, _) => format!("leaving: {living} workers finish what they have"),
            (false, true) => format!("reloading: {ready} of {target} workers ready"),
            (false, false) => format!("{ready} of {target} workers ready"),
        }
    }
}

/// See the module's text.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    ready: bool,
    reloading: bool,
    leaving: bool,
    words: Changed<String>,
}

#[derive(Debug)]
struct Watchdog {
    half: Duration,
    /// The dispatcher's thread has answered since it was last asked.
    answered: Arc<AtomicBool>,
}

impl Notifier {
    /// As the environment says; called where nothing else changes it. Fails where it names a socket that cannot be one.
    pub fn from_env() -> Result<Self> {
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
        // At first nobody has been asked yet.
        let watchdog =
            half.map(|half| Watchdog { half, answered: Arc::new(AtomicBool::new(true)) });
        Ok(Self { socket: Some((socket, address)), watchdog, ..Self::default() })
    }

    /// Tells what is different from what was told.
    pub fn update(&mut self, supervisor: &Supervisor) {
        if self.socket.is_some() {
            self.show(&View::from(supervisor));
        }
    }

    fn show(&mut self, view: &View) {
        let is_ready = self.ready || view.ready > 0;
        let words = view.words();
        let reloading = self.reloading || view.reloading;
        let mut lines = Vec::new();
        if is_ready && !view.leaving && (!self.ready || (reloading && !view.reloading)) {
            lines.push(format!("READY=1\nMAINPID={}", std::process::id()));
        }
        // What came before there was a worker is part of the start.
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

    /// A reload was asked for. MasterEvent each time, also where one runs already: whoever asked waits for an answer that is newer.
    pub fn reload_asked(&mut self) {
        if self.ready && !self.leaving && self.send(&reloading_since_now()) {
            self.reloading = true;
        }
    }

    /// Ticks twice in the time in which the service manager wants a sign of life, if it wants one.
    pub fn ticks(&self) -> Option<Interval> {
        let mut ticks = tokio::time::interval(self.watchdog.as_ref()?.half);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(ticks)
    }

    /// At each tick: gives the sign of life, if the dispatcher has answered what it was asked at the last one, and returns what
    /// it is to set now.
    pub fn tick(&self) -> Option<Arc<AtomicBool>> {
        let Watchdog { answered, .. } = self.watchdog.as_ref()?;
        if !answered.swap(false, Ordering::Relaxed) {
            // What it was asked before still waits.
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
                tracing::warn!(%error, message, "the service manager cannot be told; trying again");
                false
            }
        }
    }
}

/// The next tick of `Notifier::ticks`, if there is one.
pub async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

fn reloading_since_now() -> String {
    format!("RELOADING=1\nMONOTONIC_USEC={}", os::now_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Manager(UnixDatagram);

    impl Manager {
        fn heard(&self) -> Vec<String> {
            let mut buffer = [0; 512];
            let mut heard = Vec::new();
            while let Ok(length) = self.0.recv(&mut buffer) {
                heard.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
            }
            heard
        }
    }

    fn pair() -> (tempfile::TempDir, Manager, Notifier) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        (temp, Manager(manager), Notifier::new(path.into(), Some(Duration::from_secs(1))).unwrap())
    }

    fn view(ready: usize) -> View {
        View { ready, target: 2, living: 2, ..View::default() }
    }

    #[test]
    fn readiness_comes_with_the_first_worker_and_once() {
        let (_temp, manager, mut notifier) = pair();
        notifier.show(&view(0));
        notifier.reload_asked();
        assert_eq!(manager.heard(), ["STATUS=0 of 2 workers ready"]);
        notifier.show(&view(1));
        notifier.show(&view(1));
        let main = format!("MAINPID={}", std::process::id());
        assert_eq!(manager.heard(), ["READY=1", &main, "STATUS=1 of 2 workers ready"]);
        notifier.show(&view(0));
        notifier.show(&view(2));
        assert_eq!(manager.heard(), ["STATUS=0 of 2 workers ready", "STATUS=2 of 2 workers ready"]);
    }

    #[test]
    fn each_request_of_a_reload_is_followed_by_a_readiness_also_if_it_was_over_at_once() {
        let (_temp, manager, mut notifier) = pair();
        notifier.show(&view(2));
        manager.heard();
        notifier.reload_asked();
        notifier.show(&view(2));
        let heard = manager.heard();
        assert_eq!((heard[0].as_str(), heard[2].as_str()), ("RELOADING=1", "READY=1"), "{heard:?}");
        let micros: u64 = heard[1].strip_prefix("MONOTONIC_USEC=").unwrap().parse().unwrap();
        assert!(micros / 1000 <= os::now() && os::now() - micros / 1000 < 5_000);

        let reloading = View { reloading: true, ..view(2) };
        notifier.show(&reloading);
        notifier.reload_asked();
        notifier.show(&reloading);
        assert_eq!(manager.heard().iter().filter(|line| *line == "RELOADING=1").count(), 2);
        notifier.show(&view(2));
        assert_eq!(manager.heard().iter().filter(|line| *line == "READY=1").count(), 1);
    }

    #[test]
    fn nothing_is_ready_any_more_after_the_end_began() {
        let (_temp, manager, mut notifier) = pair();
        notifier.show(&View { reloading: true, ..view(2) });
        manager.heard();
        let leaving = View { leaving: true, ..view(1) };
        notifier.show(&leaving);
        notifier.show(&leaving);
        notifier.reload_asked();
        assert_eq!(
            manager.heard(),
            ["STOPPING=1", "STATUS=leaving: 2 workers finish what they have"]
        );
    }

    #[test]
    fn what_found_no_room_is_told_later() {
        let (_temp, manager, mut notifier) = pair();
        while notifier.send("x") {}
        notifier.show(&view(1));
        assert!(!manager.heard().contains(&"READY=1".to_owned()));
        notifier.show(&view(1));
        assert!(manager.heard().contains(&"READY=1".to_owned()));
    }

    #[test]
    fn a_dispatcher_that_does_not_answer_stops_the_sign_of_life() {
        let (_temp, manager, notifier) = pair();
        let asked = notifier.tick().unwrap();
        assert_eq!(manager.heard(), ["WATCHDOG=1"]);
        notifier.tick();
        assert!(manager.heard().is_empty());
        asked.store(true, Ordering::Relaxed);
        notifier.tick();
        assert_eq!(manager.heard(), ["WATCHDOG=1"]);
    }
}
