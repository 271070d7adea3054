//! Accepting: the workers of a cluster accept from the same listening sockets, each as much as fits
//! its load ("pull with admission").
//!
//! All watch the socket. One that is woken reads the length of the accept queue and takes only up
//! to the level that fills all free workers evenly (`balancing::level`). If it leaves connections
//! that another worker should take, it kicks the emptiest one, stops watching, and looks again
//! after a while. Everything runs on the JavaScript thread, between two turns of JavaScript, except
//! the end of an orphan's sockets.
//!
//! What always holds:
//! - While connections wait in a queue and a free worker has no more connections than the others,
//!   one such worker watches the socket, or was kicked and has not looked yet, or there is a timer
//!   of at most [`PATIENCE`](state::PATIENCE).
//! - A worker that is stuck takes nothing: what it has not accepted stays with the others. One that
//!   leaves a kick unanswered is not waited for.
//! - A connection counts for the load as soon as it is accepted.
//! - Where the option `overload` is on, a turn of the event loop accepts no more than it is
//!   expected to answer in a short time; see `pacing`.
//! - A socket is off the event loop's epoll before its descriptor is closed here.
//!
//! The master watches that the queues move; see the dispatcher's `guard`.

mod accepting;
mod acceptor;
mod event_loop;
#[cfg(test)]
mod model;
mod pacing;
mod peers;
mod sockets;
mod state;

pub(super) use sockets::SharedSockets;
pub(super) use state::Acceptor;
