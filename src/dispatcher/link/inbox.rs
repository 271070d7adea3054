//! What comes out of a worker's channels, at either end.

use std::io;
use std::os::fd::OwnedFd;

use crate::connection::Connection;
use crate::dispatcher::link::state::{Reports, WorkerLink};
use crate::os::channel::{Channel, MAX_BYTES};
use crate::os::reserve::Reserve;
use crate::protocol::frame::{MasterFrame, WorkerFrame};
use crate::protocol::{Report, frame, parts};

/// What came from a worker.
#[derive(Debug)]
pub(in crate::dispatcher) enum Incoming {
    Report(Report),
    /// A report whose answer it waits for, and the socket for that.
    Question(Report, Channel),
    /// Connections that it gives back.
    Connections(Vec<Connection>),
}

impl WorkerLink {
    /// Receives what came next. `None`: nothing more for now. `reserve`: for what it gives back
    /// while the master has no other descriptor; another worker serves it, so it does not stay
    /// here.
    pub(in crate::dispatcher) fn receive(&mut self, reserve: &mut Reserve) -> Option<Incoming> {
        self.starved = false;
        let mut buffer = [0; MAX_BYTES];
        loop {
            let report = if self.is_paused() {
                Err(io::ErrorKind::WouldBlock.into())
            } else {
                self.orders.receive_lossy(&mut buffer)
            };
            let received = match report {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.channel.receive(&mut buffer)
                }
                Ok(None) => {
                    self.reports = Reports::Closed;
                    self.channel.receive(&mut buffer)
                }
                received => received,
            };
            match received {
                Ok(Some(received)) => {
                    if let Some(incoming) = self.read_frame(received.bytes, received.fds) {
                        return Some(incoming);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::error!(worker = self.id.0, "a worker's report is too long");
                }
                Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                    if reserve.make_room() {
                        continue;
                    }
                    self.starved = true;
                    return None;
                }
                Ok(None) | Err(_) => return None,
            }
        }
    }

    /// `None`: it is the beginning of a longer report, or it makes no sense.
    fn read_frame(&mut self, bytes: &[u8], fds: Vec<OwnedFd>) -> Option<Incoming> {
        let frame = parts::join(&mut self.parts, bytes)?;
        match frame::from_worker(&frame, fds.len()) {
            Ok(WorkerFrame::Report(report)) => Some(Incoming::Report(report)),
            Ok(WorkerFrame::Question(report)) => {
                let asker = fds.into_iter().next().map(Channel::from)?;
                Some(Incoming::Question(report, asker))
            }
            Ok(WorkerFrame::Connections(origins, request)) => {
                let connections = Connection::from_frame(fds, origins, request);
                Some(Incoming::Connections(connections.collect()))
            }
            Err(error) => {
                tracing::error!(%error, worker = self.id.0, "a worker's report makes no sense");
                None
            }
        }
    }

    /// Takes back everything it did not take, from outbox and channel. Returns also whether that
    /// was all: while it takes something itself, and without free descriptors, the rest stays in
    /// the channel. `gone`: its process has ended.
    pub(in crate::dispatcher) fn take_back(&mut self, gone: bool) -> (Vec<Connection>, bool) {
        let mut connections = Vec::new();
        let claim = self.row.claim();
        let mut all = claim.is_some() || gone;
        let mut buffer = [0; MAX_BYTES];
        while all {
            match self.theirs.receive(&mut buffer) {
                Ok(Some(received)) => {
                    let count = received.fds.len();
                    match frame::from_master(received.bytes, count) {
                        Ok(MasterFrame::Connections(origins, request)) => {
                            self.ledger.read_back(count as u32);
                            let back = Connection::from_frame(received.fds, origins, request);
                            connections.extend(back);
                        }
                        Ok(MasterFrame::Order(_)) => {
                            tracing::error!("an order came back from a channel");
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
}
