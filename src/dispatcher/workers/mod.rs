//! All workers, and every index over them.
//!
//! What always holds: a link changes only by `WorkerSet::change`, or by one of the set's own
//! operations, and each of them brings all indices up to date: in which wait queues the worker is
//! and with what load, whether its outbox needs a flush, whether and when it needs a poll,
//! and whether its reports are paused. So no caller can forget one. A worker that was removed is in
//! none of them.
//!
//! What happens for each connection (`choose`, `hand`, `flush`, `refresh_due`) touches only what a
//! connection can change, and allocates nothing.

mod due;
mod list;
mod set;
mod wait_queues;

pub(super) use set::WorkerSet;
