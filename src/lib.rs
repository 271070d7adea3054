//! cluster2-rs: one Node.js server script as a supervised set of worker processes that share its ports.
//!
//! # Theory of operation
//!
//! The process in which `listen()` is called is the *master*. It binds the app's ports, and starts *workers*: the same
//! script again, one for each *slot*. The master's Rust threads accept connections and hand each one, as a file
//! descriptor, to a worker over the worker's *channel*; the worker wraps it into a Node socket of the server that listens.
//! What was handed over and not yet taken is known (the *ledger*) and can be read back, so that a worker's death or a stuck
//! event loop costs no connection that it had not taken. Workers tell how they are by writing their row of the
//! *scoreboard*, shared memory that the master reads.
//!
//! Dependencies go one way: `binding -> runtime -> {http, ipc, sys, core} -> {config, error}`. `core` decides and does
//! nothing else; `runtime` executes; `sys` is the only place with `unsafe`, but for one line of `binding`.
//! `docs/internals/architecture.md` tells the whole story, JavaScript included.

pub mod balancing;
pub mod binding;
mod changed;
mod clock;
pub mod config;
pub mod connection_limit;
pub mod dispatcher;
pub mod embedder;
pub mod error;
pub mod health;
pub mod log;
pub mod master;
pub mod monitor;
pub mod os;
pub mod protocol;
pub mod quota;
pub mod remote;
pub mod single;
mod single_flight;
pub mod snapshot;
mod supervision;
pub mod worker;
