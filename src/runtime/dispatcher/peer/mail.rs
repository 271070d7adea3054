//! What goes into a worker's channel, and what comes out of it, at either end.
//!
//! What always holds: a connection is in the outbox until it is in the channel, and in the ledger from then on.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use super::{Connection, Mail, Peer, Received};
use crate::core::Millis;
use crate::ipc::frame::{self, FromMaster, FromWorker, Origin};
use crate::sys::channel::{Channel, MAX_BYTES, MAX_FDS};
use crate::sys::listener;

const _: () = assert!(frame::MAX_CONNECTIONS == MAX_FDS);

/// How long the dispatcher pauses when the master has no descriptor left for what a worker gives back.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(5);

impl Peer {
    /// Everything it did not take, from outbox and channel; and whether that was all: without free descriptors the rest
    /// stays in the channel.
    pub fn take_back(&mut self) -> (Vec<Connection>, bool) {
        let mut all = !self.starved;
        let mut connections = Vec::new();
        let mut orders = VecDeque::new();
        let mut buffer = [0; MAX_BYTES];
        loop {
            match self.theirs.receive(&mut buffer, MAX_FDS) {
                Ok(Some(received)) => match frame::from_master(received.bytes, received.fds.len()) {
                    Ok(FromMaster::Connections(origins)) => {
                        self.ledger.read_back(received.fds.len() as u32);
                        connections.extend(returned(received.fds, origins));
                    }
                    Ok(FromMaster::Order(order)) => {
                        orders.push_back(Mail::Order(frame::order(&order), received.fds.into_iter().next()));
                    }
                    Err(error) => tracing::error!(%error, "our own frame came back broken"),
                },
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::warn!(%error, worker = self.id.0, "cannot read a channel back now");
                    all &= error.kind() != io::ErrorKind::QuotaExceeded;
                    break;
                }
            }
        }
        for mail in self.outbox.drain(..) {
            match mail {
                Mail::Connection(connection) => connections.push(connection),
                order @ Mail::Order(..) => orders.push_back(order),
            }
        }
        self.outbox = orders;
        (connections, all)
    }

    /// The next thing that came from it; `None`: nothing more for now.
    pub fn receive(&mut self) -> Option<Received> {
        self.starved = false;
        let mut buffer = [0; MAX_BYTES];
        loop {
            // A worker gives connections back one by one, and asks by one descriptor; its reports need none.
            let fds = usize::from(self.channel.peek().is_some_and(frame::has_descriptors));
            match self.channel.receive(&mut buffer, fds) {
                Ok(Some(received)) => match frame::from_worker(received.bytes, received.fds.len()) {
                    Ok(FromWorker::Report(report)) => return Some(Received::Report(report)),
                    Ok(FromWorker::Question(report)) => {
                        let asker = received.fds.into_iter().next().map(Channel::from)?;
                        return Some(Received::Question(report, asker));
                    }
                    Ok(FromWorker::Connections(origins)) => {
                        return Some(Received::Connections(returned(received.fds, origins)));
                    }
                    Err(error) => tracing::error!(%error, worker = self.id.0, "a worker's report makes no sense"),
                },
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(worker = self.id.0, "a worker's report is too long");
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    // The channel stays readable: without a pause the loop would spin until a descriptor is free.
                    std::thread::sleep(OUT_OF_DESCRIPTORS);
                    self.starved = true;
                    return None;
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// The channel has room again.
    pub fn unblock(&mut self) {
        self.blocked = false;
    }

    /// Whether something is still to be sent.
    pub fn has_mail(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Whether something could not be sent for a reason that epoll does not report.
    pub fn must_retry(&self) -> bool {
        !self.blocked && self.has_mail()
    }

    /// Sends what it can. `Some(blocked)`: whether to wait for room has to be told to epoll.
    pub fn flush(&mut self, now: Millis) -> Option<bool> {
        let was_blocked = std::mem::take(&mut self.blocked);
        while !self.outbox.is_empty() {
            match self.send_next(now) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) => {
                    // ETOOMANYREFS above all: too many descriptors are under way on this machine.
                    tracing::warn!(%error, worker = self.id.0, "cannot send to a worker; trying again");
                    break;
                }
            }
        }
        (was_blocked != self.blocked).then_some(self.blocked)
    }

    /// Sends the first order, or the first connections together, and only then takes them out of the outbox.
    fn send_next(&mut self, now: Millis) -> io::Result<()> {
        let count = match self.outbox.front() {
            Some(Mail::Connection(first)) => {
                let count = self.first_connections().count();
                let mut fds = [first.fd.as_fd(); MAX_FDS];
                for (fd, connection) in fds.iter_mut().zip(self.first_connections()) {
                    *fd = connection.fd.as_fd();
                }
                let origins = self.first_connections().map(|connection| connection.origin);
                self.channel.send(&frame::connections(origins), &fds[..count])?;
                self.ledger.hand(count as u32, now);
                count
            }
            Some(Mail::Order(order, lane)) => {
                let lane = lane.as_ref().map(OwnedFd::as_fd);
                self.channel.send(order, lane.as_slice())?;
                1
            }
            None => return Ok(()),
        };
        self.outbox.drain(..count);
        Ok(())
    }

    /// The connections at the front of the outbox that go together.
    fn first_connections(&self) -> impl Iterator<Item = &Connection> {
        self.outbox
            .iter()
            .map_while(|mail| if let Mail::Connection(connection) = mail { Some(connection) } else { None })
            .take(MAX_FDS)
    }
}

/// Connections as they come off a channel.
fn returned(fds: Vec<OwnedFd>, origins: Vec<Origin>) -> Vec<Connection> {
    let one = |(fd, origin): (OwnedFd, Origin)| {
        let client = listener::client_of(&fd);
        Connection { fd, origin, client }
    };
    fds.into_iter().zip(origins).map(one).collect()
}
