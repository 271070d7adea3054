//! What goes into a worker's channel, and what comes out of it, at either end.
//!
//! What always holds: a connection is in the outbox until it is in the channel, and in the ledger from then on.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use crate::clock::Millis;
use crate::dispatcher::link::state::{Connection, Received, WorkerLink};
use crate::os::channel::{Channel, MAX_BYTES, MAX_FDS};
use crate::os::listener;
use crate::protocol::frame::{MasterFrame, WorkerFrame};
use crate::protocol::{MAX_CONNECTIONS, Origin, frame, parts};

const _: () = assert!(MAX_CONNECTIONS == MAX_FDS && frame::MAX_BYTES == MAX_BYTES);

/// How long the dispatcher pauses when the master has no descriptor left for what a worker gives back.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(5);

impl WorkerLink {
    /// Everything it did not take, from outbox and channel; and whether that was all: while it takes something itself, and
    /// without free descriptors, the rest stays in the channel. `gone`: its process has ended.
    pub fn take_back(&mut self, gone: bool) -> (Vec<Connection>, bool) {
        let mut connections = Vec::new();
        let claim = self.row.claim();
        let mut all = claim.is_some() || gone;
        let mut buffer = [0; MAX_BYTES];
        while all {
            match self.theirs.receive(&mut buffer) {
                Ok(Some(received)) => {
                    match frame::from_master(received.bytes, received.fds.len()) {
                        Ok(MasterFrame::Connections(origins)) => {
                            self.ledger.read_back(received.fds.len() as u32);
                            connections.extend(returned(received.fds, origins));
                        }
                        Ok(MasterFrame::Order(_)) => {
                            tracing::error!("an order came back from a channel")
                        }
                        Err(error) => tracing::error!(%error, "our own frame came back broken"),
                    }
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    tracing::warn!(%error, worker = self.id.0, "cannot read a channel back now");
                    all &= error.kind() != io::ErrorKind::QuotaExceeded;
                    break;
                }
            }
        }
        drop(claim);
        connections.extend(self.outbox.drain(..));
        (connections, all && !self.starved)
    }

    /// The next thing that came from it; `None`: nothing more for now.
    pub fn receive(&mut self) -> Option<Received> {
        self.starved = false;
        let mut buffer = [0; MAX_BYTES];
        loop {
            let report = if self.unheard {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                self.orders.receive_lossy(&mut buffer)
            };
            let received = match report {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.channel.receive(&mut buffer)
                }
                Ok(None) => {
                    self.deaf = true;
                    self.channel.receive(&mut buffer)
                }
                received => received,
            };
            match received {
                Ok(Some(received)) => {
                    let Some(frame) = parts::join(&mut self.parts, received.bytes) else {
                        continue;
                    };
                    match frame::from_worker(&frame, received.fds.len()) {
                        Ok(WorkerFrame::Report(report)) => return Some(Received::Report(report)),
                        Ok(WorkerFrame::Question(report)) => {
                            let asker = received.fds.into_iter().next().map(Channel::from)?;
                            return Some(Received::Question(report, asker));
                        }
                        Ok(WorkerFrame::Connections(origins)) => {
                            return Some(Received::Connections(returned(received.fds, origins)));
                        }
                        Err(error) => {
                            tracing::error!(%error, worker = self.id.0, "a worker's report makes no sense")
                        }
                    }
                }
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

    /// Whether its process has closed its end of the orders, which happens before it is known to have ended.
    pub fn is_deaf(&self) -> bool {
        self.deaf
    }

    /// There is room again to send.
    pub fn unblock(&mut self) {
        self.blocked = [false; 2];
    }

    /// Whether something is still to be sent.
    pub fn has_mail(&self) -> bool {
        self.waits_to_be_sent().contains(&true)
    }

    /// Whether something could not be sent for a reason that epoll does not report.
    pub fn must_retry(&self) -> bool {
        let [order, connection] = self.blocked;
        let [orders, connections] = self.waits_to_be_sent();
        orders && !order || connections && !connection
    }

    fn waits_to_be_sent(&self) -> [bool; 2] {
        [!self.unsent.is_empty(), !self.outbox.is_empty()]
    }

    /// Sends what it can. `Some(blocked)`: of which of the `sockets` epoll is to report room.
    pub fn flush(&mut self, now: Millis) -> Option<[bool; 2]> {
        let before = self.blocked;
        self.blocked =
            [self.send_all(Self::send_order), self.send_all(|peer| peer.send_connections(now))];
        (before != self.blocked).then_some(self.blocked)
    }

    /// Sends by `next`, which says when there is nothing more. True: there is no room.
    fn send_all(&mut self, mut next: impl FnMut(&mut Self) -> io::Result<bool>) -> bool {
        loop {
            match next(self) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => {
                    // ETOOMANYREFS above all: too many descriptors are under way on this machine.
                    tracing::warn!(%error, worker = self.id.0, "cannot send to a worker; trying again");
                    return false;
                }
            }
        }
    }

    fn send_order(&mut self) -> io::Result<bool> {
        let Some((order, lane)) = self.unsent.front() else { return Ok(false) };
        let lane = lane.as_ref().map(OwnedFd::as_fd);
        self.orders.send(order, lane.as_slice())?;
        self.unsent.pop_front();
        Ok(true)
    }

    /// Sends the first connections together, and only then takes them out of the outbox.
    fn send_connections(&mut self, now: Millis) -> io::Result<bool> {
        let Some(first) = self.outbox.front() else { return Ok(false) };
        let count = self.outbox.len().min(MAX_FDS);
        let mut fds = [first.fd.as_fd(); MAX_FDS];
        for (fd, connection) in fds.iter_mut().zip(&self.outbox) {
            *fd = connection.fd.as_fd();
        }
        let origins = self.outbox.iter().take(count).map(|connection| connection.origin);
        self.channel.send(&frame::connections(origins), &fds[..count])?;
        self.ledger.hand(count as u32, now);
        self.outbox.drain(..count);
        Ok(true)
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
