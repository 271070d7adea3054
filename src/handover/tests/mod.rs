//! The two masters, one by one and with each other.

mod pair;
mod simulation;
