//! The master: starts workers, supervises them, and answers questions about the cluster.
//!
//! It runs in the process in which `listen()` was called, or in `cluster2 start`, on a thread of
//! its own with a tokio runtime. It owns the worker processes, the `pids` directory and the control
//! socket; the accepting sockets belong to the dispatcher's thread, and the monitor has a thread
//! too. `supervision` decides, and this room executes.
//!
//! What always holds:
//! - one task (`task`) owns all state; everybody else sends it messages (`inbox`), and none is
//!   lost;
//! - nothing that a worker, a client or an embedder does or leaves undone makes the task wait;
//! - messages between users' scripts do not pass through it: each worker has a task of its own
//!   (`exit_watch`).
//!
//! `assembly` builds the parts. `inputs` and `commands` are what the task does with its messages,
//! `actions` and `notices` what it does with the decisions of `supervision`, `status` what it
//! shows. `upgrade` and `takeover` are the two sides of a change of masters; the first one
//! goes on in `upgrade_course` and `upgrade_actions`.

mod actions;
mod app_listeners;
mod assembly;
mod commands;
mod ending;
mod execution_link;
mod execution_results;
mod executions;
mod exit_watch;
mod handover_link;
mod heir_command;
mod heir_process;
mod inbox;
mod inputs;
mod inspector;
mod last_lines;
mod launch;
mod legacy;
mod log_files;
mod monitor_backend;
mod node_ipc;
mod node_options;
mod notices;
mod overload;
mod periodic;
mod replies;
mod status;
mod systemd;
mod takeover;
mod takeover_state;
mod task;
mod trial;
mod upgrade;
mod upgrade_actions;
mod upgrade_course;
mod upgrade_state;
mod worker_handle;

pub use crate::status::AppInfo;
pub use assembly::Master;
pub use inbox::Signal;
pub use launch::Launch;
pub use systemd::VARIABLES as SERVICE_VARIABLES;
pub use trial::{try_app_ports, try_monitor_port};
