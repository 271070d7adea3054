//! The dispatcher's end of another master, while one takes over from the other.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use crate::connection::{Connection, send_first};
use crate::os::channel::Channel;
use crate::protocol::ListenerId;

/// The dispatcher's end of another master.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) channel: Channel,
    /// Whether this master is the heir of the other one.
    pub(super) is_heir: bool,
    /// The former master's number of each listener whose connections are given away.
    pub(super) given: BTreeMap<ListenerId, ListenerId>,
    /// Connections that are still to be sent.
    pub(super) outbox: VecDeque<Connection>,
}

impl Relay {
    /// Sends the first connections of the outbox. Returns how many.
    pub(super) fn send(&mut self) -> io::Result<usize> {
        let Self { channel, outbox, given, .. } = self;
        send_first(channel, outbox, |mut origin| {
            origin.listener = given.get(&origin.listener).copied().unwrap_or_default();
            origin
        })
    }
}
