//! `cluster2 start` of several apps: a native parent, and a `cluster2 start` for each of them.
//!
//! A thread for each app starts its master and waits for it. What always holds: an app that fails
//! is started again, with a growing wait, until the parent is told to end; one that was ended by a
//! command stays away, also while it waits to be started again; and the parent ends when no app is
//! left. An app that another parent runs is refused before any app starts.

use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cluster2_rs::counts::counted;
use cluster2_rs::master::SERVICE_VARIABLES;
use cluster2_rs::os::{process, thread};
use cluster2_rs::remote;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGALRM, SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR2};
use signal_hook::iterator::Signals;

use super::line::{Format, Line, write_line};
use super::planned_start::PlannedStart;
use super::{Failed, apps};

/// The first wait before an app is started again, and the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// After an app has run for so long, its next failure counts as the first one.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// How often the parent checks whether all apps are ready.
const READY_EVERY: Duration = Duration::from_millis(200);
/// How often a wait looks whether the parent ends.
const POLL_EVERY: Duration = Duration::from_millis(50);

/// What the threads share.
struct Shared {
    format: Format,
    is_ending: AtomicBool,
    /// The masters that run.
    masters: Mutex<Vec<Arc<OwnedFd>>>,
    /// How the last master of each app ended.
    ends: Mutex<Vec<Option<ExitStatus>>>,
}

impl Shared {
    fn new(format: Format) -> Self {
        Self {
            format,
            is_ending: AtomicBool::default(),
            masters: Mutex::default(),
            ends: Mutex::default(),
        }
    }

    /// Writes a line of the parent.
    fn note(&self, text: String) {
        write_line(self.format, &Line::note(text));
    }

    fn masters(&self) -> std::sync::MutexGuard<'_, Vec<Arc<OwnedFd>>> {
        self.masters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.is_ending.load(Ordering::Relaxed)
    }

    /// Waits. Returns `false` if the parent ends meanwhile.
    fn pause(&self, wait: Duration) -> bool {
        self.pause_unless(wait, || false);
        !self.is_ending()
    }

    /// Waits until the parent ends or `is_over`, for so long at most.
    fn pause_unless(&self, wait: Duration, is_over: impl Fn() -> bool) {
        let due = Instant::now() + wait;
        while Instant::now() < due && !self.is_ending() && !is_over() {
            std::thread::sleep(POLL_EVERY);
        }
    }

    fn pass_on(&self, signal: i32) {
        let Some(signal) = Signal::from_named_raw(signal) else { return };
        for master in self.masters().iter() {
            // It may have ended just now.
            let _ = pidfd_send_signal(master, signal);
        }
    }
}

/// Runs all apps until none is left. `pids`: their directories. Fails if one has failed at last.
pub(crate) fn start_all(
    names: &[String],
    pids: Vec<PathBuf>,
    format: Format,
) -> Result<(), Failed> {
    refuse_running(names, &pids)?;
    let cannot = |error: std::io::Error| Failed::start(format!("cannot start: {error}"));
    process::unblock_signals().map_err(cannot)?;
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGALRM, SIGUSR2, SIGCHLD])
        .map_err(cannot)?;
    let handle = signals.handle();
    let shared = Arc::new(Shared::new(format));
    let apps = counted(names.len() as u64, "app");
    shared.note(format!("{apps}, parent {}: {}", std::process::id(), names.join(", ")));
    let threads: std::io::Result<Vec<JoinHandle<()>>> =
        names.iter().zip(&pids).map(|(name, pids)| keep(name, pids, &shared)).collect();
    let threads = threads.map_err(cannot)?;
    notify_when_ready(pids, &shared).map_err(cannot)?;
    thread::start("apps", move || {
        threads.into_iter().for_each(|thread| drop(thread.join()));
        handle.close();
    })
    .map_err(cannot)?;
    for signal in signals.forever() {
        match signal {
            // Process 1 of a container inherits the orphans of other processes.
            SIGCHLD if std::process::id() == 1 => process::reap_adopted(),
            SIGCHLD => {}
            _ => {
                if ![SIGHUP, SIGUSR2].contains(&signal) {
                    shared.is_ending.store(true, Ordering::Relaxed);
                }
                shared.pass_on(signal);
            }
        }
    }
    let ends = shared.ends.lock().unwrap_or_else(PoisonError::into_inner);
    match ends.iter().find(|end| !end.is_some_and(|status| status.success())) {
        None => Ok(()),
        Some(Some(status)) => Err(Failed::start(format!("an app ended with {status}"))),
        Some(None) => Err(Failed::start("an app did not start")),
    }
}

/// Fails if one of the apps runs already: its start would fail again and again.
fn refuse_running(names: &[String], pids: &[PathBuf]) -> Result<(), Failed> {
    let mut apps = names.iter().zip(pids);
    let running = apps.find_map(|(name, pids)| Some((name, remote::glance(pids)?)));
    let Some((name, status)) = running else { return Ok(()) };
    let master = &status["master"]["pid"];
    Err(Failed::start(format!(
        "app {name} runs already, with master {master}; nothing was started. 'cluster2 stop {name}' \
         or 'cluster2 shutdown {name}' ends it"
    )))
}

/// Starts the thread that keeps one app running.
fn keep(name: &str, pids: &Path, shared: &Arc<Shared>) -> std::io::Result<JoinHandle<()>> {
    let (name, pids, shared) = (name.to_owned(), pids.to_owned(), Arc::clone(shared));
    thread::start("app", move || {
        let mut wait = FIRST_WAIT;
        let end = loop {
            let begun = Instant::now();
            let status = run(&name, &shared);
            if let Err(error) = &status {
                shared.note(format!("app {name}: cannot start: {error}"));
            }
            let status = status.ok();
            if shared.is_ending() || status.is_some_and(|status| status.success()) {
                break status;
            }
            if begun.elapsed() > HEALTHY_AFTER {
                wait = FIRST_WAIT;
            }
            let how = status.map_or("a failure".to_owned(), |status| status.to_string());
            let seconds = wait.as_secs();
            shared.note(format!("app {name} ended with {how}; it is started again in {seconds} s"));
            if is_called_off_within(&shared, wait, &pids) {
                shared.note(format!("app {name} is not started again: a command ended it"));
                break Some(ExitStatus::default());
            }
            if shared.is_ending() {
                break status;
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        };
        shared.ends.lock().unwrap_or_else(PoisonError::into_inner).push(end);
    })
}

/// Waits before an app is started again. Returns whether a command called the start off.
fn is_called_off_within(shared: &Shared, wait: Duration, pids: &Path) -> bool {
    let planned = PlannedStart::announce(pids);
    let is_called_off = || planned.as_ref().is_some_and(PlannedStart::is_called_off);
    shared.pause_unless(wait, is_called_off);
    is_called_off()
}

/// Runs one master to its end.
fn run(name: &str, shared: &Shared) -> std::io::Result<ExitStatus> {
    let mut line = apps::command_line(name).into_iter();
    line.next();
    let mut command = Command::new(std::env::current_exe()?);
    // The service manager hears of the parent only.
    for name in SERVICE_VARIABLES {
        command.env_remove(name);
    }
    let mut child = command.args(line).spawn()?;
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pidfd = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())).transpose()?.map(Arc::new);
    shared.masters().extend(pidfd.clone());
    // The signal to end may have come before this one was known.
    if let Some(pidfd) = pidfd.as_ref().filter(|_| shared.is_ending()) {
        let _ = pidfd_send_signal(pidfd, Signal::TERM);
    }
    let status = child.wait();
    if let Some(gone) = pidfd {
        shared.masters().retain(|master| !Arc::ptr_eq(master, &gone));
    }
    status
}

/// Tells the service manager, if there is one, that all apps have a ready worker; and then, as
/// often as it expects it, that all masters answer.
fn notify_when_ready(pids: Vec<PathBuf>, shared: &Arc<Shared>) -> std::io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
        return Ok(());
    };
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let is_ours = std::env::var_os("WATCHDOG_PID").is_none()
        || number("WATCHDOG_PID") == Some(std::process::id().into());
    let limit = number("WATCHDOG_USEC").filter(|limit| is_ours && *limit > 0);
    let tick = limit.map_or(LONGEST_WAIT, |limit| Duration::from_micros(limit / 2));
    let shared = Arc::clone(shared);
    let send = move |message: &str| {
        // The service manager may be about to end us.
        let _ = socket.send_to_addr(message.as_bytes(), &address);
    };
    let is_ready = |status: serde_json::Value| {
        let mut workers = status["workers"].as_array().into_iter().flatten();
        workers.any(|worker| worker["state"] == "ready")
    };
    thread::start("notify", move || {
        while !pids.iter().all(|pids| remote::glance(pids).is_some_and(is_ready)) {
            if !shared.pause(READY_EVERY) {
                return;
            }
        }
        send(&format!("READY=1\nMAINPID={}\nSTATUS=all apps are ready", std::process::id()));
        while shared.pause(tick) {
            // One that was ended by a command does not count.
            let running = shared.masters().len();
            let answers = pids.iter().filter(|pids| remote::glance(pids).is_some()).count();
            if limit.is_some() && answers >= running {
                send("WATCHDOG=1");
            }
        }
        send("STOPPING=1");
    })?;
    Ok(())
}
