//! Supervision: which workers should live, and what to do when one does not.
//!
//! Runs in the master, in the supervisor's task. Pure: no I/O, clock or threads. [`Supervisor::on_event`] takes an [`Event`]
//! and its time, and returns [`Action`]s; `master` executes them. So millions of random events test it without a process.

mod backoff;
mod event;
mod health;
mod phase;
mod recycle;
mod reload;
mod replacements;
mod shutdown;
mod supervisor;
mod worker;

pub(crate) use event::{Action, Event, Notice, Outcome, Reading};
pub(crate) use replacements::{Progress, Thresholds};
pub(crate) use supervisor::{Limits, Supervisor};
pub(crate) use worker::{WorkerRecord, WorkerState};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
