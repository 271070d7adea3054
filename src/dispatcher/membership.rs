//! Workers come and go.
//!
//! What always holds: a worker that is gone is in no wait queue, and what it left in its channel is
//! assigned again, even where that takes until there are descriptors.

use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::{Incoming, WorkerLink};
use crate::dispatcher::messages::Counts;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    pub(super) fn attach(&mut self, link: WorkerLink) {
        match link.watch(&self.epoll) {
            Ok(()) => {
                self.workers.insert(link, self.listeners.are_shared());
            }
            Err(error) => tracing::error!(%error, "cannot watch a worker"),
        }
    }

    pub(super) fn detach(&mut self, worker: WorkerId) {
        self.workers.change(worker, WorkerLink::stop_accepting);
        self.read_to_the_end(worker);
        if let Some(link) = self.workers.remove(worker) {
            self.departed.push(link);
            self.empty_departed();
            self.release_unserved();
            self.listeners.refresh_modes();
            self.listeners.bind_removed();
            self.assign_rescued();
        }
    }

    /// Takes back what workers that are gone left in their channels, as far as there are
    /// descriptors for it.
    pub(super) fn empty_departed(&mut self) {
        let (workers, counts) = (&mut self.workers, &self.counts);
        let reserve = &mut self.reserve;
        self.departed.retain_mut(|link| {
            // There is something left only if descriptors were lacking when it was detached.
            while let Some(incoming) = link.receive(reserve) {
                if let Incoming::Connections(back) = incoming {
                    counts.given_back(&back);
                    back.into_iter().for_each(|connection| workers.queues_mut().push(connection));
                }
            }
            let (left, all) = link.take_back(true);
            if !left.is_empty() {
                tracing::info!(
                    worker = link.id().0,
                    connections = left.len(),
                    "reclaimed from a worker that is gone"
                );
            }
            Counts::add(&counts.reclaimed, left.len());
            left.into_iter().for_each(|connection| workers.queues_mut().push(connection));
            !all
        });
    }

    /// Assigns the connections in the queue of a socket that another one replaced.
    pub(super) fn assign_rescued(&mut self) {
        for connection in self.listeners.take_rescued() {
            self.assign(connection, None);
        }
    }
}
