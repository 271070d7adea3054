//! The master process: assembles its parts, supervises workers, executes what `supervision` decides.

pub mod assembly;
mod commands;
pub mod inbox;
mod inspector;
mod launch;
pub mod log_files;
mod node_ipc;
mod notices;
mod systemd;
mod task;
pub mod worker_handle;
