//! A listening socket on its way from one master to another.

use std::os::fd::OwnedFd;

use crate::protocol::{ListenerId, Wanted};

/// A listening socket on its way to another master.
#[derive(Debug)]
pub struct LegacySocket {
    /// Its number at the predecessor.
    pub key: ListenerId,
    /// What its workers asked for.
    pub wanted: Wanted,
    /// Whether a service manager has it too.
    pub inherited: bool,
    /// A descriptor of its own.
    pub socket: OwnedFd,
}
