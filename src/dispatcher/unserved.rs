//! Listeners that nobody serves any more.
//!
//! What always holds: a listener is kept as long as somebody may come who serves it: a worker that is starting, or the replacement
//! of one that leaves by itself or died. Once that is ruled out, or a worker that goes on closed it itself, it is let go of at
//! once, whatever other workers do. Where draining workers still have connections of it, it is *retired*: nobody new gets in, and
//! what is in the queue, or comes back from a worker, goes to them, who were told to keep such connections until they end. Without
//! such a worker nobody is left to answer, and the connection is closed. A retired listener never comes back under its number,
//! unless it was inherited.

use crate::dispatcher::event_loop::{DOOR_GRACE, EventLoop};
use crate::dispatcher::link::state::{Connection, WorkerLink};
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Hands a worker nothing more, and has it finish what it has.
    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.with_peer(worker, WorkerLink::close);
        self.enrol(worker);
        // What it cannot give to anybody it is to keep: that is known before it is told.
        if !self.release_unserved() {
            let moving = !self.door.is_shut();
            let retired = &self.retired;
            if let Some(peer) = self.peers.get_mut(&worker) {
                peer.drain(moving, retired);
            }
            self.attend(worker);
        }
        self.look_at = 0;
    }

    /// Lets go of what nobody serves any more, once it is sure that nobody will. True: all draining workers were told.
    pub(super) fn release_unserved(&mut self) -> bool {
        if self.door.is_shut() {
            return false;
        }
        let mut has_retired = false;
        if !self.may_somebody_come() {
            for listener in self.door.listeners() {
                has_retired |= !self.is_claimed(listener) && self.let_go(listener);
            }
        }
        self.close_unserved_lines();
        if has_retired {
            self.tell_draining(true);
        }
        has_retired
    }

    /// A worker closed a listener. One that goes on means it, and does not wait for what others will do; but what the cluster was
    /// started for stays until all workers are there.
    pub(super) fn unserve(&mut self, worker: WorkerId, listener: ListenerId) {
        let goes_on = self.peers.get(&worker).is_some_and(WorkerLink::is_open);
        self.with_peer(worker, |peer| peer.unserve(listener));
        self.enrol(worker);
        self.tell_served(worker);
        let is_over = goes_on
            && !self.door.is_shut()
            && !self.door.is_pinned(listener)
            && !self.is_claimed(listener);
        if is_over && self.let_go(listener) {
            self.tell_draining(true);
        }
        self.release_unserved();
        self.look_at = 0;
    }

    /// Tells all draining workers what to give back, and what to keep.
    pub(super) fn tell_draining(&mut self, moving: bool) {
        for worker in self.all_workers() {
            let retired = &self.retired;
            if let Some(peer) = self.peers.get_mut(&worker).filter(|peer| !peer.is_open()) {
                peer.drain(moving, retired);
            }
            self.attend(worker);
        }
    }

    /// Whether draining workers take connections of it, too.
    pub(super) fn is_leaving(&self, listener: ListenerId) -> bool {
        self.door.is_shut() || self.retired.contains(&listener)
    }

    /// Whether nobody will ever take a connection of it that nobody can take now.
    pub(super) fn is_hopeless(&self, listener: ListenerId) -> bool {
        !self.door.is_shut() && (self.retired.contains(&listener) || !self.door.knows(listener))
    }

    /// Whether a worker that does not drain serves it, or is about to.
    fn is_claimed(&self, listener: ListenerId) -> bool {
        self.peers.values().any(|peer| peer.is_open() && peer.claims(listener))
    }

    /// Whether there may be a worker soon that serves more than those that are there.
    fn may_somebody_come(&self) -> bool {
        let open = || self.peers.values().filter(|peer| peer.is_open());
        let is_replaced = |gone: &WorkerLink| open().any(|peer| peer.slot() == gone.slot());
        let mut leaving = self.peers.values().filter(|peer| peer.leaves_by_itself());
        open().next().is_none()
            || !open().all(WorkerLink::is_ready)
            || leaving.any(|peer| !is_replaced(peer))
    }

    /// Nobody new gets in. True: draining workers have what is left of it.
    fn let_go(&mut self, listener: ListenerId) -> bool {
        let has_servers = self.peers.values().any(|peer| peer.may_take(listener, true));
        if !has_servers {
            self.door.release(listener);
            return false;
        }
        if !self.retired.insert(listener) {
            return false;
        }
        let queued = self.door.retire(listener, self.now + DOOR_GRACE);
        self.all_workers().into_iter().for_each(|worker| self.enrol(worker));
        for connection in queued {
            self.place(connection, None);
        }
        true
    }

    /// Closes what waits where nobody can come.
    fn close_unserved_lines(&mut self) {
        let (peers, door) = (&self.peers, &self.door);
        let is_served = |listener| {
            door.knows(listener) || peers.values().any(|peer| peer.may_take(listener, true))
        };
        self.lines.release_unserved(is_served);
        self.retired.retain(|listener| is_served(*listener));
    }

    /// Lets a connection wait for a worker that can take it, if there may be one.
    pub(super) fn wait(&mut self, connection: Connection) {
        if !self.is_hopeless(connection.origin.listener) {
            self.lines.wait(connection);
        }
    }
}
