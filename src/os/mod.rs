//! The operating system: processes, sockets, descriptors, shared memory, files. Linux only.
//!
//! Each file wraps one kind of kernel object behind safe, owned types, and knows nothing of
//! clusters. What always holds: every descriptor made here is close-on-exec from its first moment;
//! `unsafe` is only here, and where an addon calls Node-API itself.

#![expect(unsafe_code, reason = "the room that wraps system calls")]

pub(crate) mod accept_queue;
pub(crate) mod activation;
pub mod address;
pub mod admission_row;
mod bind;
pub(crate) mod call_interrupt;
pub mod channel;
pub mod code_cache;
pub mod contained_files;
pub(crate) mod descriptors;
pub mod directory;
pub(crate) mod exit_lock;
pub(crate) mod file_pages;
pub mod handover;
pub mod holder;
pub mod holder_program;
pub(crate) mod last_text;
pub(crate) mod listener;
pub(crate) mod loop_epoll;
pub mod measured;
pub(crate) mod memory;
pub mod node_listener;
pub mod origin;
pub(crate) mod proc_usage;
pub mod process;
mod readable;
pub mod reserve;
pub mod scoreboard;
pub mod seize;
pub(crate) mod socket_file;
pub(crate) mod spawn;
pub mod symbol;
pub mod terminal;
pub mod thread;
pub(crate) mod thread_state;
mod time;
pub(crate) mod uv;
pub(crate) mod v8;
pub mod waker;

pub use time::now;
pub(crate) use time::{now_micros, thread_time, timespec, wall};
