//! The monitor: pages, JSON and metrics about one cluster, on a port of its own, served by hyper.
//!
//! It runs on a thread of its own, and knows its cluster only as a [`StatusSource`] and a
//! [`ClusterHealth`](crate::health::ClusterHealth). A request passes, in this order, `listener` and
//! `server` (connections and their limits), `gateway` (health check, then the user's own monitor
//! app) and `router` (the paths of the pages).
//!
//! What always holds: clients are strangers, so the number of connections and the size and time of
//! everything that they send or read are bounded, and no file outside the `logs` directory can be
//! reached. No page changes the cluster.

mod chunks;
mod dependencies;
mod disk;
pub mod format;
mod gateway;
mod history;
mod hosts;
mod listener;
mod live;
mod logs;
mod metrics;
mod negotiation;
mod pages;
mod response;
mod router;
mod series;
mod server;
mod thread;
mod user_app;

#[cfg(test)]
mod logs_tests;
#[cfg(test)]
mod page_tests;
#[cfg(test)]
mod server_tests;
#[cfg(test)]
mod tests;

pub use chunks::{ChunkReceiver, ChunkSender, chunk_channel};
pub(crate) use listener::MonitorListener;
pub use logs::{Follower, MAX_DEPTH, MAX_ENTRIES, start_of_last};
pub(crate) use router::StatusSource;
pub(crate) use thread::{Monitor, Monitored};
pub(crate) use user_app::UserApp;
