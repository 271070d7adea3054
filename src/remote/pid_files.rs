//! The names of the files in a `pids` directory, and the workers that they name.

use std::collections::BTreeMap;

use crate::os::directory::Directory;
use crate::os::process::Identity;

pub(super) const LOCK: &str = "master.lock";
pub(super) const MASTER_PID: &str = "master.pid";
pub(super) const CONTROL_SOCKET: &str = "control.sock";

pub(super) fn pid_file(pid: u32) -> String {
    format!("worker.{pid}.pid")
}

pub(super) fn start_file(pid: u32) -> String {
    format!("worker.{pid}.start")
}

/// Returns the pids of all workers that have files, each with its identity if that is valid.
pub(super) fn recorded_workers(directory: &Directory) -> BTreeMap<u32, Option<Identity>> {
    let names = directory.names_in().unwrap_or_default();
    let pids = names
        .iter()
        .filter_map(|name| name.strip_prefix("worker.")?.split_once('.')?.0.parse().ok());
    let identity =
        |pid| directory.read_identity(&start_file(pid)).filter(|identity| identity.pid == pid);
    pids.map(|pid| (pid, identity(pid))).collect()
}
