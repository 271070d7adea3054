//! One process without workers (`cluster: false`): its numbers, health check and monitor.
//!
//! JavaScript accepts and serves. What such a process has in common with a master is here: the
//! monitor's thread, the verdict of the health check, and the status. The numbers lie in a
//! scoreboard of one row, which JavaScript writes and the monitor's thread reads, so the monitor
//! needs no JavaScript.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::changed::Changed;
use crate::config::Config;
use crate::embedder::{Embedder, Journal, MasterEvent};
use crate::error::{ClusterError, Result};
use crate::health::{self, ClusterHealth, HealthChecker, Problem};
use crate::monitor::{Monitor, MonitorListener, Monitored, StatusSource, UserApp};
use crate::os::scoreboard::{Field, Header, Row, Scoreboard};
use crate::os::{file_pages, uv};
use crate::protocol::Endpoint;
use crate::protocol::control::switched_off_by;
use crate::protocol::status::{STUCK_AFTER, Status, UnhealthyWorker, WorkerStatus};
use crate::protocol::time::Time;
use crate::protocol::totals::Totals;
use crate::status::{AppInfo, ClusterInfo};
use crate::usage::UsageSamples;
use crate::worker::Beats;
use crate::{os, status};

/// The handle of the addon.
pub struct Single {
    process: Arc<Process>,
    bound: Option<MonitorListener>,
    monitor: Option<Monitor>,
    checker: Option<Arc<HealthChecker>>,
    user_app: Arc<UserApp>,
    beats: Beats,
}

/// The process, as its monitor sees it.
struct Process {
    info: ClusterInfo,
    board: Arc<Scoreboard>,
    row: Row,
    /// How often it beats, milliseconds.
    beat_interval: AtomicU64,
    /// Where the app listens, once it does.
    endpoints: OnceLock<Vec<Endpoint>>,
    is_leaving: AtomicBool,
    health: Mutex<Health>,
    usage: Mutex<UsageSamples>,
    /// What happened last.
    journal: Mutex<Journal>,
    embedder: Arc<dyn Embedder>,
}

/// What the last health check found.
#[derive(Debug, Default)]
struct Health {
    problem: Option<String>,
    is_unhealthy: Changed<bool>,
}

impl Single {
    /// Binds the monitor's port. Nobody is answered there before `serve`.
    pub fn bind(config: Config, app: AppInfo, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let bound = MonitorListener::bind(&config, None)?;
        let failed = ClusterError::system("creating the scoreboard");
        let board = Scoreboard::alone(1).map_err(failed)?;
        let row = board
            .row(0)
            .ok_or(std::io::ErrorKind::NotFound)
            .map_err(ClusterError::system("finding a row"))?;
        board.header().switch(false, os::wall());
        let info = ClusterInfo::new(config, app, bound.as_ref().map(MonitorListener::address));
        let beats = Beats::new(row.clone());
        let process = Arc::new(Process {
            info,
            board,
            row,
            beat_interval: AtomicU64::default(),
            endpoints: OnceLock::new(),
            is_leaving: AtomicBool::new(false),
            health: Mutex::default(),
            usage: Mutex::new(UsageSamples::new(os::now())),
            journal: Mutex::default(),
            embedder,
        });
        let user_app = Arc::default();
        Ok(Self { process, bound, monitor: None, checker: None, user_app, beats })
    }

    /// The app listens at `endpoints`: starts the monitor, with the user's monitor app if
    /// `has_app`. Returns the health check, if it is on.
    pub fn serve(
        &mut self,
        endpoints: Vec<Endpoint>,
        has_app: bool,
    ) -> Result<Option<Arc<HealthChecker>>> {
        let ClusterInfo { config, app, .. } = &self.process.info;
        let embedder = Arc::downgrade(&self.process.embedder);
        self.checker = config.ecv.as_ref().map(|ecv| {
            let checker = HealthChecker::new(ecv, self.process.board.header(), embedder.clone());
            endpoints.first().cloned().into_iter().for_each(|endpoint| checker.set_app(endpoint));
            checker
        });
        let addresses = endpoints.iter().map(|endpoint| endpoint.at.to_string()).collect();
        self.process.remember(&MasterEvent::Listening { pid: std::process::id(), addresses });
        // Set once: `serve` is called once.
        let _ = self.process.endpoints.set(endpoints);
        if has_app {
            self.user_app.enable();
        }
        if let Some(bound) = self.bound.take() {
            let monitored = Monitored {
                config: config.clone(),
                root: app.root.clone(),
                cluster: Arc::clone(&self.process),
                health_checker: self.checker.clone(),
                user_app: Arc::clone(&self.user_app),
                embedder,
            };
            self.monitor = Some(Monitor::start(Arc::new(bound), monitored)?);
        }
        file_pages::give_back_own();
        Ok(self.checker.clone())
    }

    /// The user's monitor app has taken a request.
    pub fn visitor_taken(&self) {
        self.user_app.taken();
    }

    /// Makes a beat. The owner's event loop, the one of Node, calls it each `interval`.
    pub fn beat(&mut self, interval: Duration, event_loop: *mut c_void) {
        self.process.beat_interval.store(interval.as_millis() as u64, Ordering::Relaxed);
        self.beats.beat(interval, uv::idle_time(event_loop));
        lock(&self.process.usage).take_row(&self.process.row);
    }

    /// The row that JavaScript writes.
    pub fn row(&self) -> &Row {
        &self.process.row
    }

    /// What the health check reads and writes.
    pub fn header(&self) -> Header {
        self.process.board.header()
    }

    /// Returns the status, as `status()` answers.
    pub fn status(&self) -> Status {
        self.process.status_now()
    }

    /// Takes what the last health check on the app's port found.
    pub fn checked(&self, problem: Option<String>) {
        self.process.on_checked(problem);
    }

    /// Switches the health check for a command. Returns the answer.
    pub fn switch(&self, disabled: bool) -> Result<Value> {
        let Process { info, board, .. } = &*self.process;
        health::switch_by_command(&info.config, &board.header(), disabled, |by| {
            self.process.on_switched(disabled, by)
        })
    }

    /// `by` has switched the health check on the app's port.
    pub fn switched(&self, disabled: bool, by: String) {
        self.process.on_switched(disabled, by);
    }

    /// Begins a shutdown: the health check says so from now on.
    pub fn leave(&self) {
        self.process.is_leaving.store(true, Ordering::Relaxed);
        self.process.board.header().leave(os::wall());
    }

    /// Ends the monitor.
    pub fn end(&mut self) {
        self.monitor = None;
        self.bound = None;
    }
}

impl Process {
    fn status_now(&self) -> Status {
        let pid = std::process::id();
        let is_running = !self.is_leaving.load(Ordering::Relaxed);
        let started_at = Time(self.info.started_at);
        let usage = *lock(&self.usage);
        let stuck_for = self.stuck_for();
        let numbers = status::worker_numbers(pid, &self.row, &usage, stuck_for);
        let worker = WorkerStatus { started_at, ..numbers };
        let problem = lock(&self.health).problem.clone();
        let unhealthy = problem.map(|reason| UnhealthyWorker { pid, reason });
        let mut totals = Totals::default();
        status::add_counts(&mut totals, &self.row);
        let endpoints = self.endpoints.get().map_or(&[][..], Vec::as_slice);
        let listening = endpoints.iter().map(|endpoint| endpoint.at.to_string()).collect();
        Status {
            running: true,
            master: self.info.master(is_running, 0, listening, &usage),
            workers: vec![worker],
            ecv: status::health(
                &self.board.header(),
                stuck_for.map(describe_stuck),
                unhealthy.into_iter().collect(),
            ),
            overload: None,
            totals,
            slots: Vec::new(),
            events: lock(&self.journal).after(0),
        }
    }

    /// For how long the event loop has shown no turn, if it is stuck, milliseconds.
    fn stuck_for(&self) -> Option<u64> {
        let interval = self.beat_interval.load(Ordering::Relaxed);
        let age = os::now().saturating_sub(self.row.count(Field::Beat));
        (interval > 0 && age >= interval + STUCK_AFTER).then_some(age)
    }

    fn emit(&self, event: MasterEvent) {
        self.remember(&event);
        self.embedder.emit(event);
    }

    fn remember(&self, event: &MasterEvent) {
        if let Some(described) = event.describe() {
            lock(&self.journal).add(described, None);
        }
    }

    fn on_switched(&self, disabled: bool, by: String) {
        self.emit(if disabled {
            MasterEvent::Disable { pid: None, reason: switched_off_by(&by) }
        } else {
            MasterEvent::Enable
        });
    }

    fn on_checked(&self, problem: Option<String>) {
        let is_news = {
            let mut health = lock(&self.health);
            health.problem.clone_from(&problem);
            health.is_unhealthy.set(problem.is_some())
        };
        if is_news {
            self.emit(match problem {
                Some(reason) => MasterEvent::Disable { pid: Some(std::process::id()), reason },
                None => MasterEvent::Enable,
            });
        }
    }
}

impl StatusSource for Process {
    async fn status(&self) -> Result<Status> {
        Ok(self.status_now())
    }
}

impl ClusterHealth for Process {
    async fn warn(&self, message: String) {
        self.emit(MasterEvent::Warning { message });
    }

    async fn switched(&self, disabled: bool, by: String) {
        self.on_switched(disabled, by);
    }

    async fn checked(&self, problem: Option<String>) {
        self.on_checked(problem);
    }

    async fn unavailable(&self) -> Problem {
        self.stuck_for().map(describe_stuck)
    }
}

fn describe_stuck(millis: u64) -> String {
    format!("the event loop has not turned for {} s", millis / 1_000)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
