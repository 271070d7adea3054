//! Supervision: which workers should live, and what to do when one does not.
//!
//! Runs in the master, in the supervisor's task. Pure: no I/O, clock or threads.
//! [`Supervisor::on_event`] takes an [`Event`] and its time, and returns the [`Action`]s that
//! `master` executes in their order. So millions of random events test it without a process.
//!
//! What always holds:
//!
//! - A slot is held by at most one starting, waiting or ready worker. A draining worker does not
//!   hold its slot; neither does one whose process ends, if the next one is there, and neither does
//!   a successor that was started for it and is not ready yet.
//! - Each worker is forked once. Once forked, it dies exactly once.
//! - While running, every slot without a worker has a time at which it gets one; those of spares
//!   once the first workers have started. If no worker is ready or starting, no slot waits because
//!   it lost a ready one; at most one of those skips its wait at a time.
//! - The number of workers stays between `noWorkers` and `maxWorkers`, and at most one step of it
//!   is under way. A step up is made only where every slot has a ready worker and memory is left.
//! - After `Shutdown` or `Stop` nothing is spawned, and `Finish` comes exactly once, when the last
//!   worker is gone.
//! - What a worker executes is asked at most once before its kill, which waits for the answer no
//!   longer than `STACK_WITHIN`.
//! - Every wait has a deadline except the wait for the kernel after SIGKILL. Time in which the
//!   master did not run counts for none (see `clock`).

mod autoscale;
mod backoff;
mod blocks;
mod crashes;
mod departure;
mod health;
mod lifecycle;
mod messages;
mod phase;
mod refill;
mod reload;
mod replace;
mod replacements;
mod samples;
mod scaling;
mod shutdown;
mod silence;
mod slot;
mod spares;
mod supervisor;
mod thresholds;
mod turning;
mod upgrade;
mod utilization;
mod worker;

pub(crate) use autoscale::Limit;
pub(crate) use blocks::STACK_WITHIN;
pub(crate) use messages::{Action, Event, Notice, Outcome, Reading};
pub(crate) use phase::Phase;
pub(crate) use replacements::Progress;
pub(crate) use samples::beat_interval;
pub(crate) use scaling::Scaling;
pub(crate) use supervisor::{Limits, SlotRecord, Supervisor};
pub(crate) use thresholds::{Passed, Threshold, Thresholds};
pub(crate) use turning::LOOK_AFTER;
pub(crate) use worker::{Cause, LastWords, WorkerRecord, WorkerState};

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
