//! What a worker takes of what its master sent.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::channel::MAX_FDS;
use crate::os::descriptors;
use crate::os::scoreboard::Field;
use crate::protocol::frame;
use crate::protocol::frame::MasterFrame;
use crate::protocol::{Order, Report};
use crate::worker::master_link::{Looking, MasterLink, Orders, WorkerSignal};

impl MasterLink {
    /// Takes one message. Called on the JavaScript thread: it is also the worker's sign of life.
    pub fn take(&mut self) -> Result<WorkerSignal> {
        self.row.set(Field::Beat, os::now() as f64);
        if self.heard.get() == Orders::Unread
            && let Some((order, lane)) = self.take_order()?
        {
            return Ok(WorkerSignal::Order(order, lane));
        }
        let taken = self.take_connections()?;
        // What the master sent last is taken first.
        if !matches!(taken, WorkerSignal::Connections(_))
            && self.heard.get() == (Orders::Ended { told: false })
        {
            self.heard.set(Orders::Ended { told: true });
            // All workers are orphans now, and leave: load balancers are to know.
            self.header.leave(os::wall());
            return Ok(WorkerSignal::Orphaned);
        }
        Ok(taken)
    }

    /// The next order. Without a descriptor for its lane, connections come by the channel alone.
    fn take_order(&mut self) -> Result<Option<(Order, Option<OwnedFd>)>> {
        match self.orders.receive_lossy(&mut self.buffer) {
            Ok(Some(received)) => match frame::from_master(received.bytes, received.fds.len()) {
                Ok(MasterFrame::Order(order)) => {
                    self.silent = false;
                    let lane = received.fds.into_iter().next();
                    self.remember_lane(&order, lane.as_ref());
                    Ok(Some((order, lane)))
                }
                Ok(MasterFrame::Connections(_)) => {
                    Err(unreadable(io::ErrorKind::InvalidData.into()))
                }
                Err(error) => Err(unreadable(io::Error::other(error))),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.heard.set(Orders::Read);
                Ok(None)
            }
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(unreadable(error)),
            _ => {
                self.heard.set(Orders::Ended { told: false });
                Ok(None)
            }
        }
    }

    fn take_connections(&mut self) -> Result<WorkerSignal> {
        let claim = self.row.claim();
        // The master reads back what was not taken, and the event loop looks again; but one that ended may have been about to.
        if claim.is_none() && !matches!(self.heard.get(), Orders::Ended { .. }) {
            return Ok(WorkerSignal::Nothing);
        }
        let received = self.channel.receive(&mut self.buffer);
        drop(claim);
        let received = match received {
            Ok(Some(received)) => received,
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                self.looking.set(Looking::Starved);
                self.tell_room()?;
                return Ok(WorkerSignal::Starved);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(WorkerSignal::Nothing);
            }
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                return Err(unreadable(error));
            }
            _ => {
                self.looking.set(Looking::Ended);
                return Ok(WorkerSignal::Nothing);
            }
        };
        match frame::from_master(received.bytes, received.fds.len()) {
            Ok(MasterFrame::Connections(origins)) => {
                self.silent = false;
                self.row.add(Field::Taken, received.fds.len() as f64);
                self.row.add(Field::ConnectionsActive, received.fds.len() as f64);
                // A connection that was moved here has been counted where it was first.
                let fresh = origins.iter().filter(|origin| origin.past.is_new()).count();
                self.row.add(Field::ConnectionsTotal, fresh as f64);
                Ok(WorkerSignal::Connections(received.fds.into_iter().zip(origins).collect()))
            }
            Ok(MasterFrame::Order(_)) => Err(unreadable(io::ErrorKind::InvalidData.into())),
            Err(error) => Err(unreadable(io::Error::other(error))),
        }
    }

    /// Tells the master for how many connections there are descriptors, if that is not what it knows.
    fn tell_room(&mut self) -> Result<()> {
        let room = descriptors::room(MAX_FDS, self.channel.as_fd());
        let until = (room < MAX_FDS).then(|| self.row.count(Field::Taken) + room as u64);
        if until != self.room {
            self.report(&Report::Room { until })?;
            self.room = until;
        }
        Ok(())
    }

    /// Looks again for what could not be taken, and sends what found no room before. False: something still finds none, or
    /// descriptors are still lacking.
    pub fn catch_up(&mut self) -> Result<bool> {
        if self.room.is_some() {
            self.tell_room()?;
        }
        if let (Looking::Starved, Some(poll)) = (self.looking.get(), &self.poll) {
            self.looking.set(Looking::Yes);
            poll.resume().map_err(ClusterError::system("looking at the channel"))?;
        }
        Ok(self.flush()? && self.room.is_none())
    }
}

fn unreadable(source: io::Error) -> ClusterError {
    ClusterError::System { doing: "reading what the master sent", source }
}
