//! The listening sockets of the cluster.

mod entry;
pub mod inherited;
pub mod set;
pub mod watch;
