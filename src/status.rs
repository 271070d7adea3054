//! The parts of a `protocol::status` that a master and a process without workers fill in alike.

use std::path::PathBuf;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Config;
use crate::os::process;
use crate::os::scoreboard::{Field, Header, Row};
use crate::protocol::status::{
    ConnectionCounts, EcvStatus, MasterStatus, RequestCounts, Time, Totals, UnhealthyWorker,
    WorkerStatus,
};

/// What an embedder knows of the app.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppInfo {
    /// Version of Node, such as `v22.1.0`.
    pub node: String,
    /// Directory of the app's `package.json`, or of its script.
    pub root: PathBuf,
}

/// What does not change while the cluster runs.
#[derive(Debug, Clone)]
pub(crate) struct ClusterInfo {
    pub(crate) config: Config,
    pub(crate) started_at: SystemTime,
    pub(crate) app: AppInfo,
    /// Where the monitor listens, if it is on.
    pub(crate) monitor: Option<String>,
}

impl ClusterInfo {
    /// Returns the info of a cluster that starts now.
    pub(crate) fn new(config: Config, app: AppInfo, monitor: Option<String>) -> Self {
        Self { config, started_at: SystemTime::now(), app, monitor }
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
    ) -> MasterStatus {
        let (rss, cpu) = process::usage();
        MasterStatus {
            pid: std::process::id(),
            started_at: Time(self.started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.app.node.clone(),
            hostname: process::hostname(),
            os: process::system_name(),
            state: if is_running { "running" } else { "leaving" },
            target,
            reload: None,
            listening,
            monitor: self.monitor.clone(),
            rss,
            cpu,
        }
    }
}

/// What the health check tells load balancers.
pub(crate) fn health(header: &Header, unhealthy: Vec<UnhealthyWorker>) -> EcvStatus {
    let (disabled, since) = header.switched();
    EcvStatus { disabled, since: Time::from_millis(since), unhealthy }
}

/// Adds the counts of one process.
pub(crate) fn add_counts(totals: &mut Totals, row: &Row) {
    totals.connections += row.count(Field::ConnectionsTotal);
    totals.timed_out += row.count(Field::ConnectionsTimedOut);
    totals.requests += row.count(Field::RequestsTotal);
}

/// Returns the status of a worker with the numbers of its row. The caller fills in its identity.
pub(crate) fn worker_numbers(row: &Row) -> WorkerStatus {
    WorkerStatus {
        slot: 0,
        pid: 0,
        generation: 1,
        state: "ready",
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
        event_loop_delay: row.get(Field::EventLoopDelay),
        rss: row.count(Field::Rss),
        cpu: row.get(Field::Cpu),
        restarts: 0,
    }
}
