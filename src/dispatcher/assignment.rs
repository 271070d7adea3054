//! The way of a connection: to a worker, or into a wait queue; and back from a worker that does not
//! take it.

use crate::connection::Connection;
use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::WorkerLink;
use crate::dispatcher::messages::Counts;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Hands `connection` to the least loaded worker except `except`. Without a worker that can
    /// take it, it waits; or is closed, if none will ever come. While another master takes over, it
    /// gets the connection instead.
    pub(super) fn assign(&mut self, connection: Connection, except: Option<WorkerId>) {
        let Some(connection) = self.give_to_other_master(connection) else { return };
        match self.workers.choose(&connection, except) {
            Some(worker) => self.hand(connection, worker),
            None if self.is_hopeless(connection.origin.listener) => drop(connection),
            None => self.workers.queues_mut().push(connection),
        }
    }

    fn hand(&mut self, connection: Connection, worker: WorkerId) {
        Counts::add(&self.counts.handed, 1);
        self.workers.hand(connection, worker);
    }

    /// Hands waiting connections to workers that can take them by now.
    pub(super) fn assign_waiting(&mut self) {
        for listener in self.workers.queues().with_waiting() {
            while let Some(connection) = self.workers.queues_mut().pop(listener) {
                let Some(connection) = self.give_to_other_master(connection) else { continue };
                let Some(worker) = self.workers.choose(&connection, None) else {
                    // No other connection in this queue is better off.
                    self.workers.queues_mut().unpop(connection);
                    break;
                };
                self.hand(connection, worker);
            }
        }
    }

    /// Does for workers what it may be time for.
    pub(super) fn poll_due(&mut self) {
        self.workers.refresh_due();
        self.announce_settled();
        self.reclaim();
        self.workers.reschedule_due(self.now, !self.listeners.is_closing());
    }

    /// Takes connections back from workers that did not take them in time, where another worker is
    /// free, and from those that have no descriptors for them.
    fn reclaim(&mut self) {
        let are_sticky = self.workers.queues().are_sticky();
        let is_due = |worker: &WorkerId| {
            self.workers
                .get(*worker)
                .is_some_and(|link| link.is_overdrawn() || !are_sticky && link.is_late(self.now))
        };
        let due: Vec<WorkerId> = self.workers.due().iter().copied().filter(is_due).collect();
        for worker in due {
            let is_overdrawn = self.workers.get(worker).is_some_and(WorkerLink::is_overdrawn);
            let is_other_free =
                || self.workers.iter().any(|link| link.id() != worker && link.is_free());
            if !is_overdrawn && !is_other_free() {
                continue;
            }
            let now = self.now;
            let take = |link: &mut WorkerLink| {
                if is_overdrawn { link.take_back(false).0 } else { link.reclaim(now) }
            };
            let back = self.workers.change(worker, take).unwrap_or_default();
            tracing::debug!(
                worker = worker.0,
                connections = back.len(),
                "reclaimed from a worker that does not take them"
            );
            Counts::add(&self.counts.reclaimed, back.len());
            for connection in back {
                self.assign(connection, Some(worker));
            }
        }
    }
}
