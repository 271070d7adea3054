//! Which worker gets a connection. Pure: no I/O, no clock, no threads.

pub mod affinity;
pub mod balancer;
pub mod ledger;
pub mod min_tree;
