//! The pure part: decisions without I/O, clock or threads.
//!
//! Runs in the master. Everything here takes what happened and the time it happened at, and answers what to do;
//! `runtime` executes it. That is why supervision can be tested with millions of random events and no process.

pub mod backoff;
pub mod event;
mod health;
mod recycle;
mod reload;
pub mod replacements;
mod shutdown;
pub mod supervisor;
pub mod worker;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
