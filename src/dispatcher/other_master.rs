//! The dispatcher's end of another master, while one takes over from the other.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;

use crate::dispatcher::connection::Connection;
use crate::os::channel::{Channel, MAX_FDS};
use crate::protocol::{ListenerId, Origin, frame};

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
    /// Sends the first connections together, or one with a request alone, and only then takes them
    /// out of the outbox. Returns how many.
    pub(super) fn send(&mut self) -> io::Result<usize> {
        let Self { outbox, given, .. } = self;
        let Some(first) = outbox.front() else { return Ok(0) };
        let known = |mut origin: Origin| {
            origin.listener = given.get(&origin.listener).copied().unwrap_or_default();
            origin
        };
        let mut fds = [first.fd.as_fd(); MAX_FDS];
        let count = if let Some(request) = &first.request {
            self.channel.send(&frame::request(known(first.origin), request), &fds[..1])?;
            1
        } else {
            let alike = || outbox.iter().take_while(|connection| connection.request.is_none());
            let mut count = 0;
            for (fd, connection) in fds.iter_mut().zip(alike()) {
                *fd = connection.fd.as_fd();
                count += 1;
            }
            let origins = alike().take(count).map(|connection| known(connection.origin));
            self.channel.send(&frame::connections(origins), &fds[..count])?;
            count
        };
        self.outbox.drain(..count);
        Ok(count)
    }
}
