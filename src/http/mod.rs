//! Everything that speaks HTTP, by hyper.

pub mod control;
pub mod ecv;
pub mod monitor;
pub mod room;
