//! Looking at the queues, and watching the sockets.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::state::{AT_ONCE, Acceptor, PATIENCE, Proof, RETRY, Served};
use crate::os;
use crate::os::accept_queue;
use crate::os::scoreboard::Field;
use crate::os::uv;
use crate::protocol::ListenerId;

impl Acceptor {
    /// Accepts what is this worker's from all queues. Returns whether there was something.
    pub(super) fn look(&mut self) -> bool {
        let before = self.accepted.len();
        self.begin_turn();
        for index in 0..self.served.len() {
            if !self.is_short {
                self.look_at(index);
            }
        }
        self.accepted.len() > before
    }

    fn look_at(&mut self, index: usize) {
        let Served { listener, shared, socket, .. } = &self.served[index];
        let (listener, bit, socket) = (*listener, shared.bit, Arc::clone(socket));
        let counts = shared.turn.is_some();
        let waiting = accept_queue::waiting(&*socket);
        if waiting == 0 {
            return;
        }
        let now = os::now_micros();
        let room = self.room();
        let share = self.peers.share(bit, waiting, now);
        for _ in 0..share.min(room) {
            match accept_queue::accept(&*socket) {
                Ok(connection) => {
                    if counts {
                        self.count_accepted(bit);
                    }
                    self.take_in((connection, listener));
                }
                Err(error) if accept_queue::is_shortage(&error) => return self.run_short(),
                // Another worker was faster, or the client has gone.
                Err(_) => return,
            }
            if self.is_near_limit() {
                return self.run_short();
            }
        }
        if share < waiting {
            self.leave(index, now);
        } else if self.peers.are_many() {
            // At the end of the kernel's list, so that the next event wakes another worker.
            self.unwatch(index);
            self.watch(index);
        }
    }

    /// Leaves the rest of a queue to the emptiest worker, if that has no more connections.
    fn leave(&mut self, index: usize, now: u64) {
        if let Some(other) = self.peers.emptier(self.served[index].shared.bit, now) {
            self.peers.kick(other, now);
            self.unwatch(index);
            self.look_again_after(PATIENCE);
        }
    }

    /// A look begins.
    fn begin_turn(&mut self) {
        let (Some(pacing), Some(on_loop)) = (&mut self.pacing, &self.on_loop) else { return };
        let turn = self.row.turns().load(Ordering::Relaxed);
        pacing.begin(turn, os::now_micros(), uv::idle_time(on_loop.event_loop));
    }

    /// Returns how many connections this look may still accept.
    fn room(&self) -> u64 {
        let room = AT_ONCE.saturating_sub(self.accepted.len()) as u64;
        self.pacing.as_ref().map_or(room, |pacing| room.min(pacing.left()))
    }

    /// Counts a connection that was accepted from the listener with this bit.
    fn count_accepted(&mut self, bit: u32) {
        self.row.board().header().accepted(bit).fetch_add(1, Ordering::Relaxed);
        if let Some(pacing) = &mut self.pacing {
            pacing.accepted();
        }
    }

    pub(super) fn take_in(&mut self, connection: (OwnedFd, ListenerId)) {
        self.row.add(Field::ConnectionsActive, 1.0);
        self.accepted.push_back(connection);
    }

    /// Whether the last connection left no room for what the app itself may open.
    fn is_near_limit(&self) -> bool {
        let last = self.row.count(Field::LastDescriptor);
        let newest = self.accepted.back().map_or(0, |(connection, _)| connection.as_raw_fd());
        last > 0 && newest as u64 >= last
    }

    /// Descriptors are lacking: others accept what waits.
    fn run_short(&mut self) {
        self.is_short = true;
        self.has_changed = true;
        self.publish();
        self.unwatch_all();
        let now = os::now_micros();
        for served in &self.served {
            if let Some((other, _)) = self.peers.emptiest(served.shared.bit, now) {
                self.peers.kick(other, now);
            }
        }
        self.look_again_after(RETRY);
    }

    pub(super) fn look_again_after(&self, wait: Duration) {
        let Some(on_loop) = &self.on_loop else { return };
        if let Err(error) = on_loop.timer.once(wait) {
            tracing::error!(%error, "cannot start a timer");
        }
    }

    pub(super) fn watch_all(&mut self) {
        (0..self.served.len()).for_each(|index| self.watch(index));
    }

    pub(super) fn unwatch_all(&mut self) {
        (0..self.served.len()).for_each(|index| self.unwatch(index));
    }

    pub(super) fn watch(&mut self, index: usize) {
        if self.served[index].is_watched || !self.accepts() {
            return;
        }
        let exclusive = self.peers.are_many();
        let (Some(on_loop), served) = (&self.on_loop, &mut self.served[index]) else { return };
        match on_loop.epoll.add(&*served.socket, exclusive) {
            Ok(()) => served.is_watched = true,
            Err(error) => self.fail(&error),
        }
    }

    /// The event loop cannot watch the sockets. The master hands over connections from now on.
    pub(super) fn fail(&mut self, error: &io::Error) {
        tracing::warn!(%error, "cannot accept; the master accepts for this worker");
        self.unwatch_all();
        self.proof = Proof::Failed;
        self.has_changed = true;
        self.publish();
    }

    pub(super) fn unwatch(&mut self, index: usize) {
        let (Some(on_loop), served) = (&self.on_loop, &mut self.served[index]) else { return };
        if std::mem::take(&mut served.is_watched)
            && let Err(error) = on_loop.epoll.remove(&*served.socket)
        {
            tracing::error!(%error, "cannot stop watching a listening socket");
        }
    }
}
