//! cluster2-rs: one Node.js server script as a supervised set of worker processes that share its
//! ports.
//!
//! # Theory of operation
//!
//! The process in which `listen()` is called is the *master*. It binds the app's ports and starts
//! *workers*: the same script again, one for each *slot*. Each worker writes how it is into its row
//! of the *scoreboard*, shared memory of all these processes. Workers accept from the master's TCP
//! sockets by themselves, each as many connections as fit its load. The master's *dispatcher*, a
//! thread, guards these sockets. From unix sockets, and with another policy, it accepts itself, and
//! sends each connection, as a file descriptor, to a worker over the worker's *channel*. It keeps a
//! *ledger* of connections that it sent and that the worker has not taken yet, and can read these
//! back. So a worker's death, or an event loop that is stuck, costs no connection that the worker
//! has not taken.
//!
//! # Rooms
//!
//! Dependencies go one way, from the top of this table down; `test/architecture` checks it.
//!
//! | room | what |
//! | --- | --- |
//! | `addons/`, `bin/cluster2` | crates of their own: the addons for JavaScript; the command line |
//! | `master`, `single` | a cluster's supervising process; one process without workers |
//! | `dispatcher`, `worker` | the thread between sockets and workers; a worker process's end |
//! | `overload`, `listeners` | connections that are answered 503; the listening sockets |
//! | `monitor`, `health`, `remote` | web pages and metrics; the health check; other processes |
//! | `supervision`, `balancing`, `handover` | decisions, without I/O, clock or threads |
//! | `embedder` | the events of a cluster, and who gets them |
//! | `protocol`, `os`, `config`, `error` | bytes, Linux, options, errors |
//!
//! Only `os` has `unsafe` code, except lines of the addons that call Node-API.
//! `docs/internals/architecture.md` has the whole story, JavaScript included.

pub mod balancing;
mod changed;
mod clock;
pub mod config;
mod connection;
mod connection_limit;
pub mod counts;
pub mod dispatcher;
pub mod embedder;
pub mod error;
mod handover;
pub mod health;
pub mod listeners;
pub mod log;
pub mod master;
pub mod monitor;
pub mod os;
pub mod overload;
pub mod protocol;
pub mod quota;
pub mod remote;
pub mod single;
mod single_flight;
mod status;
mod supervision;
mod usage;
pub mod worker;
pub mod worker_logs;
