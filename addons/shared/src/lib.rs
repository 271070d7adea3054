//! The classes and functions that both addons have: those of a worker. Each class holds one object
//! of a room of `src/`; values cross as JSON.
//!
//! A crate of its own, because a library that is also linked by others is not optimized as a whole.

mod callback;
pub mod convert;
pub mod health;
pub mod options;
pub mod release_code;
pub mod shared_memory;
pub mod worker;
