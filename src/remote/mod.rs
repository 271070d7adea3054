//! Commands between processes: the control socket, its client and its server, and the `pids`
//! directory where both ends find it.
//!
//! The server runs on the supervisor's thread of the master. The client runs in any process: the
//! command line, or an addon on libuv's pool.
//!
//! `master.lock` is locked by the running master for as long as it lives. So the kernel knows
//! whether one runs, in every pid namespace. The file names the master by pid and start time, and
//! `worker.<pid>.start` names each worker, for a master that does not answer. `master.pid` and
//! `worker.<pid>.pid` hold one line, the pid, for people and scripts; we never read them.
//! `control.sock` (0600) takes the commands.
//!
//! What always holds: a pid is signalled only through a pidfd that was opened before its start
//! time was compared. Files that somebody removes while the master runs, or the directory itself,
//! are there again a second later.

mod client;
pub mod http;
mod pid_directory;
#[cfg(test)]
mod pid_directory_tests;
mod pid_files;
mod running_cluster;
mod server;

pub use client::{ask, glance};
pub(crate) use pid_directory::PidDirectory;
pub(crate) use server::{ControlServer, Reply};
