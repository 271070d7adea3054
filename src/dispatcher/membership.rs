//! Workers come, say what they do, and go.
//!
//! What always holds: a worker that is gone is in no line, and what it left in its channel is placed anew, even where that takes until
//! there are descriptors again.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::epoll;

use crate::dispatcher::event_loop::{Counts, DispatcherEvent, EventLoop, PEER, SETTLE_WITHIN};
use crate::dispatcher::link::state::{Received, WorkerLink};
use crate::os::channel::Channel;
use crate::protocol::frame;
use crate::protocol::worker::WorkerId;
use crate::protocol::{ListenerId, Order, Report, Wanted};

impl EventLoop {
    pub(super) fn attach(&mut self, peer: WorkerLink) {
        let token = PEER | u64::from(peer.id().0);
        let watch = |socket| {
            epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
        };
        let watched = peer.sockets().into_iter().try_for_each(watch);
        match watched {
            Ok(()) => drop(self.peers.insert(peer.id(), peer)),
            Err(error) => tracing::error!(%error, "cannot watch a worker"),
        }
    }

    pub(super) fn detach(&mut self, worker: WorkerId) {
        // Its last reports still lie in the channel, and maybe connections that it gave back.
        self.unheard.retain(|unheard| *unheard != worker);
        if let Some(peer) = self.peers.get_mut(&worker) {
            peer.set_unheard(false);
        }
        while self.hear_frames(worker, |_, _| {}) {}
        if let Some(peer) = self.peers.remove(&worker) {
            self.departed.push(peer);
            self.lines.strike(worker);
            self.empty_departed();
            self.release_unserved();
            self.door.see_rights();
            self.door.bind_removed();
            self.place_rescued();
            self.look_at = 0;
        }
    }

    /// Takes back what workers that are gone left in their channels, as far as there are descriptors for it.
    pub(super) fn empty_departed(&mut self) {
        let (lines, counts) = (&mut self.lines, &self.counts);
        self.departed.retain_mut(|peer| {
            // There is something left only if descriptors were lacking when it was detached.
            while let Some(received) = peer.receive() {
                if let Received::Connections(back) = received {
                    Counts::add(&counts.moved, back.len());
                    back.into_iter().for_each(|connection| lines.wait(connection));
                }
            }
            let (left, all) = peer.take_back(true);
            if !left.is_empty() {
                tracing::info!(
                    worker = peer.id().0,
                    connections = left.len(),
                    "reclaimed from a worker that is gone"
                );
            }
            Counts::add(&counts.reclaimed, left.len());
            left.into_iter().for_each(|connection| lines.wait(connection));
            !all
        });
    }

    /// Reads what came from a worker, as far as it is its turn and not too much of it waits. The worker itself is held up by what
    /// is not read.
    pub(super) fn hear(&mut self, worker: WorkerId) {
        self.hear_frames(worker, Self::pause_if_full);
    }

    fn pause_if_full(&mut self, worker: WorkerId) {
        let Some(peer) = self.peers.get_mut(&worker) else { return };
        if peer.is_full() && peer.set_unheard(true) {
            let [orders, _] = peer.sockets();
            // Fails where it has closed its end.
            let _ = epoll::delete(&self.epoll, orders);
            self.unheard.push(worker);
        }
    }

    /// Goes on reading the reports of those of whom no longer too much waits.
    pub(super) fn hear_unheard(&mut self) {
        for worker in std::mem::take(&mut self.unheard) {
            let Some(peer) = self.peers.get_mut(&worker) else { continue };
            if peer.is_full() {
                self.unheard.push(worker);
            } else {
                peer.set_unheard(false);
                let [orders, _] = peer.sockets();
                let token = epoll::EventData::new_u64(PEER | u64::from(worker.0));
                if let Err(error) = epoll::add(&self.epoll, orders, token, epoll::EventFlags::IN) {
                    tracing::error!(%error, "cannot watch a worker");
                }
                self.hear(worker);
            }
            // Nothing told of room for what it is sent meanwhile.
            self.with_peer(worker, WorkerLink::unblock);
        }
    }

    /// Reads a bounded number of frames, and calls `before` each. False: there was nothing more.
    fn hear_frames(&mut self, worker: WorkerId, before: impl Fn(&mut Self, WorkerId)) -> bool {
        for _ in 0..64 {
            before(self, worker);
            match self.peers.get_mut(&worker).and_then(WorkerLink::receive) {
                Some(Received::Report(report)) => self.on_report(worker, report, None),
                Some(Received::Question(report, asker)) => {
                    self.on_report(worker, report, Some(&asker))
                }
                Some(Received::Connections(back)) => {
                    Counts::add(&self.counts.moved, back.len());
                    back.into_iter().for_each(|connection| self.place(connection, Some(worker)));
                }
                None => {
                    self.leave_alone_if_deaf(worker);
                    return false;
                }
            }
        }
        true
    }

    // What it has closed stays readable, until it is known that its process has ended.
    fn leave_alone_if_deaf(&self, worker: WorkerId) {
        if let Some(peer) = self.peers.get(&worker).filter(|peer| peer.is_deaf()) {
            let [orders, _] = peer.sockets();
            // Fails where it was done before.
            let _ = epoll::delete(&self.epoll, orders);
        }
    }

    /// `asker`: where the worker waits for the answer, if it does.
    fn on_report(&mut self, worker: WorkerId, report: Report, asker: Option<&Channel>) {
        match report {
            Report::Bind { seq, wanted } => {
                let (answer, lane) = self.bind(worker, seq, &wanted);
                match asker {
                    Some(asker) => reply(asker, &answer, lane),
                    None => self.with_peer(worker, |peer| peer.order_with(&answer, lane)),
                }
            }
            Report::Serve { listener, lane } => {
                self.with_peer(worker, |peer| peer.serve(listener, lane));
                self.enrol(worker);
                self.tell_served(worker);
                self.announce_settled();
            }
            Report::Unserve { listener } => {
                self.unserve(worker, listener);
                if let Some(asker) = asker {
                    reply(asker, &Order::Unserved, None);
                }
            }
            Report::Leaving => {
                self.with_peer(worker, WorkerLink::leave_by_itself);
                // The supervisor will say so; what its script closes meanwhile stays open for whoever comes after it.
                self.drain(worker);
                self.pass_on(worker, report);
            }
            Report::Room { until } => {
                self.with_peer(worker, |peer| peer.set_room(until));
                self.enrol(worker);
                self.look_at = 0;
            }
            Report::Drained => {
                self.with_peer(worker, WorkerLink::ask_to_leave);
                self.enrol(worker);
                self.look_at = 0;
            }
            report @ Report::Ready { settled: false, .. }
                if !self.peers.get(&worker).is_some_and(WorkerLink::is_ready) =>
            {
                let until = self.now + SETTLE_WITHIN;
                self.with_peer(worker, |peer| peer.keep_back(report, until));
                self.announce_settled();
            }
            report @ Report::Ready { .. } => self.announce(worker, report),
            report => self.pass_on(worker, report),
        }
    }

    fn bind(&mut self, worker: WorkerId, seq: u32, wanted: &Wanted) -> (Order, Option<OwnedFd>) {
        let peers = &self.peers;
        let claimed = |listener| peers.values().any(|peer| peer.claims(listener));
        match self.door.bind(wanted, claimed) {
            Ok(listener) => {
                let slot =
                    self.peers.get(&worker).filter(|peer| peer.is_open()).map(WorkerLink::slot);
                let lane = slot.and_then(|slot| self.door.lane(listener, slot));
                self.with_peer(worker, |peer| peer.claim(listener));
                self.retired.remove(&listener);
                self.place_rescued();
                let (address, path) = self.door.place(listener);
                (Order::Bound { seq, listener, address, path }, lane)
            }
            Err(errno) => (Order::BindFailed { seq, errno }, None),
        }
    }

    /// Places who was in the queue of a socket that another one replaced.
    fn place_rescued(&mut self) {
        for connection in self.door.take_rescued() {
            self.place(connection, None);
        }
    }

    pub(super) fn tell_served(&mut self, worker: WorkerId) {
        let serves = self.peers.get(&worker).into_iter().flat_map(WorkerLink::serves);
        let addresses = serves.filter_map(|listener| self.door.at(listener)).collect();
        let share = self.peers.get(&worker).and_then(WorkerLink::share);
        (self.tell)(worker, DispatcherEvent::Serves(addresses, share));
    }

    fn announce(&mut self, worker: WorkerId, ready: Report) {
        self.with_peer(worker, WorkerLink::set_ready);
        self.door.see_rights();
        self.release_unserved();
        self.pass_on(worker, ready);
    }

    fn pass_on(&mut self, worker: WorkerId, report: Report) {
        // Without a share it is passed on all the same: that there is room was seen to before it was read.
        let share = self.peers.get(&worker).and_then(WorkerLink::share);
        (self.tell)(worker, DispatcherEvent::Report(report, share));
    }

    /// Tells of workers whose readiness was kept back, if they now serve all that the newest one serves, or if it is time.
    pub(super) fn announce_settled(&mut self) {
        let is_kept_back =
            |id: &WorkerId| self.peers.get(id).is_some_and(|peer| peer.kept_back_until().is_some());
        let kept_back: Vec<WorkerId> = self.busy.iter().copied().filter(is_kept_back).collect();
        if kept_back.is_empty() {
            return;
        }
        // What the newest serves: where older ones serve more, that has been found to be a change of the script.
        let newest = self.peers.values().rfind(|peer| peer.is_ready() && peer.is_open());
        let expected: Vec<ListenerId> =
            newest.into_iter().flat_map(WorkerLink::serves).chain(self.door.pinned()).collect();
        for worker in kept_back {
            if let Some(ready) =
                self.peers.get_mut(&worker).and_then(|peer| peer.settled(&expected, self.now))
            {
                self.announce(worker, ready);
            }
        }
    }
}

/// Answers a question. A worker that waits no more has asked again by a report.
fn reply(asker: &Channel, answer: &Order, lane: Option<OwnedFd>) {
    let lane = lane.as_ref().map(OwnedFd::as_fd);
    if let Err(error) = asker.send(&frame::order(answer), lane.as_slice()) {
        tracing::debug!(%error, "a worker does not wait for its answer any more");
    }
}
