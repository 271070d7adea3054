//! The monitor: pages, JSON and metrics about one cluster, on a port of its own, by hyper.
//!
//! Runs on whatever tokio runtime it is given, and knows its cluster only as a [`Backend`]. Whoever connects is a stranger:
//! the number of connections, the size and the time of everything they send or read is bounded, and nothing outside
//! the `logs` directory can be reached.
//!
//! `server` accepts connections and keeps their limits, asks whoever stands before the pages ([`server::Before`]), and
//! leaves the rest to `router`, which knows the paths. Nothing here changes the cluster: every page is read only.

pub mod app;
pub mod assets;
pub mod dependencies;
pub mod format;
pub mod history;
pub mod live;
pub mod logs;
pub mod metrics;
pub mod page;
pub mod respond;
pub mod router;
pub mod server;
pub mod tail;
pub mod thread;

#[cfg(test)]
mod logs_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::PathBuf;

use crate::error::Result;
use crate::protocol::status::Status;

pub use crate::monitor::respond::Body;
pub use crate::monitor::router::Router;
pub use crate::monitor::server::Accepting;
pub use crate::monitor::server::Before;
pub use crate::monitor::server::Remote;
pub use crate::monitor::server::serve;

/// The cluster that a monitor shows.
pub trait Backend: Send + Sync + 'static {
    /// How it is now. Fails only when it has ended.
    fn status(&self) -> impl Future<Output = Result<Status>> + Send;
    /// Tells the operator: the event `warning`.
    fn warn(&self, message: String) -> impl Future<Output = ()> + Send;
}

/// What a monitor is told at its start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Path of the page, such as `/`; all other paths lie below it.
    pub path: String,
    /// Names and addresses that a `Host` header may have, without port; empty: any. For a monitor on loopback, against
    /// DNS rebinding.
    pub hosts: Vec<String>,
    /// Directory whose files `/logs` shows.
    pub logs: PathBuf,
    /// Directory of the app's `package.json`, for `/deps`.
    pub root: PathBuf,
}
