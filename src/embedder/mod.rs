//! What embeds a master or a process without workers: the addon, or the command line.
//!
//! An [`Embedder`] is called on the threads of what it embeds, and must not block. One that takes
//! events in its own time, as JavaScript does on its event loop, keeps them in a [`Mailbox`].

mod description;
mod events;
mod journal;
mod mailbox;

pub use description::{all_are_new, executing_lines};
pub use events::{Answered, Embedder, ExecutionReport, Failure, MasterEvent};
pub(crate) use journal::Journal;
pub(crate) use mailbox::MESSAGE_OVERHEAD;
pub use mailbox::{Item, Mailbox};
