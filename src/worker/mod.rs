//! A worker process's end of what it shares with its master.

pub mod beats;
mod intake;
pub mod master_link;
mod question;
