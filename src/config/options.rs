//! Every option with its default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::overload::{self, OverloadOptions};
use super::port::Port;
use super::reader::Reader;
use super::workers::{MAX_WORKERS, bounds, parallelism};
use crate::error::{ClusterError, Result};

/// The most spares one cluster may have, besides its workers.
pub(crate) const MAX_SPARES: u32 = 64;

/// How the dispatcher chooses a worker for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The worker with the fewest open connections.
    LeastConnections,
    /// One after another.
    RoundRobin,
    /// The same worker for the same client address, while the set of workers stays the same.
    IpHash,
}

/// Where workers' standard output and error go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Where the master's go.
    Inherit,
    /// As `Inherit`, each line with the worker's slot and pid before it.
    Prefix,
    /// Into two files of each slot, in `logs`.
    Files,
}

/// The `ecv` option. `validator` itself stays in JavaScript.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EcvOptions {
    /// Path of the health check on the app's port.
    pub path: String,
    /// Path or URL to probe before answering healthy.
    pub monitor: Option<String>,
    /// Whether `POST <path>/disable` and `/enable` are served.
    pub control: bool,
    /// Whether the user gave a validator function.
    pub validator: bool,
    /// How long one probe may take, milliseconds.
    pub timeout: u64,
    /// Bearer token that control requires.
    pub token: Option<String>,
    /// Addresses and CIDRs that may use control.
    pub allow: Option<Vec<String>>,
}

/// Every option with its default filled in. Durations are milliseconds unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// `false`: one process, no workers.
    pub cluster: bool,
    /// Whether workers listen. `false`: they do other work, and are ready without it.
    pub listen: bool,
    /// What people call the cluster; `None`: as the app's package.
    pub name: Option<String>,
    /// Where the app listens; empty only where it does not.
    pub ports: Vec<Port>,
    /// Address the app listens on.
    pub host: String,
    /// Number of workers, 1 to 1024; where it follows their work, the least.
    pub no_workers: u32,
    /// The most workers, from `no_workers` to 1024. `None`: their number is fixed.
    pub max_workers: Option<u32>,
    /// Workers beyond these whose script has run, and that listen once another one ends.
    pub spares: u32,
    /// Directory of pid files and the control socket.
    pub pids: PathBuf,
    /// Directory of logs that the monitor shows, and of workers' output if it goes to files.
    pub logs: PathBuf,
    /// Where workers' standard output and error go.
    pub output: Output,
    /// Port of the monitor; `None` turns it off.
    pub mon_port: Option<Port>,
    /// Address of the monitor.
    pub mon_host: String,
    /// Path of the monitor's page.
    pub mon_path: String,
    /// Health check; `None` turns it off.
    pub ecv: Option<EcvOptions>,
    /// Idle socket time-out; 0 turns it off.
    pub timeout: u64,
    /// Recycle a worker after this many connections.
    pub conn_threshold: Option<u64>,
    /// Recycle a worker after this many seconds.
    pub uptime_threshold: Option<u64>,
    /// Recycle a worker above this many bytes of memory.
    pub mem_threshold: Option<u64>,
    /// How connections are spread.
    pub balance: Balance,
    /// From when on new connections are answered 503; `None`: never.
    pub overload: Option<OverloadOptions>,
    /// Whether idle connections of a draining worker move to other workers.
    pub move_idle: bool,
    /// Whether requests that a worker had not begun to answer when it ended by an error, or by
    /// `process.exit()`, go to another one.
    pub retry: bool,
    /// How long a worker may take to become ready.
    pub start_timeout: u64,
    /// End the cluster after this many crashes in a row without a ready worker.
    pub give_up_after: Option<u64>,
    /// How long a worker of new code has to live before a reload trusts it.
    pub min_ready_time: u64,
    /// How long a drain may take.
    pub shutdown_timeout: u64,
    /// From the request of a shutdown to the moment when the cluster closes to new clients, so that
    /// load balancers notice it.
    pub shutdown_delay: u64,
    /// Interval of the `heartbeat` event.
    pub heartbeat_interval: u64,
    /// A worker without a heartbeat for this long is hung.
    pub max_heartbeat_delay: u64,
    /// An event loop that is blocked for this long is reported; 0: none is.
    pub blocked_after: u64,
    /// Script that workers run; `None`: the master's own.
    pub exec: Option<String>,
    /// Arguments of the workers' script; `None`: the master's own.
    pub args: Option<Vec<String>>,
    /// Node's own flags for workers; `None`: the master's own.
    pub exec_argv: Option<Vec<String>>,
    /// Variables added to the workers' environment.
    pub env: BTreeMap<String, String>,
    /// Working directory of workers; `None`: the master's own.
    pub cwd: Option<PathBuf>,
}

/// The shortest block that can be reported, milliseconds: a worker shows four times within it that
/// it turns.
const MIN_BLOCKED_AFTER: u64 = 100;

impl Config {
    /// Checks the user's options.
    ///
    /// `options` is the user's object as JSON; values that JSON cannot hold come as
    /// `{"$type": "<what it was>"}`. A number may come as a numeric string, as from an environment
    /// variable.
    /// Fails with `OptionUnknown` or `OptionInvalid`, naming the option.
    pub fn from_json(options: &Value) -> Result<Self> {
        let mut read = Reader::new("", options, "an object")?;
        let least = read.workers("noWorkers", MAX_WORKERS, parallelism)?;
        let most = read.workers("maxWorkers", MAX_WORKERS, parallelism)?;
        let (no_workers, max_workers) = bounds(least, most)?;
        let has_port = !read.is_null("port") && options.get("port").is_some();
        let mut config = Self {
            cluster: read.boolean("cluster", true)?,
            listen: read.boolean("listen", true)?,
            name: read.line("name")?,
            ports: read.ports("port", Port::Tcp(3000))?,
            host: read.text("host", "0.0.0.0")?,
            no_workers,
            max_workers,
            spares: read.number("spares", 0, MAX_SPARES.into())?.unwrap_or(0) as u32,
            pids: read.path("pids")?.unwrap_or_else(|| "pids".into()),
            logs: read.path("logs")?.unwrap_or_else(|| "logs".into()),
            output: read.one_of(
                "output",
                Output::Inherit,
                &[
                    ("inherit", Output::Inherit),
                    ("prefix", Output::Prefix),
                    ("files", Output::Files),
                ],
            )?,
            mon_port: read.port_or_off("monPort", Port::Tcp(3001))?,
            mon_host: read.text("monHost", "127.0.0.1")?,
            mon_path: read.url_path("monPath", "/")?,
            ecv: ecv(&mut read)?,
            timeout: read.duration("timeout", 0, 30_000)?,
            conn_threshold: read.threshold("connThreshold")?,
            uptime_threshold: read.age("uptimeThreshold")?,
            mem_threshold: read.size("memThreshold")?,
            balance: read.one_of(
                "balance",
                Balance::LeastConnections,
                &[
                    ("least-connections", Balance::LeastConnections),
                    ("round-robin", Balance::RoundRobin),
                    ("ip-hash", Balance::IpHash),
                    ("kernel", Balance::LeastConnections),
                ],
            )?,
            overload: overload::read(&mut read)?,
            move_idle: read.boolean("moveIdle", true)?,
            retry: read.boolean("retry", false)?,
            start_timeout: read.duration("startTimeout", 1, 30_000)?,
            give_up_after: read.threshold("giveUpAfter")?,
            min_ready_time: read.duration("minReadyTime", 0, 1_000)?,
            shutdown_timeout: read.duration("shutdownTimeout", 1, 30_000)?,
            shutdown_delay: read.duration("shutdownDelay", 0, 0)?,
            heartbeat_interval: read.duration("heartbeatInterval", 10, 5_000)?,
            max_heartbeat_delay: read.duration("maxHeartbeatDelay", 1_000, 30_000)?,
            blocked_after: read.duration("blockedAfter", 0, 0)?,
            exec: read.optional_text("exec")?,
            args: read.texts("args")?,
            exec_argv: read.texts("execArgv")?,
            env: read.variables("env")?,
            cwd: read.path("cwd")?,
        };
        read.finish()?;
        if (1..MIN_BLOCKED_AFTER).contains(&config.blocked_after) {
            return Err(ClusterError::OptionInvalid {
                name: "blockedAfter".into(),
                expected: format!("0, or {MIN_BLOCKED_AFTER} ms or more"),
                got: config.blocked_after.to_string(),
            });
        }
        config.check_overload()?;
        if !config.listen {
            config.check_without_listening(has_port)?;
        }
        let inherited = config.ports.iter().find(|port| port.is_inherited());
        if let Some(Port::Unix(path)) = inherited.filter(|_| !config.cluster) {
            return Err(ClusterError::OptionInvalid {
                name: "port".into(),
                expected: "a port or a path where 'cluster' is false: a socket that was passed is \
                           for workers"
                    .into(),
                got: format!("'{path}'"),
            });
        }
        Ok(config)
    }

    /// Checks that waiting connections can be seen: they wait in the accept queue only where
    /// workers accept by themselves.
    fn check_overload(&self) -> Result<()> {
        if self.overload.is_none() || self.balance == Balance::LeastConnections {
            return Ok(());
        }
        Err(ClusterError::OptionInvalid {
            name: "overload".into(),
            expected: "left out unless 'balance' is 'least-connections'".into(),
            got: "it with another 'balance'".into(),
        })
    }

    /// Checks what workers that do not listen need.
    fn check_without_listening(&mut self, has_port: bool) -> Result<()> {
        let invalid = |name: &str, expected: &str, got: String| {
            Err(ClusterError::OptionInvalid { name: name.into(), expected: expected.into(), got })
        };
        if has_port {
            let expected = "left out where 'listen' is false";
            return invalid("port", expected, "a port".into());
        }
        if self.spares > 0 {
            let expected = "0 where 'listen' is false: a spare waits in its listen()";
            return invalid("spares", expected, self.spares.to_string());
        }
        if self.min_ready_time >= self.start_timeout {
            let expected = "less than startTimeout where 'listen' is false: by then a worker is \
                            ready";
            return invalid("minReadyTime", expected, self.min_ready_time.to_string());
        }
        self.ports.clear();
        Ok(())
    }
}

fn ecv(read: &mut Reader<'_>) -> Result<Option<EcvOptions>> {
    let none = Value::Object(serde_json::Map::new());
    let given = match read.raw("ecv") {
        Some(Value::Bool(false)) => return Ok(None),
        // cluster2's way to turn it off.
        None if read.is_null("ecv") => return Ok(None),
        Some(Value::Bool(true)) | None => &none,
        Some(given) => given,
    };
    let mut read = Reader::new("ecv.", given, "an object, or false to turn it off")?;
    let ecv = EcvOptions {
        path: read.url_path("path", "/ecv")?,
        monitor: read.probe_target("monitor")?,
        control: read.boolean("control", false)?,
        validator: read.function("validator")?,
        timeout: read.duration("timeout", 1, 5_000)?,
        token: read.token("token")?,
        allow: read.networks("allow")?,
    };
    read.finish()?;
    let bare = |path: &str| {
        path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/').to_owned()
    };
    if ecv.monitor.as_ref().is_some_and(|monitor| bare(monitor) == bare(&ecv.path)) {
        return Err(ClusterError::OptionInvalid {
            name: "ecv.monitor".into(),
            expected: "another path than ecv.path, since the check would ask itself".into(),
            got: ecv.path,
        });
    }
    Ok(Some(ecv))
}
