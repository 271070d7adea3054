//! What epoll reports of a worker's two channels.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;

use crate::dispatcher::link::state::{Reports, WorkerLink};
use crate::dispatcher::token::Token;

impl WorkerLink {
    /// Has `epoll` report what comes from the worker.
    pub(in crate::dispatcher) fn watch(&self, epoll: &OwnedFd) -> io::Result<()> {
        epoll::add(epoll, &self.orders, self.token(), epoll::EventFlags::IN)?;
        Ok(epoll::add(epoll, &self.channel, self.token(), epoll::EventFlags::IN)?)
    }

    /// Has `epoll` report room too, where a channel is full.
    pub(super) fn watch_room(&self, epoll: &OwnedFd) {
        let both = [(&self.orders, self.blocked.orders), (&self.channel, self.blocked.connections)];
        for (channel, blocked) in both {
            let mut flags = epoll::EventFlags::IN;
            flags.set(epoll::EventFlags::OUT, blocked);
            match epoll::modify(epoll, channel, self.token(), flags) {
                // Its orders are not watched.
                Err(rustix::io::Errno::NOENT) if self.reports != Reports::Read => {}
                Err(error) => tracing::error!(%error, "cannot watch a worker"),
                Ok(()) => {}
            }
        }
    }

    /// Whether its reports are not read for now.
    pub(in crate::dispatcher) fn is_paused(&self) -> bool {
        self.reports == Reports::Paused
    }

    /// Whether to pause its reports: too many wait.
    pub(in crate::dispatcher) fn must_pause(&self) -> bool {
        self.reports == Reports::Read && self.is_full()
    }

    /// Stops reading its reports.
    pub(in crate::dispatcher) fn pause(&mut self, epoll: &OwnedFd) {
        self.reports = Reports::Paused;
        self.unwatch_orders(epoll);
    }

    /// Reads its reports again.
    pub(in crate::dispatcher) fn resume(&mut self, epoll: &OwnedFd) {
        self.read_to_the_end();
        if let Err(error) = epoll::add(epoll, &self.orders, self.token(), epoll::EventFlags::IN) {
            tracing::error!(%error, "cannot watch a worker");
        }
    }

    /// Reads its reports, however many wait: its process has ended.
    pub(in crate::dispatcher) fn read_to_the_end(&mut self) {
        if self.is_paused() {
            self.reports = Reports::Read;
        }
    }

    /// What it has closed would stay readable until its process is known to have ended.
    pub(in crate::dispatcher) fn unwatch_if_closed(&self, epoll: &OwnedFd) {
        if self.reports == Reports::Closed {
            self.unwatch_orders(epoll);
        }
    }

    fn unwatch_orders(&self, epoll: &OwnedFd) {
        // Fails where that was done before.
        let _ = epoll::delete(epoll, self.orders.as_fd());
    }

    fn token(&self) -> epoll::EventData {
        Token::Worker(self.id).data()
    }
}
