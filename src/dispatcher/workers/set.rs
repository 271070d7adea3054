//! The set of workers; see the room's text.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use crate::balancing::LoadSnapshot;
use crate::clock::Millis;
use crate::config::Balance;
use crate::connection::Connection;
use crate::dispatcher::link::{Incoming, WorkerLink};
use crate::dispatcher::workers::due::Due;
use crate::dispatcher::workers::list::WorkerList;
use crate::dispatcher::workers::wait_queues::WaitQueues;
use crate::os::reserve::Reserve;
use crate::protocol::ListenerId;
use crate::protocol::worker::WorkerId;

/// All workers that were attached and are not gone.
#[derive(Debug)]
pub(in crate::dispatcher) struct WorkerSet {
    links: BTreeMap<WorkerId, WorkerLink>,
    queues: WaitQueues,
    /// Workers for which something lies in their outboxes.
    unsent: WorkerList,
    /// Workers that have to be polled again, see `WorkerLink::next_poll`.
    due: Due,
    /// Workers whose reports are not read for now, see `WorkerLink::must_pause`.
    paused: WorkerList,
    /// The listeners from which workers accept by themselves.
    accepting: BTreeSet<(ListenerId, WorkerId)>,
}

impl WorkerSet {
    pub(in crate::dispatcher) fn new(policy: Balance) -> Self {
        Self {
            links: BTreeMap::new(),
            queues: WaitQueues::new(policy),
            unsent: WorkerList::default(),
            due: Due::default(),
            paused: WorkerList::default(),
            accepting: BTreeSet::new(),
        }
    }

    /// Adds a worker. If workers `share` sockets, it and the others learn how to wake each other.
    pub(in crate::dispatcher) fn insert(&mut self, mut link: WorkerLink, share: bool) {
        let worker = link.id();
        for (other, theirs) in self.links.iter_mut().filter(|_| share) {
            link.introduce(theirs);
            theirs.introduce(&link);
            self.unsent.insert(*other);
        }
        self.links.insert(worker, link);
        self.changed(worker);
    }

    /// Removes a worker from the set and from all indices.
    pub(in crate::dispatcher) fn remove(&mut self, worker: WorkerId) -> Option<WorkerLink> {
        self.queues.remove(worker);
        self.unsent.remove(worker);
        self.due.remove(worker);
        self.paused.remove(worker);
        self.accepting.retain(|(_, acceptor)| *acceptor != worker);
        // Others may be better off now.
        self.due.hasten();
        self.links.remove(&worker)
    }

    /// Changes a worker, and brings all indices up to date. Returns `None` if it is not there.
    pub(in crate::dispatcher) fn change<R>(
        &mut self,
        worker: WorkerId,
        action: impl FnOnce(&mut WorkerLink) -> R,
    ) -> Option<R> {
        let result = action(self.links.get_mut(&worker)?);
        self.changed(worker);
        Some(result)
    }

    /// Brings all indices up to date after any change of a worker.
    fn changed(&mut self, worker: WorkerId) {
        let Some(link) = self.links.get_mut(&worker) else { return };
        self.queues.reindex(link);
        if self.accepting.iter().any(|(_, acceptor)| *acceptor == worker)
            || link.accepts().next().is_some()
        {
            self.accepting.retain(|(_, acceptor)| *acceptor != worker);
            self.accepting.extend(link.accepts().map(|listener| (listener, worker)));
        }
        if link.has_unsent() {
            self.unsent.insert(worker);
        }
        if link.is_paused() {
            self.paused.insert(worker);
        }
        self.due.schedule(worker, link.next_poll(0));
        // It may be what another one waits for.
        self.due.hasten();
    }

    pub(in crate::dispatcher) fn get(&self, worker: WorkerId) -> Option<&WorkerLink> {
        self.links.get(&worker)
    }

    /// The workers in ascending order, so the oldest first.
    pub(in crate::dispatcher) fn iter(&self) -> impl DoubleEndedIterator<Item = &WorkerLink> {
        self.links.values()
    }

    /// The workers that accept from a listener by themselves.
    pub(in crate::dispatcher) fn acceptors(
        &self,
        listener: ListenerId,
    ) -> impl Iterator<Item = &WorkerLink> {
        let range = (listener, WorkerId(0))..=(listener, WorkerId(u32::MAX));
        self.accepting.range(range).filter_map(|(_, worker)| self.links.get(worker))
    }

    pub(in crate::dispatcher) fn ids(&self) -> Vec<WorkerId> {
        self.links.keys().copied().collect()
    }

    /// Receives what came from a worker next. Nothing that an index depends on changes.
    pub(in crate::dispatcher) fn receive(
        &mut self,
        worker: WorkerId,
        reserve: &mut Reserve,
    ) -> Option<Incoming> {
        self.links.get_mut(&worker)?.receive(reserve)
    }

    pub(in crate::dispatcher) fn queues(&self) -> &WaitQueues {
        &self.queues
    }

    /// For the connections that wait: which workers are in a queue changes with the workers only.
    pub(in crate::dispatcher) fn queues_mut(&mut self) -> &mut WaitQueues {
        &mut self.queues
    }
}

/// Listeners whose connections draining workers take, too.
impl WorkerSet {
    /// Orders a worker to finish what it has; see `WorkerLink::drain`.
    pub(in crate::dispatcher) fn drain(&mut self, worker: WorkerId, moving: bool) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.drain(moving, |listener| self.queues.is_retired(listener));
        }
        self.changed(worker);
    }

    /// From now on draining workers take connections of all listeners.
    pub(in crate::dispatcher) fn admit_draining_everywhere(&mut self) {
        self.queues.admit_draining_everywhere();
        self.all_changed();
    }

    /// From now on draining workers take connections of `listener`. Returns whether that is new.
    pub(in crate::dispatcher) fn retire(&mut self, listener: ListenerId) -> bool {
        let is_new = self.queues.set_retired(listener, true);
        if is_new {
            self.all_changed();
        }
        is_new
    }

    /// The listener has come back under its number.
    pub(in crate::dispatcher) fn reinstate(&mut self, listener: ListenerId) {
        if self.queues.is_retired(listener) {
            self.queues.set_retired(listener, false);
            self.all_changed();
        }
    }

    /// Gives up the queues of listeners that are not known any more and that no worker serves, and
    /// closes the connections there.
    pub(in crate::dispatcher) fn close_unserved_queues(
        &mut self,
        is_known: impl Fn(ListenerId) -> bool,
    ) {
        let Self { links, queues, .. } = self;
        let has_workers = |listener| links.values().any(|link| link.may_take(listener, true));
        queues.retain(|listener| is_known(listener) || has_workers(listener));
    }

    fn all_changed(&mut self) {
        for worker in self.ids() {
            self.changed(worker);
        }
    }
}

/// The way of a connection.
impl WorkerSet {
    /// Chooses the least loaded worker for `connection`, except `except`. Where draining workers
    /// are admitted, `except` may be the last one there is, and is chosen if there is no other.
    pub(in crate::dispatcher) fn choose(
        &mut self,
        connection: &Connection,
        except: Option<WorkerId>,
    ) -> Option<WorkerId> {
        let Self { links, queues, .. } = self;
        let draining = queues.admits_draining(connection.origin.listener);
        let mut load =
            |worker| links.get_mut(&worker).map_or(LoadSnapshot::FULL, |link| link.load(draining));
        let chosen = queues.choose(connection, except, &mut load);
        chosen.or_else(|| draining.then(|| queues.choose(connection, None, &mut load))?)
    }

    /// Puts a connection into the outbox of the worker that was chosen for it.
    pub(in crate::dispatcher) fn hand(&mut self, connection: Connection, worker: WorkerId) {
        if let Some(link) = self.links.get_mut(&worker) {
            link.hand(connection);
            self.unsent.insert(worker);
            self.queues.refresh(link);
        }
    }

    /// Sends what lies in outboxes, and has `epoll` report room where there is none.
    pub(in crate::dispatcher) fn flush(&mut self, epoll: &OwnedFd, now: Millis) {
        let Self { links, unsent, due, .. } = self;
        unsent.retain(|worker| {
            let Some(link) = links.get_mut(&worker) else { return false };
            link.flush(epoll, now);
            due.schedule(worker, link.next_poll(now));
            link.has_unsent()
        });
    }

    /// Reads the scoreboard's rows of those that are polled.
    pub(in crate::dispatcher) fn refresh_due(&mut self) {
        let Self { links, queues, due, .. } = self;
        for worker in due.workers() {
            if let Some(link) = links.get_mut(worker) {
                queues.refresh(link);
            }
        }
    }

    /// Ends a poll: lets workers leave that asked for it, if they `may_leave`, and schedules the
    /// next poll.
    pub(in crate::dispatcher) fn reschedule_due(&mut self, now: Millis, may_leave: bool) {
        let Self { links, queues, unsent, due, .. } = self;
        due.reschedule(|worker| {
            let link = links.get_mut(&worker)?;
            if may_leave && !queues.wait_for(link) && link.grant_leave() {
                queues.reindex(link);
                unsent.insert(worker);
            }
            link.next_poll(now)
        });
    }

    /// The workers that are polled, in ascending order.
    pub(in crate::dispatcher) fn due(&self) -> &[WorkerId] {
        self.due.workers()
    }

    /// When to poll them. `None`: there is nothing to wait for.
    pub(in crate::dispatcher) fn next_poll(&self) -> Option<Millis> {
        self.due.at()
    }

    /// The workers whose reports are not read. They are taken off the list; a worker that stays
    /// paused has to be changed.
    pub(in crate::dispatcher) fn take_paused(&mut self) -> Vec<WorkerId> {
        std::mem::take(&mut self.paused).into()
    }

    /// Whether something must be tried again that epoll does not report.
    pub(in crate::dispatcher) fn must_retry(&self) -> bool {
        let is_stuck = |worker| self.links.get(worker).is_some_and(WorkerLink::must_retry);
        !self.paused.as_slice().is_empty() || self.unsent.as_slice().iter().any(is_stuck)
    }

    #[cfg(test)]
    pub(in crate::dispatcher) fn unsent(&self) -> &[WorkerId] {
        self.unsent.as_slice()
    }
}
