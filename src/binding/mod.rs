//! The addon: the only room that knows Node-API. Each class holds one object of another room;
//! values cross as JSON.

mod callback;
mod convert;
mod embedder;
pub mod health;
pub mod master;
pub mod options;
pub mod remote;
mod shared_memory;
pub mod single;
pub mod terminal;
pub mod upgrade;
pub mod worker;
