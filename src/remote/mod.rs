//! Commands between processes: the control socket, its client and server, and the directory where both find it.

pub mod client;
pub mod http;
pub mod pid_directory;
pub mod server;
