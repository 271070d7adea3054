//! What goes into a worker's channels.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use crate::clock::Millis;
use crate::connection::{Connection, send_first};
use crate::dispatcher::link::state::{Blocked, WorkerLink};
use crate::os::channel::{MAX_BYTES, MAX_FDS};
use crate::protocol::{MAX_CONNECTIONS, Order, frame};

const _: () = assert!(MAX_CONNECTIONS == MAX_FDS && frame::MAX_BYTES == MAX_BYTES);

impl WorkerLink {
    /// Puts a connection into the outbox.
    pub(in crate::dispatcher) fn hand(&mut self, connection: Connection) {
        self.outbox.push_back(connection);
    }

    pub(in crate::dispatcher) fn order(&mut self, order: &Order) {
        self.order_with(order, None);
    }

    /// Sends an order unless an equal one is still to be sent.
    pub(in crate::dispatcher) fn order_once(&mut self, order: &Order) {
        let order = frame::order(order);
        if !self.unsent_orders.iter().any(|(there, _)| *there == order) {
            self.unsent_orders.push_back((order, None));
        }
    }

    /// Sends an order, and a socket with it.
    pub(in crate::dispatcher) fn order_with(&mut self, order: &Order, socket: Option<OwnedFd>) {
        self.unsent_orders.push_back((frame::order(order), socket));
    }

    /// Sends what wakes the worker of another row. At most one for each row waits.
    pub(in crate::dispatcher) fn introduce(&mut self, other: &Self) {
        match other.waker.try_clone() {
            Ok(waker) => drop(self.unsent_wakers.insert(other.row.index() as u32, waker)),
            // Its kicks are then seen a little later.
            Err(error) => tracing::warn!(%error, "a worker cannot wake another one"),
        }
    }

    /// There is room to send again.
    pub(in crate::dispatcher) fn unblock(&mut self) {
        self.blocked = Blocked::default();
    }

    pub(in crate::dispatcher) fn has_unsent(&self) -> bool {
        self.has_unsent_orders() || !self.outbox.is_empty()
    }

    fn has_unsent_orders(&self) -> bool {
        !self.unsent_orders.is_empty() || !self.unsent_wakers.is_empty()
    }

    /// Whether something could not be sent for a reason that epoll does not report.
    pub(in crate::dispatcher) fn must_retry(&self) -> bool {
        self.has_unsent_orders() && !self.blocked.orders
            || !self.outbox.is_empty() && !self.blocked.connections
    }

    /// Sends as much as fits. Where that is not all, has `epoll` report room.
    pub(in crate::dispatcher) fn flush(&mut self, epoll: &OwnedFd, now: Millis) {
        let blocked = Blocked {
            orders: self.send_all(Self::send_order),
            connections: self.send_all(|link| link.send_connections(now)),
        };
        if std::mem::replace(&mut self.blocked, blocked) != blocked {
            self.watch_room(epoll);
        }
    }

    /// Sends by `next`, which returns `false` when nothing is left. Returns whether the channel is
    /// full.
    fn send_all(&mut self, mut next: impl FnMut(&mut Self) -> io::Result<bool>) -> bool {
        loop {
            match next(self) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) => {
                    // Above all ETOOMANYREFS: too many descriptors are under way on this machine.
                    let worker = self.id.0;
                    tracing::warn!(%error, worker, "cannot send to a worker; trying again");
                    return false;
                }
            }
        }
    }

    fn send_order(&mut self) -> io::Result<bool> {
        let Some((order, socket)) = self.unsent_orders.front() else { return self.send_wakers() };
        let socket = socket.as_ref().map(OwnedFd::as_fd);
        self.orders.send(order, socket.as_slice())?;
        self.unsent_orders.pop_front();
        Ok(true)
    }

    fn send_wakers(&mut self) -> io::Result<bool> {
        let rows: Vec<u32> = self.unsent_wakers.keys().copied().take(MAX_FDS).collect();
        if rows.is_empty() {
            return Ok(false);
        }
        let wakers: Vec<_> = self.unsent_wakers.values().take(MAX_FDS).map(AsFd::as_fd).collect();
        self.orders.send(&frame::order(&Order::Wakers { rows: rows.clone() }), &wakers)?;
        self.unsent_wakers.retain(|row, _| !rows.contains(row));
        Ok(true)
    }

    fn send_connections(&mut self, now: Millis) -> io::Result<bool> {
        let count = send_first(&self.channel, &mut self.outbox, |origin| origin)?;
        if count > 0 {
            self.ledger.hand(count as u32, now);
        }
        Ok(count > 0)
    }
}
