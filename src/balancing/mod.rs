//! Balancing: which worker gets a connection.
//!
//! Runs in the master, on the dispatcher's thread. Pure: no I/O, no clock, no threads.

mod affinity;
mod balancer;
mod ledger;
mod min_tree;

pub use balancer::{Balancer, LoadSnapshot, Standing};
pub(crate) use ledger::Ledger;
