//! Assembles a master from its parts and starts it, and is the handle by which its embedder holds
//! it.

use std::io;
use std::sync::Arc;

use super::app_listeners;
use super::inbox::{self, Input, Inputs, Signal};
use super::launch::Launch;
use super::legacy::Bequest;
use super::log_files::LogFiles;
use super::monitor_backend::Availability;
use super::systemd::Notifier;
use super::takeover_state::Heirloom;
use super::task::{self, Parts};
use crate::config::{Config, MAX_SPARES, MAX_WORKERS};
use crate::dispatcher::{Dispatcher, DispatcherEvent};
use crate::embedder::Embedder;
use crate::error::{ClusterError, Result};
use crate::health::{HealthChecker, is_of_health_check};
use crate::monitor::{MonitorListener, UserApp};
use crate::os::exit_lock::ExitNews;
use crate::os::origin::ProcessOrigin;
use crate::os::scoreboard::Scoreboard;
use crate::os::thread;
use crate::os::{self, handover, holder};
use crate::overload::OverloadPolicy;
use crate::protocol::control::Command;
use crate::protocol::worker::WorkerId;
use crate::quota::Quota;
use crate::remote::{PidDirectory, Reply};
use crate::status::{AppInfo, ClusterInfo};
use crate::supervision::{Limits, Supervisor, Thresholds, beat_interval};

/// Bytes that the embedder's unanswered commands may occupy; more are refused.
const UNANSWERED_BYTES: usize = 32 * 1024 * 1024;
/// Bytes that a command occupies besides its message: most of it is its promise in JavaScript.
const COMMAND_BYTES: usize = 4 * 1024;

/// A running master. It goes on when this handle is dropped.
pub struct Master {
    inputs: Inputs,
    unanswered: Quota,
    /// One for each signal, in the order of `Signal`.
    signals: [Quota; 4],
    checker: Option<Arc<HealthChecker>>,
    user_app: Arc<UserApp>,
}

impl Master {
    /// Claims the `pids` directory, binds the ports of app and monitor, and starts the cluster.
    /// Everything that a user can get wrong fails here, before any worker is started. `origin`: how
    /// a master that takes over from this one is started.
    pub fn start(
        config: Config,
        launch: Launch,
        app: AppInfo,
        origin: ProcessOrigin,
        embedder: Arc<dyn Embedder>,
    ) -> Result<Self> {
        let mut notifier = Notifier::from_env()?;
        if let Some(Err(error)) = launch.holder.as_ref().map(|path| holder::prepare(path.as_ref()))
        {
            tracing::debug!(%error, "this process cannot stay after an upgrade");
        }
        let mut bequest = Bequest::receive()?;
        let holder = handover::holder();
        if holder.is_some() {
            notifier.set_held();
        }
        if bequest.is_some() {
            notifier.mute();
        }
        let mut pids = claim(&config, bequest.as_mut())?;
        let mut prepare = || {
            let (sockets, monitor) = match &mut bequest {
                Some(bequest) => (std::mem::take(&mut bequest.sockets), bequest.monitor.take()),
                None => (Vec::new(), None),
            };
            let listeners = app_listeners::bind(&config, launch.plain, sockets)?;
            let monitor = MonitorListener::bind(&config, monitor)?.map(Arc::new);
            let logs = LogFiles::prepare(&config, launch.plain)?;
            let control = pids.is_in_charge().then(|| pids.listen()).transpose()?;
            Ok((listeners, monitor, logs, control))
        };
        let (listeners, monitor, logs, control) = match prepare() {
            Ok(prepared) => prepared,
            Err(error) => {
                if let Some(bequest) = &bequest {
                    bequest.refuse(&error);
                }
                pids.release();
                return Err(error);
            }
        };
        // Twice as many rows as workers: during a reload the old and the new live side by side.
        let board = Scoreboard::create(2 * (MAX_WORKERS + MAX_SPARES) as usize)
            .map_err(ClusterError::system("creating the scoreboard"))?;
        let is_disabled = bequest.as_ref().is_some_and(|bequest| bequest.legacy.disabled);
        board.header().switch(is_disabled, os::wall());
        board.header().lend_sockets(bequest.is_some());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::system("starting the runtime"))?;

        let (inputs, inbox) = inbox::open();
        let reports = inputs.clone();
        let pass_on = move |worker, event| match event {
            DispatcherEvent::Report(report, share) => {
                let _ = reports.send_within(share, Input::Report(worker, report));
            }
            DispatcherEvent::Serves(addresses, share) => {
                let _ = reports.send_within(share, Input::Serves(worker, addresses));
            }
            DispatcherEvent::Gone(exit) => drop(reports.send(Input::Gone(worker, exit))),
        };
        let exit_news = exit_news(&inputs);
        let overload = overload(&config, &board);
        let dispatcher = Dispatcher::start(listeners, config.balance, overload, Box::new(pass_on))?;
        let checker = config
            .ecv
            .as_ref()
            .map(|ecv| HealthChecker::new(ecv, board.header(), Arc::downgrade(&embedder)));
        let availability = Arc::<Availability>::default();
        let user_app = Arc::new(UserApp::default());
        let monitor_address = monitor.as_ref().map(|monitor| monitor.address());
        let limits = limits(&config, &launch);
        let mut supervisor = Supervisor::new(config.no_workers, limits, fastrand::u64(..));
        let heirloom =
            bequest.map(|bequest| Heirloom::unpack(bequest, &mut supervisor, &dispatcher));
        let parts = Parts {
            supervisor,
            dispatcher,
            board,
            pids,
            launch,
            logs,
            embedder,
            inputs: inputs.clone(),
            info: ClusterInfo::new(config, app, monitor_address),
            checker: checker.clone(),
            availability,
            monitor,
            user_app: Arc::clone(&user_app),
            notifier,
            origin,
            exit_news,
            holder,
        };
        let run = move || drop(runtime.block_on(task::run(parts, inbox, control, heirloom)));
        thread::start("cluster2-super", run)
            .map_err(ClusterError::system("starting the supervisor's thread"))?;
        let unanswered = Quota::new(UNANSWERED_BYTES);
        let signals = std::array::from_fn(|_| Quota::new(1));
        Ok(Self { inputs, unanswered, signals, checker, user_app })
    }

    /// From now on the user's monitor app gets the monitor's requests first.
    pub fn forward_to_app(&self) {
        self.user_app.enable();
    }

    /// The user's monitor app has taken a request.
    pub fn visitor_taken(&self) {
        self.user_app.taken();
    }

    /// The validator's answer to [`MasterEvent::Validate`](crate::embedder::MasterEvent::Validate).
    pub fn validated(&self, id: u32, problem: Option<String>) {
        if let Some(checker) = &self.checker {
            checker.validated(id, problem);
        }
    }

    /// Executes a command. Calls `reply` once: on another thread, or on this one to refuse a
    /// command while too many are unanswered. If the cluster has ended, drops `reply`; the embedder
    /// learns of the end by `Finished`.
    pub fn command(&self, command: Command, reply: Reply) {
        let message = match &command {
            Command::Send { message, .. } | Command::Broadcast { message } => message.len(),
            _ => 0,
        };
        let Some(share) = self.unanswered.try_take(COMMAND_BYTES + message) else {
            return reply(Err(ClusterError::WrongState {
                command: "do that",
                state: "overloaded with commands",
            }));
        };
        let reply = Box::new(move |answer| {
            reply(answer);
            drop(share);
        });
        self.inputs.send(Input::Command(command, reply));
    }

    /// Does what a signal asks for. Never refused: one that comes before an equal one was read is
    /// the same request.
    pub fn signal(&self, signal: Signal) {
        if let Some(share) = self.signals[signal as usize].try_take(1) {
            self.inputs.send_within(Some(share), Input::Signal(signal));
        }
    }
}

/// Claims the `pids` directory, or takes it over with its lock.
fn claim(config: &Config, bequest: Option<&mut Bequest>) -> Result<PidDirectory> {
    let passed = bequest.and_then(|bequest| Some((bequest.lock.take()?, bequest.control.take()?)));
    let adopted =
        passed.and_then(|(lock, control)| PidDirectory::adopt(&config.pids, lock, control));
    adopted.map_or_else(|| PidDirectory::claim(&config.pids), Ok)
}

/// Starts to wait for news of the ends of workers.
fn exit_news(inputs: &Inputs) -> Option<ExitNews> {
    let inputs = inputs.clone();
    let tell = move |worker| {
        inputs.send(Input::Ending(WorkerId(worker)));
    };
    let late = |error: &io::Error| tracing::warn!(%error, "no early news of the ends of workers");
    ExitNews::start(tell).inspect_err(late).ok()
}

/// The option `overload`, where it is on.
fn overload(config: &Config, board: &Arc<Scoreboard>) -> Option<OverloadPolicy> {
    let is_health_check = config.ecv.as_ref().map(is_of_health_check);
    let is_health_check = move |method: &str, target: &str| {
        is_health_check.as_ref().is_some_and(|is_health_check| is_health_check(method, target))
    };
    Some(OverloadPolicy::new(config.overload?, board.header(), is_health_check))
}

/// The option `blockedAfter`, where it is on.
fn blocked_after(config: &Config) -> Option<u64> {
    (config.blocked_after > 0).then_some(config.blocked_after)
}

fn limits(config: &Config, launch: &Launch) -> Limits {
    Limits {
        spares: config.spares,
        start_timeout: config.start_timeout,
        min_ready_time: config.min_ready_time,
        shutdown_timeout: config.shutdown_timeout,
        shutdown_delay: config.shutdown_delay,
        beat_interval: beat_interval(config.max_heartbeat_delay, blocked_after(config)),
        max_heartbeat_delay: config.max_heartbeat_delay,
        blocked_after: blocked_after(config),
        give_up_after: config.give_up_after,
        thresholds: Thresholds {
            connections: config.conn_threshold,
            uptime: config.uptime_threshold.map(|seconds| seconds.saturating_mul(1000)),
            memory: config.mem_threshold,
        },
        // A debugger's port is free only when its process is gone.
        follows_early: launch.inspect_port(0).is_none(),
        max_workers: config.max_workers,
    }
}
