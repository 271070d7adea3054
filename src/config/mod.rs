//! The options of `new Cluster(options)`, checked and normalised once.
//!
//! Both fronts (the addon and the command line) hand over a JSON object; what comes out has every default
//! filled in, and is the only form in which the rest of the crate knows an option.

mod reader;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::reader::Reader;
pub use crate::config::reader::network;
use crate::error::{ClusterError, Result};

/// The most workers one cluster may have; the scoreboard is sized for it.
pub const MAX_WORKERS: u32 = 1024;

/// What stands before the name of a socket that the service manager passed, in place of a path.
pub const INHERITED: &str = "systemd:";

/// Where the app or the monitor listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Port {
    /// A TCP port; 0 lets the kernel choose one.
    Tcp(u16),
    /// The path of a unix socket; or, of the app, [`INHERITED`] and the name of a socket that was passed, or NUL and the name of
    /// one without a file.
    Unix(String),
}

/// How the dispatcher chooses a worker for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// The worker with the fewest open connections.
    LeastConnections,
    /// One after another.
    RoundRobin,
    /// The same worker for the same client address, while the set of workers stays.
    IpHash,
    /// The kernel's own choice among one listening socket for each worker, where no worker is missing.
    Kernel,
}

/// Where workers' standard output and error go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Output {
    /// Where the master's go.
    Inherit,
    /// There too, each line with the worker's slot and pid before it.
    Prefix,
    /// Into two files of each slot, in `logs`.
    Files,
}

/// The `ecv` option. `validator` stays in JavaScript; here is only whether there is one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ecv {
    /// Path of the health check on the app's port.
    pub path: String,
    /// Path or URL to probe before answering healthy.
    pub monitor: Option<String>,
    /// Whether `POST <path>/disable` and `/enable` are served.
    pub control: bool,
    /// Whether the user gave a validator function.
    pub validator: bool,
    /// Bound of one probe, milliseconds.
    pub timeout: u64,
    /// Bearer token that guards control.
    pub token: Option<String>,
    /// Addresses or CIDRs that may use control.
    pub allow: Option<Vec<String>>,
}

/// Every option with its default filled in. Durations are milliseconds unless said otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// `false`: one process, no workers.
    pub cluster: bool,
    /// Where the app listens; never empty.
    pub ports: Vec<Port>,
    /// Address the app listens on.
    pub host: String,
    /// Number of workers, 1 to [`MAX_WORKERS`].
    pub no_workers: u32,
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
    pub ecv: Option<Ecv>,
    /// Idle socket time-out; 0 turns it off.
    pub timeout: u64,
    /// Recycle a worker after so many connections.
    pub conn_threshold: Option<u64>,
    /// Recycle a worker after so many seconds.
    pub uptime_threshold: Option<u64>,
    /// Recycle a worker above so many bytes of memory.
    pub mem_threshold: Option<u64>,
    /// How connections are spread.
    pub balance: Balance,
    /// Whether idle connections of a worker that leaves move to other workers.
    pub move_idle: bool,
    /// How long a worker may take to become ready.
    pub start_timeout: u64,
    /// How long a worker of new code has to live before a reload trusts it.
    pub min_ready_time: u64,
    /// How long a drain may take.
    pub shutdown_timeout: u64,
    /// From a shutdown's request to the closing of the door, for load balancers to notice.
    pub shutdown_delay: u64,
    /// Interval of the `heartbeat` event.
    pub heartbeat_interval: u64,
    /// A worker that is silent for so long is hung.
    pub max_heartbeat_delay: u64,
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

impl Config {
    /// Checks the user's options.
    ///
    /// `options` is the user's object as JSON; values that JSON cannot hold come as
    /// `{"$type": "<what it was>"}`. A number may come as a numeric string, as from an environment variable.
    /// Fails with `OptionUnknown` or `OptionInvalid`, naming the option.
    pub fn from_json(options: &Value) -> Result<Self> {
        let mut read = Reader::new("", options, "an object")?;
        let config = Self {
            cluster: read.boolean("cluster", true)?,
            ports: read.ports("port", Port::Tcp(3000))?,
            host: read.text("host", "0.0.0.0")?,
            no_workers: read
                .number("noWorkers", 1, u64::from(MAX_WORKERS))?
                .map_or_else(parallelism, |n| n as u32),
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
            uptime_threshold: read.threshold("uptimeThreshold")?,
            mem_threshold: read.threshold("memThreshold")?,
            balance: read.one_of(
                "balance",
                Balance::LeastConnections,
                &[
                    ("least-connections", Balance::LeastConnections),
                    ("round-robin", Balance::RoundRobin),
                    ("ip-hash", Balance::IpHash),
                    ("kernel", Balance::Kernel),
                ],
            )?,
            move_idle: read.boolean("moveIdle", true)?,
            start_timeout: read.duration("startTimeout", 1, 30_000)?,
            min_ready_time: read.duration("minReadyTime", 0, 1_000)?,
            shutdown_timeout: read.duration("shutdownTimeout", 1, 30_000)?,
            shutdown_delay: read.duration("shutdownDelay", 0, 0)?,
            heartbeat_interval: read.duration("heartbeatInterval", 10, 5_000)?,
            max_heartbeat_delay: read.duration("maxHeartbeatDelay", 1_000, 30_000)?,
            exec: read.optional_text("exec")?,
            args: read.texts("args")?,
            exec_argv: read.texts("execArgv")?,
            env: read.variables("env")?,
            cwd: read.path("cwd")?,
        };
        read.finish()?;
        let is_named =
            |port: &&Port| matches!(port, Port::Unix(path) if path.starts_with(INHERITED));
        if let Some(Port::Unix(path)) =
            config.ports.iter().find(is_named).filter(|_| !config.cluster)
        {
            return Err(ClusterError::OptionInvalid {
                name: "port".into(),
                expected: "a port or a path where 'cluster' is false: a socket that was passed is for workers".into(),
                got: format!("'{path}'"),
            });
        }
        Ok(config)
    }
}

fn ecv(read: &mut Reader<'_>) -> Result<Option<Ecv>> {
    let none = Value::Object(serde_json::Map::new());
    let given = match read.raw("ecv") {
        Some(Value::Bool(false)) => return Ok(None),
        // The original's way to turn it off.
        None if read.is_null("ecv") => return Ok(None),
        Some(Value::Bool(true)) | None => &none,
        Some(given) => given,
    };
    let mut read = Reader::new("ecv.", given, "an object, or false to turn it off")?;
    let ecv = Ecv {
        path: read.url_path("path", "/ecv")?,
        monitor: read.probed("monitor")?,
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

/// Processors this process may use, cgroup limits included (nodejs/node#28762 is what happens otherwise).
fn parallelism() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| (n.get() as u32).min(MAX_WORKERS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn error(options: Value) -> String {
        Config::from_json(&options).expect_err("must be refused").to_string()
    }

    #[test]
    fn an_empty_object_gives_the_documented_defaults() {
        let config = Config::from_json(&json!({})).unwrap();
        assert_eq!(config.ports, [Port::Tcp(3000)]);
        assert_eq!(config.mon_port, Some(Port::Tcp(3001)));
        assert_eq!(config.mon_host, "127.0.0.1");
        assert_eq!(config.timeout, 30_000);
        assert_eq!(config.balance, Balance::LeastConnections);
        assert!(config.no_workers >= 1);
        assert_eq!(config.ecv.map(|ecv| ecv.path).as_deref(), Some("/ecv"));
    }

    #[test]
    fn numbers_may_come_as_numeric_strings() {
        let config =
            Config::from_json(&json!({ "port": "8080", "noWorkers": "4", "timeout": " 5000 " }))
                .unwrap();
        assert_eq!(config.ports, [Port::Tcp(8080)]);
        assert_eq!(config.no_workers, 4);
        assert_eq!(config.timeout, 5000);
    }

    #[test]
    fn ports_may_be_paths_and_lists() {
        let config = Config::from_json(&json!({ "port": [3000, "/tmp/app.sock"] })).unwrap();
        assert_eq!(config.ports, [Port::Tcp(3000), Port::Unix("/tmp/app.sock".into())]);
        let config = Config::from_json(&json!({ "port": "\0app" })).unwrap();
        assert_eq!(config.ports, [Port::Unix("\0app".into())], "a name without a file");
    }

    #[test]
    fn a_wrong_option_is_named_with_what_was_expected_and_what_came() {
        assert_eq!(
            error(json!({ "noWorkers": 0 })),
            "option 'noWorkers' must be a whole number from 1 to 1024; got 0"
        );
        assert_eq!(
            error(json!({ "noWorkers": { "$type": "a function" } })),
            "option 'noWorkers' must be a whole number from 1 to 1024; got a function"
        );
        assert_eq!(
            error(json!({ "port": 70000 })),
            "option 'port' must be a port (0 to 65535), the path of a unix socket, or a list of them; got 70000"
        );
        assert!(error(json!({ "port": [] })).starts_with("option 'port' must be"));
        assert!(error(json!({ "port": "a\0b" })).starts_with("option 'port' must be"));
        assert!(error(json!({ "monPort": "\0app" })).starts_with("option 'monPort' must be"));
        assert!(error(json!({ "port": [1, 1] })).contains("without repetition"));
        assert!(error(json!({ "ecv": 5 })).starts_with("option 'ecv' must be an object, or false"));
        assert!(
            error(json!({ "ecv": { "path": "ecv" } }))
                .starts_with("option 'ecv.path' must be a path that begins with '/'")
        );
        assert!(
            error(json!({ "ecv": { "monitor": "health" } }))
                .contains("a path that begins with '/', or an http")
        );
        for itself in ["/ecv?x", "/ecv/", "/ecv#x"] {
            assert!(
                error(json!({ "ecv": { "monitor": itself } }))
                    .contains("the check would ask itself")
            );
        }
        assert!(error(json!({ "ecv": { "monitor": "http://a:b@c/" } })).contains("without a user"));
        assert!(error(json!({ "ecv": { "allow": [] } })).contains("at least one"));
        assert!(
            error(json!({ "ecv": { "token": "secret " } })).contains("without blanks around it")
        );
        assert!(
            error(json!({ "ecv": { "allow": ["10.0.0.0/33"] } }))
                .contains("a list of addresses and CIDRs")
        );
        assert!(
            error(json!({ "balance": "random" }))
                .contains("'least-connections', 'round-robin', 'ip-hash', 'kernel'")
        );
        assert!(
            error(json!({ "nWorkers": 3 }))
                .starts_with("option 'nWorkers' is unknown; the options are: args, balance")
        );
        assert!(error(json!([])).starts_with("option 'options' must be an object"));
    }

    #[test]
    fn a_long_wrong_value_is_shortened_in_the_message() {
        assert!(error(json!({ "cluster": "x".repeat(5000) })).len() < 200);
    }
}
