//! Balancing: which worker gets a connection, and which connections it has not taken yet.
//!
//! Runs in the master, on the dispatcher's thread. Pure: no I/O, no clock, no threads. The
//! dispatcher owns one [`Balancer`] for each listener and one ledger for each worker, and passes
//! in what it knows of the workers.

mod affinity;
mod balancer;
mod ledger;
mod min_tree;

pub use balancer::{Balancer, LoadSnapshot, Standing};
pub(crate) use ledger::Ledger;

#[cfg(test)]
mod tests;
