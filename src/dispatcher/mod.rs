//! The dispatcher: connections on their way from the listening sockets to a worker.
//!
//! Runs in the master, on a thread of its own: one epoll loop, which never waits for anybody.
//! It owns the listening sockets and the master's end of each worker's channel.
//!
//! What always holds: an accepted connection is in exactly one place, which is a wait queue, a
//! worker's outbox, a worker's channel (also of one that is gone), or a worker that took it. So
//! whatever happens to a worker, each connection that it did not take is still here, or can be
//! read back from its channel, and goes to another one.
//!
//! A worker gets connections of a listener from its `Serve` on, until it drains. Once the listeners
//! are closed to new clients, draining workers get what is left in their queues. A drained worker
//! may leave only when nothing is on the way to it, and no connection waits for it.
//!
//! | file | |
//! | --- | --- |
//! | `messages`, `handle` | requests to it, its events; its start and end |
//! | `event_loop` | one turn: events, time, sending |
//! | `assignment` | the way of a connection: to a worker, or into a queue; back from a stuck one |
//! | `membership`, `reports` | workers come and go; what they say |
//! | `unserved` | draining, and listeners that nobody serves any more |
//! | `guard` | sockets from which workers accept by themselves |
//! | `shed` | connections that are answered 503; see `crate::overload` |
//! | `relay`, `other_master` | sockets and connections that two masters have, while one takes over |
//! | `workers` | all workers, and every index over them |
//! | `link` | one worker: its phase, load, outbox and inbox |

mod assignment;
mod event_loop;
mod guard;
mod handle;
mod link;
mod membership;
mod messages;
mod other_master;
mod relay;
mod reports;
mod shed;
mod token;
mod unserved;
mod workers;

pub use handle::Dispatcher;
pub use link::WorkerLink;
pub use messages::{DispatcherEvent, Notify, Request};

#[cfg(test)]
mod tests;
