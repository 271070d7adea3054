//! x
pub mod config;
pub mod core;
pub mod error;
pub mod sys;
