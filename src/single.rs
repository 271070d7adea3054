//! One process without workers (`cluster: false`): its numbers, health check and monitor.
//!
//! JavaScript accepts and serves; here is what it has in common with a master. The numbers lie in a scoreboard of one row, which
//! JavaScript writes and the monitor's thread reads, so that the monitor needs no JavaScript.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::changed::Changed;
use crate::config::Config;
use crate::embedder::{Embedder, MasterEvent};
use crate::error::{ClusterError, Result};
use crate::health::verdict;
use crate::health::verdict::{Check, HealthChecker};
use crate::monitor::Backend;
use crate::monitor::thread::{Bound, Monitor, MonitorApp, Parts, Switching};
use crate::os::scoreboard::{Header, Row, Scoreboard};
use crate::protocol::Endpoint;
use crate::protocol::control::switched_off_by;
use crate::protocol::status::{Status, Time, Totals, UnhealthyWorker, WorkerStatus};
use crate::snapshot::{About, Facts};
use crate::worker::Beats;
use crate::{os, snapshot};

/// The process, as its monitor sees it.
struct Process {
    facts: Facts,
    board: Arc<Scoreboard>,
    row: Row,
    places: OnceLock<Vec<Endpoint>>,
    leaving: AtomicBool,
    health: Mutex<Health>,
    embedder: Arc<dyn Embedder>,
}

/// What the last health check found.
#[derive(Debug, Default)]
struct Health {
    problem: Option<String>,
    is_unhealthy: Changed<bool>,
}

/// See the module's text.
pub struct Single {
    process: Arc<Process>,
    bound: Option<Bound>,
    monitor: Option<Monitor>,
    judge: Option<Arc<HealthChecker>>,
    monitor_app: Arc<MonitorApp>,
    beats: Beats,
}

impl Single {
    /// Binds the monitor's port, and answers nobody yet.
    pub fn bind(config: Config, about: About, embedder: Arc<dyn Embedder>) -> Result<Self> {
        let bound = Bound::bind(&config)?;
        let failed = ClusterError::system("creating the scoreboard");
        let board = Scoreboard::alone(1).map_err(failed)?;
        let row = board
            .row(0)
            .ok_or(std::io::ErrorKind::NotFound)
            .map_err(ClusterError::system("finding a row"))?;
        board.header().switch(false, os::wall());
        let facts = Facts::new(config, about, bound.as_ref().map(Bound::address));
        let beats = Beats::new(row.clone());
        let (leaving, health) = (AtomicBool::new(false), Mutex::default());
        let process = Arc::new(Process {
            facts,
            board,
            row,
            places: OnceLock::new(),
            leaving,
            health,
            embedder,
        });
        Ok(Self { process, bound, monitor: None, judge: None, monitor_app: Arc::default(), beats })
    }

    /// The app listens at `places`: from now on the monitor answers. `has_app`: the user gave a monitor app too.
    /// Returns the health check, if it is on.
    pub fn serve(
        &mut self,
        places: Vec<Endpoint>,
        has_app: bool,
    ) -> Result<Option<Arc<HealthChecker>>> {
        let Facts { config, about, .. } = &self.process.facts;
        let embedder = Arc::downgrade(&self.process.embedder);
        self.judge = config.ecv.as_ref().map(|ecv| {
            let check = Check::new(ecv, self.process.board.header());
            places.first().cloned().into_iter().for_each(|app| check.aim(app));
            Arc::new(HealthChecker::new(ecv, check, embedder.clone()))
        });
        // Served once.
        let _ = self.process.places.set(places);
        if has_app {
            self.monitor_app.give();
        }
        if let Some(bound) = self.bound.take() {
            let parts = Parts {
                config: config.clone(),
                root: about.root.clone(),
                backend: Arc::clone(&self.process),
                judge: self.judge.clone(),
                app: Arc::clone(&self.monitor_app),
                embedder,
            };
            self.monitor = Some(Monitor::start(bound, parts)?);
        }
        Ok(self.judge.clone())
    }

    /// The user's monitor app took a request.
    pub fn visitor_taken(&self) {
        self.monitor_app.taken();
    }

    /// Makes a beat, for which its owner's event loop is to call each `interval`.
    pub fn beat(&mut self, interval: Duration) {
        self.beats.beat(interval);
    }

    /// The row that JavaScript writes.
    pub fn row(&self) -> &Row {
        &self.process.row
    }

    /// What the health check reads and writes.
    pub fn header(&self) -> Header {
        self.process.board.header()
    }

    /// What `status()` answers.
    pub fn status(&self) -> Status {
        self.process.picture()
    }

    /// The last health check found this; told is only the change.
    pub fn checked(&self, problem: Option<String>) {
        self.process.tell_checked(problem);
    }

    /// Switches the health check, for a command; the answer.
    pub fn switch(&self, disabled: bool) -> Result<Value> {
        let Process { facts, board, .. } = &*self.process;
        verdict::switch(&facts.config, &board.header(), disabled, |by| {
            self.process.tell_switched(disabled, by)
        })
    }

    /// The health check was switched on the app's port, on behalf of `by`.
    pub fn switched(&self, disabled: bool, by: String) {
        self.process.tell_switched(disabled, by);
    }

    /// A shutdown begins: the health check says so from now on.
    pub fn leave(&self) {
        self.process.leaving.store(true, Ordering::Relaxed);
        self.process.board.header().leave(os::wall());
    }

    /// Ends the monitor.
    pub fn end(&mut self) {
        self.monitor = None;
        self.bound = None;
    }
}

impl Process {
    fn picture(&self) -> Status {
        let pid = std::process::id();
        let running = !self.leaving.load(Ordering::Relaxed);
        let numbers = snapshot::numbers(&self.row);
        let worker = WorkerStatus { pid, started_at: Time(self.facts.started_at), ..numbers };
        let problem = self.health().problem.clone();
        let mut totals = Totals::default();
        snapshot::add(&mut totals, &self.row);
        let places = self.places.get().map_or(&[][..], Vec::as_slice);
        let listening = places.iter().map(|place| place.at.to_string()).collect();
        Status {
            running: true,
            master: self.facts.master(running, 0, listening),
            workers: vec![worker],
            ecv: snapshot::ecv(
                &self.board.header(),
                problem.map(|reason| UnhealthyWorker { pid, reason }).into_iter().collect(),
            ),
            totals,
        }
    }
}

impl Process {
    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_switched(&self, disabled: bool, by: String) {
        self.embedder.tell(if disabled {
            MasterEvent::Disable { pid: None, reason: switched_off_by(&by) }
        } else {
            MasterEvent::Enable
        });
    }

    fn tell_checked(&self, problem: Option<String>) {
        let is_news = {
            let mut health = self.health();
            health.problem.clone_from(&problem);
            health.is_unhealthy.set(problem.is_some())
        };
        if is_news {
            self.embedder.tell(match problem {
                Some(reason) => MasterEvent::Disable { pid: Some(std::process::id()), reason },
                None => MasterEvent::Enable,
            });
        }
    }
}

impl Backend for Process {
    async fn status(&self) -> Result<Status> {
        Ok(self.picture())
    }

    async fn warn(&self, message: String) {
        self.embedder.tell(MasterEvent::Warning { message });
    }
}

impl Switching for Process {
    async fn switched(&self, disabled: bool, by: String) {
        self.tell_switched(disabled, by);
    }

    async fn checked(&self, problem: Option<String>) {
        self.tell_checked(problem);
    }

    async fn is_ready(&self) -> bool {
        true
    }
}
