//! The pure part: decisions without I/O, clock or threads.
//!
//! Runs in the master. Everything here takes what happened and the time it happened at, and answers what to do;
//! `runtime` executes it. That is why supervision can be tested with millions of random events and no process.

pub mod affinity;
pub mod backoff;
pub mod balance;
pub mod clock;
pub mod event;
pub mod ledger;
pub mod replace;
pub mod supervisor;
pub mod tournament;
pub mod worker;

/// A point in time: milliseconds on a monotonic clock whose zero does not matter.
pub type Millis = u64;
