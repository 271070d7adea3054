//! The addon of a worker: what each worker needs, and nothing else, since every page of it counts
//! once for each worker.
//!
//! What always holds: neither tokio, hyper nor TLS are reachable from its classes, so the linker
//! leaves them out (`test/workers/addon.test.js`). What needs them is in the main addon.

pub use cluster2_shared_addon::*;
