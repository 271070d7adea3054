//! The way of a connection through the loop: a worker is chosen, gets it by its outbox, and is looked at until it took it.

use std::os::fd::OwnedFd;

use rustix::event::epoll;

use crate::balancing::LoadSnapshot;
use crate::dispatcher::event_loop::{Counts, EventLoop, NEVER, PEER, RETRY, TAKE_WITHIN};
use crate::dispatcher::link::state::{Connection, WorkerLink};
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Gives a connection to the best worker, rather not to `not`, or lets it wait if that is of any use.
    pub(super) fn place(&mut self, connection: Connection, not: Option<WorkerId>) {
        match self.choose(&connection, not) {
            Some(worker) => self.give(connection, worker),
            None => self.wait(connection),
        }
    }

    fn choose(&mut self, connection: &Connection, not: Option<WorkerId>) -> Option<WorkerId> {
        let leaving = self.is_leaving(connection.origin.listener);
        let mut look = |worker| {
            self.peers.get_mut(&worker).map_or(LoadSnapshot::FULL, |peer| peer.look(leaving))
        };
        let chosen = self.lines.choose(connection, not, &mut look);
        // Where all leave, who gives a connection back may be the last one there is.
        chosen.or_else(|| leaving.then(|| self.lines.choose(connection, None, &mut look))?)
    }

    fn give(&mut self, connection: Connection, worker: WorkerId) {
        let leaving = self.is_leaving(connection.origin.listener);
        if let Some(peer) = self.peers.get_mut(&worker) {
            Counts::add(&self.counts.handed, 1);
            peer.give(connection);
            enlist(&mut self.unsent, worker);
            self.lines.note(worker, peer.look(leaving));
        }
    }

    /// Gives those that wait to workers that can take them by now.
    pub(super) fn place_waiting(&mut self) {
        for listener in self.lines.busy() {
            while let Some(connection) = self.lines.next(listener) {
                match self.choose(&connection, None) {
                    Some(worker) => self.give(connection, worker),
                    // Nobody else in this line is better off.
                    None => {
                        self.lines.wait_on(connection);
                        break;
                    }
                }
            }
        }
    }

    /// Remembers what is to be done for a worker, if there is something.
    pub(super) fn attend(&mut self, worker: WorkerId) {
        let Some(peer) = self.peers.get(&worker) else { return };
        if peer.has_mail() {
            enlist(&mut self.unsent, worker);
        }
        if let Some(at) = peer.next_look(TAKE_WITHIN, self.now + RETRY) {
            enlist(&mut self.busy, worker);
            self.look_at = self.look_at.min(at);
        }
    }

    /// Looks at the workers for which it may be time for something.
    pub(super) fn look_at_busy(&mut self) {
        let leaving = self.door.is_shut();
        for worker in &self.busy {
            if let Some(peer) = self.peers.get_mut(worker) {
                self.lines.note(*worker, peer.look(leaving));
            }
        }
        self.announce_settled();
        self.reclaim();
        let may_leave = !self.door.is_closing();
        self.look_at = NEVER;
        self.busy.retain(|worker| {
            let Some(peer) = self.peers.get_mut(worker) else { return false };
            if may_leave && peer.grant_leave() {
                self.lines.strike(*worker);
                enlist(&mut self.unsent, *worker);
            }
            let next = peer.next_look(TAKE_WITHIN, self.now + RETRY);
            self.look_at = self.look_at.min(next.unwrap_or(NEVER));
            next.is_some()
        });
    }

    /// Takes connections back from workers that did not take them in time, where another worker is free, and from those that
    /// have no descriptors for them.
    fn reclaim(&mut self) {
        let is_late =
            |peer: &WorkerLink| !self.lines.are_sticky() && peer.is_late(self.now, TAKE_WITHIN);
        let is_due = |id: &WorkerId| {
            self.peers.get(id).is_some_and(|peer| peer.is_overdrawn() || is_late(peer))
        };
        let due: Vec<WorkerId> = self.busy.iter().copied().filter(is_due).collect();
        for id in due {
            let is_other_free =
                || self.peers.values().any(|peer| peer.id() != id && peer.is_free());
            let back = match self.peers.get(&id).map(WorkerLink::is_overdrawn) {
                Some(true) => self.peers.get_mut(&id).map(|peer| peer.take_back(false).0),
                Some(false) if is_other_free() => {
                    self.peers.get_mut(&id).map(|peer| peer.reclaim(self.now))
                }
                _ => None,
            };
            let Some(back) = back else { continue };
            let leaving = self.door.is_shut();
            if let Some(peer) = self.peers.get_mut(&id) {
                self.lines.note(id, peer.look(leaving));
            }
            // It may be asked for a sign of life.
            self.attend(id);
            tracing::debug!(
                worker = id.0,
                connections = back.len(),
                "reclaimed from a worker that does not take them"
            );
            Counts::add(&self.counts.reclaimed, back.len());
            for connection in back {
                self.place(connection, Some(id));
            }
        }
    }

    pub(super) fn flush(&mut self) {
        self.unsent.retain(|worker| {
            let Some(peer) = self.peers.get_mut(worker) else { return false };
            if let Some(blocked) = peer.flush(self.now) {
                watch_sockets(&self.epoll, peer, blocked);
            }
            if let Some(at) = peer.next_look(TAKE_WITHIN, self.now + RETRY) {
                enlist(&mut self.busy, *worker);
                self.look_at = self.look_at.min(at);
            }
            peer.has_mail()
        });
    }
}

/// Enters a worker in an ascending list, if it is not there.
fn enlist(list: &mut Vec<WorkerId>, worker: WorkerId) {
    if let Err(place) = list.binary_search(&worker) {
        list.insert(place, worker);
    }
}

/// Makes epoll report what comes from a worker; and, where one of its sockets is `blocked`, room in it.
fn watch_sockets(epoll: &OwnedFd, peer: &WorkerLink, blocked: [bool; 2]) {
    let token = epoll::EventData::new_u64(PEER | u64::from(peer.id().0));
    for (socket, blocked) in peer.sockets().into_iter().zip(blocked) {
        let flags = if blocked {
            epoll::EventFlags::IN | epoll::EventFlags::OUT
        } else {
            epoll::EventFlags::IN
        };
        match epoll::modify(epoll, socket, token, flags) {
            // Its process has ended, or it is not read.
            Err(rustix::io::Errno::NOENT) if peer.is_deaf() || peer.is_unheard() => {}
            Err(error) => tracing::error!(%error, "cannot watch a worker"),
            Ok(()) => {}
        }
    }
}
