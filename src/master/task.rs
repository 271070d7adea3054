//! The task that supervises the cluster.
//!
//! It feeds the state machine of `supervision` with what happens, executes its actions, and is the
//! only owner of the master's state. It waits for nothing but its inbox and the next deadline. What
//! always holds: before it acts on a deadline, it has read the messages that had arrived by then.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior};

use super::execution_results::ExecutionResults;
use super::inbox::{Inbox, Input, Inputs};
use super::launch::Launch;
use super::log_files::LogFiles;
use super::monitor_backend::{Availability, MonitorBackend};
use super::overload::OverloadState;
use super::replies::WaitingReplies;
use super::systemd::{self, Notifier};
use super::takeover_state::{Heirloom, Takeover};
use super::upgrade_state::{Farewell, Upgrade};
use super::worker_handle::WorkerHandle;
use crate::changed::Changed;
use crate::clock::Millis;
use crate::dispatcher::Dispatcher;
use crate::embedder::{Embedder, Journal};
use crate::handover::PredecessorEvent;
use crate::health::HealthChecker;
use crate::monitor::{Monitor, MonitorListener, Monitored, UserApp};
use crate::os;
use crate::os::channel::Channel;
use crate::os::code_cache::CurrentCodeCache;
use crate::os::exit_lock::ExitNews;
use crate::os::file_pages;
use crate::os::origin::ProcessOrigin;
use crate::os::scoreboard::Scoreboard;
use crate::protocol::Endpoint;
use crate::protocol::carried_totals::CarriedTotals;
use crate::protocol::status::LastExit;
use crate::protocol::totals::Totals;
use crate::protocol::worker::WorkerId;
use crate::remote::{ControlServer, PidDirectory};
use crate::status::ClusterInfo;
use crate::supervision::{Event, Outcome, Supervisor};
use crate::usage::UsageSamples;

/// How often the files in the `pids` directory are checked.
const CHECK_PIDS_EVERY: Duration = Duration::from_secs(1);

/// What the task is made of.
pub(super) struct Parts {
    pub(super) supervisor: Supervisor,
    pub(super) dispatcher: Dispatcher,
    pub(super) board: Arc<Scoreboard>,
    pub(super) pids: PidDirectory,
    pub(super) launch: Launch,
    pub(super) logs: Option<LogFiles>,
    pub(super) embedder: Arc<dyn Embedder>,
    /// The task's own inbox, for those who report to it.
    pub(super) inputs: Inputs,
    pub(super) info: ClusterInfo,
    /// The health check on the monitor's port, if it is on.
    pub(super) checker: Option<Arc<HealthChecker>>,
    pub(super) availability: Arc<Availability>,
    /// The monitor's socket, if it is on.
    pub(super) monitor: Option<Arc<MonitorListener>>,
    pub(super) user_app: Arc<UserApp>,
    pub(super) notifier: Notifier,
    /// How this process was started.
    pub(super) origin: ProcessOrigin,
    /// Early news of the ends of workers, where the kernel has it.
    pub(super) exit_news: Option<ExitNews>,
    /// Where to tell the holder of the first master's pid who is master.
    pub(super) holder: Option<Channel>,
}

pub(super) struct Task {
    pub(super) parts: Parts,
    pub(super) control: ControlServer,
    pub(super) workers: BTreeMap<WorkerId, WorkerHandle>,
    /// Tasks of living workers, and of those that are gone and whose messages are still read.
    pub(super) worker_tasks: JoinSet<()>,
    /// For what V8 has compiled of our JavaScript.
    pub(super) code: CurrentCodeCache,
    /// Rows of the scoreboard that no worker has.
    pub(super) free_rows: BTreeSet<usize>,
    /// Totals of workers that have exited.
    pub(super) past: Totals,
    /// How the latest worker of each slot ended.
    pub(super) last_exits: BTreeMap<u32, LastExit>,
    /// What happened last.
    pub(super) journal: Journal,
    /// Samples of what the master itself uses.
    pub(super) usage: UsageSamples,
    pub(super) replies: WaitingReplies,
    pub(super) executions: ExecutionResults,
    pub(super) overload: OverloadState,
    /// Whether no new client is admitted any more.
    pub(super) is_closed: bool,
    /// Where the monitor's health check asks the app.
    pub(super) probed: Changed<Option<Endpoint>>,
    /// Why other processes cannot find this cluster in its directory, if they cannot.
    pub(super) pids_problem: Changed<Option<String>>,
    /// A worker became ready, so what only starts need may lie in memory.
    pub(super) has_started_worker: bool,
    pub(super) outcome: Option<Outcome>,
    /// Ends with the cluster.
    pub(super) monitor: Option<Monitor>,
    /// Another master takes over.
    pub(super) upgrade: Option<Upgrade>,
    /// This master takes over.
    pub(super) takeover: Option<Takeover>,
    /// What a former master has counted.
    pub(super) inherited: CarriedTotals,
    /// For the master that goes on when this one has ended.
    pub(super) farewell: Option<Farewell>,
    /// What the former master has to hear before this one ends.
    pub(super) last_words: Option<oneshot::Receiver<()>>,
}

/// Why the task wakes up.
enum Wake {
    Input(Input),
    Deadline,
    Sample,
    CheckPids,
    SignOfLife,
}

/// Runs the cluster until it has ended and the last answers are sent. Returns the embedder:
/// dropping it lets the process end.
pub(super) async fn run(
    parts: Parts,
    mut inbox: Inbox,
    control: Option<UnixListener>,
    heirloom: Option<Heirloom>,
) -> Arc<dyn Embedder> {
    let mut task = Task::new(parts, control);
    match heirloom {
        Some(heirloom) => task.inherit(heirloom),
        None => task.start_monitor(),
    }
    task.apply(Event::Start);
    let mut samples = every(Duration::from_millis(task.parts.supervisor.sample_interval()));
    let mut pid_checks = every(CHECK_PIDS_EVERY);
    let mut signs_of_life = task.parts.notifier.ticks();
    while task.outcome.is_none() || task.waits_for_heir() {
        let wait = task.next_deadline().map(|at| at.saturating_sub(os::now()));
        let wake = tokio::select! {
            // The inbox is last: messages without a pause stop no clock.
            biased;
            () = sleep(wait) => Wake::Deadline,
            _ = samples.tick() => Wake::Sample,
            _ = pid_checks.tick() => Wake::CheckPids,
            () = systemd::tick(&mut signs_of_life) => Wake::SignOfLife,
            input = inbox.next() => Wake::Input(input),
        };
        task.act(wake, &mut inbox);
    }
    task.finish_messages().await;
    task.finish_words().await;
    let (embedder, control) = task.end().await;
    control.end().await;
    embedder
}

fn every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

async fn sleep(wait: Option<Millis>) {
    match wait {
        Some(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
        None => std::future::pending().await,
    }
}

impl Task {
    fn new(parts: Parts, control: Option<UnixListener>) -> Self {
        let inputs = parts.inputs.clone();
        let execute = move |command, reply| {
            inputs.send(Input::Command(command, reply));
        };
        Self {
            control: ControlServer::start(control, Arc::new(execute)),
            workers: BTreeMap::new(),
            worker_tasks: JoinSet::new(),
            code: CurrentCodeCache::default(),
            free_rows: (0..parts.board.rows()).collect(),
            past: Totals::default(),
            last_exits: BTreeMap::new(),
            journal: Journal::default(),
            usage: UsageSamples::new(os::now()),
            replies: WaitingReplies::default(),
            executions: ExecutionResults::default(),
            overload: OverloadState::default(),
            is_closed: false,
            probed: Changed::default(),
            pids_problem: Changed::default(),
            has_started_worker: false,
            outcome: None,
            monitor: None,
            upgrade: None,
            takeover: None,
            inherited: CarriedTotals::default(),
            farewell: None,
            last_words: None,
            parts,
        }
    }

    fn act(&mut self, wake: Wake, inbox: &mut Inbox) {
        if !matches!(wake, Wake::Input(_)) {
            inbox.read_arrived(|input| self.on_input(input));
        }
        match wake {
            Wake::Input(input) => self.on_input(input),
            Wake::Deadline => {
                if self.parts.supervisor.awaits_beat() || self.awaits_beats() {
                    self.sample();
                }
                self.apply(Event::Tick);
                self.advance_upgrade(PredecessorEvent::Tick);
            }
            Wake::Sample => self.sample(),
            Wake::CheckPids => {
                self.check_pids();
                self.tell_heir_counts();
                if std::mem::take(&mut self.has_started_worker) {
                    file_pages::give_back_own();
                }
            }
            Wake::SignOfLife => self.give_sign_of_life(),
        }
    }

    fn next_deadline(&self) -> Option<Millis> {
        let upgrade = [self.upgrade_deadline(), self.takeover_deadline()];
        self.parts.supervisor.next_tick().into_iter().chain(upgrade.into_iter().flatten()).min()
    }

    /// Starts the monitor, if it is on.
    pub(super) fn start_monitor(&mut self) {
        let parts = &self.parts;
        let Some(listener) = parts.monitor.clone() else { return };
        let backend = MonitorBackend::new(parts.inputs.clone(), Arc::clone(&parts.availability));
        let monitored = Monitored {
            config: parts.info.config.clone(),
            root: parts.info.app.root.clone(),
            cluster: Arc::new(backend),
            health_checker: parts.checker.clone(),
            user_app: Arc::clone(&parts.user_app),
            embedder: Arc::downgrade(&parts.embedder),
        };
        match Monitor::start(listener, monitored) {
            Ok(monitor) => self.monitor = Some(monitor),
            Err(error) => self.warn(error.message()),
        }
    }
}
