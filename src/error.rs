//! The one error type of the project: every kind has a stable code that users may match on.
//!
//! `Display` names the thing (option, pid, address, file) and what was expected. The codes are listed
//! in `docs/reference/errors.md`; a test compares the two.

use std::io;
use std::path::PathBuf;

/// What went wrong, with the thing it went wrong with.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// An option that does not exist.
    #[error("option '{name}' is unknown; the options are: {known}")]
    OptionUnknown {
        /// The option as the user wrote it, with its parents (`ecv.foo`).
        name: String,
        /// All names allowed in that place.
        known: String,
    },
    /// An option of the wrong kind or out of its range.
    #[error("option '{name}' must be {expected}; got {got}")]
    OptionInvalid {
        /// The option, with its parents.
        name: String,
        /// What would have been right, in words.
        expected: String,
        /// What was given, shortened.
        got: String,
    },
    /// A host name that does not resolve.
    #[error("host '{host}' cannot be resolved: {source}")]
    HostUnknown {
        /// The `host` option.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// A port or socket path that somebody else listens on.
    #[error("address {address} is already in use")]
    PortInUse {
        /// `host:port` or the socket's path.
        address: String,
    },
    /// A port or socket path that this user may not bind.
    #[error("no permission to listen on {address}")]
    PortDenied {
        /// `host:port` or the socket's path.
        address: String,
    },
    /// Any other failure to listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// `host:port` or the socket's path.
        address: String,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The `pids` directory cannot be created or written.
    #[error("cannot write {path}: {source} (option 'pids')")]
    PidsUnwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// The `pids` directory cannot be looked into, so nobody knows whether a cluster runs there.
    #[error("cannot look into {path}: {source} (option 'pids'){}", match source.kind() {
        io::ErrorKind::PermissionDenied => "; ask as the user of the cluster, or as root",
        _ => "",
    })]
    PidsUnreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// A log file of a worker cannot be opened.
    #[error("cannot write {path}: {source} (option 'logs', for output: 'files')")]
    LogsUnwritable {
        /// The file or directory.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// Another master holds the same `pids` directory.
    #[error("a cluster is already running in {pids}{}", match pid { Some(pid) => format!(" (master pid {pid})"), None => String::new() })]
    AlreadyRunning {
        /// The `pids` directory.
        pids: PathBuf,
        /// The running master, if its pid file could be read.
        pid: Option<u32>,
    },
    /// No worker of the first start became ready.
    #[error("no worker became ready: {reason}")]
    StartFailed {
        /// How the last worker ended.
        reason: String,
    },
    /// No cluster runs where one is needed.
    #[error("{} {pids}{}", if *is_missing { "there is no directory" } else { "no cluster is running in" },
        if *is_missing { " (option 'pids')" } else { "" })]
    NotRunning {
        /// The `pids` directory that was asked.
        pids: PathBuf,
        /// Whether there is not even the directory.
        is_missing: bool,
    },
    /// A pid that is not one of the cluster's workers.
    #[error("pid {pid} is not a worker of this cluster")]
    WorkerUnknown {
        /// The pid that was named.
        pid: u32,
    },
    /// A worker that does not read its messages.
    #[error("worker {pid} does not read its messages; this one was not sent")]
    WorkerBusy {
        /// The worker.
        pid: u32,
    },
    /// A reload was given up; the old workers stay.
    #[error("the reload failed, the workers that were not replaced yet stay: {reason}")]
    ReloadFailed {
        /// How the replacement ended.
        reason: String,
    },
    /// A command that makes no sense in the cluster's present state.
    #[error("cannot {command} while the cluster is {state}")]
    WrongState {
        /// The command.
        command: &'static str,
        /// The state, in words.
        state: &'static str,
    },
    /// The running master did not answer, or answered nonsense.
    #[error("the cluster in {pids} does not answer: {reason}")]
    Control {
        /// The `pids` directory.
        pids: PathBuf,
        /// What happened instead.
        reason: String,
    },
    /// An error that the running master reported over its control socket.
    #[error("{message}")]
    Remote {
        /// The master's own code.
        code: String,
        /// The master's own words.
        message: String,
    },
    /// A system call that should not fail did.
    #[error("{doing} failed: {source}")]
    System {
        /// What was being done.
        doing: &'static str,
        /// What the kernel answered.
        source: io::Error,
    },
}

impl ClusterError {
    /// The stable code of this kind, `CLUSTER2_ERR_…`.
    pub fn code(&self) -> &str {
        match self {
            Self::OptionUnknown { .. } => "CLUSTER2_ERR_OPTION_UNKNOWN",
            Self::OptionInvalid { .. } => "CLUSTER2_ERR_OPTION_INVALID",
            Self::HostUnknown { .. } => "CLUSTER2_ERR_HOST_UNKNOWN",
            Self::PortInUse { .. } => "CLUSTER2_ERR_PORT_IN_USE",
            Self::PortDenied { .. } => "CLUSTER2_ERR_PORT_DENIED",
            Self::Listen { .. } => "CLUSTER2_ERR_LISTEN",
            Self::PidsUnwritable { .. } => "CLUSTER2_ERR_PIDS_UNWRITABLE",
            Self::PidsUnreadable { .. } => "CLUSTER2_ERR_PIDS_UNREADABLE",
            Self::LogsUnwritable { .. } => "CLUSTER2_ERR_LOGS_UNWRITABLE",
            Self::AlreadyRunning { .. } => "CLUSTER2_ERR_ALREADY_RUNNING",
            Self::StartFailed { .. } => "CLUSTER2_ERR_START_FAILED",
            Self::NotRunning { .. } => "CLUSTER2_ERR_NOT_RUNNING",
            Self::WorkerUnknown { .. } => "CLUSTER2_ERR_WORKER_UNKNOWN",
            Self::WorkerBusy { .. } => "CLUSTER2_ERR_WORKER_BUSY",
            Self::ReloadFailed { .. } => "CLUSTER2_ERR_RELOAD_FAILED",
            Self::WrongState { .. } => "CLUSTER2_ERR_WRONG_STATE",
            Self::Control { .. } => "CLUSTER2_ERR_CONTROL",
            Self::Remote { code, .. } => code,
            Self::System { .. } => "CLUSTER2_ERR_SYSTEM",
        }
    }

    /// Sorts what `bind` or `listen` answered for `address` into the kinds users act on.
    pub fn from_listen(address: impl Into<String>, source: io::Error) -> Self {
        let address = address.into();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { address },
            io::ErrorKind::PermissionDenied => Self::PortDenied { address },
            _ => Self::Listen { address, source },
        }
    }

    /// For `map_err` on system calls that have no better name.
    pub fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { doing, source: source.into() }
    }
}

/// Result with [`ClusterError`].
pub type Result<T> = std::result::Result<T, ClusterError>;
