//! x
pub mod dispatcher;
