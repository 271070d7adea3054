//! A worker process's end of what it shares with its master: the channel for connections, orders
//! and reports, and its row of the scoreboard.
//!
//! Everything except `watch`, a thread of its own, runs on the JavaScript thread. What always
//! holds: orders, and the end of the master, are read however few descriptors are free; a
//! connection is taken with its descriptor, or stays where it is; while there is no room for a
//! whole frame, the master knows for how many there is; and a stuck event loop takes nothing, so
//! that the master can give what is not taken to another worker.

mod accept;
mod beat_timer;
mod beats;
mod execution;
mod free_workers;
mod give_back;
mod intake;
mod master_link;
mod polls;
mod question;
mod signal;
mod stuck_watch;
mod turns;
mod watch;

pub(crate) use beats::Beats;
pub use execution::{disable as disable_execution, enable as enable_execution};
pub use master_link::MasterLink;
pub use signal::WorkerSignal;
