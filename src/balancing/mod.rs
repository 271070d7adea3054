//! Balancing: which worker gets a connection, and which connections it has not taken yet.
//!
//! Pure: no I/O, no clock, no threads. Where workers accept by themselves, each asks `admission`
//! how many it may take, and where the option `overload` is on, `pace`. Where the master hands
//! connections over, the dispatcher owns one [`Balancer`] for each listener and one ledger for each
//! worker, and passes in what it knows of the workers. `overload` says which connections wait for
//! too long.

mod admission;
mod affinity;
mod balancer;
mod ledger;
mod min_tree;
mod overload;
mod pace;

pub(crate) use admission::level;
pub use balancer::{Balancer, LoadSnapshot, Standing};
pub(crate) use ledger::Ledger;
pub(crate) use overload::Backlog;
pub(crate) use pace::Pace;

#[cfg(test)]
mod tests;
