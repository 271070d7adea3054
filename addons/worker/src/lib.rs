//! The addon of a worker: what each worker needs, and nothing else, since every page of it counts
//! once for each worker. Each class holds one object of another room; values cross as JSON.
//!
//! What always holds: neither tokio, hyper nor rustls are reachable from here, so the linker leaves
//! them out (`test/packaging/worker-addon.test.js`). What needs them is in the main addon, which
//! has all of this one too.

mod callback;
pub mod convert;
pub mod health;
pub mod options;
pub mod shared_memory;
pub mod worker;
