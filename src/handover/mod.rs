//! One master takes over from another: what each of the two does at each step.
//!
//! Runs in the supervisor's task of both. Pure: no I/O, clock or threads. `master` executes the
//! actions; `protocol::handover` is what they say to each other.
//!
//! The *predecessor* starts its *heir*, and passes it all sockets at once. The heir starts its
//! workers, which accept from the same sockets as the old ones. When all are ready it says so, is
//! asked to answer commands and the monitor, and does. That is the *commit*: from then on the
//! workers of the predecessor drain, and what is idle goes to those of the heir.
//!
//! What always holds:
//!
//! - Before the commit, whatever goes wrong is undone: the heir gives its connections back and
//!   ends, or is killed. The predecessor has all its workers meanwhile.
//! - A socket that both have is never ended by one of them. If the predecessor dies, the heir goes
//!   on alone. If the heir dies while the predecessor still drains, that one takes everything back.
//! - Each wait has a deadline, and an upgrade has exactly one answer.

mod heir;
mod predecessor;
mod predecessor_messages;

pub(crate) use heir::{Heir, HeirAction, HeirEvent};
pub(crate) use predecessor::Predecessor;
pub(crate) use predecessor_messages::{PredecessorAction, PredecessorEvent, Step};

#[cfg(test)]
mod tests;
