//! Taking the master's orders and connections.

use std::io;
use std::os::fd::AsFd;

use super::beats::show_life;
use super::master_link::{ChannelPoll, MasterLink, OrdersState};
use super::signal::WorkerSignal;
use crate::error::{ClusterError, Result};
use crate::os;
use crate::os::channel::MAX_FDS;
use crate::os::descriptors;
use crate::os::scoreboard::Field;
use crate::os::seize::Given;
use crate::protocol::frame::{self, MasterFrame};
use crate::protocol::{Order, Origin, Past, Report};

impl MasterLink {
    /// Takes one message. Called on the JavaScript thread, and therefore also a sign of life.
    pub fn take(&mut self) -> Result<WorkerSignal> {
        self.request = None;
        let signal = self.take_next()?;
        if let (WorkerSignal::Connections(connections), Some(marks)) = (&signal, self.idle_marks) {
            for (fd, Origin { listener, past }) in connections {
                let Past { stage, since, timeout, requests } = *past;
                let listener = *listener;
                let given = Given { listener, stage, since, timeout, requests };
                // One with a request is not idle.
                marks.adopt(fd.as_fd(), &given, self.request.is_none());
            }
        }
        Ok(signal)
    }

    fn take_next(&mut self) -> Result<WorkerSignal> {
        show_life(&self.row, os::now() as f64);
        self.report_acceptance()?;
        if let Some(accepted) = self.take_accepted() {
            return Ok(accepted);
        }
        if self.orders_state.get() == OrdersState::Unread
            && let Some(order) = self.take_order()?
        {
            return Ok(WorkerSignal::Order(order));
        }
        let signal = self.take_connections()?;
        // Connections that the master sent last are taken first, and those that wait in the queues.
        if !matches!(signal, WorkerSignal::Connections(_))
            && self.orders_state.get() == (OrdersState::Ended { reported: false })
        {
            self.acceptor.borrow_mut().end();
            if let Some(accepted) = self.take_accepted() {
                return Ok(accepted);
            }
            self.orders_state.set(OrdersState::Ended { reported: true });
            // All workers are orphans now, and drain: the health check says so.
            self.header.leave(os::wall());
            return Ok(WorkerSignal::Orphaned);
        }
        Ok(signal)
    }

    /// Takes the connections that this worker accepted itself.
    fn take_accepted(&mut self) -> Option<WorkerSignal> {
        let accepted = self.acceptor.borrow_mut().take();
        let origin = |listener| Origin { listener, past: Past::default() };
        let with_origin = |(fd, listener)| (fd, origin(listener));
        let connections: Vec<_> = accepted.into_iter().map(with_origin).collect();
        (!connections.is_empty()).then_some(WorkerSignal::Connections(connections))
    }

    /// Reports from which listeners this worker accepts by itself, if that has changed.
    fn report_acceptance(&mut self) -> Result<()> {
        let changes = self.acceptor.borrow_mut().take_changes();
        for report in changes {
            self.report(&report)?;
        }
        Ok(())
    }

    /// Takes the next order, unless it is not for JavaScript.
    fn take_order(&mut self) -> Result<Option<Order>> {
        loop {
            let Some(order) = self.receive_order()? else { return Ok(None) };
            if !matches!(order, Order::Wakers { .. }) {
                return Ok(Some(order));
            }
        }
    }

    fn receive_order(&mut self) -> Result<Option<Order>> {
        match self.orders.receive_lossy(&mut self.buffer) {
            Ok(Some(received)) => match frame::from_master(received.bytes, received.fds.len()) {
                Ok(MasterFrame::Order(order)) => {
                    self.silent = false;
                    self.acceptor.borrow_mut().keep(&order, received.fds);
                    Ok(Some(order))
                }
                Ok(MasterFrame::Connections(..)) => {
                    Err(unreadable(io::ErrorKind::InvalidData.into()))
                }
                Err(error) => Err(unreadable(io::Error::other(error))),
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.orders_state.set(OrdersState::Read);
                Ok(None)
            }
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(unreadable(error)),
            _ => {
                self.orders_state.set(OrdersState::Ended { reported: false });
                Ok(None)
            }
        }
    }

    fn take_connections(&mut self) -> Result<WorkerSignal> {
        let claim = self.row.claim();
        // The master reads back what was not taken, and the poll fires again. A master that ended
        // may have died while reading back.
        if claim.is_none() && !matches!(self.orders_state.get(), OrdersState::Ended { .. }) {
            return Ok(WorkerSignal::Nothing);
        }
        let received = self.channel.receive(&mut self.buffer);
        drop(claim);
        let received = match received {
            Ok(Some(received)) => received,
            Err(error) if error.kind() == io::ErrorKind::QuotaExceeded => {
                self.channel_poll.set(ChannelPoll::Starved);
                self.report_room()?;
                return Ok(WorkerSignal::Starved);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(WorkerSignal::Nothing);
            }
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => {
                return Err(unreadable(error));
            }
            _ => {
                self.channel_poll.set(ChannelPoll::Ended);
                return Ok(WorkerSignal::Nothing);
            }
        };
        let fds = received.fds;
        let origins = match frame::from_master(received.bytes, fds.len()) {
            Ok(MasterFrame::Connections(origins, None)) => origins,
            Ok(MasterFrame::Connections(origins, request)) => {
                self.request = request;
                origins
            }
            Ok(MasterFrame::Order(_)) => {
                return Err(unreadable(io::ErrorKind::InvalidData.into()));
            }
            Err(error) => return Err(unreadable(io::Error::other(error))),
        };
        self.silent = false;
        self.row.add(Field::Taken, origins.len() as f64);
        self.row.add(Field::ConnectionsActive, origins.len() as f64);
        Ok(WorkerSignal::Connections(fds.into_iter().zip(origins).collect()))
    }

    /// Returns the request that came with the connection of the last [`Self::take`], if one did.
    pub fn take_request(&mut self) -> Option<Box<[u8]>> {
        self.request.take()
    }

    /// Reports for how many connections there are descriptors, if the master does not know it.
    fn report_room(&mut self) -> Result<()> {
        let room = descriptors::room(MAX_FDS, self.channel.as_fd());
        let until = (room < MAX_FDS).then(|| self.row.count(Field::Taken) + room as u64);
        if until != self.room {
            self.report(&Report::Room { until })?;
            self.room = until;
        }
        Ok(())
    }

    /// Polls again for connections that could not be taken, and sends what found no room before.
    /// Returns `false` if something still finds none, or descriptors are still lacking.
    pub fn catch_up(&mut self) -> Result<bool> {
        if self.room.is_some() {
            self.report_room()?;
        }
        if let (ChannelPoll::Starved, Some(poll)) = (self.channel_poll.get(), &self.poll) {
            self.channel_poll.set(ChannelPoll::Active);
            poll.resume().map_err(ClusterError::system("looking at the channel"))?;
        }
        Ok(self.flush()? && self.room.is_none())
    }
}

fn unreadable(source: io::Error) -> ClusterError {
    ClusterError::System { doing: "reading what the master sent", source }
}
