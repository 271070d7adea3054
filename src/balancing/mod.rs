//! Balancing: which worker gets a connection, and which connections it has not taken yet.
//!
//! Pure: no I/O, no clock, no threads. Where workers accept by themselves, each asks `admission` how
//! many it may take. Where the master hands connections over, the dispatcher owns one [`Balancer`]
//! for each listener and one ledger for each worker, and passes in what it knows of the workers.

mod admission;
mod affinity;
mod balancer;
mod ledger;
mod min_tree;

pub(crate) use admission::level;
pub use balancer::{Balancer, LoadSnapshot, Standing};
pub(crate) use ledger::Ledger;

#[cfg(test)]
mod tests;
