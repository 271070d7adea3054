//! The option `overload`: connections that wait for too long are *shed*, which is to answer them
//! 503 in the master, instead of leaving them to a worker.
//!
//! Used on the dispatcher's thread, without JavaScript. It looks at the accept queues from which
//! workers accept by themselves, and accepts those connections that `balancing::Backlog` calls too
//! many: the oldest. What is left waits for the workers as ever.
//!
//! What always holds:
//! - Only connections of a listener whose workers all speak HTTP/1 without TLS are shed. Those of
//!   any other are left alone, and so are all as long as no worker serves the listener.
//! - A request of the health check, or for the path that it probes, is not shed: its connection
//!   goes to a worker, before those that wait; unless all workers have their hands full of such,
//!   since a connection that was accepted must not wait here without limit.
//! - A shed connection gets the whole answer, and is not reset before its client has had time to
//!   read it: it is half-closed, and what the client still sends is read until the client closes
//!   too, for at most [`PATIENCE`](refusals::PATIENCE). A client that has sent no whole request
//!   line by then gets the answer all the same, and the same time again.
//! - There are never more of them than a quarter of the descriptors allow, and 1,024. Beyond that
//!   the oldest is closed.
//! - A worker counts a connection just after it has accepted it. So for a moment one connection for
//!   each worker may be taken for older than it is.
//! - While another master accepts from the same socket, nobody knows for how long connections wait:
//!   then only `waiting` counts.

mod gauges;
mod policy;
mod refusals;
mod request;
mod shedding;

pub use policy::OverloadPolicy;
pub(crate) use shedding::{Shed, Shedding};

#[cfg(test)]
pub(crate) use refusals::PATIENCE;
