//! What the worker has it do.

use std::os::fd::OwnedFd;

use super::pacing::Pacing;
use super::sockets::SharedSockets;
use super::state::{AT_ONCE, Acceptor, PATIENCE, Proof, Served};
use crate::os::channel::MAX_FDS;
use crate::protocol::{ListenerId, Order, Report, SharedSocket};

impl Acceptor {
    /// The sockets, for the watch.
    pub(in crate::worker) fn sockets(&self) -> &SharedSockets {
        &self.sockets
    }

    /// Keeps the socket of a listener until [`Self::serve`].
    fn hold(&mut self, listener: ListenerId, shared: SharedSocket, socket: OwnedFd) {
        self.stop(listener);
        self.sockets.insert(listener, shared, socket);
    }

    /// Keeps what came with an order. Without a descriptor for the socket, the master hands over
    /// its connections.
    pub(in crate::worker) fn keep(&mut self, order: &Order, fds: Vec<OwnedFd>) {
        match order {
            Order::Bound { listener, shared: Some(shared), .. } => {
                fds.into_iter().for_each(|socket| self.hold(*listener, *shared, socket));
            }
            Order::Wakers { rows } => {
                let wakers = rows.iter().zip(fds);
                wakers.for_each(|(row, waker)| self.peers.add_waker(*row as usize, waker));
            }
            _ => {}
        }
    }

    /// Accepts from a listener from now on. `http1`: whether its server speaks HTTP/1 without TLS.
    /// Returns `false` if its socket is not shared, or this event loop cannot watch it: the master
    /// hands over its connections.
    pub(in crate::worker) fn serve(&mut self, listener: ListenerId, http1: bool) -> bool {
        if matches!(self.proof, Proof::Failed) {
            return false;
        }
        let is_new = self.served.iter().all(|served| served.listener != listener);
        let Some((shared, socket)) = self.sockets.get(listener).filter(|_| is_new) else {
            return !is_new;
        };
        if let Some(turn) = shared.turn.filter(|_| http1) {
            self.pacing.get_or_insert_with(|| Pacing::new(turn, AT_ONCE as u64));
        }
        self.served.push(Served { listener, http1, shared, socket, is_watched: false });
        if matches!(self.proof, Proof::Awaited(..)) {
            self.look_again_after(PATIENCE);
        }
        self.publish();
        self.watch_all();
        !self.is_short
    }

    /// Accepts nothing more from a listener, and closes its socket here.
    pub(in crate::worker) fn stop(&mut self, listener: ListenerId) {
        if let Some(index) = self.served.iter().position(|served| served.listener == listener) {
            self.unwatch(index);
            self.served.swap_remove(index);
            self.publish();
        }
        self.sockets.remove(listener);
    }

    /// Accepts nothing more.
    pub(in crate::worker) fn stop_all(&mut self) {
        self.unwatch_all();
        self.served.clear();
        self.publish();
        self.sockets.clear();
    }

    /// The master is gone: takes the connections that still wait, and ends the listening.
    pub(in crate::worker) fn end(&mut self) {
        self.unwatch_all();
        self.served.clear();
        self.publish();
        self.sockets.end();
        for connection in self.sockets.take_rescued() {
            self.take_in(connection);
        }
    }

    /// Returns the next connections for JavaScript.
    pub(in crate::worker) fn take(&mut self) -> Vec<(OwnedFd, ListenerId)> {
        self.accepted.drain(..self.accepted.len().min(MAX_FDS)).collect()
    }

    /// Returns the reports of what the master does not know yet: whether this worker accepts from
    /// a listener.
    pub(in crate::worker) fn take_changes(&mut self) -> Vec<Report> {
        if !std::mem::take(&mut self.has_changed) {
            return Vec::new();
        }
        let accepts = self.accepts();
        let report = |served: &Served| {
            let Served { listener, http1, .. } = *served;
            Report::Serve { listener, accepts, http1 }
        };
        self.served.iter().map(report).collect()
    }
}
