//! How a worker's process is started: its program, arguments and environment.

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::inspector;
use super::node_options;
use super::systemd::VARIABLES;
use crate::config::{EcvOptions, Output};
use crate::os::process::Identity;
use crate::os::spawn::{IPC_FD, SpawnCommand};

/// The variable that makes a process a worker. The preload removes it before the user's code runs.
const ENV: &str = "CLUSTER2_WORKER";
/// Flags of Node, of which our preload must be the first.
const OPTIONS: &str = "NODE_OPTIONS";

/// The variable with the worker's slot, for the user's code.
const SLOT: &str = "CLUSTER2_SLOT";
/// The variable of a spare, until it is activated.
const SPARE: &str = "CLUSTER2_SPARE";
/// PM2's name for it, which configuration libraries read. A value that is given stays.
const INSTANCE: &str = "NODE_APP_INSTANCE";

/// What all workers are started with.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Launch {
    /// Absolute path of Node.
    pub program: String,
    /// The module that makes the process a worker, absolute: the first that is loaded.
    pub preload: String,
    /// Node's flags.
    pub flags: Vec<String>,
    /// The script and its arguments.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Working directory, if not the master's.
    pub cwd: Option<String>,
    /// Whether the script does not know of cluster2, and is served as it listens.
    #[serde(default)]
    pub plain: bool,
    /// The command that started the master, as the embedder knows it. Empty: what the kernel says
    /// counts.
    #[serde(default)]
    pub command: Vec<String>,
    /// How many words after the program in `command` are Node's flags.
    #[serde(default)]
    pub command_flags: usize,
    /// The command line, which this process becomes once another master has taken over.
    #[serde(default)]
    pub holder: Option<String>,
}

impl Launch {
    /// The workers' `NODE_OPTIONS`.
    fn options(&self) -> &str {
        self.env.get(OPTIONS).map_or("", String::as_str)
    }

    /// Those with which workers are started, where they are others.
    fn options_with_preload(&self) -> Option<String> {
        node_options::with_preload(self.options(), &self.preload)
    }

    /// The workers' `NODE_OPTIONS`, where they are started with others.
    pub(super) fn replaced_options(&self) -> Option<String> {
        self.options_with_preload().map(|_| self.options().to_owned())
    }

    /// The debugger's port of the worker in a row, where Node's debugger is on.
    pub(super) fn inspect_port(&self, row: usize) -> Option<u16> {
        inspector::base_port(&self.flags, self.options()).map(|base| inspector::port(base, row))
    }

    /// Whether the master, where it is a Node, has a debugger's port that was chosen by its command
    /// or its environment.
    pub(super) fn has_debug_port(&self, env: &BTreeMap<OsString, OsString>) -> bool {
        let flags = self.command.get(1..=self.command_flags).unwrap_or_default();
        let options = env.get(OsStr::new(OPTIONS)).and_then(|options| options.to_str());
        let is_node = !self.command.is_empty();
        is_node && inspector::base_port(flags, options.unwrap_or_default()).is_some()
    }

    /// The command that starts the worker `identity`.
    pub(super) fn command(&self, identity: &WorkerIdentity) -> io::Result<SpawnCommand> {
        let mut own = vec![
            ("NODE_CHANNEL_FD", IPC_FD.to_string()),
            ("NODE_CHANNEL_SERIALIZATION_MODE", "json".to_owned()),
            ("NODE_UNIQUE_ID", identity.id.to_string()),
            (ENV, serde_json::to_string(identity)?),
            (SLOT, identity.slot.to_string()),
        ];
        own.extend(self.options_with_preload().map(|options| (OPTIONS, options)));
        // A program with privileges of its own (`setcap`) does not read `NODE_OPTIONS`.
        let first = ["--require".to_owned(), self.preload.clone()];
        // After the user's own flags: the last one counts.
        let inspect = identity.inspect_port.map(|port| format!("--inspect-port={port}"));
        let flags = first.iter().chain(&self.flags).chain(&inspect);
        let args = std::iter::once(&self.program).chain(flags).chain(&self.args);
        let is_own = |name: &str| name == SPARE || own.iter().any(|(own, _)| *own == name);
        let is_masters = |name: &str| is_own(name) || VARIABLES.contains(&name);
        let spare = identity.spare.then(|| (SPARE, "1".to_owned()));
        let instance =
            (!self.env.contains_key(INSTANCE)).then(|| (INSTANCE, identity.slot.to_string()));
        let inherited = self.env.iter().filter(|(name, _)| !is_masters(name));
        let inherited = inherited.map(|(name, value)| (name.as_str(), value));
        Ok(SpawnCommand {
            program: c_string(&self.program)?,
            args: args.map(|arg| c_string(arg)).collect::<io::Result<_>>()?,
            env: inherited
                .chain(
                    own.iter().chain(&instance).chain(&spare).map(|(name, value)| (*name, value)),
                )
                .map(|(name, value)| c_string(&format!("{name}={value}")))
                .collect::<io::Result<_>>()?,
        })
    }
}

fn c_string(text: &str) -> io::Result<CString> {
    CString::new(text).map_err(|_| io::ErrorKind::InvalidInput.into())
}

/// Who a worker is and how it runs. It reads this from `CLUSTER2_WORKER`, as JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WorkerIdentity {
    /// Also `cluster.worker.id`.
    pub(super) id: u32,
    pub(super) slot: u32,
    /// The nth worker of its slot.
    pub(super) generation: u32,
    /// Whether its servers wait until it is activated.
    pub(super) spare: bool,
    /// Its row on the scoreboard.
    pub(super) row: usize,
    /// How long it may go on without a master, milliseconds.
    pub(super) orphan_limit: u64,
    /// How often it shows that its event loop turns, milliseconds.
    pub(super) beat: u64,
    /// Whether its idle connections move to other workers when it leaves.
    pub(super) move_idle: bool,
    /// Whether others serve them while its event loop is stuck.
    pub(super) seizes: bool,
    /// Whether others answer requests with which it ends; see [`Config::retry`].
    ///
    /// [`Config::retry`]: crate::config::Config::retry
    pub(super) retry: bool,
    /// The cluster's `pids` directory, absolute.
    pub(super) pids: PathBuf,
    pub(super) output: Output,
    /// The directory of its log files, absolute, if it has any.
    pub(super) logs: Option<PathBuf>,
    /// The process before it in its slot, while that is not gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) after: Option<Identity>,
    /// How long it waits for that, milliseconds.
    pub(super) end_limit: u64,
    /// See [`Launch::replaced_options`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) node_options: Option<String>,
    /// Its debugger's port, if one was chosen for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inspect_port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cwd: Option<String>,
    /// For a worker that does not listen: after what time it is ready without saying so,
    /// milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ready_after: Option<u64>,
    /// Set for a script that does not know of cluster2; see [`Launch::plain`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) serve: Option<PlainOptions>,
}

/// The options that concern a worker whose script does not know of cluster2.
#[derive(Debug, Clone, Serialize)]
pub(super) struct PlainOptions {
    pub(super) ecv: Option<EcvOptions>,
    /// Idle time-out, milliseconds.
    pub(super) timeout: u64,
}
