//! The errors of the project.
//!
//! Every error has a stable code that users may match on, an [`ErrorCode`]. `Display` names the
//! thing (option, pid, address, file) and what was expected, and leaves the cause to `source()`.
//! [`ClusterError::message`] is the whole text for a person.

mod code;

use std::error::Error;
use std::io;
use std::path::PathBuf;

pub use code::ErrorCode;

/// An error, with the thing that it is about.
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
        /// The right value, in words.
        expected: String,
        /// The given value, shortened.
        got: String,
    },
    /// A host name that does not resolve.
    #[error("host '{host}' cannot be resolved")]
    HostUnknown {
        /// The `host` option.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// A port or socket path on which another process listens.
    #[error("address {address} is already in use")]
    PortInUse {
        /// `host:port` or the socket's path.
        address: String,
    },
    /// The monitor's port or socket path, on which another process listens.
    #[error("address {address} (option 'monPort') is already in use")]
    MonitorPortInUse {
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
    #[error("cannot listen on {address}")]
    Listen {
        /// `host:port` or the socket's path.
        address: String,
        /// The kernel's error.
        source: io::Error,
    },
    /// The `pids` directory cannot be created or written.
    #[error("cannot write {path}")]
    PidsUnwritable {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// The `pids` directory cannot be read, so that it is unknown whether a cluster runs there.
    #[error("cannot look into {path}")]
    PidsUnreadable {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// A log file of a worker cannot be opened.
    #[error("cannot write {path}")]
    LogsUnwritable {
        /// The file or directory.
        path: PathBuf,
        /// The kernel's error.
        source: io::Error,
    },
    /// Another master holds the same `pids` directory.
    #[error("a cluster is already running in {pids}{}", match pid {
        Some(pid) => format!(" (master pid {pid})"),
        None => String::new(),
    })]
    AlreadyRunning {
        /// The `pids` directory.
        pids: PathBuf,
        /// The running master, if its pid file can be read.
        pid: Option<u32>,
    },
    /// No worker of the first start became ready.
    #[error("no worker became ready: {reason}")]
    StartFailed {
        /// How the last worker ended.
        reason: String,
    },
    /// No cluster runs where one is needed.
    #[error(
        "{} {pids}",
        if *is_missing { "there is no directory" } else { "no cluster is running in" }
    )]
    NotRunning {
        /// The `pids` directory of the request.
        pids: PathBuf,
        /// Whether the directory does not even exist.
        is_missing: bool,
    },
    /// A number of workers that a cluster cannot have.
    #[error("cannot scale {asked}: there must be 1 to {most} workers{why}")]
    ScaleInvalid {
        /// What was asked for, in words.
        asked: String,
        /// The most workers.
        most: u32,
        /// Which option says so; empty if none does.
        why: &'static str,
    },
    /// A pid that is not one of the cluster's workers.
    #[error("pid {pid} is not a worker of this cluster")]
    WorkerUnknown {
        /// The unknown pid.
        pid: u32,
    },
    /// A worker that does not read its messages.
    #[error("worker {pid} does not read its messages; this one was not sent")]
    WorkerBusy {
        /// The worker.
        pid: u32,
    },
    /// A reload failed; the workers that were not replaced yet stay.
    #[error("the reload failed, the workers that were not replaced yet stay: {reason}")]
    ReloadFailed {
        /// How the replacement ended.
        reason: String,
    },
    /// Another master did not take over; the present one goes on.
    #[error("the upgrade failed, the old master goes on: {reason}")]
    UpgradeFailed {
        /// Why, with the last lines of the new master.
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
        /// The reason, in words.
        reason: String,
    },
    /// An error that the running master reported over its control socket.
    #[error("{message}")]
    Remote {
        /// The code that the master sent.
        code: String,
        /// The message that the master sent.
        message: String,
    },
    /// A system call failed that should not.
    #[error("{doing} failed")]
    System {
        /// The failed action, in words.
        doing: &'static str,
        /// The kernel's error.
        source: io::Error,
    },
}

impl ClusterError {
    /// Returns the stable code of this kind, `CLUSTER2_ERR_…`.
    pub fn code(&self) -> &str {
        let code = match self {
            Self::Remote { code, .. } => return code,
            Self::OptionUnknown { .. } => ErrorCode::OptionUnknown,
            Self::OptionInvalid { .. } | Self::ScaleInvalid { .. } => ErrorCode::OptionInvalid,
            Self::HostUnknown { .. } => ErrorCode::HostUnknown,
            Self::PortInUse { .. } | Self::MonitorPortInUse { .. } => ErrorCode::PortInUse,
            Self::PortDenied { .. } => ErrorCode::PortDenied,
            Self::Listen { .. } => ErrorCode::Listen,
            Self::PidsUnwritable { .. } => ErrorCode::PidsUnwritable,
            Self::PidsUnreadable { .. } => ErrorCode::PidsUnreadable,
            Self::LogsUnwritable { .. } => ErrorCode::LogsUnwritable,
            Self::AlreadyRunning { .. } => ErrorCode::AlreadyRunning,
            Self::StartFailed { .. } => ErrorCode::StartFailed,
            Self::NotRunning { .. } => ErrorCode::NotRunning,
            Self::WorkerUnknown { .. } => ErrorCode::WorkerUnknown,
            Self::WorkerBusy { .. } => ErrorCode::WorkerBusy,
            Self::ReloadFailed { .. } => ErrorCode::ReloadFailed,
            Self::UpgradeFailed { .. } => ErrorCode::UpgradeFailed,
            Self::WrongState { .. } => ErrorCode::WrongState,
            Self::Control { .. } => ErrorCode::Control,
            Self::System { .. } => ErrorCode::System,
        };
        code.as_str()
    }

    /// Returns the text for a person: the error, its causes, and the option it depends on.
    pub fn message(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text.push_str(self.advice());
        text
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::PidsUnreadable { source, .. }
                if source.kind() == io::ErrorKind::PermissionDenied =>
            {
                " (option 'pids'); ask as the user of the cluster, or as root"
            }
            Self::MonitorPortInUse { .. } => {
                ": by the monitor of another cluster? --mon-port takes another port, and --mon-port \
                 off (monPort: false) none"
            }
            Self::PidsUnwritable { .. }
            | Self::PidsUnreadable { .. }
            | Self::NotRunning { is_missing: true, .. } => " (option 'pids')",
            Self::NotRunning { .. } => {
                "; --pids (option 'pids') names the directory of one that runs elsewhere"
            }
            Self::LogsUnwritable { .. } => " (option 'logs', for output: 'files')",
            _ => "",
        }
    }

    /// Turns an error of `bind` or `listen` for `address` into the kind that users act on.
    pub fn from_listen(address: impl Into<String>, source: io::Error) -> Self {
        let address = address.into();
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::PortInUse { address },
            io::ErrorKind::PermissionDenied => Self::PortDenied { address },
            _ => Self::Listen { address, source },
        }
    }

    /// Returns a function for `map_err` on system calls that have no kind of their own.
    pub fn system<E: Into<io::Error>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::System { doing, source: source.into() }
    }
}

/// Result with [`ClusterError`].
pub type Result<T> = std::result::Result<T, ClusterError>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_the_error_its_cause_and_the_option() {
        let source = || io::Error::from_raw_os_error(13);
        let error = ClusterError::PidsUnreadable { path: "/run/pids".into(), source: source() };
        assert_eq!(error.to_string(), "cannot look into /run/pids");
        assert_eq!(
            error.message(),
            "cannot look into /run/pids: Permission denied (os error 13) (option 'pids'); \
             ask as the user of the cluster, or as root"
        );
        let error = ClusterError::System { doing: "watching", source: source() };
        assert_eq!(error.message(), "watching failed: Permission denied (os error 13)");
    }
}
