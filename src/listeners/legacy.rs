//! A listening socket on its way from one master to another.

use std::os::fd::OwnedFd;

use crate::clock::Millis;
use crate::os::address::Address;
use crate::os::listener::Listener;
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
    /// How long its workers took to serve all after they served the first one, milliseconds.
    pub served_after: Millis,
    /// A descriptor of its own.
    pub socket: OwnedFd,
}

impl LegacySocket {
    /// Returns where it listens, if that can be found out.
    pub(super) fn address(&self) -> Option<Address> {
        let copy = self.socket.try_clone().and_then(|fd| Listener::adopt(fd, true, 0)).ok()?;
        Some(copy.address().clone())
    }

    /// Returns where it listens, in words.
    pub(crate) fn describe(&self) -> String {
        self.address().map_or_else(|| "an unknown address".to_owned(), |found| found.to_string())
    }
}
