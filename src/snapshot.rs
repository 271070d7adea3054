//! The picture of a cluster (`ipc::status`), assembled from the supervisor's records and the scoreboard.

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

/// What a embedder says of its process.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Version of Node.
    pub node: String,
    /// Directory of the app's `package.json`, or of its script.
    pub root: PathBuf,
}

/// What does not change while the cluster runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The options.
    pub config: Config,
    /// When the master began to listen.
    pub started_at: SystemTime,
    /// See [`About`].
    pub about: About,
    /// Where the monitor listens, if it is on.
    pub monitor: Option<String>,
}

impl Facts {
    /// Facts of a cluster that begins now.
    pub fn new(config: Config, about: About, monitor: Option<String>) -> Self {
        Self { config, started_at: SystemTime::now(), about, monitor }
    }

    /// The answer to whoever asked us to leave.
    pub fn left(&self) -> Value {
        json!({ "running": true, "pid": std::process::id() })
    }

    /// This process, as the master of an app that is `listening` there.
    pub fn master(&self, running: bool, target: u32, listening: Vec<String>) -> MasterStatus {
        let (rss, cpu) = process::usage();
        MasterStatus {
            pid: std::process::id(),
            started_at: Time(self.started_at),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            node: self.about.node.clone(),
            hostname: process::hostname(),
            os: process::system_name(),
            state: if running { "running" } else { "leaving" },
            target,
            reload: None,
            listening,
            monitor: self.monitor.clone(),
            rss,
            cpu,
        }
    }
}

/// What load balancers are told.
pub fn ecv(header: &Header, unhealthy: Vec<UnhealthyWorker>) -> EcvStatus {
    let (disabled, since) = header.switched();
    EcvStatus { disabled, since: Time::from_millis(since), unhealthy }
}

/// Adds what one worker counted.
pub fn add(totals: &mut Totals, row: &Row) {
    totals.connections += row.count(Field::ConnectionsTotal);
    totals.timed_out += row.count(Field::ConnectionsTimedOut);
    totals.requests += row.count(Field::RequestsTotal);
}

/// The numbers of one row; who it is stays to be filled in.
pub fn numbers(row: &Row) -> WorkerStatus {
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
