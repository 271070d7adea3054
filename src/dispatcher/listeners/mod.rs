//! The listening sockets of the cluster, each bound once, whichever workers ask for it.
//!
//! Runs on the dispatcher's thread (except for the first binds, before there is one). A listener is
//! known by the number of its first socket. With lanes (see there) it has one socket for each slot
//! that asked.
//!
//! What always holds: closing resets nobody. First nobody new gets in, then the queues are emptied,
//! and after a grace for handshakes that were under way the sockets are closed. A socket that was
//! inherited is only left alone, with its queue: another process will accept them.

mod bind;
mod closing;
mod entry;
mod inherited;
mod lanes;
mod set;
mod watch;

pub use set::ListenerSet;
pub(super) use watch::{Interest, LaneProgress};
