//! The dispatcher's end of one worker: its two channels, its ledger, what is still to be sent.
//!
//! Orders and reports travel on one channel, connections on the other, so that an order never waits
//! behind connections. What always holds: a connection is in the outbox until it is in the channel,
//! and in the ledger from then on, until the worker took it or it was read back.

mod inbox;
mod load;
mod outbox;
mod phase;
mod serving;
mod state;
mod watch;

pub(super) use inbox::Incoming;
pub(super) use load::RETRY;
pub use state::WorkerLink;

#[cfg(test)]
pub(super) use load::TAKE_WITHIN;
