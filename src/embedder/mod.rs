//! Who embeds a master: the addon, or the command line. What they tell it, and how.

pub mod events;
pub mod mailbox;

pub use events::{Answered, Embedder, Failure, MasterEvent};
