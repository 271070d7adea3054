//! The listening sockets of the cluster, each bound once, whichever workers ask for it.
//!
//! Used on the dispatcher's thread, except for the first binds, before there is one. A listener is
//! known by its number.
//!
//! What always holds: closing resets nobody. First nobody new gets in, then the queues are emptied,
//! and after a grace for handshakes that were under way the sockets are closed. A socket that was
//! inherited is only left alone, with its queue: another process will accept them.

mod bind;
mod closing;
mod entry;
mod inherited;
mod legacy;
mod lent;
mod set;
mod shared;
mod watch;

pub use legacy::LegacySocket;
pub use set::ListenerSet;
pub(crate) use watch::{CHECK_AFTER, Finding, Interest};

#[cfg(test)]
pub(crate) use closing::CLOSING_GRACE;
