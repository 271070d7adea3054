//! Bytes to messages and back, for every conversation between processes. No I/O here.
//!
//! What comes from another process is checked for length and kind; what does not parse is an error value, never a panic.

pub mod control;
pub mod endpoint;
pub mod frame;
pub mod node;
pub mod status;
pub mod worker;
