//! The dispatcher's end of one worker.

mod outbox;
pub mod state;
