//! The addon of every process that is not a worker: masters, single processes, and those that send
//! a command to a cluster. Each class holds one object of another room; values cross as JSON.
//!
//! It has all of the worker's addon too, so a worker for which that file is missing loads this one.
//! A worker loads it besides its own for a command, and for the monitor URI. So what always holds:
//! neither of the two addons keeps state that the other one needs.

pub mod embedder;
pub mod master;
pub mod monitor_uri;
pub mod remote;
pub mod single;
pub mod terminal;
pub mod upgrade;
