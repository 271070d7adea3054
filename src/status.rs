//! The parts of a `protocol::status` that a master and a process without workers fill in alike.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::{Config, app_name};
use crate::os;
use crate::os::proc_usage::{self, Usage};
use crate::os::process;
use crate::os::scoreboard::{Field, Header, Row};
use crate::protocol::status::{
    ConnectionCounts, EcvStatus, MasterStatus, RequestCounts, UnhealthyWorker, WorkerStatus,
};
use crate::protocol::time::Time;
use crate::protocol::totals::Totals;
use crate::usage::{UsageSamples, utilization};

/// What an embedder knows of the app.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo {
    /// Version of Node, such as `v22.1.0`.
    pub node: String,
    /// Directory of the app's `package.json`, or of its script.
    pub root: PathBuf,
    /// The script that workers run, an absolute path.
    #[serde(default)]
    pub script: Option<PathBuf>,
}

/// What does not change while the cluster runs.
#[derive(Debug, Clone)]
pub(crate) struct ClusterInfo {
    pub(crate) config: Config,
    pub(crate) started_at: SystemTime,
    pub(crate) app: AppInfo,
    /// What people call the cluster.
    name: String,
    /// The working directory of workers.
    directory: PathBuf,
    /// Where the monitor listens, if it is on.
    pub(crate) monitor: Option<String>,
}

impl ClusterInfo {
    /// Returns the info of a cluster that starts now.
    pub(crate) fn new(config: Config, app: AppInfo, monitor: Option<String>) -> Self {
        let name = config.name.clone().unwrap_or_else(|| app_name(&app.root));
        let own = std::env::current_dir().unwrap_or_default();
        let directory = config.cwd.as_ref().map_or(own.clone(), |cwd| own.join(cwd));
        Self { started_at: SystemTime::now(), name, directory, config, app, monitor }
    }

    /// The answer to a command that ends the cluster.
    pub(crate) fn end_answer(&self) -> Value {
        json!({ "running": true, "pid": std::process::id() })
    }

    /// The status of this process as the master of an app.
    pub(crate) fn master(
        &self,
        is_running: bool,
        target: u32,
        listening: Vec<String>,
        samples: &UsageSamples,
    ) -> MasterStatus {
        let (rss, cpu) = process::usage();
        MasterStatus {
            pid: std::process::id(),
            name: self.name.clone(),
            script: self.app.script.as_ref().map(|script| script.display().to_string()),
            directory: self.directory.display().to_string(),
            started_at: Time(self.started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.app.node.clone(),
            hostname: process::hostname(),
            os: process::system_name(),
            state: if is_running { "running" } else { "leaving" },
            target,
            scaling: None,
            spares: 0,
            reload: None,
            upgrade: None,
            listening,
            monitor: self.monitor.clone(),
            rss,
            cpu,
            cpu_percent: samples.cpu_percent(os::now(), cpu),
        }
    }
}

/// What the health check tells load balancers.
pub(crate) fn health(
    header: &Header,
    unavailable: Option<String>,
    unhealthy: Vec<UnhealthyWorker>,
) -> EcvStatus {
    let (disabled, since) = header.switched();
    EcvStatus { disabled, since: Time::from_millis(since), unavailable, unhealthy }
}

/// Adds the counts of one process.
pub(crate) fn add_counts(totals: &mut Totals, row: &Row) {
    totals.connections += row.count(Field::ConnectionsTotal);
    totals.timed_out += row.count(Field::ConnectionsTimedOut);
    totals.requests += row.count(Field::RequestsTotal);
}

/// Returns the status of the ready worker `pid` with the numbers of its row, and what the kernel
/// says. `stuck_for`: for how long its event loop has not turned, if it is stuck. The caller fills
/// in the rest of its identity.
pub(crate) fn worker_numbers(
    pid: u32,
    row: &Row,
    samples: &UsageSamples,
    stuck_for: Option<u64>,
) -> WorkerStatus {
    // Without a free descriptor, and while it ends: its own last word.
    let usage = proc_usage::usage(pid)
        .unwrap_or_else(|| Usage { rss: row.count(Field::Rss), cpu: row.get(Field::Cpu) });
    let delay = row.get(Field::EventLoopDelay);
    WorkerStatus {
        slot: 0,
        pid,
        generation: 1,
        state: if stuck_for.is_some() { "stuck" } else { "ready" },
        stuck_for,
        started_at: Time(SystemTime::UNIX_EPOCH),
        connections: ConnectionCounts {
            active: row.count(Field::ConnectionsActive),
            total: row.count(Field::ConnectionsTotal),
            timed_out: row.count(Field::ConnectionsTimedOut),
        },
        requests: RequestCounts {
            active: row.count(Field::RequestsActive),
            total: row.count(Field::RequestsTotal),
        },
        event_loop_delay: stuck_for.map_or(delay, |stuck| delay.max(stuck as f64)),
        event_loop_utilization: utilization(row, stuck_for.is_some()),
        rss: usage.rss,
        cpu: usage.cpu,
        cpu_percent: samples.cpu_percent(os::now(), usage.cpu),
        restarts: 0,
        crashes: 0,
    }
}
