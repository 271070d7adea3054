//! Draining, and listeners that nobody serves any more.
//!
//! What always holds: a listener is kept as long as a worker may come that serves it: one that is
//! starting, or the replacement of one that leaves by itself or died. A spare does not count: it
//! asks for its listeners again when it is activated. Once that is ruled out, or a worker that goes
//! on closed it itself, it is given up at once, whatever other workers do. Where draining workers
//! still have connections of it, it is *retired*: nobody new gets in, and what is in the queue, or
//! comes back from a worker, goes to them. Their order says to keep such connections until they
//! end. Without such a worker nobody is left to answer, and the connection is closed. A retired
//! listener never comes back under its number, unless it was inherited.

use crate::dispatcher::event_loop::EventLoop;
use crate::dispatcher::link::WorkerLink;
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

impl EventLoop {
    /// Gives a worker nothing more, and has it finish what it has.
    pub(super) fn drain(&mut self, worker: WorkerId) {
        self.workers.change(worker, WorkerLink::close);
        // Its order names what nobody else will take, so that is found out first. If that retires a
        // listener, all draining workers get the order again, this one included.
        if !self.release_unserved() {
            self.workers.drain(worker, self.listeners.is_admitting());
        }
    }

    /// Gives up what nobody serves any more, once it is sure that nobody will. Returns whether all
    /// draining workers were ordered to drain again. While another master takes over, it serves
    /// what is left.
    pub(super) fn release_unserved(&mut self) -> bool {
        if !self.listeners.is_admitting() || self.is_giving_away() {
            return false;
        }
        let mut has_retired = false;
        if !self.may_another_come() {
            self.listeners.close_legacy();
            for listener in self.listeners.open() {
                has_retired |= !self.is_claimed(listener) && self.give_up(listener);
            }
        }
        let listeners = &self.listeners;
        self.workers.close_unserved_queues(|listener| listeners.is_open(listener));
        if has_retired {
            self.drain_again(true);
        }
        has_retired
    }

    /// A worker closed a listener. One that goes on means it, and does not wait for what others
    /// will do; but what the cluster was started for stays until all workers are there.
    pub(super) fn unserve(&mut self, worker: WorkerId, listener: ListenerId) {
        let goes_on = self.workers.get(worker).is_some_and(WorkerLink::goes_on);
        self.workers.change(worker, |link| link.unserve(listener));
        self.notify_served(worker);
        let is_over = goes_on
            && self.listeners.is_admitting()
            && !self.listeners.is_pinned(listener)
            && !self.is_claimed(listener);
        if is_over && self.give_up(listener) {
            self.drain_again(true);
        }
        self.release_unserved();
    }

    /// Orders all draining workers again what to give back, and what to keep.
    pub(super) fn drain_again(&mut self, moving: bool) {
        for worker in self.workers.ids() {
            if self.workers.get(worker).is_some_and(|link| !link.is_open()) {
                self.workers.drain(worker, moving);
            }
        }
    }

    /// Whether no worker will ever take a connection of `listener` that none can take now.
    pub(super) fn is_hopeless(&self, listener: ListenerId) -> bool {
        let is_retired = || self.workers.queues().is_retired(listener);
        self.listeners.is_admitting() && (is_retired() || !self.listeners.is_open(listener))
    }

    /// Whether a worker that does not drain serves it, or is about to. A spare asks again.
    fn is_claimed(&self, listener: ListenerId) -> bool {
        self.workers.iter().any(|link| link.goes_on() && link.claims(listener))
    }

    /// Whether there may be a worker soon that serves more than those that are there.
    fn may_another_come(&self) -> bool {
        let open = || self.workers.iter().filter(|link| link.goes_on());
        // A spare in its slot means that another one serves for it.
        let all_open = || self.workers.iter().filter(|link| link.is_open());
        let is_replaced = |gone: &WorkerLink| all_open().any(|link| link.slot() == gone.slot());
        let left = |link: &&WorkerLink| link.leaves_by_itself() && !link.is_spare();
        let mut leaving = self.workers.iter().filter(left);
        open().next().is_none()
            || !open().all(WorkerLink::is_ready)
            || leaving.any(|link| !is_replaced(link))
    }

    /// Lets nobody new in by a listener. Returns whether it was retired by that: draining workers
    /// have what is left of it, and need their order again.
    pub(super) fn give_up(&mut self, listener: ListenerId) -> bool {
        if !self.workers.iter().any(|link| link.may_take(listener, true)) {
            self.listeners.release(listener);
            return false;
        }
        if !self.workers.retire(listener) {
            return false;
        }
        for connection in self.listeners.retire(listener, self.now) {
            self.assign(connection, None);
        }
        true
    }
}
