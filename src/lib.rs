//! x
pub mod config;
pub mod core;
pub mod error;
pub mod ipc;
pub mod runtime;
pub mod sys;
