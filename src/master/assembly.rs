//! A running master, as its embedder holds it.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::config::{Balance, Config, INHERITED, MAX_WORKERS, Port};
use crate::dispatcher::event_loop::{Dispatcher, DispatcherEvent};
use crate::dispatcher::listeners::set::ListenerSet;
use crate::embedder::Embedder;
use crate::error::{ClusterError, Result};
use crate::health::verdict::{Check, HealthChecker};
use crate::master::inbox;
use crate::master::inbox::{Input, Inputs, Signal};
use crate::master::log_files::Logs;
use crate::master::systemd::Notifier;
use crate::master::task::Supervise;
use crate::master::worker_handle::Launch;
use crate::monitor::Backend;
use crate::monitor::thread::{Bound, Monitor, MonitorApp, Parts, Switching};
use crate::os;
use crate::os::listener::resolve;
use crate::os::scoreboard::Scoreboard;
use crate::os::thread;
use crate::protocol::control::Command;
use crate::protocol::frame::Wanted;
use crate::protocol::status::Status;
use crate::quota::Quota;
use crate::remote::pid_directory::Pids;
use crate::remote::server::Reply;
use crate::snapshot::{About, Facts};
use crate::supervision::{Limits, Supervisor, Thresholds};

/// Bytes of the embedder's commands that are not answered yet, with all that goes with each; more are refused.
const ASKED: usize = 32 * 1024 * 1024;
/// What a command occupies besides the message in it, bytes: most of it is its promise in JavaScript.
const COMMAND: usize = 4 * 1024;
/// What the monitor's thread may have told without the supervisor having heard it; whoever tells more waits.
const MONITORS: usize = 64;

/// See the module's text.
pub struct Master {
    inputs: Inputs,
    asked: Quota,
    /// One for each signal, in the order of `Signal`.
    signals: [Quota; 4],
    judge: Option<Arc<HealthChecker>>,
    app: Arc<MonitorApp>,
}

impl Master {
    /// Claims the `pids` directory, binds the ports of app and monitor and starts the cluster. Everything that a user can get
    /// wrong fails here, before anything was forked.
    pub fn start(
        config: Config,
        launch: Launch,
        about: About,
        embedder: Arc<dyn Embedder>,
    ) -> Result<Self> {
        let notifier = Notifier::from_env()?;
        let mut pids = Pids::claim(&config.pids)?;
        let bound = open_door(&config, launch.plain).and_then(|door| {
            Ok((door, Bound::bind(&config)?, Logs::prepare(&config, launch.plain)?))
        });
        let (door, bound, logs) = match bound {
            Ok(bound) => bound,
            Err(error) => {
                pids.release();
                return Err(error);
            }
        };
        let control = match pids.listen() {
            Ok(control) => control,
            Err(error) => {
                pids.release();
                return Err(error);
            }
        };
        // Twice: while workers are replaced, the old and the new ones live side by side.
        let board = Scoreboard::create(2 * MAX_WORKERS as usize)
            .map_err(ClusterError::system("creating the scoreboard"))?;
        board.header().switch(false, os::wall());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClusterError::system("starting the runtime"))?;

        let (inputs, inbox) = inbox::open();
        let reports = inputs.clone();
        let tell = Box::new(move |worker, heard| match heard {
            DispatcherEvent::Report(report, share) => {
                let _ = reports.send_within(share, Input::Report(worker, report));
            }
            DispatcherEvent::Serves(addresses, share) => {
                let _ = reports.send_within(share, Input::Serves(worker, addresses));
            }
            DispatcherEvent::Gone(exit) => drop(reports.send(Input::Gone(worker, exit))),
        });
        let dispatcher = Dispatcher::start(door, config.balance, tell)?;
        let limits = limits(&config);
        let judge = config.ecv.as_ref().map(|ecv| {
            Arc::new(HealthChecker::new(
                ecv,
                Check::new(ecv, board.header()),
                Arc::downgrade(&embedder),
            ))
        });
        let ready = Arc::new(AtomicBool::new(false));
        let monitor_app = Arc::new(MonitorApp::default());
        let address = bound.as_ref().map(Bound::address);
        let monitor = bound.map(|bound| {
            let (inputs, quota) = (inputs.clone(), Quota::new(MONITORS));
            let backend = Arc::new(Cluster { inputs, quota, ready: Arc::clone(&ready) });
            let (root, app) = (about.root.clone(), Arc::clone(&monitor_app));
            let embedder = Arc::downgrade(&embedder);
            Monitor::start(
                bound,
                Parts {
                    config: config.clone(),
                    root,
                    backend,
                    judge: judge.clone(),
                    app,
                    embedder,
                },
            )
        });
        let monitor = monitor.transpose()?;
        let supervise = Supervise {
            supervisor: Supervisor::new(config.no_workers, limits, fastrand::u64(..)),
            dispatcher,
            board,
            pids,
            launch,
            logs,
            embedder,
            inputs: inputs.clone(),
            facts: Facts::new(config, about, address),
            judge: judge.clone(),
            ready,
            monitor,
            notifier,
        };
        thread::start("cluster2-super", move || {
            drop(runtime.block_on(supervise.run(inbox, control)))
        })
        .map_err(ClusterError::system("starting the supervisor's thread"))?;
        let signals = std::array::from_fn(|_| Quota::new(1));
        Ok(Self { inputs, asked: Quota::new(ASKED), signals, judge, app: monitor_app })
    }

    /// From now on the user's monitor app gets the monitor's requests first.
    pub fn forward_to_app(&self) {
        self.app.give();
    }

    /// The user's monitor app took a request.
    pub fn visitor_taken(&self) {
        self.app.taken();
    }

    /// What the validator said to `MasterEvent::Validate`.
    pub fn validated(&self, id: u32, problem: Option<String>) {
        if let Some(judge) = &self.judge {
            judge.validated(id, problem);
        }
    }

    /// Asks something; `reply` is called once, on another thread, or on this one to refuse a command where too many are not
    /// answered yet. If the cluster has ended meanwhile, it is dropped: the embedder learns of the end from `Finished`.
    pub fn command(&self, command: Command, reply: Reply) {
        let message = match &command {
            Command::Send { message, .. } | Command::Broadcast { message } => message.len(),
            _ => 0,
        };
        let Some(share) = self.asked.try_take(COMMAND + message) else {
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

    /// Passes on what a signal wants. It is never refused: one that comes before the supervisor has heard an equal one is the same.
    pub fn signal(&self, signal: Signal) {
        if let Some(share) = self.signals[signal as usize].try_take(1) {
            self.inputs.send_within(Some(share), Input::Signal(signal));
        }
    }
}

/// The cluster, as its monitor sees it.
struct Cluster {
    inputs: Inputs,
    quota: Quota,
    ready: Arc<AtomicBool>,
}

impl Cluster {
    /// Tells at once, and then waits where too much was not heard yet: a client that goes away meanwhile takes nothing with it.
    async fn tell(&self, input: Input) {
        let share = self.quota.try_take(1);
        let is_full = share.is_none();
        self.inputs.send_within(share, input);
        if is_full {
            drop(self.quota.take(1).await);
        }
    }
}

impl Backend for Cluster {
    async fn status(&self) -> Result<Status> {
        let ended = || ClusterError::WrongState { command: "show the cluster", state: "ended" };
        let (asked, status) = oneshot::channel();
        self.tell(Input::Status(asked)).await;
        status.await.map_err(|_| ended())
    }

    async fn warn(&self, message: String) {
        self.tell(Input::Warning(message)).await;
    }
}

impl Switching for Cluster {
    async fn switched(&self, disabled: bool, by: String) {
        self.tell(Input::Switched(disabled, by)).await;
    }

    async fn checked(&self, problem: Option<String>) {
        self.tell(Input::Checked(problem)).await;
    }

    async fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}

fn limits(config: &Config) -> Limits {
    Limits {
        start_timeout: config.start_timeout,
        min_ready_time: config.min_ready_time,
        shutdown_timeout: config.shutdown_timeout,
        shutdown_delay: config.shutdown_delay,
        max_heartbeat_delay: config.max_heartbeat_delay,
        thresholds: Thresholds {
            connections: config.conn_threshold,
            uptime: config.uptime_threshold.map(|seconds| seconds.saturating_mul(1000)),
            memory: config.mem_threshold,
        },
    }
}

/// Binds the app's ports, as far as they are known before there is a worker.
fn open_door(config: &Config, plain: bool) -> Result<ListenerSet> {
    let mut door = if plain { ListenerSet::loose() } else { ListenerSet::default() };
    if config.balance == Balance::Kernel {
        door = door.with_lanes();
    }
    let host = resolve(&config.host)?;
    for (index, port) in config.ports.iter().enumerate() {
        let zeros =
            config.ports[..index].iter().filter(|port| **port == Port::Tcp(0)).count() as u32;
        let mut wanted = wanted(port, host, zeros);
        // As Node's own `listen` without a host: IPv6 and IPv4, or IPv4 alone where there is no IPv6.
        if plain && host == IpAddr::from(Ipv6Addr::UNSPECIFIED) && wanted.port.is_some() {
            wanted.address = None;
        }
        door.pin(&wanted)?;
    }
    Ok(door)
}

/// The listener for one of the app's ports, exactly as a worker's `listen` will ask for it.
fn wanted(port: &Port, host: IpAddr, index: u32) -> Wanted {
    let (address, port) = match port {
        Port::Tcp(port) => (host.to_string(), Some(*port)),
        // Neither is the path of a file.
        Port::Unix(name) if name.starts_with(INHERITED) || name.starts_with('\0') => {
            (name.clone(), None)
        }
        Port::Unix(path) => (
            std::path::absolute(path)
                .map_or_else(|_| path.clone(), |path| path.to_string_lossy().into()),
            None,
        ),
    };
    let index = if port == Some(0) { index } else { 0 };
    Wanted { address: Some(address), port, v6_only: false, backlog: 0, index }
}
